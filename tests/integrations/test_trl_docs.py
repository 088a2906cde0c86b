"""What docs/trainers/trl.md and the example show runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset
from integrations.trl_toy import length_reward, saved_model
from peft import LoraConfig

import grpo_prm

trl = pytest.importorskip("trl")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


def test_the_code_of_the_page_trains_and_watches(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/trainers/trl.md").read_text(encoding="utf-8"), re.DOTALL)
    model, data = saved_model(tmp_path / "model"), Dataset.from_list([{"prompt": f"{n} 4"} for n in range(3, 11)])
    # the page leaves the machine and the length of a run to TRL's settings
    monkeypatch.setattr(trl.GRPOConfig, "__post_init__", short(trl.GRPOConfig.__post_init__))
    names = {"model": model, "reward": length_reward, "data": data, "lora": LoraConfig(target_modules="all-linear")}
    names |= {"GRPOTrainer": trl.GRPOTrainer}
    for number, (code, method) in enumerate(zip(blocks, ("λ-GRPO, p = 1", "GRPO"), strict=True)):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        exec(code, names)  # noqa: S102 - our own text
        assert "path_depth" in grpo_prm.analyze("run/rollouts").training["statistic"].to_list()
        assert Path("run/method.txt").read_text(encoding="utf-8") == f"{method}\n"


def short(post_init):
    def shorter(args):
        args.use_cpu, args.bf16, args.max_steps, args.max_completion_length = True, False, 1, 8
        post_init(args)

    return shorter


def test_the_example_trains_and_leaves_what_analyze_reads(tmp_path):
    known = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "examples/trl_lambda_grpo.py")]
    done = subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert grpo_prm.analyze(tmp_path / "lambda-run/rollouts").training["step"].unique().to_list() == list(range(1, 11))
