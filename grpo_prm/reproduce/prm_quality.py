"""Is the hidden PRM right? Its step rewards against true values, which small policies let us sample.

The claim is about the figure that a log can show, reliability (definitions: Reliability): that it is honest, and where
the hidden PRM is good; not that it is good. The rule was written down before these policies were looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from . import prm_quality_null, prm_quality_smollm2
from .claims import NOT_REPRODUCED, NOT_TESTABLE, PARTLY, REPRODUCED, TRAINER, Claim, Evidence, Finding, Verdict, pick
from .jobs import Job, RunJobs
from .prm_quality_measures import (
    CLEAR,
    RELIABILITY,
    SIGN,
    SLOPE,
    by_size_and_depth,
    calibration,
    measured,
    of_cell,
    ratio,
    signs,
)
from .prm_quality_policies import Policy, policy_record
from .training_plan import WARM

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WEAK = "chain, w250"
POLICIES = {"chain, warm": Policy("chain"), WEAK: Policy("chain", 250, 25), "countdown, warm": Policy("countdown")}
STRONG = tuple(name for name in POLICIES if name != WEAK)
JUDGED = (8, 16)  # the k that the rule reads
SHOWN = 16  # the k of the findings by size and depth, and of the scope
NEAR, FAR = 0.15, 0.25  # mean |reliability - true slope| that is honest, and that is not
HALF, MOSTLY = 0.5, 0.8  # bounds of the slope, and of the share of right signs
PROMPTS, CONTINUATIONS = 100, 64  # fewer decide nothing
SEEDS = 70_000  # of the policies and all their draws: no other claim has them
POOLED, SIX = "warm policies, k = 8 and 16", "six cells"
GAP = "mean |reliability - true slope|"


class Plan(NamedTuple):
    """How much is sampled.

    Attributes:
        policies: Which of `POLICIES`.
        prompts: Of each policy.
        continuations: Of each prefix.
        ks: Sizes of the groups of every prompt.
        large: Prompts that have a group of 64 too.
        warm_steps: Steps of a warm start that is not cut short; 0: as the task has it.
        start: Which warm start of a task: one that other claims make as well.
        pretrained: Steps of a pretrained model, which the rule of the claim does not read; None: none.
    """

    policies: tuple[str, ...]
    prompts: int
    continuations: int
    ks: tuple[int, ...] = (4, 8, 16)
    large: int = 24
    warm_steps: int = 0
    start: int = 1
    pretrained: prm_quality_smollm2.Plan | None = None


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """A job for each policy; then figures of every policy and size."""
    records = dict(zip(plan.policies, run_jobs([_job(name, plan, seed) for name in plan.policies]), strict=True))
    findings, slopes, curves = [], [], []
    for name, record in records.items():
        findings += _of_policy(name, record, plan)
        for k, _ in _sizes(plan):
            cell = of_cell(name, f"k = {k}", record.filter(k=k), seed)
            slopes.append(_slope_row(name, k, cell))
            findings += cell
        findings += by_size_and_depth(name, SHOWN, record.filter(k=SHOWN), seed)
        judged = calibration(record.filter(pl.col("k").is_in(JUDGED)), seed)
        curves.append(judged.with_columns(policy=pl.lit(name)))
    findings = [*_pooled(records, findings, seed), *findings]
    if plan.pretrained and not prm_quality_smollm2.missing():
        more, steps = prm_quality_smollm2.run(plan.pretrained, seed, run_jobs)
        findings += more
        slopes.append(_slope_row(prm_quality_smollm2.MODEL, plan.pretrained.k, more))
        curves.append(calibration(steps, seed).with_columns(policy=pl.lit(prm_quality_smollm2.MODEL)))
    drawn = pl.DataFrame([row for row in slopes if None not in row.values()])
    return Evidence(findings, {"prm_quality": drawn, "prm_quality_calibration": pl.concat(curves)}, _notes(plan))


def _of_policy(name: str, record: pl.DataFrame, plan: Plan) -> list[Finding]:
    """How good a policy is, and how much of it was sampled."""
    sampled = {"prompts": plan.prompts, "continuations": plan.continuations}
    accuracy = float(record["accuracy"][0]) if len(record) else None  # of the first size; the others' differ by chance
    return [Finding(name, "", "accuracy", accuracy), *(Finding(name, "", n, float(v)) for n, v in sampled.items())]


def _pooled(records: dict[str, pl.DataFrame], findings: Sequence[Finding], seed: int) -> list[Finding]:
    """What the rule reads over several policies."""
    cells = {what: _judged(findings, what) for what in (RELIABILITY, SLOPE)}
    gaps = [
        estimate.mean - slope.mean
        for estimate, slope in zip(cells[RELIABILITY], cells[SLOPE], strict=True)
        if estimate.mean is not None and slope.mean is not None
    ]
    strong = [
        record.filter(pl.col("k").is_in(JUDGED)).with_columns(prompt=pl.col("prompt") + n * 1_000_000)
        for n, record in enumerate(records[name] for name in STRONG if name in records)
    ]
    steps = pl.concat(strong) if strong else pl.DataFrame()
    prompts = steps["prompt"].to_numpy() if strong else np.zeros(0, np.int64)
    of_signs = signs(steps)[SIGN] if strong else ()
    return [
        Finding("", SIX, GAP, float(np.mean(np.abs(gaps))) if gaps else None, n=len(gaps)),
        Finding("", SIX, "reliability below the true slope", float(sum(gap < 0 for gap in gaps)), n=len(gaps)),
        measured("", POOLED, SIGN, of_signs, prompts, ratio, seed),
    ]


def _judged(findings: Sequence[Finding], what: str) -> list[Finding]:
    """A figure of the cells that the rule reads."""
    return [f for k in JUDGED for f in pick(findings, what, setting=f"k = {k}")]


def _slope_row(name: str, k: int, cell: Sequence[Finding]) -> dict[str, Any]:
    row: dict[str, Any] = {"policy": name, "k": k}
    for column, what in (("reliability", RELIABILITY), ("slope", SLOPE)):
        found = pick(cell, what)[-1]  # of the same steps: the first of two is of more
        row |= {column: found.mean, f"{column}_low": found.low, f"{column}_high": found.high}
    return row


def _job(name: str, plan: Plan, seed: int) -> Job:
    policy, number = POLICIES[name], list(POLICIES).index(name)
    settings: dict[str, Any] = {
        "task": policy.task,
        "seed": seed * 100_000 + SEEDS + number,
        "warm_seed": seed * 100_000 + plan.start,
        "warm_steps": policy.warm_steps or plan.warm_steps or None,
        "power": 0.0,
        "threads": 1,
        **({"steps": policy.steps} if policy.steps else {}),
    }
    arguments = {
        "settings": settings, "trained": policy.steps > 0, "prompts": plan.prompts, "sizes": _sizes(plan),
        "continuations": plan.continuations,
    }  # fmt: skip
    return Job(f"prm-quality/{name.replace(', ', '-')}", policy_record, arguments, _seconds(name, plan), works_in=True)


def _sizes(plan: Plan) -> list[list[int]]:
    """Group sizes, each with its number of prompts."""
    return [[k, plan.prompts] for k in plan.ks] + ([[64, plan.large]] if plan.large else [])


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    sizes = {(f.part, f.what): f.mean or 0.0 for f in findings if f.what in ("prompts", "continuations")}
    enough = all(
        sizes.get((name, "prompts"), 0) >= PROMPTS and sizes.get((name, "continuations"), 0) >= CONTINUATIONS
        for name in POLICIES
    )
    gap, sign = pick(findings, GAP)[0], pick(findings, SIGN, setting=POOLED)[0]
    if not enough or gap.mean is None or gap.n < len(POLICIES) * len(JUDGED):
        why = f"(ours) too little was sampled to decide; reliability is off by {_number(gap.mean)} on average here"
        return Verdict(NOT_TESTABLE, f"{why} ({gap.n} of {len(POLICIES) * len(JUDGED)} cells)")
    estimates = _judged(findings, RELIABILITY)
    weak, strong = ([f.mean or 0.0 for f in estimates if (f.part == WEAK) == is_weak] for is_weak in (True, False))
    in_order = max(weak) < min(strong)
    slopes = {f.part: f for f in pick(findings, SLOPE, setting=f"k = {SHOWN}")}
    good = all((slopes[name].low or 0.0) > HALF for name in STRONG)
    highest = slopes[WEAK].high
    poor = highest is not None and highest < HALF
    honest = REPRODUCED if gap.mean <= NEAR and in_order else NOT_REPRODUCED if gap.mean > FAR else PARTLY
    parts = {
        "honesty": honest,
        "scope": REPRODUCED if good and poor else NOT_REPRODUCED,
        "sign": REPRODUCED if (sign.low or 0.0) > MOSTLY else NOT_REPRODUCED,
    }
    word = REPRODUCED if set(parts.values()) == {REPRODUCED} else NOT_REPRODUCED if honest == NOT_REPRODUCED else PARTLY
    order = "lower for the weak policy than for both others" if in_order else "not lower for the weak policy throughout"
    below = pick(findings, "reliability below the true slope")[0].mean or 0.0
    said = "; ".join(f"{name} {_with_interval(slopes[name])}" for name in POLICIES)
    why = (
        f"(ours) reliability is off the true slope by {gap.mean:.3f} on average (too low in {below:.0f} of {gap.n} "
        f"cells), and {order}; true slope at "
        f"k = {SHOWN}: {said}; sign of A right where it matters: {_with_interval(sign)}"
    )
    if pretrained := prm_quality_null.word_of(prm_quality_smollm2.MODEL, findings):
        parts[prm_quality_smollm2.MODEL] = pretrained
        why += f"; {prm_quality_null.sentence(prm_quality_smollm2.MODEL, findings)}"
    return Verdict(word, why, parts)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _with_interval(finding: Finding) -> str:
    return f"{_number(finding.mean)} [{_number(finding.low)}, {_number(finding.high)}]"


def _notes(plan: Plan) -> list[str]:
    large = f", and of {plan.large} prompts a group of 64" if plan.large else ""
    notes = [
        "Policies: GPT-2s of 2 layers and 64 units. warm: the warm start of the task; w250: a warm start of 250 steps "
        "and 25 steps of GRPO, whose groups hold many different texts.",
        f"{plan.prompts} prompts, groups of k = {', '.join(map(str, plan.ks))}{large}. V: mid of the values of the "
        f"prefix after the step's first token and at its end, each the mean reward of {plan.continuations} "
        f"continuations (V0: four times as many), drawn apart from the groups. m: mean reward of the group.",
        "All figures are over intermediate steps of groups whose rewards differ, copies too; reliability and slopes "
        "weigh a step by its tokens, the others count each step once. Squared errors hold the noise of V itself, the "
        f"same for all. Signs: of the steps with |V - V0| > {CLEAR} (local: |V - value before the step|).",
        "R shrunk by c: (|λ| R + c m) / (|λ| + c). The small PRM: a network on the policy's last hidden states, "
        "trained on `export --to tokens` of the same groups, and of the groups of other prompts. Position: mean "
        "R of the steps of other prompts that begin at the same token.",
    ]
    if plan.warm_steps:
        notes.append(
            f"Warm starts of {plan.warm_steps} steps, {len(plan.policies)} of {len(POLICIES)} policies, few prompts "
            "and continuations: a look, no verdict. --budget standard decides."
        )
    return [*notes, *(prm_quality_smollm2.notes(plan.pretrained) if plan.pretrained else [])]


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    return sum(_seconds(name, plan) for name in plan.policies) + prm_quality_smollm2.cost(plan.pretrained)


def _seconds(name: str, plan: Plan) -> float:
    policy = POLICIES[name]
    warm = policy.warm_steps or plan.warm_steps or (700 if policy.task == "chain" else 1_000)
    each = 0.09 if policy.task == "chain" else 0.04
    return each * warm + 0.3 * policy.steps + plan.prompts * plan.continuations * 0.01


def draw_slopes(table: pl.DataFrame) -> Figure:
    """Reliability against the true slope."""
    from .prm_quality_drawing import slopes

    return slopes(table)


def draw_calibration(table: pl.DataFrame) -> Figure:
    """True value against hidden reward."""
    from .prm_quality_drawing import calibrations

    return calibrations(table)


CLAIM = Claim(
    name="prm-quality",
    says="Ours: the reliability that a log shows is an honest estimate of how far the hidden PRM gives the policy's "
    "true values: far for two small policies, and not for one whose warm start was cut short.",
    paper="Not in the paper; ours.",
    rule="true slope: Σ T (R - m)(V - V0) / Σ T (R - m)². honesty: over the six cells of three policies and k = 8 and "
    f"16 the mean |reliability - true slope| is at most {NEAR}, and every reliability of w250 lies below every other: "
    f"reproduced if both hold, not reproduced if the mean is above {FAR}, else partly. scope: at k = {SHOWN} the low "
    f"end of the slope is above {HALF} for both warm policies, and its high end below {HALF} for w250. sign: where "
    f"|V - V0| > {CLEAR}, warm policies and k = 8 and 16 pooled, the share of steps with the sign of A has its low end "
    f"above {MOSTLY}. scope and sign: reproduced if so, else not. The claim: reproduced if all three are, not "
    f"reproduced if honesty is not, else partly; not testable here with fewer than {PROMPTS} prompts or "
    f"{CONTINUATIONS} continuations. {prm_quality_null.RULE}",
    plans={
        "quick": Plan(STRONG, 40, 16, (4, 8, 16), 0, 350, WARM),
        "standard": Plan(tuple(POLICIES), PROMPTS, CONTINUATIONS, pretrained=prm_quality_smollm2.STANDARD),
        "full": Plan(tuple(POLICIES), 200, 256, large=50, pretrained=prm_quality_smollm2.FULL),
    },
    cost=cost,
    run=run,
    decide=decide,
    needs=lambda _: TRAINER,
    figures={"prm_quality": draw_slopes, "prm_quality_calibration": draw_calibration},
    captions={
        "prm_quality": "Reliability, as a log shows it, against the true slope; 95 % intervals over prompts. On the "
        "dashed line the estimate is right.",
        "prm_quality_calibration": "Mean true value of the steps against their hidden reward, k = 8 and 16 together; "
        "on the dashed line R is right on average.",
    },
)  # fmt: skip
