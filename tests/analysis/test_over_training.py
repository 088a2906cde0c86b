"""The training table, made as steps end, against each step by itself: `Sums` of its groups, one null after another."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from canonical import batch_of
from oracle_sets import Row
from polars.testing import assert_frame_equal

from grpo_prm.analysis import decided_steps, over_training, table_groups
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.clusters import CLUSTER
from grpo_prm.analysis.measure import measure
from grpo_prm.analysis.null import FIXED, fixed_sums, null_distributions
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.ratios import Sums
from grpo_prm.analysis.statistics import OF_GROUPS, OVERLAP
from grpo_prm.analysis.table_groups import slices
from grpo_prm.core.decisions import sure
from grpo_prm.core.permutations import PermutedSums, null_range, null_ranges
from grpo_prm.core.seeds import group_seed, group_seeds


def a_log(seed, steps, prompts, values=(0.0, 1.0), k=6):
    """Groups of some steps, as many as `prompts` says of each; of two runs."""
    rng = np.random.default_rng(seed)
    log = []
    for run in ("a", "b"):
        for step, number in zip(steps, prompts, strict=True):
            for prompt in range(number):
                rows = [
                    Row(rng.integers(0, 3, rng.integers(1, 6)).tolist(), reward=float(rng.choice(values)))
                    for _ in range(k)
                ]
                log.append((run, step, f"p{prompt}", rows))
    return log


WITHOUT_STEP = [("c", None, f"p{n}", [Row([1, n], reward=n % 2), Row([1], reward=1)]) for n in range(3)]


def step_by_step(log, tables, seed):
    """The rows of each step, from its groups alone."""
    binary = len({row.reward for *_, group in log for row in group}) == 2
    permuted = {}
    for measured in measure(batch_of(log).table, Options("sample", "computed", seed)):
        for place, step in enumerate(measured.steps):
            permuted[step] = PermutedSums(*(values[place] for values in measured.permuted))
    rows = []
    for (run, step), groups in tables.groups.group_by("run", "step", maintain_order=True):
        fixed = groups.select(e.alias(name) for name, e in zip(FIXED, fixed_sums(), strict=True)).row(0, named=True)
        null = null_distributions(permuted[run, step], fixed, binary=binary)
        for name, value in Sums(groups, CLUSTER, OF_GROUPS).intervals(seed, most=512).items():
            beside = null_range(null[name]) if name in null and value.mean is not None else (None, None, None)
            rows.append((run, step, name, *value, *beside))
    for (run, step), pseudo in tables.baseline.group_by("run", "step", maintain_order=True):
        means = {f"baseline_{name}": pseudo[name].cast(float).mean() for name in OVERLAP}
        rows += [(run, step, name, mean, None, None, len(pseudo), None, None, None) for name, mean in means.items()]
    return pl.DataFrame(rows, over_training.SCHEMA, orient="row")


@pytest.mark.parametrize(
    "log",
    [
        a_log(0, (1, 2, 3, 4, 5), (3, 25, 1, 25, 22)),
        a_log(1, (1, 2, 3), (2, 30, 4), values=(0.0, 0.5, 2.0)),
        a_log(2, (None,), (24,)),
        a_log(3, (1, 2), (2, 2), k=4),  # too small for a certain share of two rewards
        [*a_log(4, (1, 2), (2, 3)), *WITHOUT_STEP, *a_log(5, (7,), (2,))],
        [*a_log(6, (1, 2), (2, 22))[::3], *a_log(6, (1, 2), (2, 22))[1::3], *a_log(6, (1, 2), (2, 22))[2::3]],
    ],
    ids=["steps", "graded", "no steps", "small groups", "mixed", "in turns"],
)  # fmt: skip
def test_a_step_is_what_its_groups_say(log, monkeypatch):
    """However many steps and groups are taken at a time."""
    expected = None
    for block, groups in ((1, 1), (2, 3), (512, 30), (512, 4096)):
        monkeypatch.setattr(over_training, "BLOCK", block)
        monkeypatch.setattr(over_training, "GROUPS", groups)
        tables = analyze([batch_of(log)], Options("sample", "computed", 5))
        expected = step_by_step(log, tables, 5) if expected is None else expected
        assert_frame_equal(tables.training, expected, rel_tol=1e-12, abs_tol=1e-14)


def values_of(content, name=""):
    """All values of a summary, by the names that lead to them."""
    inside = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else None
    if inside is None:
        return {name: content}
    return {key: value for inner, own in inside for key, value in values_of(own, f"{name}.{inner}").items()}


def test_slices_and_spilled_parts_change_nothing(tmp_path, monkeypatch):
    """Cut into many slices, steps too, and written part by part: the same tables and the same summary to rounding."""
    log = a_log(6, (1, 2, 3, 4), (5, 21, 3, 22))
    whole = analyze([batch_of(log)], Options(seed=1))
    monkeypatch.setattr("grpo_prm.analysis.spill.PART", 7)
    monkeypatch.setattr("grpo_prm.analysis.measure.SLICE", 3000)
    monkeypatch.setattr(over_training, "GROUPS", 10)
    parts = analyze([batch_of(log)], Options(seed=1), spill=tmp_path)
    assert len(list(tmp_path.glob("groups.*.parquet"))) > 2
    assert len(list(tmp_path.glob("training.*.parquet"))) > 1
    found, expected = values_of(parts.summary), values_of(whole.summary)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == (pytest.approx(value, rel=1e-13) if isinstance(value, float) else value), name
    for name in ("groups", "training", "baseline", "subsamples"):
        assert_frame_equal(getattr(parts, name), getattr(whole, name))


@pytest.mark.parametrize(("block", "groups"), [(4, 4096), (512, 8)])
def test_few_finished_steps_hold_their_permutations(block, groups, monkeypatch):
    from grpo_prm.analysis.running import RunningAnalysis

    monkeypatch.setattr(over_training, "BLOCK", block)
    monkeypatch.setattr(over_training, "GROUPS", groups)
    running = RunningAnalysis(Options("sample", "computed"))
    for begin in range(0, 36, 3):
        running.add(batch_of(a_log(7, tuple(range(begin, begin + 3)), (2, 2, 2))[:6]))
        assert len(running._grown._running.permuted) <= 4
    sums = running._grown._running
    training = running.tables().training
    assert not sums.permuted and sums.closed is not None
    assert len(sums.steps) == 36 and training["step"].unique(maintain_order=True).to_list() == list(range(36))


def test_steps_that_are_mixed_are_put_together():
    table = pl.DataFrame({"run": ["a"] * 6, "step": [2, 1, 2, None, 1, None], "row": range(6)})
    assert over_training.steps_together(table)["row"].to_list() == [0, 2, 1, 4, 3, 5]
    assert [over_training.in_order(table[rows]) for rows in ([0, 1], [0, 1, 2], [0, 2, 1, 4, 3, 5])] == [
        True,
        False,
        True,
    ]
    assert over_training.in_order(table[:0])


def test_a_slice_is_bounded_by_its_completions_and_steps():
    """Short completions and small steps take memory that does not follow their tokens."""
    short = batch_of([("a", 1, f"p{n}", [Row([1], reward=0.0)] * 8) for n in range(200)]).table
    tokens = 100 * table_groups.ROW  # of slices; a completion here has one
    cuts = [end - begin for begin, end in slices(short, tokens)]
    assert sum(cuts) == len(short) and max(cuts) <= 112 and len(cuts) > 10
    small = batch_of([("a", n, "p", [Row([1], reward=0.0)] * 2) for n in range(50)]).table
    cuts = [end - begin for begin, end in slices(small, 10 * table_groups.STEP)]
    assert sum(cuts) == len(small) and max(cuts) <= 2 * 11 and len(cuts) >= 5


def test_ranges_of_many_nulls_are_those_of_each():
    rng = np.random.default_rng(0)
    values = rng.random((4, 5, 60))
    values[0, 1, ::3] = np.nan
    values[1, :, 1:] = np.nan
    values[2, 0] = np.nan
    for place in np.ndindex(4, 5):
        expected = null_range(values[place])
        found = [column[place] for column in null_ranges(values)]
        assert [None if np.isnan(x) else x for x in found] == list(expected)


def test_seeds_of_many_groups_are_those_of_each():
    names = [("a", 1, "k"), ("it's", None, 'a "b"\n'), ("é", -3, "")]
    assert group_seeds(7, *zip(*names, strict=True)).tolist() == [group_seed(7, *name) for name in names]


@pytest.mark.parametrize("slices", [1, 3])
def test_decisions_added_slice_by_slice_are_those_of_the_log(slices, monkeypatch):
    monkeypatch.setattr(decided_steps, "SLICES", slices)
    rng = np.random.default_rng(1)
    least = rng.choice([0.001, 0.04, 0.3], 4000)
    p = np.maximum(least, np.round(rng.random(4000) ** 3, 3))
    counted = decided_steps.DecidedSteps()
    for part in np.array_split(np.stack([p, least]), 9, axis=1):
        counted.add(part)
    some, certain = int((least <= 0.05).sum()), int(sure(p, least).sum())
    assert counted.counts() == {"decisions": 4000, "decidable": some, "sure_decisions": certain}
    assert 0 < certain < some
    assert decided_steps.DecidedSteps().counts() == {"decisions": 0, "decidable": 0, "sure_decisions": 0}


def test_groups_of_one_in_mixed_steps_have_no_row():
    alone = [("a", step, f"p{n}", [Row([1], reward=1)]) for n, step in enumerate((1, 2, 1))]
    pair = [("b", 7, "q", [Row([1], reward=1), Row([2], reward=0)])]
    batches = [batch_of(alone), batch_of(pair)]
    batches[1] = batches[1]._replace(table=batches[1].table.with_columns(group=pl.lit(9, pl.Int64)))
    training = analyze(batches, Options("sample", "computed")).training
    assert set(training.select("run", "step").iter_rows()) == {("b", 7)}
