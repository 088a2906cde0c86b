"""The divisor that is taken where none is named, beside advantages made the slow way."""

import json

import numpy as np
import polars as pl
import pytest

from grpo_prm.analysis import divisor
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.options import Options
from grpo_prm.core.groups import Groups
from grpo_prm.logs import ReadOptions, collect, read
from grpo_prm.logs.rollouts import Rollouts, save

STDS = ("sample", "population", "none", "batch")


def advantages(rewards, std, eps, steps):
    """Of rewards (groups, k), group by group; `steps` names the training step of each group."""
    made = []
    for group, step in zip(rewards, steps, strict=True):
        centred = group - group.mean()
        of_step = rewards[[s == step for s in steps]]
        spread = {"sample": group.std(ddof=1), "population": group.std(), "batch": of_step.std(ddof=1)}.get(std)
        made.append(centred if spread is None else centred / (spread + eps) if np.ptp(group) else 0 * centred)
    return np.array(made)


def log_of(rewards, logged, steps):
    """JSON rows, one a completion; texts that share a beginning."""
    k = rewards.shape[1]
    return [
        {
            "step": int(steps[i // k]),
            "group": f"g{i // k}",
            "completion_ids": [1, i % 2, i % 3, i],
            "reward": float(rewards.flat[i]),
            "advantage": None if np.isnan(logged.flat[i]) else float(logged.flat[i]),
        }
        for i in range(rewards.size)
    ]


def drawn(kind, groups=24, k=4, seed=0):
    rng = np.random.default_rng(seed)
    rewards = {
        "binary": rng.integers(0, 2, (groups, k)).astype(float),
        "floats": rng.normal(size=(groups, k)) * 3,
        "small": rng.integers(0, 3, (groups, k)) * 0.01,
    }[kind]
    return rewards, np.arange(groups) // 6


def found(log, std=None, **reading):
    summary = analyze(log, Options(std=std), reading=ReadOptions(**reading) if reading else None).summary
    notes = [note for note in summary["source"]["notes"] if "--std" in note]
    return summary["source"]["options"]["std"], notes, summary["counts"]["advantage_mismatch"]


@pytest.mark.parametrize("kind", ["binary", "floats", "small"])
@pytest.mark.parametrize("eps", [1e-4, 1e-6, 1e-8, 0])
@pytest.mark.parametrize("std", STDS)
def test_the_divisor_of_the_logged_advantages_is_taken_and_said(std, eps, kind):
    rewards, steps = drawn(kind)
    logged = advantages(rewards, std, eps, steps).astype(np.float32)
    taken, notes, mismatch = found(log_of(rewards, logged, steps))
    assert (taken, mismatch) == (std, 0)
    assert len(notes) == (std != "sample") and all(note.endswith(f"as logged: --std {std}.") for note in notes)


@pytest.mark.parametrize("kind", ["binary", "floats"])
@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_divisor(kind, seed):
    rewards, steps = drawn(kind, seed=seed)
    logged = np.random.default_rng([seed, 1]).normal(size=rewards.shape)
    varied = int((np.ptp(rewards, axis=1) > 0).sum())
    taken, notes, mismatch = found(log_of(rewards, logged, steps))
    assert taken == "sample" and not notes and mismatch >= varied
    # One group that does not fit is enough, if it is among the first.
    logged = advantages(rewards, "none", 0, steps)
    at = int(np.flatnonzero(np.ptp(rewards, axis=1))[1])
    logged[at] *= 1.01
    assert found(log_of(rewards, logged, steps))[:2] == ("sample", [])


def test_what_the_user_names_wins():
    rewards, steps = drawn("floats")
    log = log_of(rewards, advantages(rewards, "none", 0, steps), steps)
    for std in STDS:
        taken, notes, mismatch = found(log, std)
        assert taken == std and not notes and (mismatch == 0) == (std == "none")
    groups = Groups.of([row["completion_ids"] for row in log], rewards.ravel(), 4, std="population")
    assert found(groups)[:2] == ("population", [])


def test_groups_that_tell_nothing_do_not_hinder():
    """Equal rewards, an advantage that is not logged, a group that lost a row: the others decide."""
    rewards, steps = drawn("floats")
    logged = advantages(rewards, "none", 0, steps)
    rewards[0], logged[0] = 0.5, [1e-8, 0, 0, 0]
    logged[1, 2] = np.nan
    log = log_of(rewards, logged, steps)
    del log[9]  # of the third group
    assert found(log) == ("none", ["Advantages are r - mean, without division, as logged: --std none."], 1)


def test_later_groups_do_not_decide_but_are_compared():
    rewards, steps = drawn("floats", groups=40)
    logged = advantages(rewards, "none", 0, steps)
    logged[divisor.TELLING :] *= 2
    taken, _, mismatch = found(log_of(rewards, logged, steps))
    assert (taken, mismatch) == ("none", 40 - divisor.TELLING)


@pytest.mark.parametrize("std", STDS)
def test_the_file_its_table_and_batches_cut_anywhere_have_one_divisor(tmp_path, std):
    rewards, steps = drawn("binary", groups=60)
    rewards[:7] = 1.0  # the first groups tell nothing
    logged = advantages(rewards, std, 1e-4, steps)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in log_of(rewards, logged, steps)))
    table = collect(path).table
    save(table, tmp_path / "table.parquet")
    expected = (std, 0)
    assert found(path)[::2] == found(tmp_path / "table.parquet")[::2] == expected
    for size in (1, 2, 3, 10):  # training steps a batch
        batches = [Rollouts(part) for _, part in table.group_by(pl.col("step") // size, maintain_order=True)]
        assert found(iter(batches))[::2] == expected
        assert len(list(divisor.find_divisor(iter(batches))[2])) == len(batches)


def test_batches_are_held_no_longer_than_it_takes(tmp_path):
    rewards, steps = drawn("floats", groups=60)
    steps = np.arange(60)
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in log_of(rewards, 0 * rewards, steps)))
    table = next(read(path)).table
    for logged, held in ((advantages(rewards, "none", 0, steps), divisor.TELLING), (0 * rewards, 60)):
        pulled = []
        with_logged = table.with_columns(advantage=pl.Series(logged.ravel()))
        batches = (
            pulled.append(step) or Rollouts(part) for (step,), part in with_logged.group_by("step", maintain_order=True)
        )
        divisor.find_divisor(batches)
        assert len(pulled) == held
