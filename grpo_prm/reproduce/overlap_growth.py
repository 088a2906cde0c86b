"""Overlap grows in training: last third against first third, beside what sorted values look like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from .claims import (
    NOT_REPRODUCED,
    NOT_TESTABLE,
    PARTLY,
    REPRODUCED,
    TRAINER,
    Claim,
    Evidence,
    Finding,
    Verdict,
    Word,
    pick,
)
from .jobs import RunJobs
from .overlap_measures import GROWTHS, growth_of_log, growth_of_runs, sorted_curves, step_curves
from .overlap_runs import PLANS, Plan, cost, judge, make_records, run_notes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Train, analyse, and compare thirds of training."""
    records = make_records(plan, seed, run_jobs)
    findings = [f for task, own in records.tasks.items() for f in growth_of_runs(task, own)]
    findings += [f for log, own in records.logs.items() for f in growth_of_log(log, own, seed)]
    in_time, in_order = (
        pl.concat([curves(own).with_columns(panel=pl.lit(part)) for part, own in records.all.items()])
        for curves in (step_curves, sorted_curves)
    )
    notes = [
        *run_notes(plan),
        "The paper's figure alone does not show growth: its curves of path depth and intermediate proportion never "
        "fall, while its validation reward rises and falls, and at k = 6 the mean depth moves in sixths, the grid of a "
        "single tree. Values of single trees in ascending order look like that, whatever happened in training. Read "
        "so, the figure is a distribution over trees. Ours are drawn both ways.",
    ]
    return Evidence(findings, {"overlap_growth": in_time, "overlap_sorted": in_order}, notes)


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    verdict = judge(findings, partial(_word, findings), partial(_sentence, findings))
    return verdict._replace(why=f"last third minus first: {verdict.why}")


def _growths(findings: Sequence[Finding], part: str) -> list[Finding]:
    """Of the intermediate proportion and of path depth."""
    return [pick(findings, what, part=part)[0] for what, *_ in GROWTHS]


def _word(findings: Sequence[Finding], part: str) -> Word:
    """Of a task or a log."""
    growths = _growths(findings, part)
    if any(growth.low is None for growth in growths):  # one seed, a log of one step, or few prompts
        return NOT_TESTABLE
    if all(growth.above for growth in growths):
        return REPRODUCED
    grows, falls = (any(getattr(growth, side) for growth in growths) for side in ("above", "below"))
    return PARTLY if grows and not falls else NOT_REPRODUCED


def _sentence(findings: Sequence[Finding], part: str) -> str:
    share, depth = _growths(findings, part)
    if share.mean is None or depth.mean is None:
        return f"{part}: no course to see"
    return (
        f"{part}: intermediate tokens {100 * share.mean:+.1f}{_ends(share, 100, 1)} points, path depth "
        f"{depth.mean:+.2f}{_ends(depth, 1, 2)}"
    )


def _ends(growth: Finding, scale: float, places: int) -> str:
    if growth.low is None or growth.high is None:
        return ""
    return f" [{scale * growth.low:+.{places}f}, {scale * growth.high:+.{places}f}]"


def draw_growth(table: pl.DataFrame) -> Figure:
    """Overlap over steps, and that of pseudo-groups."""
    from .drawing import curves

    return curves(table, "intermediate tokens", percent=True)


def draw_sorted(table: pl.DataFrame) -> Figure:
    """Overlap in time, and the values of single groups sorted."""
    from .drawing import curve_grid

    return curve_grid(table, "share of steps, or of groups")


CLAIM = Claim(
    name="overlap-growth",
    says="The overlap of groups grows in training.",
    paper="DeepSeek-R1-Distill-Qwen-1.5B on OpenRS, k = 6 and 36: path depth and intermediate proportion are drawn as "
    "growing over training.",
    rule="For each task, of the intermediate proportion and of path depth, the last third of training minus the first: "
    "reproduced if both have their low end above 0; partly if one has and the other does not lie below 0; else not "
    "reproduced; not testable here where an interval is missing. Tasks that agree give the claim their word; where "
    "they differ it is partly. A log of yours has a word of its own and does not change that of the claim.",
    plans=PLANS,
    cost=cost,
    run=run,
    decide=decide,
    needs=lambda _: TRAINER,
    figures={"overlap_growth": draw_growth, "overlap_sorted": draw_sorted},
    captions={
        "overlap_growth": "Share of a completion's tokens in intermediate process sets, mean over groups; bands over "
        "the seeds (of a log: over the groups of a step). Grey: groups put together from different prompts.",
        "overlap_sorted": "The same groups twice: mean over the groups of a step in the order of training, and values "
        "of single groups in ascending order. Sorted values rise where overlap falls in training too.",
    },
)
