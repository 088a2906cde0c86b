"""What a run may do with its folder: begin anew before its first checkpoint, move, go on longer, leave a model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train.test_resume import contents, cut_off, place, same, settings, whole  # noqa: F401 - fixtures

from grpo_prm.errors import UsageError
from grpo_prm.files import NEW, _beside
from grpo_prm.train.loop import train


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, place):  # noqa: F811
    monkeypatch.syspath_prepend(place)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("moment", [("start", 0), ("eval", 0), ("step", 1)])
def test_cut_off_before_the_first_checkpoint(place, whole, tmp_path, moment):  # noqa: F811
    config = settings(place, tmp_path / "a.run")
    cut_off(config, *moment)
    checkpoints = tmp_path / "a.run" / "checkpoints"
    checkpoints.mkdir()
    (_beside(checkpoints / "step_000002", NEW) / "model.safetensors").write_bytes(b"half")
    train(config, resume=True)
    same(contents(tmp_path / "a.run"), whole)


def test_a_folder_that_was_moved_goes_on(place, whole, tmp_path):  # noqa: F811
    cut_off(settings(place, tmp_path / "a.run"), "step", 5)
    (tmp_path / "b").mkdir()
    (tmp_path / "a.run").rename(tmp_path / "b" / "a.run")
    train(settings(place, tmp_path / "b" / "a.run"), resume=True)
    same(contents(tmp_path / "b" / "a.run"), whole)


def test_a_run_can_go_on_longer(place, tmp_path):  # noqa: F811
    more = {"schedule": "constant", "warmup_steps": 0, "eval_every": 0, "eval_data": None}
    train(settings(place, tmp_path / "a" / "x.run", steps=4, **more))
    train(settings(place, tmp_path / "a" / "x.run", steps=6, **more), resume=True)
    train(settings(place, tmp_path / "b" / "x.run", steps=6, **more))
    found, wanted = contents(tmp_path / "a" / "x.run"), contents(tmp_path / "b" / "x.run")
    for name in ("checkpoints/step_000006/model.safetensors", "rollouts/step_000005.parquet", "config.yaml"):
        assert found[name] == wanted[name]
    weights = "model/model.safetensors"
    assert found[weights] == wanted[weights]


def test_a_run_that_has_gone_further_is_left_as_it_is(place, tmp_path):  # noqa: F811
    more = {"schedule": "constant", "warmup_steps": 0, "eval_every": 0, "eval_data": None}
    train(settings(place, tmp_path / "x.run", steps=3, **more))
    before = contents(tmp_path / "x.run")
    with pytest.raises(UsageError, match="has done 3 steps already, and --steps is 2"):
        train(settings(place, tmp_path / "x.run", steps=2, **more), resume=True)
    assert contents(tmp_path / "x.run") == before


def test_each_step_is_recorded_with_its_own_learning_rate(place, tmp_path):  # noqa: F811
    out = tmp_path / "rates.run"
    train(settings(place, out, steps=4, schedule="linear", warmup_steps=0, learning_rate=4e-4, save_every=9))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    rates = [line["learning_rate"] for line in lines if "learning_rate" in line]
    assert rates == pytest.approx([4e-4, 3e-4, 2e-4, 1e-4])


def test_the_trained_model_is_left_for_transformers(place, tmp_path):  # noqa: F811
    from transformers import AutoModelForCausalLM, AutoTokenizer

    train(settings(place, tmp_path / "a.run", eval_data=None, eval_every=0))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "a.run" / "model")
    begun = AutoModelForCausalLM.from_pretrained(place / "model")
    pairs = zip(model.parameters(), begun.parameters(), strict=True)
    assert any(not torch.equal(now, then) for now, then in pairs)
    assert AutoTokenizer.from_pretrained(tmp_path / "a.run" / "model").eos_token_id == 1
    assert not (tmp_path / "a.run" / "checkpoints" / "best").exists()


def test_without_a_name_the_run_folder_gets_the_default_one(place, tmp_path, monkeypatch):  # noqa: F811
    """Settings made in Python have no name; the working directory is nobody's run folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".mine").mkdir()
    given = replace(settings(place, "a.run", eval_data=None, eval_every=0, steps=2), out="")
    assert train(given).folder == Path("lambda1-model.run")
    assert {path.name for path in tmp_path.iterdir()} == {".mine", "lambda1-model.run"}
    assert "out: lambda1-model.run" in (tmp_path / "lambda1-model.run" / "config.yaml").read_text()
