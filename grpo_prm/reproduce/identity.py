"""Theorem 1 and what follows from it, measured: two ways to write the loss, their values and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from .claims import NOT_REPRODUCED, REPRODUCED, TRAINER, Claim, Evidence, Finding, Verdict
from .identity_gaps import BETA, CLIP, CONTROLS, DROPOUT, NOISE
from .jobs import Job, RunJobs
from .paired import mean_finding

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOLDS, BREAKS = 1e-9, 1e-3  # the largest gap of a form, the least mean gap of a control
TREES, MODEL = "random trees", "a trained model's rollouts"
LOSS, GRADIENT, CONTROL = "loss, largest gap", "gradient, largest gap", "gradient of a control, mean gap"
BLOCK = 500  # random trees of a job


class Plan(NamedTuple):
    """Batches of random trees, and models trained."""

    trees: int
    models: int


def tree_record(first: int, number: int, seed: int) -> pl.DataFrame:
    """Gaps of batches of random trees, a row for each batch and form."""
    import numpy as np

    from .identity_gaps import gaps
    from .identity_trees import invented_rollouts, tabular_policy

    rows = []
    for batch in range(first, first + number):
        rng = np.random.default_rng([seed, batch])
        rollouts = invented_rollouts(rng)
        policy = tabular_policy(rollouts, rng)
        noise, ratio_in_kl = rng.normal(size=len(rollouts.lengths)), bool(rng.integers(2))
        rows += [(batch, *gap) for gap in gaps(rollouts, policy, noise=noise, ratio_in_kl=ratio_in_kl)]
    return _table(rows)


def model_record(model: int, seed: int) -> pl.DataFrame:
    """Gaps on the rollouts of one trained model, a row for each form."""
    from .identity_rollouts import rollout_gaps

    return _table([(model, *gap) for gap in rollout_gaps(1000 * seed + model)])


def _table(rows: Sequence[tuple]) -> pl.DataFrame:
    schema = {"batch": pl.Int64, "form": pl.String, "loss": pl.Float64, "gradient": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Blocks of random trees, and a job for each model."""
    # The longest first, so that none is left for the end, when the other workers have nothing to do.
    jobs = [
        Job(f"identity/model-{n}", model_record, {"model": n, "seed": seed}, MODEL_SECONDS) for n in range(plan.models)
    ]
    for first in range(0, plan.trees, BLOCK):
        number = min(BLOCK, plan.trees - first)
        arguments = {"first": first, "number": number, "seed": seed}
        jobs.append(Job(f"identity/trees-{first}", tree_record, arguments, TREE_SECONDS * number))
    records = run_jobs(jobs)
    gaps = {TREES: pl.concat(records[plan.models :]), MODEL: pl.concat(records[: plan.models])}
    findings = [f for source, table in gaps.items() for f in findings_of(source, table)]
    drawn = [
        (f.setting.removeprefix(f"{source}: "), source, f.mean, f.what == CONTROL)
        for source in gaps
        for f in findings
        if f.setting.startswith(source) and f.what != LOSS
    ]
    table = pl.DataFrame(drawn, schema=["form", "source", "gap", "control"], orient="row")
    notes = [
        "Gaps: |L - L'| over the sum of the absolute terms of L; |g - g'| over |g|. L is written out token by token "
        "with its derivative by hand, L' comes from the forest and the loss that train uses. float64.",
        "Random trees: 3 to 6 groups of 2 to 8 completions with ties, duplicates, strict prefixes, empty completions, "
        "equal rewards, truncated ones masked; a softmax behind every prefix; n counts such batches.",
        f"Old policy and reference differ from the policy; KL with β = {BETA:g}; clipping at -{CLIP[0]:g} and "
        f"+{CLIP[1]:g}. The model: GPT-2 of 2 layers (chained arithmetic, taught a little, then GRPO on the share of "
        "right steps); n counts models.",
        "dapo and bnpo are one formula here: the normaliser is that of the whole optimizer step.",
        "A control must show a gap, or the gaps of 0 say nothing: ratios of whole sequences off-policy, old "
        f"log-probabilities off by {NOISE:g} times a normal number for each completion, dropout of 0.1.",
    ]
    return Evidence(findings, {"identity_gaps": table}, notes)


def findings_of(source: str, table: pl.DataFrame) -> list[Finding]:
    """The largest gap of every form, the mean gap of every control, over the batches of one source."""
    findings = []
    for form in table["form"].unique(maintain_order=True):
        own, setting = table.filter(form=form), f"{source}: {form}"
        if form in CONTROLS:
            findings.append(mean_finding("", setting, CONTROL, own["gradient"]))
        else:
            # `max` passes over NaN, which must not pass for a gap of 0.
            worst = own.select(pl.col("loss", "gradient").fill_nan(float("inf")).max()).row(0)
            findings += [
                Finding("", setting, what, min(value, 1e300), n=len(own))
                for what, value in zip((LOSS, GRADIENT), worst, strict=True)
            ]
    return findings


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    forms = [f for f in findings if f.what in (LOSS, GRADIENT)]
    controls = [f for f in findings if f.what == CONTROL]
    apart = [f for f in forms if not (f.mean is not None and f.mean <= HOLDS)]
    blind = [f for f in controls if not (f.mean is not None and f.mean > BREAKS)]
    worst = max((f.mean or 0.0 for f in forms if f not in apart), default=0.0)
    least = min((f.mean or 0.0 for f in controls), default=0.0)
    why = f"{len(forms) - len(apart)} of {len(forms)} gaps are at most {HOLDS:.0e}"
    why += " (rounding of float64)" if worst < 1e-13 else ""
    why += f"; the controls show {least:.2g} or more"
    if apart or blind:
        why += "; against the rule: " + "; ".join(f"{f.setting} ({f.what})" for f in (*apart, *blind))
    # Forms that hold say nothing without every control that breaks: no findings at all must not pass.
    shown = {f.setting.partition(": ")[2] for f in controls}
    whole = bool(forms) and shown == set(CONTROLS)
    return Verdict(REPRODUCED if whole and not (apart or blind) else NOT_REPRODUCED, why)


TREE_SECONDS, MODEL_SECONDS = 0.009, 6.0


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    return TREE_SECONDS * plan.trees + MODEL_SECONDS * plan.models


def draw(table: pl.DataFrame) -> Figure:
    """Gradient gaps of forms and controls on a logarithmic axis, with the bounds of the rule."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D

    from ..figures import style

    forms = table["form"].unique(maintain_order=True).to_list()
    markers = dict(zip((TREES, MODEL), (("o", style.PALETTE[0]), ("D", style.PALETTE[1])), strict=True))
    entries = [
        (Line2D([], [], color=shade, marker=mark, markersize=3.5, linewidth=0), source)
        for source, (mark, shade) in markers.items()
    ]
    with mpl.rc_context(style.PAPER):
        figure, (axes,) = style.new_axes(1, 1, 0.75 + 0.14 * len(forms), style.COLUMN, entries)
        for source, (mark, shade) in markers.items():
            own = table.filter(source=source)
            y = [forms.index(form) for form in own["form"]]
            axes.plot(own["gap"].clip(1e-17), y, mark, color=shade, markersize=3.5, fillstyle="none", zorder=3)
        for bound in (HOLDS, BREAKS):
            axes.axvline(bound, color="black", linewidth=0.6, linestyle="--")
        axes.axhline(forms.index(CONTROLS[0]) - 0.5, color=style.REFERENCE, linewidth=0.6)
        axes.text(2e-17, forms.index(CONTROLS[0]) - 0.35, "controls", va="top", color=style.REFERENCE, style="italic")
        axes.set_xscale("log")
        axes.set_xlim(1e-17, 10)
        axes.set_xticks([1e-16, 1e-9, 1e-3, 1], ["$10^{-16}$", "$10^{-9}$", "$10^{-3}$", "1"])
        axes.minorticks_off()
        axes.set_yticks(range(len(forms)), [form.replace("ratio of a whole sequence", "sequence") for form in forms])
        axes.set_ylim(len(forms) - 0.5, -0.5)
        axes.set_xlabel("relative gap of the gradient")
    return figure


CLAIM = Claim(
    name="identity",
    says="GRPO's loss and gradient are those of a process reward model: step advantages in place of outcome "
    "advantages, under every aggregation and mask, and sign-split sums under clipping.",
    paper="Theorem 1: the two losses are equal (proved for token-level normalisation, on-policy, without clipping).",
    rule=f"reproduced if every gap of loss and gradient is at most {HOLDS:.0e} and every negative control (sequence "
    f"ratios off-policy, old probabilities that differ by row, {DROPOUT} left on) has a mean gap above {BREAKS:.0e}; "
    "else not reproduced.",
    plans={"quick": Plan(200, 1), "standard": Plan(1_500, 3), "full": Plan(20_000, 10)},
    cost=cost,
    run=run,
    decide=decide,
    figures={"identity_gaps": draw},
    captions={
        "identity_gaps": "Largest gap of the gradient of every form, and mean gap of the controls; dashed: the bounds "
        "of the rule.",
    },
    needs=lambda _: TRAINER,
    always=True,
)
