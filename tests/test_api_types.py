"""The types of the public names reach a user: a checker finds wrong calls, and nothing is `Any`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import grpo_prm

ROOT = Path(__file__).parents[1]
TY = shutil.which("ty", path=str(Path(sys.executable).parent)) or shutil.which("ty")
SCRIPT = """
from typing import reveal_type
import grpo_prm

a = grpo_prm.analyze("rollouts.jsonl", grpo_prm.Options(std="none"))
reveal_type(a.groups)
reveal_type(a.tree("40:p0802"))
reveal_type(a.plot("overlap_over_training"))
reveal_type(grpo_prm.open(a.save("run.prm")))
reveal_type(grpo_prm.analyze([{"completion": "a", "reward": 1.0}]).summary)
reveal_type(next(grpo_prm.read_rollouts("rollouts.jsonl")).table)
grpo_prm.analyze(42)
grpo_prm.analyze("rollouts.jsonl", "none")
grpo_prm.Options(std="samples")
grpo_prm.analyse("rollouts.jsonl")
a.tre("40:p0802")
"""
REVEALED = {6: "DataFrame", 7: "Trees", 8: "Figure", 9: "Analysis", 10: "dict[str, Any]", 11: "DataFrame"}
WRONG = {12, 13, 14, 15, 16}  # lines


def checked(script, folder):
    """Line of the script to what ty says of it."""
    (folder / "script.py").write_text(script)
    command = [TY, "check", "script.py", "--python", sys.prefix, "--extra-search-path", str(ROOT)]
    done = subprocess.run(
        [*command, "--output-format", "concise"], capture_output=True, text=True, check=False, cwd=folder
    )
    said = re.findall(r"^script\.py:(\d+):\d+: (error|warning|info)\[[\w-]+\] (.*)$", done.stdout, re.MULTILINE)
    assert said, done.stdout + done.stderr
    return {int(line): (level, text) for line, level, text in said}


@pytest.mark.skipif(TY is None, reason="needs ty")
def test_wrong_calls_are_found_and_types_are_known(tmp_path):
    said = checked(SCRIPT, tmp_path)
    assert {line for line, (level, _) in said.items() if level == "error"} == WRONG
    assert {line: text for line, (level, text) in said.items() if level == "info"} == {
        line: f"Revealed type: `{name}`" for line, name in REVEALED.items()
    }


@pytest.mark.skipif(TY is None, reason="needs ty")
def test_no_public_name_is_any(tmp_path):
    names = [name for name in grpo_prm.__all__ if name != "__version__"]
    said = checked("import grpo_prm\n" + "".join(f"reveal_type(grpo_prm.{name})\n" for name in names), tmp_path)
    revealed = {names[line - 2]: text for line, (level, text) in said.items() if level == "info"}
    assert set(revealed) == set(names)
    assert [name for name, text in revealed.items() if re.search(r"`(Any|Unknown)|-> (Any|Unknown)`", text)] == []
