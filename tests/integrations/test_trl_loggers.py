"""The figures reach the files of the trackers: read back from disk."""

from __future__ import annotations

import json
import struct

import pytest
from integrations.trl_toy import length_reward, prompts, rollouts, saved_model, settings

pytest.importorskip("trl")
from grpo_prm.analysis.group_sums import metric_names
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the trackers about their own libraries
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def logged(tmp_path, tracker):
    """Train, and give step to figures as the trainer's own history has them."""
    model = saved_model(tmp_path / "model")
    args = LambdaGRPOConfig(**settings(tmp_path / "run", report_to=[tracker], run_name="toy"))
    trainer = LambdaGRPOTrainer(model, length_reward, args, train_dataset=prompts(), rollout_func=rollouts())
    trainer.train()
    names = set(metric_names().values())
    history = [(line["step"], {name: line[name] for name in names & line.keys()}) for line in trainer.state.log_history]
    return {step: figures for step, figures in history if figures}


def test_tensorboard_files_hold_the_figures(tmp_path, monkeypatch):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    expected = logged(tmp_path, "tensorboard")
    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert len(expected) == 3
    for step, figures in expected.items():
        for name, value in figures.items():
            found = {event.step: event.value for event in events.Scalars(f"train/{name}")}
            assert found[step] == pytest.approx(value, rel=1e-6)  # float32


def test_offline_files_of_wandb_hold_the_figures(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    expected = logged(tmp_path, "wandb")
    wandb.finish()
    (path,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    found = {}
    for data in records(path.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        if record.WhichOneof("record_type") == "history":
            row = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            found.setdefault(row.get("train/global_step"), {}).update(row)
    assert len(expected) == 3
    for step, figures in expected.items():
        for name, value in figures.items():
            assert found[step][f"train/{name}"] == pytest.approx(value, rel=1e-12)


def records(data):
    """The records of LevelDB's log format: a head of 7 bytes, then blocks of 32 kB that hold pieces of records."""
    at, piece = 7, b""
    while at + 7 <= len(data):
        if (room := 32768 - at % 32768) < 7:  # no head fits: the block is filled up
            at += room
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)
        piece += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or last
            yield piece
            piece = b""
