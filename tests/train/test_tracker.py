"""Trackers get the numbers of each step, without those that are not there; a missing package is said."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from grpo_prm.errors import UsageError
from grpo_prm.train.config import make_config
from grpo_prm.train.tracker import open_tracker


def package(name, **content):
    module = ModuleType(name)
    module.__dict__.update(content)
    return module


def test_none_does_nothing(tmp_path):
    tracker = open_tracker(make_config(), tmp_path)
    tracker.log(0, {"reward": 1.0})
    tracker.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_numbers_go_to_the_package(monkeypatch, tmp_path, name):
    said = []
    fake = package(
        name,
        init=lambda **more: said.append(("init", more["project"], more["name"], more["config"]["power"])),
        log=lambda numbers, step: said.append((step, numbers)),
        finish=lambda: said.append("finish"),
    )
    monkeypatch.setitem(sys.modules, name, fake)
    tracker = open_tracker(make_config({"tracker": name, "power": 0.5}), tmp_path / "a.run")
    tracker.log(3, {"reward": 0.0, "kl": None})
    tracker.close()
    assert said == [("init", "grpo-prm", "a.run", 0.5), (3, {"reward": 0.0}), "finish"]


def test_tensorboard(monkeypatch, tmp_path):
    said = []
    writer = SimpleNamespace(add_scalar=lambda *numbers: said.append(numbers), close=lambda: said.append("close"))

    def open_writer(folder):
        said.append(folder)
        return writer

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", package("t", SummaryWriter=open_writer))
    tracker = open_tracker(make_config({"tracker": "tensorboard"}), tmp_path)
    tracker.log(3, {"reward": 0.25, "kl": None})
    tracker.close()
    assert said == [str(tmp_path / "tensorboard"), ("reward", 0.25, 3), "close"]


@pytest.mark.parametrize("name", ["trackio", "wandb", "tensorboard"])
def test_a_missing_package_is_said_with_the_line_that_installs_it(monkeypatch, tmp_path, name):
    monkeypatch.setitem(sys.modules, {"tensorboard": "torch.utils.tensorboard"}.get(name, name), None)
    with pytest.raises(UsageError, match=f"--tracker {name} needs .* Run pip install {name}\\."):
        open_tracker(make_config({"tracker": name}), tmp_path)


def test_a_package_that_lacks_one_itself_is_named(monkeypatch, tmp_path):
    (tmp_path / "wandb.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    with pytest.raises(UsageError, match="a_package_that_is_not_there"):
        open_tracker(make_config({"tracker": "wandb"}), tmp_path)
