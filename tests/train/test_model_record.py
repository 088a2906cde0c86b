"""The weights that a run began with are in its folder, and it does not go on with others."""

from __future__ import annotations

import hashlib
import json

import pytest
from train_models import tiny

from grpo_prm.errors import UsageError
from grpo_prm.train.config import make_config
from grpo_prm.train.loop import train
from grpo_prm.train.model_record import record_model


@pytest.fixture
def model(tmp_path):
    """The folder of a model."""
    return saved(tmp_path / "model", 0)


def saved(folder, seed):
    model, tokenizer = tiny("llama", seed=seed)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def recorded(folder):
    return json.loads((folder / "model.json").read_text())


@pytest.mark.parametrize("backend", ["own", pytest.param("trl", marks=pytest.mark.slow)])
def test_a_run_records_its_model_and_refuses_others(model, tmp_path, backend):
    (tmp_path / "data.jsonl").write_text('{"prompt": "3 4", "answer": "7"}\n{"prompt": "5 6", "answer": "1"}\n')
    config = make_config({
        "model": str(model), "data": str(tmp_path / "data.jsonl"), "reward": "exact", "backend": backend,
        "out": str(tmp_path / "a.run"), "steps": 1, "prompts": 2, "group_size": 2, "max_new_tokens": 3, "device": "cpu",
        "packing": "padded", "threads": 1,
    })  # fmt: skip
    train_by(config)
    before = recorded(tmp_path / "a.run")
    weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
    assert before == {"model": str(model), "sha256": {"model.safetensors": weights}}
    train_by(config, resume=True)
    saved(model, 1)
    with pytest.raises(UsageError, match=r"model\.json: the run began with other weights: model\.safetensors had"):
        train_by(config, resume=True)
    assert recorded(tmp_path / "a.run") == before


def train_by(config, **more):
    from grpo_prm.integrations.backend import train as by_backend

    return by_backend(config, **more) if config.backend == "trl" else train(config, **more)


def test_a_run_that_is_begun_anew_records_anew(model, tmp_path):
    for seed in (0, 1):
        saved(model, seed)
        record_model(tmp_path, str(model), resume=False)
        weights = hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()
        assert recorded(tmp_path)["sha256"] == {"model.safetensors": weights}


def test_a_run_of_before_goes_on_and_a_damaged_record_is_named(model, tmp_path):
    record_model(tmp_path, str(model), resume=True)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(UsageError, match=r"model\.json: is damaged"):
        record_model(tmp_path, str(model), resume=True)


def test_the_small_model_of_a_task_has_none(tmp_path):
    record_model(tmp_path, None, resume=False)
    assert list(tmp_path.iterdir()) == []
