"""Captions: one sentence each, whose numbers are those of the table or of the summary, and none that is not known."""

import re
from copy import deepcopy

import polars as pl
import pytest
from figures.synthetic import cleared, log

from grpo_prm.figures import FIGURES, captions, tables_of
from grpo_prm.figures.logs import join_logs
from grpo_prm.text.amounts import amount, interval, listed, number, percent, signed, span, steady
from grpo_prm.text.summary_latex import latex, rows


def captioned(*analyses, **options):
    logs = join_logs(analyses, **options)
    tables = tables_of(logs)
    return tables, captions(tables, logs.summaries, logs.unit)


CASES = {
    "usual": (log(),),
    "nothing": (cleared(),),
    "no step, no intervals": (log(steps=(None,), intervals=False, null=False, groups=2),),
    "one step": (log(steps=(3,)),),
    "long": (log(steps=tuple(range(100))),),
    "two": (log(runs=("a",)), log(runs=("b", "c"))),
    "hostile": (log(runs=("a\nb\x1b[31m \u202e",)),),
}


@pytest.mark.parametrize("case", CASES)
def test_every_figure_has_one_sentence(case):
    tables, texts = captioned(*CASES[case])
    assert list(texts) == list(FIGURES) == list(tables)
    for name, text in texts.items():
        assert text == " ".join(text.split()) and text.isprintable() and text[0].isupper()
        assert text.endswith(".") and not re.search(r"[.?!] [A-Z]", text), name
        assert not re.search(
            r"\b(nan|none|inf|null|not a number)\b", text.replace("none suppressed", ""), re.IGNORECASE
        )
        for summary_name in join_logs(CASES[case]).summaries:
            readable = "a⏎b" if case == "hostile" else summary_name
            assert name == "group_tree" or readable in text


def test_numbers_of_overlap_and_defects_are_those_of_the_summary():
    analysis = log()
    overlap, defects = analysis.summary["overlap"], analysis.summary["defects"]
    overlap["path_depth"].update(mean=2.345, low=2.1, high=2.6)
    overlap["intermediate_proportion"].update(mean=0.4321, low=0.4, high=0.5)
    analysis.summary["baseline"]["path_depth"] = {"mean": 0.557, "low": None, "high": None, "n": 8}
    defects["boosted_bad"].update(mean=0.0789, low=0.07, high=0.09, null_mean=0.061, null_low=0.05, null_high=0.08)
    analysis.summary["informativeness"].update(
        observed=0.444, null_mean=0.321, null_low=0.3, null_high=0.34, p_value=0.01
    )
    _, texts = captioned(analysis)
    for name in ("overlap_over_training", "overlap_over_groups"):
        assert "2.35 [2.1, 2.6] sets per completion and 43.2 % [40, 50] of the tokens" in texts[name]
        assert "different prompts: 0.557 and 10 % [9, 11]" in texts[name]
    assert "boosted bad 7.89 % [7, 9] (rewards permuted: 6.1 % [5, 8])" in texts["defects_over_training"]
    assert "0.444 observed, 0.321 [0.3, 0.34] with the rewards permuted, p = 0.01" in texts["informativeness"]
    assert "in training steps 0 to 480;" in texts["overlap_over_training"]
    assert all("base: 300 groups of 8, tokens as logged." in text for text in texts.values())


def test_numbers_by_k_depth_size_and_position_are_those_of_the_table():
    tables, texts = captioned(log())
    by_k = tables["overlap_by_k"]
    for size in (4, 8):
        (row,) = by_k.filter(statistic="path_depth", size=size).rows(named=True)
        assert f"{interval(row)} at k = {size} (300 groups)" in texts["overlap_by_k"]
    assert "k = 2" not in texts["overlap_by_k"]
    assert texts["overlap_by_k"].index("k = 4") < texts["overlap_by_k"].index("k = 8")
    by_depth = tables["contest_by_depth"].filter(statistic="certain_share")
    for row in (by_depth.row(0, named=True), by_depth.row(-1, named=True)):
        assert f"{interval(row, share=True)} at depth {row['depth']} ({row['n']} problems)" in texts["contest_by_depth"]
    sizes = tables["update_by_size"]
    whole = sizes.filter(statistic="amplification", p=0.0)
    shared = whole.filter(pl.col("first") > 1)["value"].sum() / whole["value"].sum()
    assert f"amplification {whole['value'].sum():.3g}, {100 * shared:.3g} % of it where" in texts["update_by_size"]
    scale = sizes.filter(statistic="update_scale", p=1.0)["value"].sum()
    assert f"update scale {scale:.3g} for p = 1" in texts["update_by_size"]
    positions = tables["advantage_by_position"].sort("first")
    first, last = positions.row(0, named=True), positions.row(-1, named=True)
    for row in (first, last):
        assert f"{row['median']:.3g} at {row['first']} to {row['last']}" in texts["advantage_by_position"]
    assert f"({positions['steps'].sum():,} steps)" in texts["advantage_by_position"]


def test_the_tree_is_named_and_counted():
    tables, texts = captioned(log())
    steps = tables["group_tree"].filter(box="step")
    assert texts["group_tree"].startswith(
        "Process steps of group p0 at step 0 of base (k = 4, mean reward 0.5): width by"
    )
    marks = steps["mark"].drop_nulls().to_list()
    assert f"{len(steps)} steps, " in texts["group_tree"]
    for mark in set(marks):
        assert f"{marks.count(mark)} {mark}" in texts["group_tree"]
    _, two = captioned(log(), log(), names=["x", "y"])
    assert "; x: 300 groups" in two["group_tree"] and "y:" not in two["group_tree"]


def test_windows_and_pieces_are_said():
    analysis = log(steps=tuple(range(100)))
    analysis.summary["source"] |= {"unit": "piece", "tokens_from": "pieces"}
    _, texts = captioned(analysis)
    for name in ("defects_over_training", "informativeness"):
        assert "in training steps 0 to 99, in windows of 4;" in texts[name]
    assert "of the pieces" in texts["overlap_over_groups"] and "pieces of text." in texts["overlap_over_groups"]


# ---------------------------------------------------------------- summary.tex


def cells(line):
    return [cell.strip().strip("{}") for cell in line.removesuffix(r" \\").split(" & ")]


def test_the_table_has_the_numbers_of_the_summary():
    analysis = log()
    summary = analysis.summary
    summary["overlap"]["non_trivial"].update(mean=0.998, low=0.99, high=1.0)
    text = latex({"base": summary})
    body = [cells(line) for line in text.splitlines() if " & " in line][1:]
    assert body == [[c.replace("%", r"\%").replace("|", "$|$") for c in row] for row in rows(summary)]
    assert all(len(row) == 5 for row in body) and not any("%" in cell for row in body for cell in row[1:])
    table = {row[0]: row[1:] for row in body}
    assert table[r"non-trivial trees (\%)"] == ["99.8", "[99, 100]", "10 [9, 11]", ""]
    assert table[r"boosted-bad (\%)"] == ["3", "[2.7, 3.3]", "3 [2, 4]", ""]
    assert table["update cosine, p = 0.5"] == ["0.7", "[0.63, 0.77]", "", ""]
    assert table[r"order of unseen pairs (\%)"] == ["40", "[36, 44]", "3 [2, 4]", "0.015"]
    assert table["mean $|$A$|$"] == ["0.34", "", "0.03 [0.02, 0.04]", "0.005"]
    assert "rewards of distinct completions permuted" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == text.count(r"\midrule") == 1
    assert not re.search(r"nan|none|null", str(body), re.IGNORECASE)


def test_what_is_not_known_is_left_out():
    summary = deepcopy(log().summary)
    whole = len(list(rows(summary)))
    summary["informativeness"] = summary["defects"]["suppressed_good"] = summary["prm"]["certain_share"] = None
    summary["baseline"] = dict.fromkeys(summary["baseline"])
    summary["defects"]["update_norm"] = {"0.5": None, "1": None}
    summary["overlap"]["path_depth"].update(low=None, high=None)
    gone = {"null_mean": None, "null_low": None, "null_high": None}  # nothing could be permuted
    summary["credit"]["leave_pair_out_auc"].update(**gone, p_value=None)
    left = list(rows(summary))
    assert len(left) == whole - 5
    assert left[0] == ("path depth", "0.4", "", "", "")
    assert ("order of unseen pairs (%)", "40", "[36, 44]", "", "") in left


def test_several_logs_are_blocks_with_their_names():
    text = latex({"a_b & 5%": log().summary, "[c]": log().summary})
    assert r"\multicolumn{5}{l}{a\_b \& 5\%} \\" in text and r"\multicolumn{5}{l}{[c]} \\" in text
    assert text.count(r"\midrule") == 2 and text.count("path depth") == 2
    # what stands after a line break must not begin with a bracket
    assert not re.search(r"\\\\\n\s*\[", text)


def test_a_minus_of_the_table_is_one():
    summary = log().summary
    summary["credit"]["reliability"].update(mean=-0.1, low=-0.3, high=0.1)
    assert r"reliability & $-$0.1 & {[$-$0.3, 0.1]} &  &  \\" in latex({"base": summary})


def test_words():
    assert signed(0.5) == "+0.5" and signed(-0.25) == "-0.25" and signed(0.0) == "0" and signed(None) == "-"
    assert steady(0.5) == "0.500" and steady(-0.5, sign=True) == "-0.500" and steady(0.5, sign=True) == "+0.500"
    assert interval({"mean": 0.47, "low": 0.45, "high": 0.49}, share=True, sign=False) == "47 [45, 49]"
    assert number(1234.5) == "1,234" and number(0.012345) == "0.0123" and percent(0.00001) == "<0.01"
    assert percent(0.0) == "0" and percent(0.005) == "0.50" and span(None, 1.0) == "" and span(0.1, 0.2) == "[0.1, 0.2]"
    assert interval(None) == "-" == interval({"mean": None, "low": None, "high": None}) == number(None)
    assert interval(None, missing="not known") == "not known"
    assert amount(1, "group") == "1 group" and amount(2000, "group") == "2,000 groups"
    assert listed(["a"]) == "a" and listed(["a", "b", "c"]) == "a, b and c"


def test_of_many_runs_the_first_three_are_said_and_how_many_more():
    """A caption is a sentence, and no list as long as a screen; runs of one step each have no course."""
    names = [f"{n} of a run with a long name" for n in "abcdef"]
    _, texts = captioned(log(runs=tuple(names), steps=(3,)))
    assert (
        "a of a run with a long name: " in texts["contest_by_depth"]
        and "; and 3 more runs" in texts["contest_by_depth"]
    )
    assert all("d of a run with a long name:" not in text for text in texts.values())
    _, few = captioned(log(runs=("a", "b", "c"), steps=(3,)))
    assert "more run" not in " ".join(few.values())
    logs = [log(runs=(f"r{n}",)) for n in range(5)]
    _, texts = captioned(*logs)
    assert "r2: " in texts["overlap_over_groups"] and texts["overlap_over_groups"].count("; and 2 more logs") == 2


def test_runs_of_one_step_each_have_no_course_though_their_steps_differ():
    first, second = log(runs=("a",), steps=(0,)), log(runs=("b",), steps=(40,))
    for texts, said in (
        (captioned(first, second)[1], "at the one training step of each run (0 to 40), so without a course"),
        (captioned(first)[1], "at training step 0"),
        (captioned(log(runs=("a",), steps=(0, 40)))[1], "in training steps 0 to 40"),
    ):
        assert said in texts["overlap_over_training"]
