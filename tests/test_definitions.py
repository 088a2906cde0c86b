"""What docstrings name as (definitions: TERM) stands in docs/definitions.md, as a heading or in bold."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
TERMS = [term.lower() for term in (*re.findall(r"^## (.+)$", PAGE, re.MULTILINE), *re.findall(r"\*\*(.+?)\*\*", PAGE))]
SOURCES = sorted(p for folder in ("grpo_prm", "cli", "tests", "benchmarks") for p in (ROOT / folder).rglob("*.py"))


def named(text):
    """Terms after `definitions:`, up to the closing bracket; a line may break inside."""
    for part in re.findall(r"\(definitions: ([^)]+)\)", text):
        yield from (" ".join(term.split()) for term in part.split(";"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_term_that_is_named_is_defined(path):
    if path == Path(__file__):
        return
    text = path.read_text(encoding="utf-8")
    assert [term for term in named(text) if not any(term.lower() in known for known in TERMS)] == []
    assert not re.search(r"\b(SPEC|DESIGN)\b", text), "a page that is not part of this project"


def test_some_terms_are_named_and_an_unknown_one_is_noticed():
    assert sum(len(list(named(path.read_text(encoding="utf-8")))) for path in SOURCES) > 20
    assert not any("no such term" in known for known in TERMS) and any("tolerance" in known for known in TERMS)
