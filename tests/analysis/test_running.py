"""An analysis that grows gives at every moment what one analysis of all of it gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.running import RunningAnalysis
from grpo_prm.analysis.tables import TABLES
from grpo_prm.analysis.write import summary_text
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import ReadOptions
from grpo_prm.logs.following import Following
from grpo_prm.logs.recording import recorded_table
from grpo_prm.logs.rollouts import Rollouts, save

COMPUTED = Options(advantage="computed")


def step_table(step, groups=3, k=4, std="sample", telling=True, run="r"):
    """Random trees of a few tokens; advantages by the definition of their divisor."""
    rng = np.random.default_rng(step)
    rewards = rng.integers(0, 2, (groups, k)).astype(float) if telling else np.ones((groups, k))
    spread = rewards.std(axis=1, ddof=1, keepdims=True) + 1e-4 if std == "sample" else 1.0
    keys = [f"{step}-{n // k}" for n in range(groups * k)]
    return recorded_table(
        run=run,
        step=step,
        group_keys=keys,
        samples=np.tile(np.arange(k), groups),
        prompts=[f"question {key}" for key in keys],
        completions=[f"answer {n}" for n in range(groups * k)],
        tokens=[rng.integers(0, 2, rng.integers(1, 6)).tolist() for _ in keys],
        rewards=rewards.ravel(),
        advantages=((rewards - rewards.mean(axis=1, keepdims=True)) / spread).ravel(),
        first_group=step * groups,
    )


def same(tables, expected):
    assert summary_text(tables) == summary_text(expected)
    for name in (*TABLES, "rejected"):
        mine, other = (getattr(one, name).lazy().collect() for one in (tables, expected))
        assert_frame_equal(mine, other)


@pytest.mark.slow
@pytest.mark.parametrize("std", ["sample", "none"])
def test_at_every_moment_it_is_the_analysis_of_all_of_it(std, tmp_path):
    """The first steps tell nothing of the divisor, so it is found only on the way."""
    batches = [Rollouts(step_table(step, std=std, telling=step > 2)) for step in range(9)]
    in_memory, on_disk = RunningAnalysis(COMPUTED), RunningAnalysis(COMPUTED, spill=tmp_path)
    found = []
    for n, batch in enumerate(batches, 1):
        for running in (in_memory, on_disk):
            running.add(batch)
        expected = analyze(batches[:n])
        found.append(expected.summary["source"]["options"]["std"])
        same(in_memory.tables(), expected)
    same(on_disk.tables(), analyze(batches))  # asked for once, and at the end
    assert found[0] == "sample" and found[-1] == std


@pytest.mark.slow
def test_tables_that_were_given_do_not_change_as_it_grows(tmp_path):
    running = RunningAnalysis(Options("sample", "computed"), spill=tmp_path)
    for step in range(3):
        running.add(Rollouts(step_table(step)))
    before = running.tables()
    text, steps = summary_text(before), before.process_steps.collect()
    running.add(Rollouts(step_table(3)))
    assert summary_text(before) == text
    assert_frame_equal(before.process_steps.collect(), steps)
    assert running.tables().summary["counts"]["groups"] == 12


@pytest.mark.slow
def test_parts_that_are_followed_give_the_summary_of_their_folder(tmp_path):
    folder = tmp_path / "a run" / "rollouts"
    folder.mkdir(parents=True)
    following, running = Following(folder), RunningAnalysis(COMPUTED, ReadOptions())
    for step in range(1, 8):
        for rank in range(2):
            table = step_table(step, groups=4, std="none")
            half = table.filter(pl.col("sample") % 2 == rank)  # groups straddle the ranks
            save(half, folder / f"step_{step:06d}-0.rank{rank}-of-2.parquet")
        for batch in following.poll(ended=True).batches:
            running.add(batch)
        assert summary_text(running.tables(following.notes)) == summary_text(analyze(folder))


def test_nothing_is_refused_before_it_is_asked_for():
    running = RunningAnalysis(COMPUTED)
    with pytest.raises(InputError, match="No completion can be used"):
        running.tables()
    alone = step_table(0).filter(pl.col("sample") == 0)
    running.add(Rollouts(alone))
    with pytest.raises(InputError, match="No group has two completions or more"):
        running.tables()
    running.add(Rollouts(step_table(1)))
    assert running.tables().summary["counts"]["groups"] == 3
    other = RunningAnalysis(Options("sample", "computed", outcome="right"))
    other.add(Rollouts(step_table(1)))
    with pytest.raises(UsageError, match="no part right"):
        other.tables()


def test_notes_stand_behind_the_others():
    running = RunningAnalysis(Options("sample", "computed"))
    running.add(Rollouts(step_table(0), notes=("First.",)))
    assert running.tables(("Second.",)).summary["source"]["notes"] == ["First.", "Second."]
    assert running.tables().summary["source"]["notes"] == ["First."]


def test_the_example_log_is_as_it_was():
    """One path: files and batches."""
    path = Path(__file__).parents[2] / "examples" / "chain.jsonl"
    from grpo_prm.logs import read

    running = RunningAnalysis(COMPUTED, ReadOptions())
    for batch in read(path):
        running.add(batch)
    assert summary_text(running.tables()) == summary_text(analyze(path))
