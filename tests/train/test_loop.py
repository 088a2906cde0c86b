"""Whole runs of a tiny task: what they leave, what `analyze` makes of it, and going on after an interruption."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

import grpo_prm.train.loop as loop
from grpo_prm.analysis.analyze import analyze
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs.rollouts import load
from grpo_prm.train.config import make_config, to_yaml
from grpo_prm.train.loop import train
from grpo_prm.train.record import METRICS, ROLLOUTS

STEPS = 6


class Killed(Exception):
    """Stands for a process that is gone: nothing after it runs."""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def settings(out, **more):
    fixed = {"task": "binary-tree", "steps": STEPS, "save_every": 2, "eval_every": 3, "eval_prompts": 16, "prompts": 2}
    return make_config(fixed | {"out": str(out)} | more)


def metrics(folder):
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def without_clock(folder):
    return [{name: value for name, value in line.items() if name != "time"} for line in metrics(folder)]


def files(folder):
    """Every file that must come out the same, with its bytes."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file() and path.name not in (METRICS, "config.yaml"):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("runs") / "whole.run"
    events = []
    result = train(settings(folder), events.append)
    return folder, result, events


@pytest.mark.slow
def test_a_run_leaves_metrics_rollouts_and_checkpoints(run):
    folder, result, events = run
    lines = [line for line in metrics(folder) if "held_out" not in line]
    assert [line["step"] for line in lines] == list(range(STEPS))
    assert all(line["reward"] is not None and line["path_depth"] >= 0 and line["time"]["seconds"] > 0 for line in lines)
    assert [line["identity_gap"] is not None for line in lines] == [True, False, True, False, False, True]
    assert all(line["identity_gap"] < 1e-5 for line in lines if line["identity_gap"] is not None)
    assert [line["step"] for line in metrics(folder) if "held_out" in line] == [-1, 2, 5]
    assert sorted(p.name for p in (folder / "checkpoints").iterdir()) == ["best", "step_000004", "step_000006"]
    assert result.before.n == result.after.n == 16 and result.skipped == 0
    kinds = [event.kind for event in events]
    assert kinds.count("step") == STEPS and kinds[-1] == "end" and "warm" in kinds


def test_the_best_model_is_a_folder_that_transformers_loads(run):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    best = run[0] / "checkpoints" / "best"
    assert AutoModelForCausalLM.from_pretrained(best).config.n_layer == 2
    assert AutoTokenizer.from_pretrained(best)("0110")["input_ids"] == [1, 2, 2, 1]


def test_the_rollouts_go_into_analyze_unchanged(run):
    folder = run[0]
    parts = sorted((folder / ROLLOUTS).iterdir())
    assert len(parts) == STEPS
    table = load(parts[3])
    assert set(table["step"]) == {3} and table["group"].n_unique() == 2 and set(table["tokens_from"]) == {"log"}
    found = analyze(folder / ROLLOUTS)
    assert found.summary["counts"]["groups"] == 2 * STEPS and found.summary["source"]["steps"]["count"] == STEPS
    for line in metrics(folder):
        if "held_out" in line:
            continue
        rows = found.training.filter(pl.col("step") == line["step"])
        for name in ("path_depth", "intermediate_proportion", "amplification", "suppressed_good", "update_cosine_1"):
            (mean,) = rows.filter(pl.col("statistic") == name)["mean"]
            assert line[name] == pytest.approx(mean, rel=1e-6), name  # the same functions, float32 advantages or not
    spread = found.summary["prm"]["logprob_spread"]
    assert spread is not None and spread["max"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes(run, tmp_path, at):
    folder = tmp_path / "whole.run"

    def kill(event):
        if event.kind == "step" and event.step == at + 1:
            raise Killed

    with pytest.raises(Killed):
        train(settings(folder), kill)
    assert (at == 1) == (not (folder / "checkpoints").exists())  # then it starts anew
    with (folder / METRICS).open("a") as file:
        file.write('{"step": 99, "torn')
    (folder / "checkpoints" / ".new.left").mkdir(parents=True)
    train(settings(folder), resume=True)
    assert without_clock(folder) == without_clock(run[0])
    found, expected = files(folder), files(run[0])
    assert found.keys() == expected.keys()
    assert [name for name in found if found[name] != expected[name]] == []


def test_a_damaged_checkpoint_falls_back_to_the_one_before(run, tmp_path):
    folder = tmp_path / "whole.run"
    train(settings(folder))
    newest = folder / "checkpoints" / "step_000006" / "model.safetensors"
    newest.write_bytes(newest.read_bytes()[:100])
    notes = []
    train(settings(folder), lambda event: notes.append(event.text) if event.kind == "note" else None, resume=True)
    for path in (folder / "checkpoints").glob("step_*"):
        (path / "state.json").unlink()
    with pytest.raises(InputError, match="no checkpoint is whole"):
        train(settings(folder), resume=True)
    assert any("step_000006 is damaged" in note for note in notes)
    assert without_clock(folder) == without_clock(run[0])


def test_a_folder_with_a_run_is_not_overwritten(run):
    folder = run[0]
    before = files(folder)
    with pytest.raises(UsageError, match="holds a run already"):
        train(settings(folder))
    with pytest.raises(UsageError, match=r"config.yaml: differs"):
        train(settings(folder, power=0.25), resume=True)
    with pytest.raises(UsageError, match="no run to resume"):
        train(settings(folder.parent / "other.run"), resume=True)
    assert files(folder) == before


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_does_not(run, tmp_path):
    train(settings(tmp_path / "whole.run"))
    assert without_clock(tmp_path / "whole.run") == without_clock(run[0])
    train(settings(tmp_path / "other.run", seed=1))
    assert without_clock(tmp_path / "other.run") != without_clock(run[0])


def test_the_settings_are_kept(run):
    assert (run[0] / "config.yaml").read_text() == to_yaml(settings(run[0]))
    assert make_config({}, run[0] / "config.yaml") == settings(run[0])


def test_it_learns(tmp_path):
    """Rewarded leaves become frequent: far from a coin's reward after a few steps."""
    folder = tmp_path / "learn.run"
    train(settings(folder, steps=25, prompts=8, learning_rate=3e-3, eval_every=0))
    rewards = [line["reward"] for line in metrics(folder) if "held_out" not in line]
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.3


def test_threads_are_those_of_the_settings(tmp_path):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        inside = []
        train(settings(tmp_path / "two.run", steps=1, threads=2), lambda _: inside.append(torch.get_num_threads()))
        assert set(inside) == {2} and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("processes", "said"), [(4, []), (8, ["4 of 8 processes have nothing to do"])])
def test_processes_without_a_group_are_said(monkeypatch, processes, said):
    monkeypatch.setattr(loop.ranks, "count", lambda: processes)
    assert [sentence.partition(",")[0] for sentence in loop._idle(4)] == said
