"""The error boundary of the command line."""

import pytest
from grpo_prm_cli import main as cli


def test_a_missing_extra_says_the_one_line_that_installs_it(monkeypatch, capsys):
    def command():
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert capsys.readouterr().err == (
        "error: this command needs torch. Install it: pip install 'grpo-prm[train]' (in a checkout:"
        " pip install '.[train]')\n"
    )


def test_any_other_missing_module_is_a_bug_of_ours(monkeypatch):
    def command():
        raise ModuleNotFoundError("No module named 'numpyy'", name="numpyy")

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_what_the_system_refuses_is_said_without_a_traceback(monkeypatch, capsys):
    def command():
        raise PermissionError(13, "Permission denied", "runs/log\x1b.jsonl")

    monkeypatch.setattr(cli, "app", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 3
    assert capsys.readouterr().err == (
        "error: runs/log\\x1b.jsonl: Permission denied. Check the file and the disk, then try again.\n"
    )
