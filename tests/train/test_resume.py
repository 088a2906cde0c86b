"""A run that is cut off goes on to the bytes of one that was not: weights, optimizer, rollouts, metrics but `time`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from train_models import tiny

from grpo_prm.errors import UsageError
from grpo_prm.train.config import make_config
from grpo_prm.train.loop import train

pytestmark = pytest.mark.slow

STEPS = 6
REWARD = """
import random

import numpy as np


def score(completion):
    return len(set(completion.split())) / 9 + np.random.normal() + random.gauss(0, 1)
"""


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a model, prompts and a reward function that draws from the global generators."""
    folder = tmp_path_factory.mktemp("own")
    model, tokenizer = tiny("llama")
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    rows = [{"prompt": f"{n} {n + 3} {n % 7}", "answer": str(n)} for n in range(10, 19)]
    (folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "resume_reward.py").write_text(REWARD)
    return folder


def settings(place, out, **more):
    own = {"model": f"{place}/model", "data": f"{place}/prompts.jsonl", "eval_data": f"{place}/prompts.jsonl"}
    small = {"reward": "resume_reward:score", "steps": STEPS, "prompts": 3, "group_size": 4, "max_new_tokens": 6}
    every = {"save_every": 2, "eval_every": 2, "keep": 2, "threads": 1, "learning_rate": 1e-2, "schedule": "cosine"}
    return make_config({**own, **small, **every, "warmup_steps": 2, "beta": 0.1, "out": str(out), **more})


@pytest.fixture(scope="module")
def whole(place, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "a.run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        train(settings(place, out))
    return contents(out)


def contents(folder):
    """Every file by name: bytes, metrics without what depends on the clock, settings without the folder's name."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    lines = [json.loads(line) for line in found["metrics.jsonl"].splitlines()]
    assert all("time" in line for line in lines if "held_out" not in line)
    found["metrics.jsonl"] = [{name: value for name, value in line.items() if name != "time"} for line in lines]
    found["config.yaml"] = [line for line in found["config.yaml"].splitlines() if not line.startswith(b"out:")]
    return found


def same(found, wanted):
    assert sorted(found) == sorted(wanted)
    assert [name for name in wanted if found[name] != wanted[name]] == []


class Stop(BaseException):
    """What ends a run from within."""


def stop_at(kind, step):
    def watch(event):
        if (event.kind, event.step) == (kind, step):
            raise Stop

    return watch


def cut_off(config, kind, step, **more):
    with pytest.raises(Stop):
        train(config, stop_at(kind, step), **more)


def test_there_is_something_to_compare(whole):
    held_out = [line for line in whole["metrics.jsonl"] if "held_out" in line]
    assert [line["step"] for line in held_out] == [-1, 1, 3, 5]
    assert len(whole["metrics.jsonl"]) == STEPS + 4
    assert {"config.yaml", "rollouts/step_000005.parquet", "checkpoints/step_000006/optimizer.pt"} <= set(whole)
    assert not any("step_000002/" in name for name in whole) and "checkpoints/best/model.safetensors" in whole


ONCE = [("checkpoint", 2), ("step", 3), ("step", 4), ("eval", 4), ("step", 5), ("end", 6)]


@pytest.mark.parametrize("moments", [*([moment] for moment in ONCE), [("step", 3), ("step", 5), ("eval", 6)]])
def test_cut_off(place, whole, tmp_path, monkeypatch, moments):
    monkeypatch.syspath_prepend(place)
    config = settings(place, tmp_path / "a.run")
    for number, moment in enumerate(moments):
        cut_off(config, *moment, resume=number > 0)
        torch.manual_seed(12345)  # another process would begin from elsewhere
    train(config, resume=True)
    same(contents(tmp_path / "a.run"), whole)


def test_a_damaged_checkpoint_costs_steps_and_nothing_else(place, whole, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(place)
    config = settings(place, tmp_path / "a.run")
    cut_off(config, "step", 5)
    path = tmp_path / "a.run" / "checkpoints" / "step_000004" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    notes = []
    train(config, lambda event: notes.append(event.text) if event.kind == "note" else None, resume=True)
    assert len([note for note in notes if "step_000004 is damaged" in note]) == 1
    same(contents(tmp_path / "a.run"), whole)


def test_killed_for_good(place, whole, tmp_path, monkeypatch):
    """A process of its own, ended by SIGKILL while it trains."""
    monkeypatch.syspath_prepend(place)
    out = tmp_path / "a.run"
    config = settings(place, out)
    said = [f"--config={tmp_path / 'a.yaml'}", "--out", str(out)]
    from grpo_prm.train.config import to_yaml

    (tmp_path / "a.yaml").write_text(to_yaml(config))
    # The kernel settings (threads, BLAS) must be those of this process: the files are compared byte by byte.
    environment = {**os.environ, "PYTHONPATH": f"{place}:{Path(__file__).parents[2]}"}
    command = [sys.executable, "-m", "grpo_prm", "train", *said]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=tmp_path)
        try:
            until = time.monotonic() + 90
            while not (out / "checkpoints" / "step_000002").exists() and process.poll() is None:
                assert time.monotonic() < until
                time.sleep(0.002)
            process.send_signal(signal.SIGKILL)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == -signal.SIGKILL, (tmp_path / "log").read_text()
    train(config, resume=True)
    same(contents(out), whole)


def test_a_run_is_neither_overwritten_nor_mixed_with_another(place, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(place)
    config = settings(place, tmp_path / "a.run")
    with pytest.raises(UsageError, match="holds no run to resume"):
        train(config, resume=True)
    cut_off(config, "checkpoint", 2)
    with pytest.raises(UsageError, match="holds a run already"):
        train(config)
    with pytest.raises(UsageError, match=r"lambda was 1\.0 and is 0\.5 now|differs from the settings"):
        train(settings(place, tmp_path / "a.run", power=0.5), resume=True)
