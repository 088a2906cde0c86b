"""Numbers for people get their format in one place, `text/amounts.py`: nobody else rounds to so many figures."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("cli", *(f"grpo_prm/{name}" for name in ("text", "figures", "tree", "compare", "report", "export", "api")))
ROUNDED = re.compile(r":[+,]?\.\d*[gfe%]\}|:[+]?,?\.?0?%\}")  # `:.3g}`, `:+.2f}`, `:.0%}`; whole numbers stay


@pytest.mark.parametrize("folder", FOLDERS)
def test_nobody_else_rounds(folder):
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        if file.name != "amounts.py"
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if any(not match.startswith((":,.0f", ":.0f")) for match in ROUNDED.findall(line))
    ]
    assert not found, f"use grpo_prm.text.amounts: {found}"


def test_the_rule_sees_what_it_should():
    seen = ("{x:.3g}", "{x:+.2f}", "{x:.0%}", "{x:.1f}", "{x:,.2f}", "{x:%}")
    assert all(ROUNDED.search(text) for text in seen)
    assert not any(ROUNDED.search(text) for text in ("{x:,}", "{x:g}", "{x:>8}"))
