"""Trees of real groups are not trivial, and more than boilerplate: on the trainer's own runs, and on any log."""

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
from .overlap_measures import BEYOND, shape_of_log, shape_of_runs
from .overlap_runs import PLANS, Plan, cost, judge, make_records, run_notes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 0.9  # share of non-trivial trees


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Train, analyse, and compare groups with pseudo-groups."""
    records = make_records(plan, seed, run_jobs)
    findings = [f for task, own in records.tasks.items() for f in shape_of_runs(task, own)]
    findings += [f for log, own in records.logs.items() for f in shape_of_log(log, own, seed)]
    notes = [
        *run_notes(plan),
        "Cross-prompt: the same for groups put together from different prompts, so what lies above is not boilerplate. "
        "Update scale and cosine: what p = 1 would change (1 and 1: nothing). Wilson's interval of the non-trivial "
        "trees takes groups as independent.",
    ]
    return Evidence(findings, {"overlap": drawn(findings)}, notes)


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    return judge(findings, partial(_word, findings), partial(_sentence, findings))


def _word(findings: Sequence[Finding], part: str) -> Word:
    """Of a task or a log."""
    shape, beyond = (pick(findings, what, part=part)[0] for what in ("non-trivial", BEYOND))
    if shape.low is None or beyond.low is None:  # one seed, or few prompts
        return NOT_TESTABLE
    held = [shape.low > ENOUGH, beyond.above]
    return REPRODUCED if all(held) else PARTLY if any(held) else NOT_REPRODUCED


def _sentence(findings: Sequence[Finding], part: str) -> str:
    trees, share, cross = (
        100 * (pick(findings, what, part=part)[0].mean or 0.0)
        for what in ("non-trivial", "intermediate", "cross-prompt")
    )
    return (
        f"{part}: {trees:.1f} % of the trees non-trivial, {share:.1f} % of the tokens intermediate, {cross:.1f} % in "
        "groups of different prompts"
    )


def drawn(findings: Sequence[Finding]) -> pl.DataFrame:
    """What `interval_rows` draws: non-trivial trees, and intermediate tokens beside those of pseudo-groups."""
    places = {
        "non-trivial": ("non-trivial trees", "groups"),
        "intermediate": ("intermediate tokens", "groups"),
        "cross-prompt": ("intermediate tokens", "cross-prompt"),
    }
    rows = [(places[f.what][0], f.part, places[f.what][1], f.mean, f.low, f.high) for f in findings if f.what in places]
    return pl.DataFrame(rows, schema=["panel", "row", "method", "mean", "low", "high"], orient="row")


def draw(table: pl.DataFrame) -> Figure:
    """Shares of trees and of tokens, with intervals."""
    from .drawing import interval_rows

    return interval_rows(table, "share", share=True)


CLAIM = Claim(
    name="overlap",
    says="Groups of completions form trees that are not trivial, and share more than boilerplate.",
    paper="DeepSeek-R1-Distill-Qwen-1.5B on OpenRS: 99.8 % of the trees are non-trivial at k = 6, all at k = 36.",
    rule=f"For each task: reproduced if the Wilson low of the non-trivial share (k >= 3) is above {ENOUGH} and the "
    "intermediate proportion minus that of cross-prompt groups has its low end above 0; partly if one of the two; else "
    "not reproduced; not testable here where an interval is missing. Tasks that agree give the claim their word; where "
    "they differ it is partly. A log of yours has a word of its own and does not change that of the claim.",
    plans=PLANS,
    cost=cost,
    run=run,
    decide=decide,
    needs=lambda _: TRAINER,
    figures={"overlap": draw},
    captions={
        "overlap": "Groups of three or more whose tree is not flat, and share of a completion's tokens in intermediate "
        "process sets, beside that of groups put together from different prompts (grey).",
    },
)
