"""`grpo-prm train` as a process: help, lines in a pipe, a rehearsal, a model and rewards of the user's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grpo_prm.train.events import Event

SMALL = ["--task", "binary-tree", "--steps", "3", "--prompts", "2", "--eval-prompts", "8", "--threads", "1"]


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp("cache"))

    def call(*arguments, cwd=None):
        return subprocess.run(
            [str(Path(sys.executable).with_name("grpo-prm")), "train", *arguments],
            capture_output=True, text=True, cwd=cwd, timeout=120, check=False,
            env={**os.environ, "XDG_CACHE_HOME": cache, "COLUMNS": "100"},
        )  # fmt: skip

    return call


def test_help_names_every_setting_without_torch(command):
    done = command("--help")
    assert done.returncode == 0 and "--lambda" in done.stdout and "p of |λ|^-p" in done.stdout
    code = "import sys, grpo_prm_cli.train; print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_run_in_a_pipe(command, tmp_path):
    done = command(*SMALL, "--lambda", "0.5", "--out", "a.run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("held-out accuracy before: 0.") and lines[1].startswith("held-out accuracy after: ")
    assert lines[2:] == ["run folder: a.run", "next: grpo-prm analyze a.run/rollouts"]
    assert "step 3/3: reward" in done.stderr and "\x1b" not in done.stderr and "Loading" not in done.stderr
    assert "lambda: 0.5" in (tmp_path / "a.run" / "config.yaml").read_text()
    again = command("--config", "a.run/config.yaml", "--resume", cwd=tmp_path)
    assert again.returncode == 0 and again.stdout == done.stdout
    assert command(*SMALL, "--out", "a.run", cwd=tmp_path).returncode == 2


def test_a_rehearsal_writes_nothing(command, tmp_path):
    done = command(*SMALL, "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lambda: 1.0" in done.stdout and "memory, estimated:" in done.stdout and "step 0" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_wrong_settings_are_one_message(command, tmp_path):
    done = command("--lambda", "-1", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == "error: --lambda is -1.0, but must be 0 or more. Change it.\n"


def test_a_model_folder_with_prompts_and_a_reward_function(command, tmp_path):
    """What the docs promise: a saved model, JSON lines, a Python function."""
    from train_models import tiny

    model, tokenizer = tiny("qwen2")
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"prompt": f"{n} 5 6", "answer": str(n)} for n in range(7, 13)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.py").write_text(
        "def score(completion, answer):\n    return completion.split().count(answer) + len(completion) / 1000\n"
    )
    done = command(
        "--model", "model", "--data", "prompts.jsonl", "--eval-data", "prompts.jsonl", "--reward", "mine:score",
        "--steps", "2", "--prompts", "3", "--group-size", "4", "--max-new-tokens", "6", "--out", "mine.run", "--lora",
        "2", "--beta", "0.1", "--threads", "1", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first = json.loads((tmp_path / "mine.run" / "metrics.jsonl").read_text().splitlines()[1])
    assert first["reward/score"] == first["reward"] > 0 and first["kl"] == pytest.approx(0, abs=1e-5)
    assert (tmp_path / "mine.run" / "checkpoints" / "best" / "adapter_model.safetensors").exists()


def test_the_view_of_a_terminal():
    from grpo_prm_cli.live import _View, sparkline
    from rich.console import Console

    view = _View()
    view.tell(Event("warm", 3, 10))
    view.tell(Event("start", 0, 4))
    for step in range(1, 4):
        view.tell(Event("step", step, 4, {"reward": step / 4, "kl": None, "skipped": 1, "tokens_per_second": 12345.6}))
    view.tell(Event("eval", 3, 4, {"accuracy": 0.5, "low": 0.4, "high": 0.6}))
    console = Console(width=100, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    with console.file:
        console.print(view.render())
    shown = console.export_text()
    assert "reward" in shown and "0.750" in shown and "▁▄█" in shown and "12,346" in shown
    assert "0.500 after 3" in shown and "3/4" in shown and "KL" not in shown and "skipped steps" in shown
    assert sparkline([1.0, 1.0]) == "▁▁" and len(sparkline([float(n) for n in range(99)])) == 32
