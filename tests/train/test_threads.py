"""Threads by a machine that is made up: one of a small model, else the free cores; kept when a run goes on."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from grpo_prm import machine
from grpo_prm.tasks import get_task
from grpo_prm.train import ranks
from grpo_prm.train.config import TrainConfig, make_config, to_yaml
from grpo_prm.train.loop import open_folder
from grpo_prm.train.threads import POOLS, choose, using
from grpo_prm.train.tiny import tiny_model

OWN = {"model": "m", "data": "d.jsonl", "reward": ("exact",), "device": "cpu"}


@pytest.fixture
def made_up(monkeypatch):
    """Says what the machine has, what torch was left with, and how many processes share it."""

    def put(cores, free, torchs=64, here=1):
        monkeypatch.setattr(machine, "cores", lambda: cores)
        monkeypatch.setattr(machine, "free_cores", lambda: free)
        monkeypatch.setattr(torch, "get_num_threads", lambda: torchs)
        monkeypatch.setattr(ranks, "local_count", lambda: here)
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    return put


@pytest.mark.parametrize(
    ("has", "number", "why"),
    [
        ({"cores": 8, "free": 8}, 8, "8 cores, all free at the start"),
        ({"cores": 8, "free": 3}, 3, "8 cores, 3 free at the start"),
        ({"cores": 0.5, "free": 1}, 1, "0.5 cores, all free at the start"),
        ({"cores": 8, "free": 8, "torchs": 4}, 4, "8 cores, all free at the start"),  # OMP_NUM_THREADS=4
        ({"cores": 8, "free": 8, "here": 3}, 2, "8 cores, all free at the start, for 3 processes"),
        ({"cores": 2, "free": 1, "here": 4}, 1, "2 cores, 1 free at the start, for 4 processes"),
    ],
)
def test_a_model_of_ones_own_gets_the_free_cores_and_the_settings_say_how_many(made_up, has, number, why):
    made_up(**has)
    found = choose(make_config(OWN))
    assert (found.number, found.why, found.config.threads, found.note) == (number, why, number, "")


def test_what_torchrun_sets_by_itself_is_no_wish(made_up, monkeypatch):
    made_up(8, 8, torchs=1, here=2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert choose(make_config(OWN)).number == 4
    made_up(8, 8, torchs=1, here=1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert choose(make_config(OWN)).number == 1


def test_beside_a_gpu_the_quota_bounds_them_and_nothing_is_recorded(made_up):
    made_up(4, 1)
    found = choose(make_config({**OWN, "device": "cuda"}))
    assert (found.number, found.config.threads, found.note) == (4, None, "")
    assert choose(make_config({**OWN, "device": "cuda", "threads": 32})).note == ""


@pytest.mark.parametrize("torchs", [1, 4])
def test_a_small_model_has_one_thread_unless_another_number_is_given(made_up, torchs):
    made_up(64, 64, torchs=torchs)
    assert choose(make_config()).number == 1 and choose(make_config()).config == make_config()
    assert choose(make_config({"threads": 3})).number == 3


def test_a_run_goes_on_with_its_threads_on_another_machine_and_says_where_they_are_too_many(made_up, tmp_path):
    config = make_config({**OWN, "out": str(tmp_path / "a.run")})
    made_up(8, 6)
    open_folder(choose(config).config, resume=False)
    made_up(64, 64)
    assert (choose(config, resume=True).number, choose(config, resume=True).note) == (6, "")
    made_up(2, 2)
    found = choose(config, resume=True)
    assert found.number == 6 and "6 threads have 2 cores here" in found.note and "--threads 2 is quicker" in found.note
    assert choose(replace(config, threads=2), resume=True).number == 2
    assert to_yaml(found.config) == (tmp_path / "a.run" / "config.yaml").read_text()
    assert choose(config).number == 2  # a run that begins


def test_threads_and_pools_are_as_before_afterwards(monkeypatch):
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = torch.get_num_threads(), {name: os.environ.get(name) for name in POOLS}
    with using(before[0] + 1):
        assert torch.get_num_threads() == before[0] + 1
        assert os.environ["RAYON_NUM_THREADS"] == str(before[0] + 1) and os.environ["OMP_NUM_THREADS"] == "7"
    assert before == (torch.get_num_threads(), {name: os.environ.get(name) for name in POOLS})


@pytest.mark.slow
def test_a_small_model_is_the_same_to_the_bit_whatever_torch_has(tmp_path):
    """Threads as OMP_NUM_THREADS would have set them; the cache of one is found by the other."""
    task = get_task("chain")
    task = replace(task, warm=task.warm._replace(steps=8))
    seen, found = [], []
    for threads in (1, 4):
        with using(threads):
            found.append(tiny_model(task, 3, progress=lambda *_: seen.append(torch.get_num_threads()))[0].state_dict())
            tiny_model(task, 3, tmp_path)
    assert set(seen) == {1} and len(list(tmp_path.iterdir())) == 1
    assert all(torch.equal(part, found[1][name]) for name, part in found[0].items())
    assert np.isfinite(found[0]["transformer.wte.weight"].numpy()).all()


def test_the_defaults_leave_threads_open():
    assert TrainConfig().threads is None
