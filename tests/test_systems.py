"""Where grpo-prm does not run it says so at once, in the terminal and in Python."""

import sys

import pytest
from grpo_prm_cli import entry

import grpo_prm
from grpo_prm.systems import WINDOWS, refusal


@pytest.mark.parametrize(("platform", "sentence"), [("linux", None), ("darwin", None), ("win32", WINDOWS)])
def test_windows_is_refused_and_others_are_not(platform, sentence):
    assert refusal(platform) == sentence


def test_the_command_ends_at_once_with_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(entry, "_run", lambda: pytest.fail("nothing may begin"))
    with pytest.raises(SystemExit) as stop:
        entry.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {WINDOWS}\n"


def test_python_is_told_when_it_asks_for_something(monkeypatch):
    assert grpo_prm.analyze
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ImportError, match="does not run on Windows"):
        _ = grpo_prm.analyze
    assert grpo_prm.__version__
