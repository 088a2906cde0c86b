"""Logs of any format that have parts of the reward, advantages and no total: invented ones whose weights are known."""

import json

import numpy as np
import polars as pl
import pytest

from grpo_prm.errors import UsageError
from grpo_prm.logs import ReadOptions
from grpo_prm.logs.stream import collect

K = 4


def made(weights, std, groups=12, seed=0):
    """Two parts, the reward and its advantages, groups one after the other."""
    rng = np.random.default_rng(seed)
    parts = np.column_stack([rng.integers(0, 2, groups * K), rng.random(groups * K).round(2)]).astype(float)
    rewards = (parts @ weights).reshape(-1, K)
    centred = rewards - rewards.mean(1, keepdims=True)
    divided = {"none": 1, "sample": rewards.std(1, ddof=1, keepdims=True) + 1e-4}
    return parts, rewards.ravel(), (centred / divided[std]).ravel()


SHAPES = {
    "dict": lambda acc, short: {"rewards": {"acc": acc, "short": short}},
    "columns": lambda acc, short: {"reward/acc": acc, "reward/short": short},
    "text": lambda acc, short: {"metrics": json.dumps({"acc": acc, "short": short})},
}


def rows(parts, advantages, shape, prompt=lambda group: f"p{group}"):
    for i, ((acc, short), advantage) in enumerate(zip(parts, advantages, strict=True)):
        row = {"step": i // 16, "prompt": prompt(i // K), "completion": f"a {i} b", "advantage": advantage}
        yield row | SHAPES[shape](acc, short)


def written(tmp_path, lines):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("weights", "std", "said"),
    [
        ((1, 1), "sample", "The reward is the sum of acc, short, which gives"),
        ((1, 0.5), "none", "The reward is acc+0.5*short: of all weights"),
        ((1, -0.25), "sample", "The reward is acc-0.25*short, known up to a factor: of all weights"),
        ((0, 1), "sample", "The reward is short, which alone gives"),
    ],
)
def test_parts_without_a_total_give_the_reward_that_the_advantages_tell(tmp_path, shape, weights, std, said):
    parts, rewards, advantages = made(weights, std)
    done = collect(written(tmp_path, rows(parts, advantages, shape)))
    assert done.table["reward"].to_list() == pytest.approx(rewards)
    assert done.table["reward/acc"].to_list() == parts[:, 0].tolist()
    assert done.table["reward/short"].to_list() == parts[:, 1].tolist()
    assert next(note for note in done.notes if "reward" in note).startswith(said)


def test_rows_in_any_order_and_a_prompt_drawn_twice_are_the_same_groups(tmp_path):
    parts, rewards, advantages = made((1, 0.5), "sample")
    lines = list(rows(parts, advantages, "dict", prompt=lambda group: f"p{group if group != 1 else 0}"))
    order = np.random.default_rng(1).permutation(
        16,
    )
    shuffled = [*lines[:16], *(lines[16 + i] for i in order), *lines[32:]]
    done = collect(written(tmp_path, shuffled))
    assert "The reward is acc+0.5*short" in " ".join(done.notes)
    assert sorted(done.table["reward"]) == pytest.approx(sorted(rewards))


def test_rows_that_hold_a_group_in_lists(tmp_path):
    parts, rewards, advantages = made((1, 0.5), "sample")
    lines = [
        {
            "prompt": f"p{g}",
            "completions": [f"a {g} {i}" for i in range(K)],
            "rewards": {"acc": parts[at, 0].tolist(), "short": parts[at, 1].tolist()},
            "advantages": advantages[at].tolist(),
        }
        for g, at in enumerate(np.arange(len(parts)).reshape(-1, K))
    ]
    done = collect(written(tmp_path, lines))
    assert done.table["reward"].to_list() == pytest.approx(rewards)
    assert "The reward is acc+0.5*short" in " ".join(done.notes)


def test_a_part_that_is_missing_adds_nothing(tmp_path):
    parts, _, _ = made((1, 1), "sample")
    holes = np.random.default_rng(5).random(parts.shape) < 0.3
    holes[holes.all(1)] = False
    total = np.where(holes, 0, parts).sum(1).reshape(-1, K)
    advantages = ((total - total.mean(1, keepdims=True)) / (total.std(1, ddof=1, keepdims=True) + 1e-4)).ravel()
    lines = [
        row
        | {"rewards": {name: None if hole else x for (name, x), hole in zip(row["rewards"].items(), gone, strict=True)}}
        for row, gone in zip(rows(parts, advantages, "dict"), holes, strict=True)
    ]
    assert collect(written(tmp_path, lines)).table["reward"].to_list() == pytest.approx(total.ravel())


def test_advantages_of_something_else_leave_the_reward_null_and_name_the_parts(tmp_path):
    parts, _, _ = made((1, 1), "sample")
    noise = np.random.default_rng(3).normal(size=len(parts))
    done = collect(written(tmp_path, rows(parts, noise, "dict")))
    assert done.table["reward"].null_count() == len(parts) and done.table["advantage"].to_list() == noise.tolist()
    assert "the sum of acc, short does not give them" in done.notes[-1] and '--reward "acc+short"' in done.notes[-1]
    assert not any("No reward is logged" in note for note in done.notes)


@pytest.mark.parametrize("shape", SHAPES)
def test_parts_alone_are_named_and_read_by_their_names(tmp_path, shape):
    parts, rewards, _ = made((1, 0.5), "none")
    lines = [{c: v for c, v in row.items() if c != "advantage"} for row in rows(parts, rewards, shape)]
    path = written(tmp_path, lines)
    with pytest.raises(UsageError, match=r'the log has reward parts acc, short and no total.*--reward "acc\+short"'):
        collect(path)
    done = collect(path, ReadOptions(reward="acc+0.5*short"))
    assert done.table["reward"].to_list() == pytest.approx(rewards)
    assert done.table["reward/acc"].to_list() == parts[:, 0].tolist()
    assert collect(path, ReadOptions(reward="short")).table["reward"].to_list() == parts[:, 1].tolist()


def test_a_column_that_is_called_like_a_reward_is_meant_before_the_parts(tmp_path):
    lines = [{"group": i // 2, "text": f"a {i}", "metrics": {"turns": i}, "success_score": i % 2} for i in range(6)]
    with pytest.raises(UsageError, match="--columns reward=success_score"):
        collect(written(tmp_path, lines))


def test_a_parquet_log_of_flags_is_read_alike(tmp_path):
    parts, rewards, advantages = made((1, 0.5), "none")
    frame = pl.DataFrame(list(rows(parts, advantages, "columns"))).with_columns(pl.col("reward/acc").cast(pl.Boolean))
    frame.write_parquet(tmp_path / "log.parquet")
    assert collect(tmp_path / "log.parquet").table["reward"].to_list() == pytest.approx(rewards)
