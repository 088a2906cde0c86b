"""What a reproduction leaves: claims.json, machine.json, figures with their data, the LaTeX table and the page."""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from ..figures import save_figure
from ..files import atomic
from ..machine import cores
from .claims import Claim
from .page import latex_table, page
from .run import CLAIMS, Options, Outcome

UNDECIDED = ("edge", "one rate", "ceiling")  # notes with which a comparison decides nothing
# Their versions can change a number, so the page says them.
LIBRARIES = ("numpy", "scipy", "polars", "torch", "transformers")


def write_results(outcomes: Sequence[Outcome], options: Options) -> None:
    """Write all results so far; each file whole or not at all.

    claims.json depends on the options and the seed alone, up to rounding that differs between machines; what depends
    on the moment is in machine.json and on the page.
    """
    out = options.out
    claims = _read(out / "claims.json").get("claims", {}) | {
        outcome.claim.name: _claim(outcome) for outcome in outcomes
    }
    # With --resume the claims of earlier calls stay; the order is that of the page, not that of the calls.
    ordered = {name: claims[name] for name in CLAIMS if name in claims}
    _write(out / "claims.json", _json({"schema_version": 1, **options.settings, "claims": ordered}))
    # The last outcome is the new one: times of those before it are written already.
    before = _read(out / "machine.json").get("claims", {})
    machine = before | {o.claim.name: _moment(o, before.get(o.claim.name)) for o in outcomes[-1:]}
    whole = {"date": datetime.now(UTC).strftime("%Y-%m-%d"), "workers": options.workers, **_machine()}
    _write(out / "machine.json", _json(whole | {"claims": machine}))
    outcome = outcomes[-1]
    for name, draw in outcome.claim.figures.items():
        if (table := outcome.evidence.tables.get(name)) is not None and len(table):
            save_figure(draw(table), table, out / "figures", name)
    _write(out / "claims.tex", latex_table(ordered))
    _write(out / "results.md", page(ordered, options.settings, whole | {"claims": machine}, len(CLAIMS)))


def _claim(outcome: Outcome) -> dict[str, Any]:
    claim, evidence, verdict = outcome.claim, outcome.evidence, outcome.verdict
    return {
        "says": claim.says,
        "paper": claim.paper,
        "rule": claim.rule,
        "rule_sha256": _hash_of(claim),
        "verdict": verdict.word,
        "why": verdict.why,
        "parts": dict(verdict.parts),
        "plan": {name: str(v) if isinstance(v, Path) else v for name, v in outcome.plan._asdict().items()},
        "notes": list(evidence.notes),
        "intervals": {
            "judged": sum(f.p is not None and f.note not in UNDECIDED for f in evidence.findings),
            "undecided": sum(f.p is not None and f.note in UNDECIDED for f in evidence.findings),
            "shown": sum(f.low is not None and f.low != f.high for f in evidence.findings),
        },
        "figures": {name: claim.captions[name] for name in claim.figures if len(evidence.tables.get(name, ()))},
        "overview": _overview(evidence.overview),
        "findings": [finding._asdict() for finding in evidence.findings],
    }


def _overview(table: pl.DataFrame | None) -> dict[str, Any] | None:
    """Columns and rows of the table that the page shows first."""
    return None if table is None else {"columns": table.columns, "rows": table.rows()}


def _hash_of(claim: Claim) -> str:
    """Of the source of the file that holds rule and runs, so that a change of a rule shows."""
    return hashlib.sha256(inspect.getsource(import_module(claim.run.__module__)).encode()).hexdigest()[:16]


def _moment(outcome: Outcome, before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Seconds of this call and of those that it goes on from, and what was timed."""
    # A claim that was interrupted is not in machine.json, so its first seconds are lost; one that is run again adds up.
    earlier = before["seconds"] if before else 0.0
    return {"seconds": round(earlier + outcome.seconds, 1), **outcome.evidence.timings}


def _machine() -> dict[str, Any]:
    """What the runs ran on."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "none"
    whole = int(ours) if (ours := cores()) >= 1 else ours  # half a core is half a core
    return {"system": platform.system(), "machine": platform.machine(), "cores": whole, "versions": versions}


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _write(path: Path, text: str) -> None:
    with atomic(path) as staged:
        staged.write_text(text, encoding="utf-8")
