"""Commands that are ended at a random moment: what was there before, what they make, how they go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

Words = tuple[str, ...]
Content = Mapping[str, str]  # each file to a sum of its bytes, or of what in it must be equal
TIMES = ("seconds", "per_second", "time", "memory")  # in names of metrics that no two runs have in common


class Case(NamedTuple):
    """One command.

    Attributes:
        work: What is ended, in a folder with `log.jsonl`, and `half.jsonl` of its first rows.
        before: Commands that make what lies there when it starts, the output of an earlier one too.
        out: Its output.
        content: What of an output must be as an uninterrupted run leaves it.
        go_on: What ends the work after a kill; None: the same command.
        replaces: The output is the old one or the new one, never in between.
    """

    work: Words
    before: tuple[Words, ...]
    out: str
    content: Callable[[Path], Content]
    go_on: Callable[[Path], Words] | None = None
    replaces: bool = True


def every_file(out: Path) -> Content:
    """Of a file its sum, of a folder those of all files below."""
    files = [path for path in sorted(out.rglob("*")) if path.is_file()] if out.is_dir() else [out] * out.exists()
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def run_of_training(out: Path) -> Content:
    """Weights, rollouts, and metrics without times."""
    if not out.is_dir():
        return {}
    kept = {name: sum_ for name, sum_ in every_file(out).items() if name.startswith(("model/", "rollouts/"))}
    metrics = out / "metrics.jsonl"
    rows = map(json.loads, metrics.read_text().splitlines()) if metrics.exists() else []
    plain = [{key: value for key, value in row.items() if not any(word in key for word in TIMES)} for row in rows]
    return kept | {"metrics.jsonl": json.dumps(plain)}


def claims(out: Path) -> Content:
    """Verdicts and the tables of the figures."""
    names = ("claims.json", "claims.tex")
    return {name: sum_ for name, sum_ in every_file(out).items() if name in names or name.endswith(".csv")}


def _resume(work: Words, begun: str, out: Path) -> Words:
    return (*work, "--resume") if (out / begun).exists() else work


_ANALYZE = ("analyze", "log.jsonl", "--out")
_REPORT = ("report", "log.prm", "--out", "out.html")
_EXPORT = ("export", "log.jsonl", "--to", "spans", "--out", "out.jsonl")
_CONVERT = ("convert", "log.jsonl", "out.parquet")
_TRAIN = (
    *("train", "--steps", "4", "--warm-steps", "20", "--save-every", "1", "--prompts", "2"),
    *("--eval-prompts", "4", "--threads", "1", "--out", "out.run"),
)
_REPRODUCE = ("reproduce", "defect", "--workers", "2", "--out", "out.claims")
_LOG = (*_ANALYZE, "log.prm", "--no-figures")
CASES = {
    "analyze": Case((*_ANALYZE, "out.prm"), ((*_ANALYZE, "out.prm", "--seed", "1"),), "out.prm", every_file),
    "report": Case(_REPORT, ((*_LOG, "--seed", "1"), _REPORT, _LOG), "out.html", every_file),
    "export": Case(_EXPORT, ((*_EXPORT, "--labels", "sign"),), "out.jsonl", every_file),
    "convert": Case(_CONVERT, (("convert", "half.jsonl", "out.parquet"),), "out.parquet", every_file),
    "train": Case(_TRAIN, (), "out.run", run_of_training, partial(_resume, _TRAIN, "config.yaml"), replaces=False),
    "reproduce": Case(_REPRODUCE, (), "out.claims", claims, partial(_resume, _REPRODUCE, "runs"), replaces=False),
}
