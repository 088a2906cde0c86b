"""Results as Markdown: one table a question, under each what it was measured with."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version


def table(title: str, note: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table.

    Args:
        title: The question.
        note: How it was measured, one paragraph.
        head: Names of the columns.
        rows: One cell per column each.
    """
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"## {title}\n\n{note}\n\n{body}\n\n{measured_with()}\n"


def measured_with() -> str:
    """Versions and cores, one line."""
    packages = [f"{name} {_version(name)}" for name in ("grpo-prm", "polars", "numpy", "torch")]
    return f"Python {platform.python_version()}, {', '.join(packages)}; {os.cpu_count()} cores, {platform.machine()}."


def at_most(value: float, target: float) -> str:
    """Say whether a target that bounds from above was met."""
    return f"<= {target:g}: {'met' if value <= target else 'MISSED'}"


def at_least(value: float, target: float) -> str:
    """Say whether a target that bounds from below was met."""
    return f">= {target:g}: {'met' if value >= target else 'MISSED'}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"
