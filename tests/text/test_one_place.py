"""Numbers for people get their format in one place, `text/amounts.py`: nobody else rounds, nor counts `1 rows`."""

import re
from pathlib import Path

import pytest

from grpo_prm.text.amounts import amount, first_of

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


WORDS = "row|completion|group|step|token|run|page|problem|prompt|pair|file|member|decision|state|seed|reason"
COUNTED = re.compile(rf"(?<!of )\{{[^{{}}]*:,\}} (?:[a-z-]+ )?(?:{WORDS})s\b")  # of 1 of 5 rows the five are named


@pytest.mark.parametrize("folder", FOLDERS)
def test_nobody_else_counts(folder):
    found = [
        f"{file.relative_to(ROOT)}:{number}: {line.strip()}"
        for file in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if COUNTED.search(line) and "== 1" not in line
    ]
    assert not found, f"use grpo_prm.text.amounts.amount: {found}"


def test_one_is_no_plural():
    assert [amount(n, "group") for n in (0, 1, 2000)] == ["0 groups", "1 group", "2,000 groups"]
    assert [amount(n, "row was", "rows were") for n in (0, 1, 2)] == ["0 rows were", "1 row was", "2 rows were"]
    assert COUNTED.search("{n:,} rows were") and COUNTED.search("{n:,} training steps")
    assert not COUNTED.search("{m} of {n:,} rows")


def test_of_many_the_first_are_named_and_how_many_more_there_are():
    assert [first_of(list("abcd")[:n], 2) for n in (0, 1, 2, 3, 4)] == [
        "",
        "a",
        "a, b",
        "a, b and 1 more",
        "a, b and 2 more",
    ]
    assert first_of(list("abcd"), 3, "run", "; ") == "a; b; c; and 1 more run"
