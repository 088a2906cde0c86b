"""What the page is filled with, counted a second way: cautions, cuts, columns, trees, the trend."""

import base64
import json
import shutil
from dataclasses import replace
from operator import itemgetter

import numpy as np
import polars as pl
import pytest
from canonical import batch_of
from hypothesis import example, given
from hypothesis import strategies as st
from oracle_sets import Row
from report.pages import EXAMPLE, data_of, embedded, folder_of, log_of, page_of, text_of, trees_in, without_figures

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.folder import read_folder
from grpo_prm.analysis.write import output_folder, write_tables
from grpo_prm.errors import InputError
from grpo_prm.figures import captions, tables_of
from grpo_prm.figures.logs import join_logs
from grpo_prm.report import one_page, report
from grpo_prm.report.answers import example_groups
from grpo_prm.report.cautions import cautions, missing_steps
from grpo_prm.report.cut import LEAST, cut, fit, one_line
from grpo_prm.report.embed import column, embed, numbers
from grpo_prm.report.groups import KEYS, PROMPTS, group_columns, starts
from grpo_prm.report.pictures import pictures
from grpo_prm.report.trees import groups_with_text, trees
from grpo_prm.report.trend import trend
from grpo_prm.tree.view import group_tree


@pytest.fixture(scope="module")
def folder(chain):
    return read_folder(chain.parent)


def every_tree(folder):
    return list(trees(folder, groups_with_text(folder).order))


@given(
    st.recursive(
        st.none() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
@example("</script>\u2028<!--&\ud800")
@example({"\u202e<": ["\x00", 1]})
def test_what_is_embedded_cannot_end_its_element_and_is_read_back(data):
    from grpo_prm.text.printable import printable

    text = str(embed(data))
    assert not set("<>&\u2028\u2029") & set(text) and text.encode()

    def plain(part):
        if isinstance(part, str):
            return printable(part, newline="\n")
        if isinstance(part, list):
            return [plain(one) for one in part]
        return {plain(key): plain(one) for key, one in part.items()} if isinstance(part, dict) else part

    assert json.loads(text) == plain(data)


@given(st.lists(st.none() | st.text(max_size=2000)), st.integers(0, 20_000))
@example(["a" * 5000, "b" * 100, None, ""], 2000)
def test_texts_are_cut_to_one_length_and_only_as_far_as_needed(texts, budget):
    cuts = fit(texts, budget)
    assert [text is None for text in texts] == [text is None for text in cuts]
    kept = []
    for text, short in zip(texts, cuts, strict=True):
        if isinstance(short, list):
            head, missing, tail = short
            assert missing > 0 and text == head + text[len(head) : len(head) + missing] + tail
            kept.append(len(head) + len(tail))
    whole = [len(text) for text in cuts if isinstance(text, str)]
    assert len(set(kept)) <= 1 and all(length <= kept[0] for length in whole if kept)
    if kept and kept[0] > LEAST:
        assert sum(len(text.encode()) * min(1, kept[0] / len(text)) for text in texts if text) <= budget
    if kept:
        assert sum(len(text.encode()) * min(1, (kept[0] + 1) / len(text)) for text in texts if text) > budget


def test_a_cut_keeps_two_thirds_before_and_one_behind():
    assert cut("abcdefghij", 10) == "abcdefghij" and cut("abcdefghij", 6) == ["abcd", 4, "ij"]
    assert one_line("a\n b  c", 9) == "a b c" and one_line("abcdef", 4) == "abc…" and one_line("abcd", 4) == "abcd"


def test_numbers_have_four_figures_and_no_nan():
    assert numbers([0.123456, 1.0, None, float("nan"), float("inf"), -123456.7, 0.0]) == [
        0.1235,
        1,
        None,
        None,
        None,
        -123500,
        0,
    ]
    assert str(numbers([1.0])) == "[1]"
    assert column(pl.Series([3, 3, 3])) == {"all": 3} and column(pl.Series([3, 4, 5])) == {"from": 3}
    assert column(pl.Series([3, 4, 6])) == [3, 4, 6] and column(pl.Series([None, 4, 5])) == [None, 4, 5]
    assert column(pl.Series([3])) == [3] and column(pl.Series([True, False])) == [1, 0]
    assert column(pl.Series(["a", "a"])) == {"all": "a"} and column(pl.Series([None, None], dtype=pl.Float64)) == {
        "all": None
    }


def held(columns, name, row):
    values = columns[name]
    return values[row] if isinstance(values, list) else values["all"] if "all" in values else values["from"] + row


def test_every_group_travels_as_numbers(chain, folder):
    data = data_of(chain)["groups"]
    assert data["count"] == len(folder.groups) == 160
    for row, group in enumerate(folder.groups.iter_rows(named=True)):
        for ours, theirs in (("group", "group"), ("step", "step"), ("k", "k"), ("suppressed", "suppressed_good_tokens"),
                             ("bad", "bad_tokens"), ("reward", "reward_mean"), ("depth", "path_depth")):  # fmt: skip
            assert held(data["columns"], ours, row) == pytest.approx(group[theirs], rel=1e-3), (ours, row)
        assert held(data["columns"], "key", row) == group["group_key"]
        assert data["prompts"][held(data["columns"], "prompt", row)] == group["prompt_key"]


def test_groups_without_a_prompt_have_none(folder):
    groups = folder.groups.head(4).with_columns(prompt_key=pl.Series(["p0000", "x", None, "y"]))
    assert group_columns(groups)["columns"]["prompt"] == [-1, 0, -1, 1]


def test_prompts_begin_where_they_stop_being_alike():
    system = "system: You are a careful assistant that thinks. user: "
    assert starts([system + "What is 1?", system + "Who is 2?"]) == ["…What is 1?", "…Who is 2?"]
    assert starts(["one", "two"]) == ["one", "two"] and starts([]) == [] and starts(["alone " * 50])[0].endswith("…")
    many = starts([f"{n} " + "x" * 200 for n in range(40_000)])
    assert sum(len(prompt) + 6 for prompt in many) <= PROMPTS and len(many[0]) >= 12


def test_keys_of_many_groups_are_shortened(folder):
    groups = pl.concat([folder.groups] * 200).with_columns(group_key=pl.lit("k" * 300))
    keys = group_columns(groups)["columns"]["key"]
    assert sum(len(key) + 6 for key in keys) <= KEYS and keys[0].endswith("…")


def test_trees_are_of_every_group_with_text_and_carry_the_numbers_of_the_process_steps(folder):
    found = every_tree(folder)
    steps = folder.process_steps.collect()
    ranks = {
        row["group"]: (row["clarity"], row["suppressed_good_tokens"]) for row in folder.groups.iter_rows(named=True)
    }
    kept = folder.samples["group"].n_unique()
    (example,) = example_groups(folder).values()
    assert len(found) == 160 and found[0]["group"] == example
    for part in (found[1:kept], found[kept:]):
        shown = [ranks[tree["group"]] for tree in part]
        assert shown == sorted(shown, reverse=True)
    assert {tree["group"] for tree in found[:kept]} == set(folder.samples["group"])
    samples = pl.concat([folder.samples.drop("kind"), folder.texts.collect()])
    for tree in found:
        mine = steps.filter(group=tree["group"])
        for name, values in tree["steps"].items():
            if name in ("opposed", "local"):  # tested for themselves
                continue
            assert values == pytest.approx(mine[name].to_list(), rel=1e-5)
        rows = samples.filter(group=tree["group"])
        by_sample = dict(zip(rows["sample"], rows.to_dicts(), strict=True))
        for sample, reward in zip(tree["completions"]["sample"], tree["completions"]["reward"], strict=True):
            assert reward == by_sample[sample]["reward"]
        for n, ids in enumerate(tree["ids"]):
            member = by_sample[tree["completions"]["sample"][tree["steps"]["first"][n]]]
            assert ids == member["tokens"][tree["steps"]["start"][n] : tree["steps"]["end"][n]]


def test_marks_are_of_members_with_a_token_of_the_step_in_the_loss(tmp_path):
    """As in the terminal: a completion that is masked as a whole is a member, and holds no suppressed token."""
    rng = np.random.default_rng(0)
    made = [
        ("run", 0, f"g{n}", [Row(ids, [rng.random() < 0.6] * len(ids), float(rng.integers(0, 2)))
                             for ids in rng.integers(0, 2, (6, 4)).tolist()])
        for n in range(8)
    ]  # fmt: skip
    with output_folder(tmp_path / "masked.prm") as staging:
        write_tables(analyze([batch_of(made)]), staging)
    folder = read_folder(tmp_path / "masked.prm")
    some = 0
    for tree in every_tree(folder):
        table = folder.samples.filter(group=tree["group"])
        rank = folder.completions.filter(group=tree["group"]).collect()
        table = table.join(rank.select("sample", "tree_rank"), on="sample").sort("tree_rank").drop("tree_rank")
        rows = group_tree(table)["steps"]
        hit = [row["suppressed_good_tokens"] + row["boosted_bad_tokens"] > 0 for row in rows]
        assert [count > 0 for count in tree["steps"]["opposed"]] == hit
        some += sum(hit)
    assert some > 3


def test_of_many_token_ids_the_first_travel_and_the_page_says_how_many_are_left_out(tmp_path, visit):
    rows = [{"uid": "g", "response_ids": [7, s, *range(100, 199)], "reward": float(s)} for s in range(3)]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "log.prm"))
    ids = data_of(path)["trees"][0]["ids"]
    assert ids == [[7], *([s, *range(100, 199)] for s in range(3))]
    page = visit(path, "#-:g?process=1")
    assert page.locator("#panel pre").inner_text().endswith(" 145 146 52 token ids left out of this page")


def test_samples_of_another_analysis_are_refused(folder):
    other = folder.samples.with_columns(tokens=pl.col("tokens").list.head(1))
    with pytest.raises(InputError, match="Write the folder again"):
        every_tree(replace(folder, samples=other))


def test_ids_of_logs_with_many_tokens_are_cut(folder, monkeypatch):
    whole = {tree["group"]: tree["ids"] for tree in every_tree(folder)}
    monkeypatch.setattr("grpo_prm.report.trees.ALL_IDS", int(folder.groups["tokens"].sum()) - 1)
    monkeypatch.setattr("grpo_prm.report.trees.IDS", 2)
    assert {tree["group"]: tree["ids"] for tree in every_tree(folder)} == {
        group: [some[:2] for some in ids] for group, ids in whole.items()
    }


@pytest.mark.slow
@without_figures()
def test_groups_that_have_no_room_are_left_out_and_counted(folder, monkeypatch):
    for name, value in (("page.BYTES", 0), ("page.LEAST_TEXT", 30_000), ("packing.BLOCK", 5_000)):
        monkeypatch.setattr(f"grpo_prm.report.{name}", value)
    page = one_page(folder)
    found = trees_in(embedded(page.text))
    assert page.shown == len(found) < page.kept == 160
    by_group = itemgetter("group")  # the page opens with the clearest, which so comes first
    assert sorted(found, key=by_group) == sorted(every_tree(folder)[: len(found)], key=by_group)
    data = embedded(page.text)
    assert sum(map(len, data["blocks"])) <= 30_000


def test_the_trend_is_the_training_table(folder):
    series = {one["name"]: one for one in trend(folder.training)}
    depth = series["path depth"]["series"][0]
    for statistic, column_ in (("path_depth", "mean"), ("baseline_path_depth", "besideMean")):
        wanted = folder.training.filter(statistic=statistic).sort("step")
        assert depth["step"] == wanted["step"].to_list()
        assert depth[column_] == pytest.approx(wanted["mean"].to_list(), rel=1e-3)
    good = series["suppressed-good"]
    assert good["beside"] == "rewards permuted" and good["share"] and good["every"] == 1
    wanted = folder.training.filter(statistic="suppressed_good").sort("step")
    assert good["series"][0]["besideHigh"] == pytest.approx(wanted["null_high"].to_list(), rel=1e-3)


def test_of_a_long_trend_every_nth_step_is_drawn():
    columns = {"statistic": "reward", "run": "r", "low": None, "high": None, "n": 3, "null_mean": None}
    table = pl.DataFrame({"step": list(range(1500)), "mean": [float(n) for n in range(1500)]}).with_columns(
        **{name: pl.lit(value) for name, value in columns.items()}, null_low=None, null_high=None
    )
    (one,) = trend(table)
    assert one["every"] == 3 and one["series"][0]["step"] == list(range(0, 1500, 3)) and one["beside"] is None
    assert trend(table.head(1)) == []
    each_one_step = table.head(9).with_columns(run=pl.col("step").cast(pl.String))
    assert trend(each_one_step) == [] and trend(each_one_step.with_columns(run=pl.lit("r")))


def test_a_tree_says_how_many_prompts_its_group_mixes(tmp_path):
    rows = [
        {"step": 0, "uid": f"g{g}", "prompt": f"p{min(n, 2) * (g == 1)}", "tokens": [1, n], "reward": n % 2}
        for g in range(3)
        for n in range(4)
    ]
    folder = read_folder(folder_of(log_of(tmp_path / "log.jsonl", rows), tmp_path / "out.prm"))
    found = {tree["row"]["group_key"]: tree["prompts"] for tree in every_tree(folder)}
    assert found == {"g0": None, "g1": 3, "g2": None}


def test_the_page_of_many_files_says_how_many_more_there_are(tmp_path):
    rows = [{"prompt": "p", "completion": f"so {k}", "reward": k} for k in range(3)]
    logs = [log_of(tmp_path / f"{n}.jsonl", [row | {"task": f"{n}"} for row in rows]) for n in range(4)]
    html = page_of(folder_of(logs, tmp_path / "out.prm")).read_text(encoding="utf-8")
    assert "<title>0.jsonl, 1.jsonl and 2 more: grpo-prm report</title>" in html


@pytest.mark.parametrize(
    ("steps", "missing"),
    [
        ([0, 8, 16, 24, 40, 64], [32, 48, 56]),
        ([0, 8, 16, 32, 56], []),
        ([1, 2, 3, 4], []),
        ([5], []),
        ([], []),
        ([0, 10, 20, 25], []),
        ([0, 10, 20, 27], []),
        ([0, 1, 3, 6, 10], []),
        ([3, 4, 5, 7], [6]),
    ],
)
def test_missing_steps(steps, missing):
    assert missing_steps(steps) == missing


def said(folder, **counts):
    summary = {**folder.summary, "counts": folder.summary["counts"] | counts}
    return " | ".join(caution.text for caution in cautions(replace(folder, summary=summary)))


def test_cautions_of_odd_logs(folder):
    assert "copies" not in said(folder, duplicates=0) and said(folder, duplicates=0) == ""
    assert "1 group of one completion" in said(folder, groups_of_one=1)
    assert "3 groups of another size" in said(folder, groups_uneven=3)
    assert "Groups are of 2 to 8 completions, mostly 8" in said(folder, group_size={"min": 2, "mode": 8, "max": 8})
    assert "In 7 groups the logged advantages" in said(folder, advantage_mismatch=7)
    assert "50 % of the groups have equal rewards" in said(folder, groups_zero_variance=80)
    assert "equal rewards" not in said(folder, groups_zero_variance=79)
    assert "2 prompts were drawn more than once in a step: #2 behind a key is a second draw" in said(
        folder, groups_split=2
    )
    source = {**folder.summary["source"], "tokens_from": "pieces, tokenizer", "notes": ["<b>read so"]}
    texts = [one.text for one in cautions(replace(folder, summary={**folder.summary, "source": source}))]
    assert any("no token ids" in text for text in texts) and any("made again from text" in text for text in texts)
    assert texts[-1] == "<b>read so"


def test_cautions_about_steps(folder):
    groups = folder.groups
    gone = groups.filter(pl.col("step") != 24)
    assert "Training steps are missing: 24." in " ".join(
        c.text for c in cautions(replace(folder, lazy_groups=gone.lazy()))
    )
    few = groups.filter((pl.col("step") != 16) | (pl.col("group") % 2 == 0))
    texts = " ".join(c.text for c in cautions(replace(folder, lazy_groups=few.lazy())))
    assert "fewer groups than the usual 20: 16 (10)." in texts and "missing: " not in texts
    two = pl.concat([groups, gone.with_columns(run=pl.lit("other"))])
    texts = " ".join(c.text for c in cautions(replace(folder, lazy_groups=two.lazy())))
    assert "Training steps of run other are missing: 24." in texts and "of run chain are" not in texts


def test_rejected_rows_are_told_with_their_reasons(tmp_path):
    rows = [{"uid": f"g{n // 4}", "completion": f"a {n}", "reward": float(n % 2)} for n in range(8)]
    bad = [{"uid": "g", "completion": "a", "reward": "<i>"}] * 3 + [{"uid": "g", "completion": None, "reward": 1.0}]
    path = page_of(folder_of(log_of(tmp_path / "log.jsonl", rows + bad), tmp_path / "log.prm"))
    (first, *_) = cautions(read_folder(path.parent))
    assert first.text.startswith("4 rows of 12 (33.3 %)")
    assert first.details[0].startswith("3 rows: reward: ") and first.details[0].endswith("log.jsonl, line 9)")
    assert first.details[1].startswith("1 row: completion: ") and "&lt;i&gt;" not in first.details[0]


@pytest.mark.slow
def test_the_same_folder_gives_the_same_bytes(chain):
    assert page_of(chain.parent, figures=True).read_text(encoding="utf-8") == text_of(chain)
    assert (EXAMPLE.stat().st_size, len(text_of(chain))) > (0, 100_000)


@pytest.mark.slow
def test_figures_have_their_captions_and_those_without_room_say_so(folder, tmp_path, monkeypatch):
    beside = tmp_path / "figures"
    beside.mkdir()
    (beside / "overlap_over_groups.txt").write_text("Of another log, drawn here by plot.\n", encoding="utf-8")
    found = {picture.name: picture for picture in pictures(replace(folder, path=tmp_path))}
    logs = join_logs([folder])
    said = captions(tables_of(logs), logs.summaries, logs.unit)
    assert {name: picture.caption for name, picture in found.items()} == said
    svg = base64.b64decode(found["overlap_over_groups"].source.partition(",")[2])
    assert svg.startswith(b"<?xml") and b"<svg" in svg
    least = min(len(picture.source) for picture in found.values())
    monkeypatch.setattr("grpo_prm.report.pictures.BYTES", least + 10)
    few = pictures(folder)
    sources = [picture.source for picture in few]
    assert (
        sum(source is not None for source in sources) == 1
        and min(len(source or " " * 10**7) for source in sources) == least
    )
    monkeypatch.setattr("grpo_prm.report.page.pictures", lambda *_: few)
    assert report(folder).count("Too large for this page.") == len(sources) - 1


@pytest.mark.slow
def test_100_000_completions_make_a_page_below_five_megabytes(folder, tmp_path):
    """The groups table of 12,500 groups of 8, with a long key and prompt each, beside the texts of the example."""
    many = pl.concat([folder.groups] * 79).head(12_500).with_row_index("row")
    many = many.with_columns(
        group=pl.col("row").cast(pl.Int64) + folder.groups["group"].max() + 1,
        group_key=pl.format("{}-4a5b-8c9d-0e1f-{}", pl.col("row"), pl.col("row") * 7919),
        prompt_key=pl.format(
            "{} is the number of a long question that goes on and on, as questions do {}", "row", "row"
        ),
        reward_mean=pl.col("row") / 12_500,
        path_depth=pl.col("row") / 7,
    ).drop("row")
    page = report(replace(folder, lazy_groups=pl.concat([folder.groups, many]).lazy()))
    assert 2_000_000 < len(page.encode()) < 5_000_000


@pytest.mark.slow
def test_the_page_says_what_the_run_was_trained_with(tmp_path):
    run = tmp_path / "a.run"
    (run / "rollouts").mkdir(parents=True)
    shutil.copy(EXAMPLE, run / "rollouts")
    unknown = text_of(page_of(folder_of(run, tmp_path / "a.prm")))
    (run / "method.txt").write_text("λ-GRPO, p = 1", encoding="utf-8")
    known = text_of(page_of(folder_of(run, tmp_path / "b.prm")))
    assert ">trained with λ-GRPO, p = 1</span>" in known and "trained with" not in unknown
