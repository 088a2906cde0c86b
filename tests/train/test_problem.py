"""What a run starts from: the small model has a seed and steps of its own where they are given."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grpo_prm.errors import UsageError
from grpo_prm.tasks import get_task
from grpo_prm.train.config import make_config
from grpo_prm.train.events import nobody
from grpo_prm.train.problem import open_problem
from grpo_prm.train.tiny import tiny_model


def opened(tmp_path, monkeypatch, **settings):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return open_problem(make_config({"task": "countdown", "warm_steps": 2, **settings}), nobody)


def weights(model):
    return [parameter.detach().flatten().tolist() for parameter in model.parameters()]


def test_a_warm_start_of_its_own_seed_and_steps(tmp_path, monkeypatch):
    (policy, problem), (other, others) = (opened(tmp_path, monkeypatch, seed=n, warm_seed=7) for n in (1, 2))
    assert weights(policy.model) == weights(other.model)
    task = get_task("countdown")
    made, _ = tiny_model(replace(task, warm=task.warm._replace(steps=2)), 7)
    assert weights(made) == weights(policy.model)
    assert [row.text for row in problem.prompts(0)] != [row.text for row in others.prompts(0)]


def test_without_one_it_is_the_seed_of_the_run(tmp_path, monkeypatch):
    one, other = (
        opened(tmp_path, monkeypatch, **given)[0].model for given in ({"seed": 7}, {"seed": 3, "warm_seed": 7})
    )
    assert weights(one) == weights(other)


@pytest.mark.parametrize("given", [{"warm_seed": 0}, {"warm_steps": 5}])
def test_a_model_of_ones_own_has_no_warm_start(given):
    with pytest.raises(UsageError, match="--warm-seed and --warm-steps"):
        make_config({"model": "m", "data": "d.jsonl", "reward": ("exact",), **given})
    with pytest.raises(UsageError, match="--warm-seed and --warm-steps"):
        make_config({"task": "chain", "model": "m", **given})
