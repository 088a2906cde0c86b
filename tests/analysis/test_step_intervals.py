"""The interval of a step reward: Wilson's where a log has two rewards, Student's where it has more."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from canonical import batch_of
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import wilson
from oracle_sets import Row
from polars.testing import assert_frame_equal
from scipy.stats import t

from grpo_prm.analysis import analyze as module
from grpo_prm.analysis.analyze import analyze
from grpo_prm.core.interval import wilson as core_wilson


def steps_of(rewards, **options):
    """One group in which all but the last completion share their first token."""
    return analyze([batch_of([("a", 0, "p", rows_of(rewards))])], **options).process_steps.collect()


def rows_of(rewards):
    return [Row([7, n] if n < len(rewards) - 1 else [8], reward=r) for n, r in enumerate(rewards)]


@pytest.mark.slow
@settings(max_examples=15)
@given(
    worse=st.floats(-5, 5),
    gap=st.floats(0.01, 9),
    groups=st.lists(st.lists(st.booleans(), min_size=3, max_size=9), min_size=1, max_size=20),
)
def test_two_rewards(worse, gap, groups):
    """One analysis of many groups of a log: it takes as long as one of a group."""
    groups[0][:2] = True, False
    values = [[worse + gap * one for one in better] for better in groups]
    every = analyze([batch_of([("a", 0, f"p{n}", rows_of(rewards)) for n, rewards in enumerate(values)])])
    bottom, top = worse, worse + gap
    for number, better in enumerate(groups):
        steps = every.process_steps.filter(group=number).collect()
        assert steps["size"][:2].to_list() == [len(better), len(better) - 1]
        for n, members in enumerate((better, better[:-1])):
            low, high = wilson(sum(members), len(members))
            assert steps["low"][n] == pytest.approx(bottom + (top - bottom) * low, abs=1e-9)
            assert steps["high"][n] == pytest.approx(bottom + (top - bottom) * high, abs=1e-9)
        assert (steps["low"] <= steps["reward"] + 1e-9).all() and (steps["reward"] <= steps["high"] + 1e-9).all()


def test_successes_are_whole():
    """Of rewards -1 and 1 the mean of one success loses its last bit; the interval is that of one success to it."""
    counts = range(3, 40)  # of members, a group each
    log = [("a", 0, f"p{members}", rows_of([1.0] + [-1.0] * members)) for members in counts]
    steps = analyze([batch_of(log)]).process_steps.collect()
    for number, members in enumerate(counts):
        low, high = steps.filter(group=number, size=members).select("low", "high").row(0)
        assert [low, high] == [2 * float(share) - 1 for share in core_wilson(1, members)]


def test_certain_ends_are_exact():
    """All members right: the interval ends at 1 itself, not a rounding before it."""
    steps = steps_of([1.0] * 6 + [0.0])
    assert steps.filter(reward=1.0)["high"].to_list() == [1.0] * 7
    assert steps.filter(reward=0.0)["low"].to_list() == [0.0]


def test_three_rewards():
    rewards = [1.0, 0.0, 0.5, 0.25]
    steps = steps_of(rewards)
    half = t.ppf(0.975, 3) * np.std(rewards, ddof=1) / math.sqrt(3)
    assert steps["low"][1] == pytest.approx(0.5 - half) and steps["high"][1] == pytest.approx(0.5 + half)


def test_steps_without_a_reward_have_no_interval():
    log = [
        ("a", step, f"p{step}", [Row([7], reward=r, advantage=a) for r, a in pairs])
        for step, pairs in enumerate([((1.0, 1.0), (0.0, -1.0)), ((None, 1.0), (None, -1.0))])
    ]
    batches = [batch_of([group]) for group in log]
    batches[1] = batches[1]._replace(table=batches[1].table.with_columns(group=pl.lit(1, pl.Int64)))
    steps = analyze(batches).process_steps.collect().filter(step=1)
    assert steps["reward"].null_count() == steps["low"].null_count() == steps["high"].null_count() == len(steps) > 0


def test_a_table_in_pieces_has_the_same_intervals(tmp_path, monkeypatch):
    log = [("a", step, f"p{step}", [Row([7, n], reward=float(n % 2)) for n in range(4)]) for step in range(9)]
    whole = analyze([batch_of(log)]).process_steps
    monkeypatch.setattr("grpo_prm.analysis.spill.PART", 10)
    batches = (
        batch._replace(table=batch.table.with_columns(group=pl.lit(n, pl.Int64)))
        for n, batch in enumerate(batch_of([group]) for group in log)
    )
    pieces = module.analyze(batches, spill=tmp_path).process_steps
    assert len(list(tmp_path.rglob("process_steps.*"))) > 1
    pieces.sink_parquet(tmp_path / "steps.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "steps.parquet"), whole.collect())
