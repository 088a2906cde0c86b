"""The page of results in Markdown, and the table for a paper, from what claims.json and machine.json hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..text.latex import tex
from .claims import REPRODUCED

TEMPLATES = Path(__file__).parent / "templates"


def page(claims: Mapping[str, Any], settings: Mapping[str, Any], machine: Mapping[str, Any], known: int) -> str:
    """The page, from what claims.json and machine.json hold.

    Args:
        claims: Name to what claims.json has of a claim.
        settings: Version, budget and seed.
        machine: What machine.json has.
        known: How many claims there are, run or not.
    """
    template = _environment().get_template("results.md")
    open_ones = {name: claim for name, claim in claims.items() if claim["verdict"] != REPRODUCED}
    seconds = sum(machine["claims"].get(name, {}).get("seconds", 0.0) for name in claims)
    return template.render(
        claims=claims, settings=settings, machine=machine, known=known, unconfirmed=open_ones, minutes=seconds / 60
    )


def latex_table(claims: Mapping[str, Any]) -> str:
    """A booktabs table of the verdicts, with the parts of a claim below it."""
    return _environment().get_template("claims.tex").render(claims=claims)


def number(value: float | None) -> str:
    """Four decimals where they say something, fewer of large numbers, else a power of ten."""
    if value is None:
        return "-"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        places = 4 if abs(value) < 2 else 2 if abs(value) < 100 else 1
        return f"{value:.{places}f}".rstrip("0").rstrip(".")
    return f"{value:.2e}"


def interval(finding: Mapping[str, Any]) -> str:
    """`0.123 [0.1, 0.2]`, without an interval where there is none or none is needed."""
    if finding["low"] is None or finding["low"] == finding["high"]:
        return number(finding["mean"])
    return f"{number(finding['mean'])} [{number(finding['low'])}, {number(finding['high'])}]"


def where(finding: Mapping[str, Any]) -> str:
    """Part and setting of a finding."""
    return ", ".join(name for name in (finding["part"], finding["setting"]) if name)


def _environment() -> Environment:
    # A name that a template has and the results have not is an error, not an empty cell.
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True, autoescape=False,  # noqa: S701 - Markdown and LaTeX of our own numbers
    )  # fmt: skip
    environment.filters |= {
        "interval": interval,
        "number": number,
        "p_value": lambda p: "< 1e-99" if p < 1e-99 else number(p),
        "where": where,
        "tex": tex,
        "cell": lambda text: str(text).replace("|", "\\|"),
    }
    return environment
