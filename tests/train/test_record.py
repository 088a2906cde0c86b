"""The run folder's records: whole parts, lines without a clock but under `time`, and nothing past a checkpoint."""

import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from grpo_prm.errors import InputError
from grpo_prm.logs.rollouts import load, validate
from grpo_prm.train.batch import Batch
from grpo_prm.train.data import PromptRow
from grpo_prm.train.record import CURVES, append_metrics, curves_table, cut_back, rollouts_table, write_rollouts
from grpo_prm.train.sample import Sampled


def table(step=3, rewards=(1.0, 0.0, 0.5, float("nan"))):
    prompts = [PromptRow("a", [5], "1", {}), PromptRow("b", [6, 7], None, {})]
    completions = [[1, 2], [], [3], [4, 4, 4]]
    logprobs = [np.full(len(row), -0.5, np.float32) for row in completions]
    truncated = np.array([False, False, False, True])
    rewards = np.array(rewards)
    batch = Batch([row.ids for row in prompts], completions, 2, rewards, truncated)
    parts = {"reward": rewards, "exact": rewards * 2}
    sampled = Sampled(completions, logprobs, truncated)
    advantages = np.array([1.0, -1.0, 0.0, 0.0])
    return rollouts_table("r", step, prompts, sampled, ["x y", "", "z", "w"], parts, advantages, batch)


def test_a_part_is_a_canonical_table(tmp_path):
    made = table()
    write_rollouts(tmp_path, 3, made)
    (path,) = (tmp_path / "rollouts").iterdir()
    assert path.name == "step_000003.parquet"
    back = load(path)
    assert_frame_equal(back, validate(made))
    assert back["tokens"].to_list() == [[1, 2], [], [3]]  # a row without a reward is no row of a log
    assert back["group"].to_list() == [6, 6, 7] and back["sample"].to_list() == [0, 1, 0]
    assert back["prompt"].to_list() == ["a", "a", "b"] and back["reward/exact"].to_list() == [2.0, 0.0, 1.0]
    assert back["truncated"].to_list() == [False, False, False] and set(back["tokens_from"]) == {"log"}
    other = table(step=4)
    assert not set(other["group"]) & set(back["group"]) and not set(other["group_key"]) & set(back["group_key"])


def test_lines_are_json_and_nan_has_no_place(tmp_path):
    append_metrics(tmp_path, {"step": 0, "reward": 0.5, "time": {"seconds": 1.0}})
    append_metrics(tmp_path, {"step": 1, "reward": None})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["reward"] for line in lines] == [0.5, None]
    with pytest.raises(ValueError, match="JSON"):
        append_metrics(tmp_path, {"reward": float("nan")})


def folder(tmp_path, steps=5):
    append_metrics(tmp_path, {"step": -1, "held_out": {"mean": 0.1, "low": 0.0, "high": 0.2, "n": 9}})
    for step in range(steps):
        append_metrics(tmp_path, {"step": step, **dict.fromkeys(CURVES, step / 10), "entropy": None})
        write_rollouts(tmp_path, step, table(step))
        if step == 2:
            append_metrics(tmp_path, {"step": 2, "held_out": {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}})
    return tmp_path


@pytest.mark.parametrize(("step", "lines"), [(0, []), (1, [-1, 0]), (3, [-1, 0, 1, 2, 2]), (9, [-1, 0, 1, 2, 2, 3, 4])])
def test_cut_back_leaves_what_came_before(tmp_path, step, lines):
    place = folder(tmp_path)
    with (place / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "rew')  # torn by a kill
    before = {path.name: path.read_bytes() for path in (place / "rollouts").iterdir()}
    for left in (".config.x1.yaml", ".metrics.x1.jsonl", "rollouts/.step_000003.x1.parquet", "notes.jsonl"):
        (place / left).write_text("")
    cut_back(place, step)
    assert [json.loads(line)["step"] for line in (place / "metrics.jsonl").read_text().splitlines()] == lines
    after = {path.name: path.read_bytes() for path in (place / "rollouts").iterdir()}
    assert after == {f"step_{n:06d}.parquet": before[f"step_{n:06d}.parquet"] for n in range(min(step, 5))}
    assert {path.name for path in place.iterdir()} == {"metrics.jsonl", "rollouts", "notes.jsonl"}
    append_metrics(place, {"step": step})  # the torn line does not run into the next
    assert json.loads((place / "metrics.jsonl").read_text().splitlines()[-1]) == {"step": step}


def test_cut_back_of_a_folder_without_records(tmp_path):
    cut_back(tmp_path, 3)
    assert list(tmp_path.iterdir()) == []


def test_curves_are_the_numbers_of_the_lines(tmp_path):
    place = folder(tmp_path)
    with (place / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "rew')
    found = curves_table(place)
    held_out = found.filter(series="held_out")
    assert held_out["statistic"].unique().to_list() == ["accuracy"]
    assert held_out.select("step", "mean", "low", "high").rows() == [(0, 0.1, 0.0, 0.2), (3, 0.5, 0.4, 0.6)]
    observed = found.filter(series="observed")
    assert set(observed["statistic"]) == set(CURVES) - {"entropy"} and set(observed["run"]) == {tmp_path.name}
    for name in set(observed["statistic"]):
        assert observed.filter(statistic=name).select("step", "mean").rows() == [(n, n / 10) for n in range(5)]
    assert observed["low"].null_count() == len(observed)


def test_curves_of_no_run(tmp_path):
    with pytest.raises(InputError, match="no metrics of a run"):
        curves_table(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    assert curves_table(tmp_path).is_empty() and curves_table(tmp_path).schema["low"] == pl.Float64
