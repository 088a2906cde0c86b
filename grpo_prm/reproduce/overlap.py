"""Trees of real groups are not trivial, and more than boilerplate: our runs, a pretrained model, and any log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from . import overlap_pretrained as pretrained
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
from .overlap_card import card, in_words, report_card
from .overlap_measures import BEYOND, BEYOND_TASK, LOG, TREES, TREES_CROSS, shape_of_log, shape_of_runs
from .overlap_runs import PLANS, Plan, cost, judge, make_records, run_notes
from .smollm2 import missing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 0.9  # share of non-trivial trees


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Sample, train, analyse, and compare groups with pseudo-groups."""
    cells = [] if plan.pretrained is None or missing() else pretrained.cells(plan.pretrained, seed, run_jobs)
    records = make_records(plan, seed, run_jobs)
    findings = [f for task, own in records.tasks.items() for f in shape_of_runs(task, own)]
    findings += [f for cell in cells for f in card(cell, seed)]
    findings += [pretrained.left_out()] if plan.pretrained and missing() else []
    findings += [f for log, own in records.logs.items() for f in shape_of_log(log, own, seed)]
    notes = [
        *run_notes(plan),
        "Cross-prompt: the same for groups put together from different prompts, so what lies above is not boilerplate. "
        "Update scale and cosine: what p = 1 would change (1 and 1: nothing). Wilson's interval of the non-trivial "
        "trees takes groups as independent.",
        *(pretrained.notes(plan.pretrained) + in_words(findings) if plan.pretrained and cells else []),
    ]
    return Evidence(findings, {"overlap": drawn(findings)}, notes, overview=report_card(findings))


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    return judge(findings, partial(_word, findings), partial(_sentence, findings))


def _word(findings: Sequence[Finding], part: str) -> Word:
    """Of a task, a log, or all group sizes of a pretrained model at a temperature."""
    shapes, beyond = (pick(findings, what, part=part) for what in (TREES, BEYOND))
    if any(f.low is None for f in (*shapes, *beyond)):  # one seed, or few prompts
        return NOT_TESTABLE
    # Within a task there may be too few prompts for a baseline of large groups.
    within = [f for f in pick(findings, BEYOND_TASK, part=part) if f.low is not None]
    held = [*(f.low is not None and f.low > ENOUGH for f in shapes), *(f.above for f in (*beyond, *within))]
    return REPRODUCED if all(held) else PARTLY if any(held) else NOT_REPRODUCED


def _sentence(findings: Sequence[Finding], part: str) -> str:
    """Of several group sizes about the first."""
    first = pick(findings, TREES, part=part)[0]
    shares = [pick(findings, what, part=part)[0].mean for what in (TREES, "intermediate", TREES_CROSS, "cross-prompt")]
    trees, share, cross_trees, cross = (100 * (mean or 0.0) for mean in shares)
    size = f", {first.setting}" if first.setting and first.setting != LOG else ""
    return (
        f"{part}{size}: {trees:.1f} % of the trees non-trivial, {share:.1f} % of the tokens intermediate, "
        f"{cross_trees:.1f} and {cross:.1f} % in groups of different prompts"
    )


def drawn(findings: Sequence[Finding]) -> pl.DataFrame:
    """What `interval_rows` draws: non-trivial trees and intermediate tokens, beside those of pseudo-groups."""
    places = {
        TREES: ("non-trivial trees", "groups"),
        TREES_CROSS: ("non-trivial trees", "cross-prompt"),
        "intermediate": ("intermediate tokens", "groups"),
        "cross-prompt": ("intermediate tokens", "cross-prompt"),
    }
    rows = [
        (places[f.what][0], _row(f), places[f.what][1], f.mean, f.low, f.high) for f in findings if f.what in places
    ]
    return pl.DataFrame(rows, schema=["panel", "row", "method", "mean", "low", "high"], orient="row")


def _row(finding: Finding) -> str:
    return finding.part if finding.setting in ("", LOG) else f"{finding.part}, {finding.setting}"


def draw(table: pl.DataFrame) -> Figure:
    """Shares of trees and of tokens, with intervals."""
    from .drawing import interval_rows

    return interval_rows(table, "share", share=True)


def _cost(plan: Plan) -> float:
    """Seconds of one core."""
    return cost(plan) + pretrained.cost(plan.pretrained)


def _announced(plan: Plan) -> list[str]:
    """Where the pretrained model is left out, the cost and why."""
    if plan.pretrained is None or not missing():
        return []
    return [f"about {_cost(plan) / 60:,.1f} minutes of one core.", f"{pretrained.left_out().note}."]


CLAIM = Claim(
    name="overlap",
    says="Groups of completions form trees that are not trivial, and share more than boilerplate.",
    paper="DeepSeek-R1-Distill-Qwen-1.5B on OpenRS: 99.8 % of the trees are non-trivial at k = 6, all at k = 36.",
    rule=f"For each task: reproduced if the Wilson low of the non-trivial share (k >= 3) is above {ENOUGH} and the "
    "intermediate proportion minus that of cross-prompt groups has its low end above 0; partly if one of the two; else "
    "not reproduced; not testable here where an interval is missing. For smollm2 the same, at each temperature, of "
    "every k, and beyond cross-prompt groups of one task too, where a task has prompts enough. Parts that agree give "
    "the claim their word; where they differ it is partly. A log of yours has a word of its own and does not change "
    "that of the claim.",
    plans=PLANS,
    cost=_cost,
    run=run,
    decide=decide,
    needs=lambda _: TRAINER,
    announce=_announced,
    figures={"overlap": draw},
    captions={
        "overlap": "Groups of three or more whose tree is not flat, and share of a completion's tokens in intermediate "
        "process sets, beside those of groups put together from different prompts (grey).",
    },
)
