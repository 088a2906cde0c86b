"""A recording that is broken off, refused, without room, or has nothing to say; the training goes on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from integrations.trl_toy import length_reward, prompts, rollouts, saved_model, settings
from transformers import TrainerCallback

trl = pytest.importorskip("trl")
from grpo_prm import analyze  # noqa: E402
from grpo_prm.analysis.group_sums import metric_names  # noqa: E402
from grpo_prm.errors import UsageError  # noqa: E402
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer  # noqa: E402
from grpo_prm.logs import recorder  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"))


def trainer_of(model, out, *, reward=length_reward, callbacks=None, rolling=None, **more):
    """Where no `rolling` is given, TRL samples."""
    args = LambdaGRPOConfig(**settings(out, **more))
    rolled = {} if rolling is None else {"rollout_func": rolling}
    return LambdaGRPOTrainer(model, reward, args, train_dataset=prompts(), callbacks=callbacks, **rolled)


def parts(out):
    return {path.name: path.read_bytes() for path in sorted(Path(out, "rollouts").iterdir())}


class StopAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = state.global_step >= self.step


CUTS = {
    "one generation a step": {},
    "two": {"gradient_accumulation_steps": 2, "steps_per_generation": 1, "beta": 0.1},
}


@pytest.mark.parametrize("name", CUTS)
def test_a_resumed_run_leaves_the_bytes_of_one_that_was_never_broken_off(model, tmp_path, name):
    plan = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2, "logging_steps": 1} | CUTS[name]
    whole, broken = tmp_path / "a" / "run", tmp_path / "b" / "run"
    straight = trainer_of(model, whole, **plan)
    straight.train()
    trainer_of(model, broken, callbacks=[StopAt(3)], **plan).train()
    lost = next((broken / "rollouts").glob("step_000003-0.*"))
    lost.write_bytes(b"torn")
    (broken / "rollouts" / ".step_000003-0.rank0-of-1.x.parquet").write_bytes(b"half")
    again = trainer_of(model, broken, **plan)
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 4
    assert parts(broken) == parts(whole)
    names = [*metric_names().values(), "reward"]
    for one, other in zip(straight.state.log_history, again.state.log_history, strict=True):
        assert {name: one.get(name) for name in names} == {name: other.get(name) for name in names}
    of_step = analyze(broken / "rollouts").training.filter(pl.col("statistic") == "path_depth")["mean"]
    logged = [line["overlap/path_depth"] for line in again.state.log_history if "overlap/path_depth" in line]
    assert of_step.to_list() == pytest.approx(logged, rel=1e-12)


def test_a_second_run_in_the_folder_is_refused_before_its_first_step(model, tmp_path):
    trainer_of(model, tmp_path, max_steps=1, rolling=rollouts()).train()
    before = parts(tmp_path)
    other = trainer_of(model, tmp_path, max_steps=1, rolling=rollouts())
    with pytest.raises(UsageError, match="holds the rollouts of another run"):
        other.train()
    assert parts(tmp_path) == before
    trainer_of(model, tmp_path, max_steps=1, rolling=rollouts(), record_rollouts=False).train()
    assert parts(tmp_path) == before


def test_a_full_disk_stops_the_recording_and_not_the_training(model, tmp_path, monkeypatch, caplog):
    write, full = pl.DataFrame.write_parquet, [False, True, True, False]

    def on_a_full_disk(table, path, **more):
        if full.pop(0):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(table, path, **more)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", on_a_full_disk)
    trainer = trainer_of(model, tmp_path, max_steps=4, rolling=rollouts())
    trainer.train()
    assert trainer.state.global_step == 4
    said = [record.getMessage() for record in caplog.records if record.name == "grpo_prm"]
    assert len(said) == 2
    assert "step 2 is not recorded (No space left on device)" in said[0]
    assert "steps 2 to 3 are missing" in said[1]
    assert [part.step for part in recorder.parts(tmp_path / "rollouts")] == [1, 4]
    assert not list((tmp_path / "rollouts").glob(".*"))


def test_rows_without_a_reward_are_left_out_and_groups_without_one_teach_nothing(model, tmp_path):
    def some(completion_ids, **_):
        """None in the whole first group, and for one row of the second."""
        values = length_reward(completion_ids)
        return [None] * 4 + [None] + values[5:]

    trainer = trainer_of(model, tmp_path, reward=some, rolling=rollouts(), max_steps=2)
    trainer.train()
    table = pl.read_parquet(tmp_path / "rollouts" / "*.parquet")
    assert table["sample"].to_list() == [1, 2, 3] * 2
    found = analyze(tmp_path / "rollouts").training
    for step, line in enumerate(trainer.state.log_history[:2], 1):
        means = dict(found.filter(pl.col("step") == step).select("statistic", "mean").iter_rows())
        assert line["overlap/path_depth"] == pytest.approx(means["path_depth"], rel=1e-12)
        assert line["prm/suppressed_good"] == pytest.approx(means["suppressed_good"], rel=1e-12)


def test_a_step_without_any_reward_passes(model, tmp_path):
    trainer = trainer_of(
        model, tmp_path, reward=lambda completion_ids, **_: [None] * len(completion_ids), rolling=rollouts()
    )
    trainer.train()
    assert trainer.state.global_step == 3
    assert "overlap/path_depth" not in trainer.state.log_history[0]
    assert len(pl.read_parquet(tmp_path / "rollouts" / "*.parquet")) == 0


def test_the_sampler_and_the_trainer_are_both_recorded_where_there_are_two(model, tmp_path):
    """As with vLLM, whose log-probabilities are given with the ids."""
    trainer_of(model, tmp_path, rolling=rollouts(logprobs=lambda token: -token / 8), beta=0.1).train()
    table = pl.read_parquet(tmp_path / "rollouts" / "*.parquet")
    for row in table.iter_rows(named=True):
        assert row["logprobs"] == [-token / 8 for token in row["tokens"]]
        assert len(row["trainer_logprobs"]) == len(row["ref_logprobs"]) == len(row["tokens"])
    first = table.filter(pl.col("step") == 1)
    # before the first update the policy is the reference
    for one, other in zip(first["trainer_logprobs"], first["ref_logprobs"], strict=True):
        assert one.to_list() == pytest.approx(other.to_list(), abs=1e-4)


SCRIPT = """
import sys, time
from integrations.trl_toy import length_reward, prompts, rollouts, settings
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer
args = LambdaGRPOConfig(**settings(sys.argv[2], max_steps=100000, save_strategy="steps", save_steps=2,
    save_total_limit=1, logging_strategy="no"))
LambdaGRPOTrainer(sys.argv[1], length_reward, args, train_dataset=prompts(), rollout_func=rollouts()).train()
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_training_leaves_whole_parts(model, tmp_path, how):
    tests = Path(__file__).parents[1]
    known = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, model, str(tmp_path)], env=known, stderr=subprocess.PIPE)
    folder, end = tmp_path / "rollouts", time.monotonic() + 200
    while len(recorder.parts(folder)) < 5 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)
    process.send_signal(how)
    process.communicate()
    assert process.returncode in (-how, 128 + how)
    left = recorder.parts(folder)
    assert len(left) >= 5
    assert [part.step for part in left] == list(range(1, len(left) + 1))
    for part in left:
        assert len(pl.read_parquet(part.path)) == 8
    # what a run that goes on from a checkpoint needs was there before it
    saved = [int(path.name.removeprefix("checkpoint-")) for path in tmp_path.glob("checkpoint-*")]
    assert 2 <= max(saved) <= len(left)
