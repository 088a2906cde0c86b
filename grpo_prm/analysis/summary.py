"""summary.json: what a log says, every mean with its interval, every gap with its reason (DESIGN: summary.json)."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..core.baseline import modal_size
from ..core.defects import POWERS
from ..core.forest import Floats
from ..core.identity import identity_gap
from ..core.interval import FEW_CLUSTERS, MANY_CLUSTERS, Interval
from ..core.permutations import null_figures, null_range
from .options import Options
from .running_sums import RunningSums
from .statistics import CLUSTER, OVERLAP, Sums

SCHEMA_VERSION = 1
WORST = 10
COPIES = 0.05  # share of completions from which copies are worth a note
UNITS = {"log": "token", "tokenizer": "token", "pieces": "piece"}


def summarize(
    groups: pl.DataFrame, baseline: pl.DataFrame, running: RunningSums, pooled: int, rejected: int, options: Options
) -> dict[str, Any]:
    """Sum an analysis up.

    Args:
        groups: The groups table.
        baseline: The pseudo-groups.
        running: What was added up on the way.
        pooled: How many pools of the baseline span several steps.
        rejected: Rows of the log that were left out.
        options: What changed the numbers.

    Returns:
        The content of summary.json.
    """
    notes: dict[str, str] = {}
    found = Sums(groups, CLUSTER).intervals(options.seed)
    null = _null(groups, running, found, notes)
    summary = {
        "schema_version": SCHEMA_VERSION,
        "source": _source(running, options),
        "counts": _counts(groups, running, rejected),
        "overlap": {name: _mean(found[name]) for name in (*OVERLAP, "identical_share")},
        "baseline": _baseline(baseline, pooled, options.seed, notes),
        "informativeness": null["informativeness"],
        "prm": {
            "process_steps": int(groups["process_steps"].sum()),
            "intermediate_steps": int(groups["intermediate_steps"].sum()),
            "mean_step_size": _mean(found["mean_step_size"]),
            "certain_share": null["certain_share"],
            "contest": _mean(found["contest"]),
            **_logprobs(groups, notes),
        },
        "defects": {
            "suppressed_good": null["suppressed_good"],
            "boosted_bad": null["boosted_bad"],
            "amplification": _mean(found["amplification"]),
            **{
                name: {f"{p:g}": _mean(found[f"{name}_{p:g}"]) for p in POWERS}
                for name in ("update_scale", "update_norm", "update_cosine")
            },
            "worst_groups": _worst(groups),
        },
        "notes": notes,
    }
    _note_copies(summary["counts"], notes)
    _note_gaps(summary, found, notes)
    return summary


def _mean(interval: Interval) -> dict[str, float | int | None] | None:
    return None if interval.mean is None else interval._asdict()


def _source(running: RunningSums, options: Options) -> dict[str, Any]:
    steps = sorted({step for _, step in running.steps if step is not None})
    units = {UNITS[name] for name in running.tokens_from}
    return {
        "files": list(running.files),
        "format": ", ".join(running.formats),
        "unit": units.pop() if len(units) == 1 else "mixed",
        "tokens_from": ", ".join(sorted(running.tokens_from)),
        "runs": sorted({run for run, _ in running.steps}),
        **({"methods": dict(sorted(running.methods.items()))} if running.methods else {}),
        "steps": {"first": steps[0] if steps else None, "last": steps[-1] if steps else None, "count": len(steps)},
        "options": {"std": options.std, "advantage": options.advantage, "seed": options.seed, **running.options},
        "notes": list(running.notes),
    }


def _counts(groups: pl.DataFrame, running: RunningSums, rejected: int) -> dict[str, Any]:
    counts, sizes = running.counts, groups["k"].to_numpy()
    return {
        "rows_read": counts["rows_read"],
        "used": counts["completions_read"],
        "rejected": rejected,
        "completions": int(sizes.sum()),
        "tokens": int(groups["tokens"].sum()),
        "groups": len(groups),
        "groups_of_one": counts["groups_of_one"],
        "groups_uneven": counts["groups_uneven"],
        "groups_split": counts["groups_split"],
        "groups_prompts_differ": counts["groups_prompts_differ"],
        "groups_zero_variance": int(groups["zero_variance"].sum()),
        "groups_k3": int((sizes >= 3).sum()),
        "duplicates": int(groups["duplicates"].sum()),
        "advantage_mismatch": _count(groups["advantage_mismatch"]),
        "group_size": {"min": int(sizes.min()), "mode": modal_size(sizes), "max": int(sizes.max())},
    }


def _count(flags: pl.Series) -> int | None:
    return None if flags.null_count() == len(flags) else int(flags.sum())


def _baseline(baseline: pl.DataFrame, pooled: int, seed: int, notes: dict[str, str]) -> dict[str, Any]:
    if not len(baseline):
        notes["baseline"] = (
            "no step, nor its neighbours together, has as many different prompts as a group has completions"
        )
        return dict.fromkeys(OVERLAP)
    if pooled:
        pools = "1 pool of pseudo-groups spans" if pooled == 1 else f"{pooled} pools of pseudo-groups span"
        notes["baseline"] = f"{pools} several steps, each too small on its own"
    found = Sums(baseline, ("run", "step"), OVERLAP, updates=False).intervals(seed)
    return {name: _mean(value) for name, value in found.items()}


def permuted_figures(groups: pl.DataFrame, running: RunningSums) -> dict[str, Floats]:
    """What the whole log gives under each permutation, shape (permutations,) each (`permutations.null_figures`)."""
    sums = groups.select(pl.col("informative_tokens", "intermediate_tokens").sum()).row(0)
    return null_figures(running.permuted_in_all, *sums, binary=running.binary)


def _null(
    groups: pl.DataFrame, running: RunningSums, found: dict[str, Interval], notes: dict[str, str]
) -> dict[str, dict[str, Any] | None]:
    """The figures that depend on the rewards, beside what the same figures are with the rewards dealt out anew."""
    null = permuted_figures(groups, running)
    observed = found["informativeness"].mean
    result: dict[str, dict[str, Any] | None] = {"informativeness": None}
    if observed is not None:
        reached = int((null["informativeness"] >= observed * (1 - 1e-12)).sum())
        result["informativeness"] = {
            "observed": observed,
            **null_range(null["informativeness"])._asdict(),
            "p_value": (1 + reached) / (1 + len(null["informativeness"])),
        }
    for name in ("suppressed_good", "boosted_bad", "certain_share"):
        mean = _mean(found[name])
        result[name] = None if mean is None else mean | null_range(null[name])._asdict()
    if running.binary and groups["certain_tokens"].is_null().all():
        notes["certain_share"] = "impossible with two rewards and five completions or fewer: no interval is that narrow"
    return result


def _logprobs(groups: pl.DataFrame, notes: dict[str, str]) -> dict[str, Any]:
    some = groups.filter(pl.col("logprob_absolute").is_not_null())
    if not len(some):
        notes["identity_gap"] = notes["logprob_spread"] = "the log has no log-probabilities"
        return {"identity_gap": None, "logprob_spread": None}
    outcome, step, absolute, spread, shared = some.select(
        pl.col(f"logprob_{name}").sum() for name in ("with_outcome", "with_step", "absolute", "spread", "shared")
    ).row(0)
    gap = identity_gap(outcome, step, absolute)
    if not absolute:
        notes["identity_gap"] = "all advantages are 0"
    if not shared:
        notes["logprob_spread"] = "no token is shared"
    return {
        "identity_gap": gap if absolute else None,
        "logprob_spread": {"mean": spread / shared, "max": some["logprob_largest"].max()} if shared else None,
    }


def _worst(groups: pl.DataFrame) -> list[dict[str, Any]]:
    worst = groups.filter(pl.col("suppressed_good_tokens") > 0).sort(
        "suppressed_good_tokens", descending=True, maintain_order=True
    )
    return worst.head(WORST).select("run", "step", "group_key", "suppressed_good_tokens", "good_tokens").to_dicts()


WHY_NULL = {
    "identical_share": "no token is intermediate",
    "informativeness": "no intermediate token lies outside identical completions in a group of mixed reward",
    "certain_share": "no token is intermediate, or the log has no rewards",
    "contest": "no intermediate token in a group of mixed reward",
    "suppressed_good": "no completion has a positive advantage",
    "boosted_bad": "no completion has a negative advantage",
    "amplification": "all step advantages are 0",
    "update_norm": "all step advantages are 0",
    "update_cosine": "all step advantages are 0",
}


def _note_copies(counts: dict[str, Any], notes: dict[str, str]) -> None:
    """Say where the permutations are not a fair game: copies of one text get different rewards in them."""
    copies, completions = counts["duplicates"], counts["completions"]
    if copies >= COPIES * completions:
        notes["null"] = (
            f"{copies:,} of {completions:,} completions are copies of an earlier one of their group; dealing anew "
            "gives copies different rewards, which a reward of the text alone never does. That raises the chance of "
            "suppressed-good and boosted-bad, and lowers that of certain-share"
        )


def _note_gaps(summary: dict[str, Any], found: dict[str, Interval], notes: dict[str, str]) -> None:
    """Say why a figure is null, and where intervals are missing or too narrow."""
    for section in ("overlap", "prm", "defects"):
        for name, value in summary[section].items():
            empty = value is None or (name.startswith("update_") and value["1"] is None)
            if empty and name not in notes:
                notes[name] = WHY_NULL.get(name, "no completion has a token in the loss")
    if summary["informativeness"] is None:
        notes["informativeness"] = WHY_NULL["informativeness"]
    clusters = found["path_depth"].n
    if clusters < FEW_CLUSTERS:
        notes["intervals"] = f"{clusters} prompts are too few for intervals: {FEW_CLUSTERS} are needed"
    elif clusters < MANY_CLUSTERS:
        notes["intervals"] = (
            f"with {clusters} prompts the 95 % intervals cover less than 95 % (measured: 88 % at 32, 93 % at 256)"
        )
