"""`grpo-prm train` with real runs: help, lines in a pipe, a rehearsal, a model and rewards of the user's.

A process takes seconds to load its libraries, so only what needs one of its own gets one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from grpo_prm_cli import main as cli

SMALL = ["--task", "binary-tree", "--steps", "3", "--prompts", "2", "--eval-prompts", "8", "--threads", "1"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def process(cache, tmp_path):
    """Runs the command in an empty folder as a process of its own."""

    def call(*arguments):
        return subprocess.run(
            [str(Path(sys.executable).with_name("grpo-prm")), "train", *arguments],
            capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False,
            env={**os.environ, "XDG_CACHE_HOME": cache, "COLUMNS": "100"},
        )  # fmt: skip

    return call


@pytest.fixture
def command(cache, tmp_path, monkeypatch, capfd):
    """Runs the command in an empty folder inside this process; gives what a process would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    threads, path = torch.get_num_threads(), list(sys.path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["grpo-prm", "train", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, stop.value.code, out, err)

    yield call
    torch.set_num_threads(threads)
    sys.path[:] = path


def test_help_names_every_setting_without_torch(process):
    done = process("--help")
    assert done.returncode == 0 and "--lambda" in done.stdout and "p of |λ|^-p" in done.stdout
    code = "import sys, grpo_prm_cli.train; print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.slow
def test_a_run_in_a_pipe(process, command, tmp_path):
    done = process(*SMALL, "--lambda", "0.5", "--out", "a.run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert re.match(r"held-out accuracy: (0|0\.\d+|1) \[", lines[0])
    assert lines[0].endswith("of 8 prompts after training; the majority answer gets 1")  # it has one prompt
    assert lines[1].startswith("run folder: a.run (") and "curves in figures/" in lines[1]
    assert lines[2:] == ["next: grpo-prm analyze a.run"]
    assert "step 3/3: reward" in done.stderr and "\x1b" not in done.stderr and "Loading" not in done.stderr
    assert "lambda: 0.5" in (tmp_path / "a.run" / "config.yaml").read_text()
    again = command("--config", "a.run/config.yaml", "--resume")
    assert again.returncode == 0 and again.stdout == done.stdout
    assert command(*SMALL, "--out", "a.run").returncode == 2


@pytest.mark.slow
def test_a_rehearsal_writes_nothing(command, tmp_path):
    done = command(*SMALL, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "lambda: 1.0" in done.stdout and "estimated by trials, at most: " in done.stdout and "step 0" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_one_message(command):
    done = command("--lambda", "-1")
    assert done.returncode == 2 and done.stderr == "error: --lambda is -1.0, but must be 0 or more. Change it.\n"


@pytest.mark.slow
def test_a_model_folder_with_prompts_and_a_reward_function(command, tmp_path):
    """What the docs promise: a saved model, JSON lines, a Python function."""
    from train_models import tiny

    model, tokenizer = tiny("qwen2")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"prompt": f"{n} 5 6", "answer": str(n)} for n in range(7, 13)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "my_score.py").write_text(
        "def score(completion, answer):\n    return completion.split().count(answer) + len(completion) / 1000\n"
    )
    done = command(
        "--model", "model", "--data", "prompts.jsonl", "--eval-data", "prompts.jsonl", "--reward", "my_score:score",
        "--steps", "2", "--prompts", "3", "--group-size", "4", "--max-new-tokens", "6", "--out", "mine.run", "--lora",
        "2", "--beta", "0.1", "--threads", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "mine.run" / "metrics.jsonl").read_text().splitlines()[1])
    assert first["reward/score"] == first["reward"] > 0 and first["kl"] == pytest.approx(0, abs=1e-5)
    assert (tmp_path / "mine.run" / "checkpoints" / "best" / "adapter_model.safetensors").exists()
    assert "note: The tokenizer changes the first prompt '7 5 6': the model reads '756'." in done.stderr
    (tmp_path / "my_fault.py").write_text("def score(completion, answer):\n    return {}[answer]\n")
    again = ("--prompts", "2", "--group-size", "2", "--max-new-tokens", "3", "--out", "none.run")
    data = ("--model", "model", "--data", "prompts.jsonl", "--eval-data", "prompts.jsonl")
    done = command(*data, "--reward", "my_fault:score", *again)
    assert done.returncode == 2 and "The reward failed for all 4 completions of the first step." in done.stderr
    assert "KeyError: '7'" in done.stderr and "return {}[answer]" in done.stderr and "rewards.py" not in done.stderr
    done = command(*data, "--reward", "my_fault:score", *again, "--dry-run")
    assert done.returncode == 0 and "the reward failed for every completion" in done.stdout
    assert "raised KeyError" in done.stderr
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "7 8", "answer": "7"}\n')
    done = command(*data, "--reward", "exact", *again, "--dry-run")
    assert "first prompt as the model reads it, 2 tokens: '78'" in done.stdout
