"""The cross-prompt baseline within the values of a column: each value as if its groups were a log of their own."""

from __future__ import annotations

import polars as pl
import pytest
from analysis.test_cross_prompt import FOUR, by_definition, ordered, steps
from canonical import table_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row, four_statistics
from polars.testing import assert_frame_equal
from strategies import logs

import grpo_prm
from grpo_prm.analysis.baseline_by import VALUE, divided
from grpo_prm.analysis.cross_prompt import PseudoGroups, steps_apart
from grpo_prm.errors import UsageError
from grpo_prm.figures.logs import join_logs
from grpo_prm.logs.rollouts import Rollouts

VALUES = st.sampled_from(["x", "y", None])
# Two steps, each with one prompt of each value: only together do they have enough of either.
POOLED = [("a", n, key, [Row([7]), Row([n])]) for n in range(2) for key in "pq"], ["x", "y", "y", "x"]


def with_tasks(log, values):
    """The canonical table, each group with its value as task."""
    task = [value for value, (_, _, _, rows) in zip(values, log, strict=True) for _ in rows]
    return table_of(log).with_columns(task=pl.Series(task, dtype=pl.String))


@st.composite
def tasks_and_logs(draw):
    log = draw(st.one_of(steps(), logs(min_k=2, max_k=3, max_groups=9).map(ordered)))
    return log, draw(st.lists(VALUES, min_size=len(log), max_size=len(log)))


@settings(max_examples=60)
@given(tasks_and_logs(), st.integers(0, 3))
@example(POOLED, 0)
def test_each_value_is_a_log_of_its_own(made, seed):
    log, values = made
    inside, outside = divided(with_tasks(log, values), "task")
    assert outside == sum(value is None and len(rows) > 1 for value, (*_, rows) in zip(values, log, strict=True))
    pool = PseudoGroups(seed)
    found, spanning = pool.add(inside), 0
    for value in ("x", "y"):
        own = [entry for entry, its in zip(log, values, strict=True) if its == value]
        expected, spans = by_definition(own, seed, (value,))
        spanning += spans
        rows = found.filter(pl.col(VALUE) == value)
        assert rows.select("run", "step").rows() == [(run, step) for run, step, _ in expected]
        for row, (*_, group) in zip(rows.select(FOUR).iter_rows(named=True), expected, strict=True):
            assert row | {"non_trivial": float(row["non_trivial"])} == pytest.approx(four_statistics([group]))
    assert set(found[VALUE]) <= {"x", "y"} and pool.pooled == spanning


@settings(max_examples=30)
@given(tasks_and_logs(), st.data())
@example(POOLED, None)
def test_neither_batches_nor_workers_change_it(made, data):
    table, by = divided(with_tasks(*made), "task")[0], ["run", "step", VALUE]
    if table.is_empty():
        return
    parts = [part for _, part in table.group_by("run", "step", maintain_order=True)]
    whole, pool, found = PseudoGroups(0), PseudoGroups(0), []
    expected = whole.add(table)
    while parts:
        take = data.draw(st.integers(1, len(parts))) if data else 1
        batch, parts = pl.concat(parts[:take]), parts[take:]
        apart = data is None or data.draw(st.booleans())
        done, waiting = steps_apart(batch, 0) if apart else (pool.add(batch), batch.clear())
        found += [done, pool.add(waiting)] if apart else [done]
    assert pool.pooled == whole.pooled
    assert_frame_equal(pl.concat(found).sort(by, maintain_order=True), expected.sort(by, maintain_order=True))


def test_groups_without_one_value_take_no_part():
    log = [("a", 0, key, [Row([n]), Row([n, 1])]) for n, key in enumerate("pqrst")]
    table = table_of([*log, ("a", 0, "alone", [Row([9])])])
    one_each = pl.Series(["x", "x", None, None, "x", None, "x", "y", "x", "x", None], dtype=pl.String)
    inside, outside = divided(table.with_columns(task=one_each), "task")
    assert outside == 3 and inside["group_key"].unique(maintain_order=True).to_list() == ["p", "t"]


@pytest.mark.parametrize("values", [[1, 1, 2, 2], [1.0, 1.0, 2.0, 2.0]])
def test_numbers_are_the_same_text_whatever_their_type(values):
    table = table_of([("a", 0, key, [Row([1]), Row([2])]) for key in "pq"]).with_columns(kind=pl.Series(values))
    assert divided(table, "kind")[0][VALUE].to_list() == ["1", "1", "2", "2"]
    assert divided(table.with_columns(kind=pl.col("kind") / 4), "kind")[0][VALUE].to_list()[0] == "0.25"


def test_what_divides_nothing_is_refused():
    table = table_of([("a", 0, "p", [Row([1]), Row([2])])])
    with pytest.raises(UsageError, match=r"no column difficulty\. It has run, step"):
        divided(table, "difficulty")
    with pytest.raises(UsageError, match="tokens holds lists"):
        divided(table, "tokens")
    assert divided(table, None)[0] is table and divided(table.clear(), "difficulty")[1] == 0


def mixed():
    """Two tasks of 4 prompts of groups of 2: openings are shared within a task and never between two."""
    return [
        {"step": 0, "prompt": f"{task}{n}", "completion_ids": [word, word, n, sample], "reward": sample, "kind": task}
        for word, task in enumerate(("sum", "word"))
        for n in range(4)
        for sample in range(2)
    ]


def test_an_analysis_says_by_what_it_was_divided():
    plain, within = (grpo_prm.analyze(mixed(), grpo_prm.Options(baseline_by=by)) for by in (None, "kind"))
    share = [one.summary["baseline"]["shared_proportion"]["mean"] for one in (plain, within)]
    assert share[0] < share[1] == 0.5  # two of four tokens
    assert within.summary["source"]["options"]["baseline_by"] == "kind" and VALUE in within.baseline.columns
    assert "baseline_by" not in plain.summary["source"]["options"] and VALUE not in plain.baseline.columns
    together = join_logs([plain, within]).baseline.collect()
    assert len(together) == len(plain.baseline) + len(within.baseline)
    same = {name: value for name, value in within.summary.items() if name not in ("baseline", "source", "verdict")}
    assert same == {name: plain.summary[name] for name in same}


def test_rows_without_a_value_are_said_and_canonical_tables_are_taken_as_they_are():
    rows = mixed()
    for row in rows[:2]:
        del row["kind"]
    analysis = grpo_prm.analyze(rows, grpo_prm.Options(baseline_by="kind"))
    assert analysis.summary["notes"]["baseline"] == "1 group without one value of kind is left out"
    assert analysis.summary["counts"]["groups_outside_baseline"] == 1
    log = [("a", 0, key, [Row([1, n], reward=0.0), Row([2], reward=1.0)]) for n, key in enumerate("pqrs")]
    tables = Rollouts(with_tasks(log, [None] * 4))
    nothing = grpo_prm.analyze(tables, grpo_prm.Options(baseline_by="task"))
    assert set(nothing.summary["baseline"].values()) == {None}
    assert "different prompts with one value of task" in nothing.summary["notes"]["baseline"]
    assert "4 groups without one value of task are left out" in nothing.summary["notes"]["baseline"]
    with pytest.raises(UsageError, match=r"--baseline-by knd: there is no column knd; there are .*kind"):
        grpo_prm.analyze(rows, grpo_prm.Options(baseline_by="knd"))
    with pytest.raises(UsageError, match="baseline_by is 3"):
        grpo_prm.analyze(rows, grpo_prm.Options(baseline_by=3))
