"""Settings from flags, a file and a task, in that order; what is wrong is named."""

from __future__ import annotations

from dataclasses import fields

import pytest

from grpo_prm.errors import UsageError
from grpo_prm.train.config import NAMES, TrainConfig, make_config, to_yaml


def written(tmp_path, text):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return path


def test_flags_before_the_file_before_the_task(tmp_path):
    path = written(tmp_path, "task: abstain\nlambda: 0.5\nsteps: 7\nlearning-rate: 1e-4\n")
    config = make_config({"steps": 3, "seed": None}, path)
    assert (config.task, config.power, config.steps, config.learning_rate) == ("abstain", 0.5, 3, 1e-4)
    assert config.max_new_tokens == 39 and config.seed == 0  # of the task; a flag of None was not given
    assert make_config({}).power == 1.0 and make_config({}).max_new_tokens == 38


def test_a_file_comes_back(tmp_path):
    given = {"model": "m", "data": "d.jsonl", "reward": ("exact", "a:b*0.5"), "power": 0.25, "max_grad_norm": 1.0}
    config = make_config(given)
    assert config.task is None and config.reward == ("exact", "a:b*0.5")
    assert make_config({}, written(tmp_path, to_yaml(config))) == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lamda: 1", r"no setting called lamda. Did you mean lambda\?"),
        ("steps: many", "steps is 'many', but must be a whole number"),
        ("steps: true", "steps is True, but must be a whole number"),
        ("steps: 1.5", "steps is 1.5"),
        ("packing: dense", "must be one of auto, tree, padded"),
        ("match-scale: 1", "match_scale is 1, but must be true or false"),
        ("- a", "holds no settings"),
        ("a: [", "not YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, said):
    with pytest.raises(UsageError, match=said) as error:
        make_config({}, written(tmp_path, text))
    assert "run.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"power": -1.0}, "--lambda is -1.0, but must be 0 or more"),
        ({"power": float("nan")}, "--lambda is nan"),
        ({"group_size": 1}, "--group-size is 1, but must be at least 2"),
        ({"temperature": 0.0}, "--temperature is 0.0, but must be positive"),
        ({"top_p": 0.0}, "--top-p"),
        ({"match_scale": True, "match_norm": True}, "two controls"),
        ({"match_norm": True, "weights": "parent"}, "--weights parent has no place"),
        ({"task": "chian"}, r"Did you mean chain\?"),
        ({"model": "m"}, "needs --data, --reward too"),
        ({"data": "d"}, "has prompts and rewards of its own"),
    ],
)
def test_what_makes_no_sense_is_refused(flags, said):
    with pytest.raises(UsageError, match=said):
        make_config(flags)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"no\.yaml: cannot be read"):
        make_config({}, tmp_path / "no.yaml")


def test_every_setting_is_explained():
    doc = TrainConfig.__doc__
    assert all(f"        {field.name}: " in doc for field in fields(TrainConfig))
    assert NAMES["power"] == "lambda"
