"""What λ weights cost: seconds per token beside a plain recursion, and as a share of a training step.

How long something takes depends on the machine and the moment, so findings hold only what the rule reads: whether a
bound was kept. The times are in `Evidence.timings` and in the figure's table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from .claims import NOT_REPRODUCED, REPRODUCED, TRAINER, Claim, Evidence, Finding, Verdict
from .jobs import Job, RunJobs
from .overhead_times import KS, NEW, NUMPY, PROMPT, PROMPTS, REFERENCE, STEP, TORCH, VOCABULARY, K, overhead_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = {6: 1.19e-7, 36: 1.21e-7}  # seconds per token on an Intel i7
BOUND = 0.01  # of a step
NOT_SLOWER, CHEAP = "{} no slower than the recursion", "weights at most 1 % of it"


class Plan(NamedTuple):
    """Rounds of which the least time counts, tokens of a completion, completions in all at each k, training steps."""

    rounds: int
    length: int
    completions: int
    steps: int


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """One job, so that nothing of ours runs beside it."""
    (record,) = run_jobs([Job("overhead/times", overhead_record, {**plan._asdict(), "seed": seed}, cost(plan))])
    return evidence_of({(row["setting"], row["what"]): row["seconds"] for row in record.iter_rows(named=True)}, plan)


def evidence_of(seconds: dict[tuple[str, str], float], plan: Plan) -> Evidence:
    """Findings say which bounds were kept; times go to `timings` and the figure."""
    # 1 or 0, not the ratio: claims.json has to be the same bytes on a second run.
    findings = [
        Finding("", f"k = {k}", NOT_SLOWER.format(way), float(ours <= seconds[f"k = {k}", REFERENCE]), n=plan.rounds)
        for k in KS
        for way in (NUMPY, TORCH)
        for ours in (seconds[f"k = {k}", way],)
    ]
    step, weights, both = (seconds[STEP, part] for part in ("step", "weights", "weights and figures"))
    findings.append(Finding("", STEP, CHEAP, float(weights <= BOUND * step), n=plan.steps))
    per_token = [(k, way, seconds[f"k = {k}", way]) for k in KS for way in (NUMPY, TORCH, REFERENCE)]
    timings = {
        "seconds_per_token": {f"k = {k}, {way}": float(f"{value:.3g}") for k, way, value in per_token},
        "paper_seconds_per_token": {f"k = {k}": value for k, value in PAPER.items()},
        "step_seconds": float(f"{step:.3g}"),
        "weights_percent_of_step": float(f"{100 * weights / step:.3g}"),
        "weights_and_figures_percent_of_step": float(f"{100 * both / step:.3g}"),
    }
    paper = [(k, "paper", value) for k, value in PAPER.items()]
    table = pl.DataFrame([*per_token, *paper], schema=["k", "way", "seconds_per_token"], orient="row")
    notes = [
        f"Invented trees, {plan.length:,} tokens a completion, 50 shared with the one before on average; one thread; "
        "the least of the rounds, in turn; all ways give the same weights. Times: machine.json and the figure.",
        f"The step: Qwen2 of 4 layers of 128, vocabulary {VOCABULARY:,}, {PROMPTS} prompts of {PROMPT} tokens x {K} "
        f"completions of {NEW}. A larger model makes the share smaller.",
        "analyze and a padded batch build the same forest, which follows the shared tokens alone; the latter lays the "
        "weights out as a padded tensor too (`Groups.lambda_weights`).",
        "Weights of a step: from lists of ids to the advantage, weight and factor of every token; train builds the "
        "forest on the CPU, whatever the model runs on.",
        "The recursion is ours, and so is its speed. The paper's 1.19e-7 s (k = 6) and 1.21e-7 s (k = 36) are of "
        "another CPU: shown, not judged.",
    ]
    return Evidence(findings, {"overhead": table}, notes, timings)


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    missed = [f"{f.what} ({f.setting})" for f in findings if f.mean != 1.0]
    if missed:
        return Verdict(NOT_REPRODUCED, "this does not hold: " + "; ".join(missed))
    return Verdict(REPRODUCED, "no slower than the recursion at both k, and the weights at most 1 % of a step")


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    return 4 + 2.3 * (plan.steps + 1) + 1.5e-7 * plan.rounds * len(KS) * plan.length * plan.completions


def draw(table: pl.DataFrame) -> Figure:
    """Bars of seconds per token by k, the paper's value a line across those of its k."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    from ..figures import style

    ways = [way for way in table["way"].unique(maintain_order=True) if way != "paper"]
    colours = dict(zip(ways, style.PALETTE, strict=False))
    entries = [*((Patch(color=colours[way]), way) for way in ways), (Line2D([], [], color="black"), "paper's CPU")]
    ks = table["k"].unique(maintain_order=True).to_list()
    with mpl.rc_context(style.PAPER):
        figure, (axes,) = style.new_axes(1, 1, 1.8, style.COLUMN, entries)
        wide = 0.8 / len(ways)
        for n, way in enumerate(ways):
            x = np.arange(len(ks)) + (n - (len(ways) - 1) / 2) * wide
            axes.bar(x, table.filter(way=way)["seconds_per_token"], wide, color=colours[way], zorder=2)
        for n, value in enumerate(table.filter(way="paper")["seconds_per_token"]):
            axes.hlines(value, n - 0.45, n + 0.45, color="black", linewidth=1.0, zorder=3)
        axes.set_xticks(range(len(ks)), [f"k = {k}" for k in ks])
        axes.grid(visible=False, axis="x")
        axes.set_yscale("log")
        axes.set_ylim(bottom=1e-9)
        axes.set_ylabel("seconds per token")
    return figure


CLAIM = Claim(
    name="overhead",
    says="The weights of λ-GRPO cost next to nothing: no more per token than a recursion over the tree, and at most 1 "
    "% of a training step.",
    paper="1.19e-7 s per token at k = 6 and 1.21e-7 s at k = 36 on one Intel i7.",
    rule="reproduced if at k = 6 and k = 36 the weights of analyze and those of a padded batch take no longer per "
    "token than a recursion timed in the same run, and those of train at most 1 % of a step; else not reproduced.",
    plans={
        "quick": Plan(rounds=5, length=1750, completions=144, steps=3),
        "standard": Plan(rounds=15, length=1750, completions=288, steps=5),
        "full": Plan(rounds=30, length=1750, completions=1152, steps=10),
    },
    cost=cost,
    run=run,
    decide=decide,
    needs=lambda _: TRAINER,
    figures={"overhead": draw},
    captions={
        "overhead": "Seconds per token for the weights of all completions of a batch, on one thread.",
    },
)
