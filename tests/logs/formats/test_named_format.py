"""`--format NAME` on a log that is in another format: a true sentence or a note, and never other groups unsaid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grpo_prm.errors import GrpoPrmError, UsageError
from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.formats.registry import formats
from grpo_prm.logs.rollouts import Rollouts

ROWS = [
    {"step": step, "prompt": prompt, "completion": f"text {sample}", "reward": float(sample)}
    for step in (1, 2)
    for prompt in "ab"
    for sample in (0, 1)
]


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return log


@pytest.mark.parametrize("name", [name for name in formats() if name != "generic"])
def test_a_plain_log_under_another_name(plain: Path, name: str) -> None:
    try:
        found = collect([plain], ReadOptions(format=name))
    except GrpoPrmError as error:
        said = str(error)
    else:
        _same(found, name)
        return
    assert str(plain) in said
    assert "one completion a step" not in said  # which is true of a log of OpenRLHF only


def _same(found: Rollouts, name: str) -> None:
    assert sorted(zip(found.table["step"], found.table["reward"], strict=True)) == sorted(
        (row["step"], row["reward"]) for row in ROWS
    )
    assert found.table["group"].n_unique() == 4
    assert any(f"not those of {name}" in note for note in found.notes)


def test_the_sentence_says_what_the_log_looks_like(plain: Path) -> None:
    with pytest.raises(UsageError, match=r"--format openrlhf, but .* Leave --format out: they look like rows"):
        collect([plain], ReadOptions(format="openrlhf"))
