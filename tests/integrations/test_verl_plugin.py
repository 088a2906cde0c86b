"""The plugin that verl loads, on a stand-in for verl: it waits for the trainers, and no fault of ours stops them."""

import importlib
import sys

import pytest

from grpo_prm.integrations import verl as plugin


@pytest.fixture
def standin(tmp_path, monkeypatch):
    """A package with the module that the plugin waits for, under another name."""
    folder = tmp_path / "standin" / "trainers"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("")
    (folder / "__init__.py").write_text("registry = ['sync']\n")
    (folder / "other.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugin, "TRAINERS", "standin.trainers")
    monkeypatch.setattr(sys, "meta_path", [one for one in sys.meta_path if not isinstance(one, plugin.AfterTrainers)])
    yield "standin.trainers"
    for name in [name for name in sys.modules if name.partition(".")[0] == "standin"]:
        del sys.modules[name]


def note(monkeypatch, calls):
    monkeypatch.setattr(plugin, "import_module", calls.append)


def waiting():
    return [one for one in sys.meta_path if isinstance(one, plugin.AfterTrainers)]


def test_it_waits_for_the_trainers_and_registers_behind_them(standin, monkeypatch):
    calls = []
    note(monkeypatch, calls)
    plugin.register()
    plugin.register()
    assert calls == [] and len(waiting()) == 1
    import json.tool  # noqa: F401 - any other module

    assert calls == []
    module = importlib.import_module("standin.trainers.other")
    assert module.__name__ == "standin.trainers.other" and sys.modules[standin].registry == ["sync"]
    assert calls == ["grpo_prm.integrations.verl_trainer"] and waiting() == []


def test_it_registers_at_once_where_they_are_imported_already(standin, monkeypatch):
    importlib.import_module(standin)
    calls = []
    note(monkeypatch, calls)
    plugin.register()
    assert calls == ["grpo_prm.integrations.verl_trainer"] and waiting() == []


def test_a_fault_of_ours_is_said_and_verl_goes_on(standin, monkeypatch, caplog):
    def broken(name):
        raise ImportError("cannot import name 'register_trainer'")

    monkeypatch.setattr(plugin, "import_module", broken)
    plugin.register()
    assert importlib.import_module(standin).registry == ["sync"]
    assert "lambda_sync is not registered with verl: cannot import name 'register_trainer'" in caplog.text
    assert "grpo-prm doctor verl" in caplog.text


def test_without_verl_nothing_happens(standin, monkeypatch):
    monkeypatch.setattr(plugin, "TRAINERS", "standin.absent")
    plugin.register()
    with pytest.raises(ModuleNotFoundError, match=r"standin\.absent"):
        importlib.import_module("standin.absent")
    assert waiting() == []
