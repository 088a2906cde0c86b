"""verl's dumps: invented ones, shuffled as the trainer shuffles them, and a real one."""

import json
import random
from pathlib import Path

import polars as pl
import pytest

from grpo_prm.logs import ReadOptions
from grpo_prm.logs.stream import collect

REAL = Path(__file__).parents[3] / "shared" / "real" / "verl_hecate_gsm8k_tool_step2_k16.jsonl"


def rows_of(step, prompts, k=4, **more):
    rows = [
        {
            "input": f"user\n{p}\nassistant\n",
            "output": f"it is {p} {i}",
            "gts": "4",
            "score": float(i % 2),
            "step": step,
            "acc": 9,
            **more,
        }
        for p in prompts
        for i in range(k)
    ]
    random.Random(step).shuffle(rows)  # noqa: S311
    return rows


def dump(folder, *steps):
    folder.mkdir(exist_ok=True)
    for rows in steps:
        (folder / f"{rows[0]['step']}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def groups(table):
    """(step, sorted outputs, rewards in the order of the outputs) of every group."""
    grouped = table.sort("completion").group_by("group").agg(pl.col("step").first(), "completion", "reward")
    return sorted(grouped.select("step", "completion", "reward").rows())


def test_rows_of_a_group_are_found_wherever_they_stand(tmp_path):
    folder = dump(tmp_path / "run", rows_of(10, "ab"), rows_of(9, "ac"))
    table = collect(folder).table
    assert table["step"].unique(maintain_order=True).to_list() == [9, 10]
    wanted = [
        (step, [f"it is {p} {i}" for i in range(4)], [0, 1, 0, 1])
        for step, p in [(9, "a"), (9, "c"), (10, "a"), (10, "b")]
    ]
    assert groups(table) == sorted(wanted)
    assert table["group"].is_sorted() and table["run"].unique().to_list() == ["run"]


def test_the_score_is_the_reward_whatever_else_is_logged(tmp_path):
    done = collect(dump(tmp_path / "run", rows_of(1, "ab", reward=7.0, advantage=3.0, index=5)))
    assert set(done.table["reward"]) == {0.0, 1.0} and done.table["advantage"].null_count() == 8
    assert done.table["group"].n_unique() == 2 and done.notes == ()
    again = collect(tmp_path / "run", ReadOptions(reward="acc"))
    assert set(again.table["reward"]) == {9.0}
    kept = collect(tmp_path / "run", ReadOptions(keep=("acc",)))
    assert set(kept.table["acc"]) == {9}


def test_the_sample_in_the_uid_is_the_group_and_tells_two_draws_of_a_prompt_apart(tmp_path):
    rows = [{**row, "uid": f"s_{draw}_{i}_0"} for draw in (7, 8) for i, row in enumerate(rows_of(1, "a"))]
    rows += [{**row, "uid": f"s_9_{i}_0"} for i, row in enumerate(rows_of(1, "b"))]
    random.Random(0).shuffle(rows)  # noqa: S311
    table = collect(dump(tmp_path / "run", rows)).table
    assert table["group_key"].unique().sort().to_list() == ["s_7", "s_8", "s_9"]
    assert table.group_by("group").len()["len"].to_list() == [4, 4, 4]
    assert table.select("group", "prompt").unique().height == 3


@pytest.mark.parametrize("name", ["request_id", "uid"])
def test_a_row_written_twice_counts_once(tmp_path, name):
    rows = [
        {**row, name: f"x{n // 4}_{n}_0"} for n, row in enumerate(sorted(rows_of(1, "ab"), key=lambda r: r["input"]))
    ]
    done = collect(dump(tmp_path / "run", [*rows, rows[2]]))
    assert len(done.table) == 8 and done.rejected["reason"].to_list() == ["duplicate"]
    assert done.counts["rows_read"] == 9


def test_tool_answers_that_cannot_be_masked_are_said(tmp_path):
    rows = rows_of(1, "ab")
    rows[3]["output"] += "\nuser\n<tool_response>\n5\n</tool_response>\nassistant\n5"
    notes = " ".join(collect(dump(tmp_path / "run", rows)).notes)
    assert "does not log which tokens the policy wrote" in notes


def test_one_file_is_a_log_too(tmp_path):
    folder = dump(tmp_path / "run", rows_of(3, "ab"))
    assert len(groups(collect(folder / "3.jsonl").table)) == 2


@pytest.mark.skipif(not REAL.exists(), reason="the shared logs are not beside the repository")
def test_the_real_dump_is_64_groups_of_16():
    done = collect(REAL)
    sizes = done.table.group_by("group").agg(pl.len(), pl.col("prompt").n_unique(), pl.col("reward").n_unique())
    assert sizes["len"].to_list() == [16] * 64 and sizes["prompt"].to_list() == [1] * 64
    assert (sizes["reward"] > 1).sum() == 63
    assert done.table["step"].unique().to_list() == [2] and len(done.rejected) == 0
    assert "tool" in " ".join(done.notes).lower() and done.table["tokens_from"].unique().to_list() == ["pieces"]
