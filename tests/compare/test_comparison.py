"""Runs side by side: planted differences come out, and what is not comparable has none."""

from __future__ import annotations

import json
import math
from itertools import combinations
from statistics import fmean

import numpy as np
import polars as pl
import pytest
from compare.invented import folder, log

from grpo_prm.analysis.options import Options
from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.compare.comparison import as_json, compare
from grpo_prm.compare.difference import COMPARED
from grpo_prm.compare.latex_tables import latex_table
from grpo_prm.compare.runs import pass_at
from grpo_prm.compare.tables import as_rows, difference_cell, reach_rows, runs_sheet, shown_statistics, side_by_side
from grpo_prm.compare.write import write_comparison
from grpo_prm.errors import InputError, UsageError
from grpo_prm.figures.over_training import windows


def shifted(made, by, run="other"):
    """The same rollouts with every reward moved: whatever pairs the runs must find exactly that."""
    from dataclasses import replace

    return [(run, step, key, [replace(row, reward=row.reward + by) for row in group]) for _, step, key, group in made]


def row(found, statistic, run):
    (only,) = found.table.filter(statistic=statistic, run=run).rows(named=True)
    return only


def test_a_shift_at_every_step_is_found_without_doubt_where_steps_are_paired(tmp_path):
    """Unpaired, the scatter of the steps would make the interval wide."""
    made = log(success=lambda step, rng: rng.random())
    found = compare([folder(tmp_path / "a.prm", made), folder(tmp_path / "b.prm", shifted(made, 0.25))])
    assert found.common.by == "step" and len(found.common.steps) == 24
    told = row(found, "reward", "other")
    assert [told[c] for c in ("difference", "difference_low", "difference_high")] == pytest.approx([0.25] * 3)
    assert told["high"] - told["low"] > 0.05 and told["n"] == 24
    base = row(found, "reward", "run")
    assert base["difference"] is None and base["difference_low"] is None
    assert base["mean"] == pytest.approx(fmean(r.reward for _, _, _, group in made for r in group))


def test_an_interval_over_steps_is_that_of_the_differences_by_step(tmp_path):
    """Every step has as many groups, so the paired bootstrap is that of the mean of one number a step."""
    one, other = log(seed=1), log(seed=2, run="b", success=lambda step, rng: 0.7)
    found = compare([folder(tmp_path / "a.prm", one), folder(tmp_path / "b.prm", other)], seed=5)
    by_step = [
        {s: fmean(r.reward for _, step, _, g in made if step == s for r in g) for s in range(24)}
        for made in (one, other)
    ]
    apart = np.array([by_step[1][s] - by_step[0][s] for s in range(24)])
    drawn = np.random.default_rng(0).choice(apart, (20000, 24)).mean(axis=1)
    told = row(found, "reward", "b")
    assert told["difference"] == pytest.approx(apart.mean())
    spread = apart.std() / math.sqrt(24)
    for name, q in (("difference_low", 2.5), ("difference_high", 97.5)):
        assert told[name] == pytest.approx(np.percentile(drawn, q), abs=0.1 * spread)


def test_few_steps_of_the_same_prompts_are_paired_by_prompt(tmp_path):
    made = log(steps=(1, 2), prompts=30, same=True)
    found = compare([folder(tmp_path / "a.prm", made), folder(tmp_path / "b.prm", shifted(made, -1.0))])
    assert found.common.by == "prompt" and "30 problems in common" in found.common.sentence
    told = row(found, "reward", "other")
    assert [told[c] for c in ("difference", "difference_low", "difference_high")] == pytest.approx([-1.0] * 3)
    assert told["n"] == 30


def test_keys_are_no_prompts_in_common(tmp_path):
    """Two logs without prompts whose groups are called 0, 1, 2 are about other things."""
    made = [log(steps=(1,), prompts=30, same=True, run=n, seed=ord(n)) for n in "ab"]
    paths = [folder(tmp_path / f"{n}.prm", one, prompts=False) for n, one in zip("ab", made, strict=True)]
    assert compare(paths).common.by == "none"


def test_groups_of_another_size_are_left_out_and_said(tmp_path):
    made = log(k=4, run="a")
    uneven = log(k=4, run="b", seed=2) + log(k=2, run="b", seed=3, prompts=1, steps=range(6))
    found = compare([folder(tmp_path / "a.prm", made), folder(tmp_path / "b.prm", uneven)])
    assert row(found, "reward", "b")["mean"] == pytest.approx(
        fmean(r.reward for *_, g in uneven if len(g) == 4 for r in g)
    )
    assert row(found, "non_trivial", "b")["difference"] is not None
    assert any("left out (a 0, b 6)" in note for note in found.notes)


def test_what_is_alike_to_rounding_does_not_differ_and_what_never_varies_has_no_interval(tmp_path):
    """Groups of two against groups of four, at two: no intermediate set in either."""
    one, other = log(k=4), log(k=2, run="b", seed=4)
    told = row(compare([folder(tmp_path / "a.prm", one), folder(tmp_path / "b.prm", other)]), "path_depth", "b")
    assert (told["mean"], told["difference"], told["difference_low"]) == (0.0, 0.0, None)


def test_tokens_of_other_tokenizers_are_other_units(tmp_path):
    paths = [folder(tmp_path / f"{n}.prm", log(run=n, seed=ord(n))) for n in "ab"]
    for path, name in zip(paths, ("one", "two"), strict=True):
        summary = json.loads((path / "summary.json").read_text())
        summary["source"] |= {"tokens_from": "tokenizer"}
        summary["source"]["options"]["tokenizer"] = name
        (path / "summary.json").write_text(json.dumps(summary))
    found = compare(paths)
    assert row(found, "length", "b")["note"] == "other units"
    assert any("a tokenizer one, b tokenizer two" in note for note in found.notes)


def test_only_prompts_in_common_are_compared(tmp_path):
    one, other = log(steps=(1,), prompts=30, same=True), log(steps=(1,), prompts=40, same=True, run="b", seed=3)
    found = compare([folder(tmp_path / "a.prm", one), folder(tmp_path / "b.prm", other)])
    assert row(found, "reward", "b")["mean"] == pytest.approx(fmean(r.reward for *_, g in other[:30] for r in g))


def test_runs_with_nothing_in_common_are_not_paired(tmp_path):
    one, other = log(steps=range(30)), log(steps=range(50, 80), run="b", seed=9)
    found = compare([folder(tmp_path / "a.prm", one), folder(tmp_path / "b.prm", other)])
    assert found.common.by == "none" and "nothing is paired" in found.common.sentence
    told = row(found, "reward", "b")
    spread = math.hypot(
        *(
            np.std([fmean(r.reward for r in g) for *_, g in made]) / math.sqrt(len(made))
            for made in (one, other)
        )
    )  # fmt: skip
    assert told["difference_high"] - told["difference_low"] == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_what_is_not_paired_is_drawn_apart(tmp_path):
    """The same rewards in both, at other steps: equal draws would make every difference 0."""
    made = log(steps=range(30))
    later = [("b", step + 50, f"later {key}", group) for _, step, key, group in made]
    told = row(compare([folder(tmp_path / "a.prm", made), folder(tmp_path / "b.prm", later)]), "reward", "b")
    assert told["difference"] == 0 and told["difference_low"] < -0.02 and told["difference_high"] > 0.02


def test_few_clusters_give_a_difference_without_interval(tmp_path):
    paths = [folder(tmp_path / f"{n}.prm", log(steps=(1,), prompts=5, seed=n, run=f"{n}")) for n in range(2)]
    told = row(compare(paths), "reward", "1")
    assert told["difference"] is not None and told["difference_low"] is None and told["low"] is None and told["n"] == 5


def test_unequal_lengths_are_compared_where_both_are_and_said(tmp_path):
    one, other = log(steps=range(40)), log(steps=range(10, 34), run="b", seed=2)
    found = compare([folder(tmp_path / "a.prm", one), folder(tmp_path / "b.prm", other)])
    assert found.common.steps == list(range(10, 34))
    inside = [r.reward for _, step, _, g in one if 10 <= step < 34 for r in g]
    assert row(found, "reward", "run")["mean"] == pytest.approx(fmean(inside))
    assert any("run 40 steps, b 24 steps" in note for note in found.notes)


def test_other_k_overlap_is_said_at_one_size_and_the_rest_has_no_difference(tmp_path):
    import oracle_sets as oracle

    one, other = log(k=6), log(k=4, run="b", seed=4)
    found = compare([folder(tmp_path / "a.prm", one), folder(tmp_path / "b.prm", other)])
    assert found.compared.m == 4
    expected = [
        fmean(
            fmean(oracle.path_depth([g[j] for j in s], n) for n in range(4)) for s in combinations(range(6), 4)
        )
        for *_, g in one
    ]  # fmt: skip
    assert row(found, "path_depth", "run")["mean"] == pytest.approx(fmean(expected))
    own = [fmean(oracle.path_depth(g, i) for i in range(4)) for *_, g in other]
    assert row(found, "path_depth", "b")["mean"] == pytest.approx(fmean(own))
    # Not in this log: log-probabilities, and an interval that two rewards and k = 4 allow.
    unknown = {"surprisal_at_decisions", "surprisal_elsewhere", "certain_share"}
    assert {name for name in COMPARED if row(found, name, "b")["mean"] is None} == unknown
    for name in COMPARED:
        told = row(found, name, "b")
        assert (told["note"] == "other k") == (STATISTICS[name].kind == "tree")
        assert (told["difference"] is None) == (STATISTICS[name].kind == "tree" or name in unknown)
    assert any("run 6, b 4" in note for note in found.notes)


def test_accuracy_and_pass_need_two_rewards(tmp_path):
    made = log(rewards=(-1.0, 0.5))
    a = folder(tmp_path / "a.prm", made)
    found = compare([a, folder(tmp_path / "b.prm", log(rewards=(-1.0, 0.5), seed=3, run="b"))])
    share = fmean(r.reward == 0.5 for *_, g in made for r in g)
    assert row(found, "accuracy", "run")["mean"] == pytest.approx(share)
    assert row(found, "pass", "run")["mean"] == pytest.approx(fmean(any(r.reward == 0.5 for r in g) for *_, g in made))
    graded = compare([a, folder(tmp_path / "c.prm", log(rewards=(-1.0, 0.7), run="c"))])
    assert row(graded, "accuracy", "c")["mean"] is None and any("exactly two rewards" in note for note in graded.notes)


def test_other_units_have_no_difference_of_tokens(tmp_path):
    a, b = (folder(tmp_path / f"{n}.prm", log(run=n, seed=ord(n))) for n in "ab")
    summary = (b / "summary.json").read_text().replace('"tokens_from": "log"', '"tokens_from": "pieces"')
    (b / "summary.json").write_text(summary)
    found = compare([a, b])
    assert {r["statistic"] for r in found.table.filter(note="other units").rows(named=True)} == {
        name for name in COMPARED if STATISTICS[name].kind != "reward"
    }


def test_options_that_differ_are_said(tmp_path):
    a, b = folder(tmp_path / "a.prm", log()), folder(tmp_path / "b.prm", log(run="b"), options=Options(std="none"))
    assert any("--std differs (run sample, b none)" in note for note in compare([a, b]).notes)


def test_names_tell_runs_apart(tmp_path):
    a, b = (folder(tmp_path / f"{n}.prm", log(seed=ord(n))) for n in "ab")
    assert [run.name for run in compare([a, b]).compared.runs] == ["a", "b"]
    two = folder(tmp_path / "two.prm", log(run="x") + log(run="y", seed=2))
    assert [run.name for run in compare([two]).compared.runs] == ["x", "y"]
    assert [run.name for run in compare([two, a]).compared.runs] == ["x", "y", "run"]
    assert [run.name for run in compare([a, a]).compared.runs] == ["1: a/run", "2: a/run"]


def test_one_run_or_no_folder_is_said(tmp_path):
    with pytest.raises(UsageError, match="holds one run"):
        compare([folder(tmp_path / "a.prm", log())])
    with pytest.raises(InputError, match="not a folder of grpo-prm analyze"):
        compare([tmp_path, tmp_path])


def test_without_rewards_or_steps(tmp_path):
    from dataclasses import replace

    made = [(run, None, key, [replace(r, reward=None, advantage=float(i)) for i, r in enumerate(g)])
            for run, _, key, g in log(prompts=3)]  # fmt: skip
    paths = [folder(tmp_path / f"{n}.prm", [(n, *rest) for _, *rest in made]) for n in "ab"]
    found = compare(paths)
    assert row(found, "reward", "b")["mean"] is None and row(found, "path_depth", "b")["difference"] == 0
    assert found.reach.runs == [] and found.common.steps is None
    assert as_json(found)["runs"][0]["steps"] is None


def test_the_figure_has_every_step_of_every_run(tmp_path):
    paths = [folder(tmp_path / f"{n}.prm", log(run=n, seed=ord(n), prompts=3)) for n in "ab"]
    training = compare(paths).training
    assert training.group_by("run", "statistic").len()["len"].unique().to_list() == [24]
    part = training.filter(run="a", statistic="reward", step=3)["mean"].item()
    made = log(run="a", seed=ord("a"), prompts=3)
    assert part == pytest.approx(fmean(r.reward for _, s, _, g in made if s == 3 for r in g))


def test_json_has_every_figure_and_no_nan(tmp_path):
    paths = [folder(tmp_path / f"{n}.prm", log(run=n, seed=ord(n))) for n in "ab"]
    text = json.loads(json.dumps(as_json(compare(paths)), allow_nan=False))
    assert set(text["statistics"]) == set(COMPARED)
    assert set(text["statistics"]["reward"]["b"]) == {
        *("mean", "low", "high", "n", "difference", "difference_low", "difference_high", "p", "p_holm", "note")
    }
    assert text == json.loads(json.dumps(as_json(compare(paths))))


@pytest.mark.parametrize("k", [1, 2, 5, 6])
def test_pass_at_m_is_the_share_of_subsets_with_a_success(k):
    for c in range(k + 1):
        group = [1] * c + [0] * (k - c)
        for m in range(1, k + 1):
            share = fmean(any(s) for s in combinations(group, m))
            assert pass_at(np.array([float(c)]), np.array([k]), m)[0] == pytest.approx(share)
        assert np.isnan(pass_at(np.array([float(c)]), np.array([k]), k + 1)[0])


def test_groups_table_is_not_changed(tmp_path):
    """Overlap of the modal size is the groups' own."""
    a, b = (folder(tmp_path / f"{n}.prm", log(run=n, seed=ord(n))) for n in "ab")
    found = compare([a, b])
    own = pl.read_parquet(a / "groups.parquet")["path_depth"].mean()
    assert row(found, "path_depth", "a")["mean"] == pytest.approx(own)


def test_methods_stand_beside_the_names_where_folders_tell_them(tmp_path):
    """Both runs are called alike, so their names come from the folders; the methods go by the logged name."""
    made = log()
    folders = [
        folder(tmp_path / "a.prm", made, methods={"run": "GRPO"}),
        folder(tmp_path / "b.prm", made, methods={"run": "λ-GRPO, p = 1"}),
        folder(tmp_path / "c.prm", made),
    ]
    found = compare(folders)
    beside = side_by_side(found)
    assert beside.rows[0] == ["method", "GRPO", "λ-GRPO, p = 1", "", "unknown", ""]
    assert all(len(cells) == len(beside.heads) for cells in beside.rows)
    assert [cells[0] for cells in reach_rows(found)] == ["a (GRPO)", "b (λ-GRPO, p = 1)", "c"]
    assert [run["method"] for run in as_json(found)["runs"]] == ["GRPO", "λ-GRPO, p = 1", None]
    assert r"method & GRPO & $\lambda$-GRPO, p = 1 &  & unknown & " in latex_table(found)
    assert side_by_side(compare([folders[2], folder(tmp_path / "d.prm", made)])).rows[0][0] != "method"


def test_many_runs_stand_as_rows(tmp_path):
    """Every number is that of the table side by side; a star where the difference has one."""
    made = [
        log(run=n, seed=ord(n), success=lambda step, rng, p=p: p)
        for n, p in zip("abcd", (0.5, 0.5, 0.7, 0.95), strict=True)
    ]
    found = compare([folder(tmp_path / f"{one[0][0]}.prm", one, methods={"b": "GRPO"}) for one in made])
    names = shown_statistics(found)
    rows, beside = as_rows(found, names), side_by_side(found)
    assert [row[0] for row in rows.rows] == list("abcd") and rows.heads[1:] == [row[0] for row in beside.rows[1:]]
    for at, name in enumerate(names, 1):
        values, cells = beside.rows[at][2::2], [row[at] for row in rows.rows[1:]]
        assert [cell.rstrip(" *") for cell in cells] == values
        marked = [cell[cell.index(" *") :] if " *" in cell else "" for cell in beside.rows[at][3::2]]
        assert [cell.removeprefix(value) for cell, value in zip(cells, values, strict=True)] == marked, name
    assert rows.rows[3][1].endswith(" **")
    assert runs_sheet(found).rows[1] == ["b", "GRPO", "24", "48", "4"]
    tables = latex_table(found).split(r"\begin{tabular}")
    assert "run & method & steps" in tables[1] and "tied with" in tables[-1]
    assert sum(table.count("&") for table in tables[2:-1]) == len(names) * 5


@pytest.mark.parametrize(
    ("ends", "share", "cell"),
    [
        ((0.1074, 0.0261, 0.187), False, "+0.107 [+0.026, +0.187]"),
        ((-0.02083, -0.146, 0.104), True, "-2 [-15, +10]"),
        ((0.0, -0.0312, 0.0312), False, "+0.000 [-0.031, +0.031]"),
        ((-0.0001, -0.05, 0.05), False, "+0.000 [-0.050, +0.050]"),
        ((1234.4, 1200.2, 1260.1), False, "+1,234 [+1,200, +1,260]"),
        ((0.25, 0.25, 0.25), False, "+0.25 [+0.25, +0.25]"),
        ((0.5, None, None), False, "+0.5"),
        ((None, None, None), False, "-"),
    ],
)
def test_a_difference_has_the_figures_that_its_interval_allows(ends, share, cell):
    row = dict(zip(("difference", "difference_low", "difference_high"), ends, strict=True)) | {"p_holm": None}
    assert difference_cell(row, share=share).rstrip(" *") == cell


@pytest.mark.parametrize(("low", "high", "p", "star"), [(0.1, 0.3, 0.01, " **"), (0.1, 0.3, 0.06, " *"),
                                                        (-0.3, -0.1, 0.05, " **"), (-0.1, 0.3, 0.01, "")])  # fmt: skip
def test_stars_are_of_the_interval_and_of_holm(low, high, p, star):
    row = {"difference": (low + high) / 2, "difference_low": low, "difference_high": high, "p_holm": p}
    assert difference_cell(row, share=False).endswith("]" + star)


def test_a_figure_names_methods_where_they_tell_the_runs_apart(tmp_path, monkeypatch):
    made, drawn = log(range(3)), []
    monkeypatch.setattr("grpo_prm.compare.write.run_comparison", lambda table, **more: drawn.append((table, more)))
    monkeypatch.setattr("grpo_prm.compare.write.save_figure", lambda *_, caption, **__: drawn.append(caption))
    known = {"a": "GRPO", "b": "λ-GRPO, p = 1", "c": "λ-GRPO, p = 1"}
    folders = [folder(tmp_path / f"{n}.prm", made, methods={"run": method}) for n, method in known.items()]
    for chosen, names in (("ab", {"GRPO", "λ-GRPO, p = 1"}), ("abc", set("abc"))):
        write_comparison(compare(folders[: len(chosen)]), tmp_path / "out")
        (table, _), caption = drawn[-2:]
        assert set(table["run"]) == names
        assert caption.startswith("a (GRPO)") and "b (λ-GRPO, p = 1)" in caption


@pytest.mark.parametrize(("second", "paired"), [(0, 30), (5, 25), (None, 0), (100, 0)])
def test_problems_of_one_prompt_text_are_paired_by_the_logs_own_key(tmp_path, second, paired):
    """Games: one prompt for all. With keys of other problems, or without keys, the runs have one prompt in common."""
    paths = []
    for name, first in (("a", 0), ("b", second)):
        made = log(steps=(1, 2), prompts=30, same=True, run=name)
        number = pl.col("group_key").str.slice(1).cast(pl.Int64) + pl.lit(first, pl.Int64)
        columns = {"prompt": pl.lit("Guess."), "problem": number.cast(pl.String)}
        paths.append(folder(tmp_path / f"{name}.prm", made, columns=columns))
    common = compare(paths).common
    assert common.by == ("prompt" if paired else "none")
    assert not paired or f"{paired} problems in common" in common.sentence
    assert not paired or [table["problem"].n_unique() for table in common.tables] == [paired] * 2


def test_the_prompt_pairs_runs_that_number_their_problems_in_ways_of_their_own(tmp_path):
    paths = []
    for name in "ab":
        made = log(steps=(1, 2), prompts=30, same=True, run=name)
        columns = {"prompt": "What is " + pl.col("group_key") + "?", "problem": name + pl.col("group_key")}
        paths.append(folder(tmp_path / f"{name}.prm", made, columns=columns))
    common = compare(paths).common
    assert "30 problems in common" in common.sentence and common.clusters == ("prompt_key",)


def test_notes_name_what_is_uncommon_among_many_runs(tmp_path):
    sizes = {"a": 4, "b": 4, "c": 6, "d": 4}
    found = compare([folder(tmp_path / f"{n}.prm", log(run=n, k=k, steps=range(3))) for n, k in sizes.items()])
    assert found.notes[0].startswith("Groups differ in size (c 6, 3 others 4).")


def test_a_long_run_is_drawn_in_the_windows_of_analyze(tmp_path):
    """With more than 40 steps a point is a window: its mean is that of its groups, and nothing is drawn twice."""
    long = folder(tmp_path / "a.prm", log(range(80), seed=1, run="a"))
    short = folder(tmp_path / "b.prm", log(range(12), seed=2, run="b"))
    found = compare([long, short])
    drawn = found.training.filter(run="a", statistic="reward").sort("step")
    groups = next(run.groups for run in found.compared.runs if run.name == "a").sort("step")
    parts = windows(groups.select("step", run=pl.lit("a")))
    assert len(drawn) == parts["middle"].n_unique() < 40 and drawn["steps"].max() == parts["steps"].max() > 1
    for row in drawn.rows(named=True):
        inside = parts.filter(middle=row["step"])["step"].to_list()
        assert row["mean"] == pytest.approx(groups.filter(pl.col("step").is_in(inside))["reward_mean"].mean())
    assert found.training.filter(run="b")["steps"].unique().to_list() == [1]
