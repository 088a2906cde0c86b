"""The paper's Table 2, analysed again from its cells: which of the gains on OpenRS one run each can show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from .claims import NOT_REPRODUCED, PARTLY, REPRODUCED, Claim, Evidence, Finding, Verdict, pick
from .jobs import RunJobs
from .openrs_cells import Cell, cells
from .proportions import Pair, difference_interval, exact_p, sign_test

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAIN, OVER_BASE, BASE_OVER = "λ-GRPO - GRPO", "λ-GRPO - base", "base - GRPO"
ALL = "the five, mean"  # the number that the paper compares
SIGNS, CELLS = "p of the sign test", "cells"


class Plan(NamedTuple):
    """The table is given, so a larger budget has nothing more to run."""


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Compare the cells; nothing is drawn at random and nothing is run."""
    del plan, seed, run_jobs
    table = cells()
    findings = [*signs(table), *(finding for cell in table for finding in of_cell(cell)), *means(table)]
    notes = [
        "No model was run: the cells are the paper's (arXiv 2509.21154, Table 2), turned back into counts of right "
        "answers. openrs-training is the experiment itself.",
        "The two models of a cell are taken as independent draws of n answers: intervals of a difference are "
        "Newcombe's, p-values Fisher's. They answer the same problems, which the table does not let us use.",
        "Each cell is one training run. No interval here holds how much a second run of the same method would differ, "
        "and the sign test takes the cells as independent, though five of them share a run.",
        "The table was known when the rule was written.",
    ]
    return Evidence(findings, {"openrs_cells": drawn(findings)}, notes, overview=overview(table))


def signs(table: Sequence[Cell]) -> list[Finding]:
    """How many cells are up, down and equal, and the p-value of the exact sign test over those that differ."""
    gains = [cell.ours - cell.grpo for cell in table]
    up, down = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    findings = [
        Finding("", CELLS, what, float(number), n=len(table))
        for what, number in (("up", up), ("down", down), ("equal", len(table) - up - down))
    ]
    # Not a p-value that Holm adjusts: it is of all cells at once, not one more of them.
    return [*findings, Finding("", CELLS, SIGNS, sign_test(up, down), n=up + down)]


def of_cell(cell: Cell) -> list[Finding]:
    """λ-GRPO against GRPO, which the rule reads, and both against the base model."""
    gain, over_base, base_over = _pairs(cell)
    return [
        _difference(cell.run, cell.benchmark, GAIN, [gain])._replace(p=exact_p(gain)),
        _difference(cell.run, cell.benchmark, OVER_BASE, [over_base]),
        _difference(cell.run, cell.benchmark, BASE_OVER, [base_over]),
    ]


def means(table: Sequence[Cell]) -> list[Finding]:
    """The same differences of the mean of the five benchmarks, for each base model and β."""
    findings = []
    for run_name in dict.fromkeys(cell.run for cell in table):
        gain, over_base, base_over = zip(*(_pairs(cell) for cell in table if cell.run == run_name), strict=True)
        findings += [
            _difference(run_name, ALL, what, pairs)
            for what, pairs in ((GAIN, gain), (OVER_BASE, over_base), (BASE_OVER, base_over))
        ]
    return findings


def _pairs(cell: Cell) -> tuple[Pair, Pair, Pair]:
    """Counts of GAIN, OVER_BASE and BASE_OVER."""
    return (cell.ours, cell.grpo, cell.n), (cell.ours, cell.base, cell.n), (cell.base, cell.grpo, cell.n)


def _difference(part: str, setting: str, what: str, pairs: Sequence[Pair]) -> Finding:
    mean, low, high = difference_interval(pairs)
    return Finding(part, setting, what, mean, low, high, sum(n for *_, n in pairs))


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    gains = [f for f in pick(findings, GAIN) if f.setting != ALL]
    above, below = [f for f in gains if f.above], [f for f in gains if f.below]
    signs_p = pick(findings, SIGNS)[0].mean or 0.0
    up, down, equal = (int(pick(findings, what, setting=CELLS)[0].mean or 0) for what in ("up", "down", "equal"))
    leaning = signs_p <= 0.05 and up > down
    if leaning and not below and 2 * len(above) > len(gains):
        word = REPRODUCED
    else:
        word = PARTLY if (leaning or above) and not below else NOT_REPRODUCED
    # Where GRPO fell below the model that it began with, a gain over it is not one over what was there.
    fell = [f for f in above if (pick(findings, BASE_OVER, part=f.part, setting=f.setting)[0].mean or 0.0) > 0]
    named = "".join(f"; {f.part}, {f.setting} {f.mean:+.3f} [{f.low:+.3f}, {f.high:+.3f}]" for f in above)
    base = f" (in {len(fell)} of these {len(above)} GRPO is below the base model)" if above else ""
    why = (
        f"{len(above)} of {len(gains)} differences are above 0 after Holm and {len(below)} below{named}{base}; "
        f"{up} cells up, {down} down, {equal} equal: sign test p = {signs_p:.3f}"
    )
    return Verdict(word, why)


def overview(table: Sequence[Cell]) -> pl.DataFrame:
    """The cells: right answers of the three models, and the gain with its interval."""
    rows = []
    for cell in table:
        mean, low, high = difference_interval([_pairs(cell)[0]])
        rows.append(
            {
                "model": cell.run,
                "benchmark": f"{cell.benchmark} ({cell.n})",
                "base": _accuracy(cell.base, cell.n),
                "GRPO": _accuracy(cell.grpo, cell.n),
                "λ-GRPO": _accuracy(cell.ours, cell.n),
                "λ-GRPO - GRPO": f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]",
            }
        )
    return pl.DataFrame(rows)


def _accuracy(right: int, n: int) -> str:
    return f"{right / n:.3f} ({right})"


def drawn(findings: Sequence[Finding]) -> pl.DataFrame:
    """What `interval_rows` draws: a panel for each base model and β."""
    # The interval of the base model would cover the one that is judged.
    rows = [
        (f.part, f.setting, f.what, f.mean, *((f.low, f.high) if f.what == GAIN else (None, None)))
        for f in findings
        if f.what in (GAIN, BASE_OVER)
    ]
    return pl.DataFrame(rows, schema=["panel", "row", "method", "mean", "low", "high"], orient="row")


def draw(table: pl.DataFrame) -> Figure:
    """Accuracy minus GRPO's: λ-GRPO with its interval, and the base model."""
    from .drawing import interval_rows

    return interval_rows(table, "accuracy minus that of GRPO", zero=True)


CLAIM = Claim(
    name="openrs",
    says="The paper's Table 2 shows that on OpenRS λ-GRPO reaches a higher accuracy than GRPO.",
    paper="Mean of five benchmarks, GRPO to λ-GRPO: Qwen-1.5B 0.4837 to 0.5576 (β = 0), 0.5394 to 0.5739 (β = 0.04); "
    "Llama-3.2-1B 0.0842 to 0.1001, 0.0996 to 0.0973; 15 of 20 cells up.",
    rule="The 20 differences are read, adjusted together by Holm, and an exact sign test over the cells that differ. "
    "reproduced if more than half of the differences are above 0, none is below and the sign test has p <= .05 with "
    "more cells up than down; partly if none is below and either the sign test says so or any difference is above 0; "
    "else not reproduced.",
    plans={"quick": Plan(), "standard": Plan(), "full": Plan()},
    cost=lambda _: 1.0,
    run=run,
    decide=decide,
    figures={"openrs_cells": draw},
    captions={
        "openrs_cells": "Table 2 of the paper: accuracy minus that of GRPO in the same cell. λ-GRPO with Newcombe's "
        "95 % interval (not adjusted), and the base model before any training, without one.",
    },
)
