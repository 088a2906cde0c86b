"""The paper's Table 1, and ours beside it: target share early and late, and how many seeds found the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ..core.interval import wilson
from .binary_tree_runs import SETTINGS
from .claims import Finding, pick
from .methods import NAMES
from .paired import difference, mean_finding

FOUND = 0.5  # share above which a run has the target: runs end near 0 or near 1
COMPARED = ("p = 0", "p = 1")  # the methods of the paper
# arXiv 2509.21154, Table 1: target share over the last 50 of 250 steps, GPT-2 small, 5 seeds; GRPO and λ-GRPO.
TABLE_1 = dict(
    zip(
        SETTINGS,
        ((0.3995, 0.5663), (0.0, 0.7535), (0.2, 0.4463), (0.198, 0.4292), (0.0488, 0.3612), (0.0, 0.382)),
        strict=True,
    )
)
PAPER_PANEL = "the paper, Table 1"


def shares_of_seeds(part: str, setting: str, fresh: Mapping[str, pl.DataFrame]) -> list[Finding]:
    """Of every method: late and early share, and the seeds that found the target late, or had it early and lost it.

    Args:
        part: Policy and optimizer.
        setting: n and r_neg.
        fresh: Method to its runs in the order of their seeds: `target` (late) and `early`.
    """
    late = {name: runs["target"].to_numpy() for name, runs in fresh.items()}
    early = {name: runs["early"].to_numpy() for name, runs in fresh.items()}
    findings = [mean_finding(part, setting, name, target) for name, target in late.items()]
    findings += [mean_finding(part, setting, f"early, {name}", target) for name, target in early.items()]
    for name in fresh:
        has, had = late[name] > FOUND, early[name] > FOUND
        findings.append(_of_seeds(part, setting, f"seeds that find it, {name}", int(has.sum()), len(has)))
        findings.append(_of_seeds(part, setting, f"seeds that lose it, {name}", int((had & ~has).sum()), len(has)))
    findings += [
        difference(part, setting, f"late - early, {name}", late[name], early[name], judged=False) for name in COMPARED
    ]
    return findings


def _of_seeds(part: str, setting: str, what: str, number: int, seeds: int) -> Finding:
    """A share of the seeds with Wilson's interval."""
    low, high = wilson(number, seeds)
    return Finding(part, setting, what, number / seeds, float(low), float(high), seeds)


def beside_paper(findings: Sequence[Finding]) -> pl.DataFrame:
    """Table 1 beside ours: a row for each policy and setting, early and late shares, and counts of seeds."""
    names = {f"n = {n}, r_neg = {bad:g}": cells for (n, bad), cells in TABLE_1.items()}
    places = dict.fromkeys((f.part, f.setting) for f in findings if f.what in COMPARED)
    return pl.DataFrame([_row(findings, part, setting, names[setting]) for part, setting in places])


def _row(findings: Sequence[Finding], part: str, setting: str, cells: tuple[float, float]) -> dict[str, str]:
    row = {"policy": part, "setting": setting}
    for name, short, cell in zip(COMPARED, ("GRPO", "p = 1"), cells, strict=True):
        late, early, found, lost = (
            pick(findings, what, part=part, setting=setting)[0]
            for what in (name, f"early, {name}", f"seeds that find it, {name}", f"seeds that lose it, {name}")
        )
        row[f"paper, {short}"] = f"{cell:.4f}"
        row[f"{short}: early, late"] = f"{_share(early)}, {_share(late)}"
        row[f"{short}: found, lost"] = f"{count(found)}, {count(lost)} of {found.n}"
    return row


def _share(finding: Finding) -> str:
    return "-" if finding.mean is None else f"{finding.mean:.3f}"


def count(finding: Finding) -> int:
    """How many seeds a share of the seeds is."""
    return round((finding.mean or 0.0) * finding.n)


def shares_table(findings: Sequence[Finding]) -> pl.DataFrame:
    """What `interval_rows` draws: every method's late share, and the paper's cells as the last panel."""
    rows = [(f.part, f.setting, f.what, f.mean, f.low, f.high) for f in findings if f.what in NAMES]
    rows += [
        (PAPER_PANEL, f"n = {n}, r_neg = {bad:g}", name, cell, None, None)
        for (n, bad), cells in TABLE_1.items()
        for name, cell in zip(COMPARED, cells, strict=True)
    ]
    return pl.DataFrame(rows, schema=["panel", "row", "method", "mean", "low", "high"], orient="row")
