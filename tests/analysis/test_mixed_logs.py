"""Logs whose groups differ in what is logged: each group is analysed by what it has, however the log is cut."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from canonical import table_of
from oracle import Log, Row
from polars.testing import assert_frame_equal

from grpo_prm.analysis import measure
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.tables import Tables
from grpo_prm.errors import UsageError
from grpo_prm.logs import ReadOptions
from grpo_prm.logs.rollouts import Rollouts

LARGE = ("decided", "completions", "process_steps", "permutations", "subsamples")


def _rows(rng: np.random.Generator, rewarded: bool, logged: bool = True, k: int = 6) -> list[Row]:
    rewards = rng.permutation([0.0, 1.0, *rng.integers(0, 2, k - 2).tolist()])
    advantages = rng.normal(0.3, 1, k).astype(np.float32)
    return [
        Row(
            tokens=rng.integers(0, 2, rng.integers(0, 6)).tolist(),
            reward=float(r) if rewarded else None,
            advantage=float(a) if logged else None,
        )
        for r, a in zip(rewards, advantages, strict=True)
    ]


def _log(seed: int, kinds: str) -> Log:
    """One group a letter, two a step: r with rewards and advantages, o with rewards only, a with advantages only."""
    rng = np.random.default_rng(seed)
    return [
        ("run", n // 2, f"key {n}", _rows(rng, rewarded=kind != "a", logged=kind != "o"))
        for n, kind in enumerate(kinds)
    ]


def _with_the_last(log: Log) -> Log:
    """One completion of the first group lacks its reward."""
    run, step, key, rows = log[0]
    return [(run, step, key, [replace(rows[0], reward=None), *rows[1:]]), *log[1:]]


def _equal(one: Tables, other: Tables) -> None:
    assert one.summary == other.summary
    assert_frame_equal(one.groups, other.groups)
    assert_frame_equal(one.training, other.training)
    for name in LARGE:
        assert_frame_equal(*(getattr(tables, name).lazy().collect() for tables in (one, other)))


@pytest.mark.parametrize("std", ["sample", "none"])
@pytest.mark.parametrize("kinds", ["raraoorr", "aarr", "oaar", "rrrr"])
def test_a_group_is_what_it_would_be_in_a_log_of_its_own(kinds, std):
    table = table_of(_log(1, kinds))
    whole = analyze(Rollouts(table), Options(std=std)).groups
    for number, kind in enumerate(kinds):
        alone = analyze(Rollouts(table.filter(group=number)), Options(std=std)).groups
        # Which interval a step reward has is a question about the whole log.
        assert_frame_equal(whole.filter(group=number).drop("certain_tokens"), alone.drop("certain_tokens"))
        assert (alone["reward_mean"][0] is None) == (kind == "a")


@pytest.mark.parametrize("log", [_log(2, "raraoorr"), _with_the_last(_log(3, "rrra"))])
def test_slices_and_batches_change_nothing(log, monkeypatch):
    table = table_of(log)
    whole = analyze(Rollouts(table))
    steps = table.partition_by("run", "step", maintain_order=True)
    _equal(whole, analyze([Rollouts(step) for step in steps]))
    monkeypatch.setattr(measure, "SLICE", 3)
    _equal(whole, analyze(Rollouts(table)))


def test_a_group_with_a_missing_reward_has_its_logged_advantages():
    log = _with_the_last(_log(3, "rr"))
    groups = analyze(Rollouts(table_of(log))).groups
    assert groups["reward_mean"].is_null().to_list() == [True, False]
    expected = sum(abs(row.advantage) for row in log[0][3])
    assert groups["abs_advantage"][0] == pytest.approx(expected)


def test_a_missing_reward_needs_an_advantage_in_its_own_group_only():
    analyze(Rollouts(table_of(_log(1, "oa"))))
    with pytest.raises(UsageError, match="no advantage for some completions"):
        analyze(Rollouts(table_of(_with_the_last(_log(1, "oa")))))


def test_groups_without_rewards_have_no_part_in_certain_share_nor_in_its_null():
    table = table_of(_log(4, "oooooaaa"))
    mixed, alone = analyze(Rollouts(table)), analyze(Rollouts(table.filter(pl.col("group") < 5)))
    own = alone.summary["prm"]["certain_share"]
    assert own["mean"] is not None and own["null_high"] > 0
    assert mixed.summary["prm"]["certain_share"] == own
    nulls = [tables.permutations.lazy().collect()["certain_share"].to_list() for tables in (mixed, alone)]
    assert nulls[0] == nulls[1]
    step = pl.col("step") == 2, pl.col("statistic") == "certain_share"  # one group of each kind
    rows = mixed.training.filter(*step)["mean", "null_mean", "null_high"], alone.training.filter(*step)
    assert_frame_equal(rows[0], rows[1]["mean", "null_mean", "null_high"])


def test_empty_completions_have_no_log_probabilities_whatever_stands_beside_them():
    empty = [Row(tokens=[], reward=float(n), logprobs=[]) for n in range(3)]
    some = [Row(tokens=[1, n], reward=float(n), logprobs=[-1.0, -1.0]) for n in range(3)]
    groups = analyze(Rollouts(table_of([("run", 0, "empty", empty), ("run", 0, "some", some)]))).groups
    assert groups["logprob_tokens"].to_list() == [None, 6.0]


def test_why_rows_are_rejected_and_groups_of_another_size_are_said(tmp_path):
    rows = [{"group": n // 4, "tokens": [n % 3, n], "reward": n % 2 if n != 5 else "?"} for n in range(12)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    notes = analyze(tmp_path / "log.jsonl", reading=ReadOptions(group_size=3)).summary["source"]["notes"]
    assert notes[:2] == [
        "1 row is rejected: reward: expected a finite number, got the text '?'.",
        "2 groups are of another size than --group-size 3, and kept: --drop-uneven leaves such groups out.",
    ]
