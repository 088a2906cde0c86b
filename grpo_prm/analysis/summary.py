"""summary.json: what a log says, every mean with its interval, every gap with its reason (docs/output.md)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from ..core.forest import Floats
from ..core.group_size import modal_size
from ..core.identity import identity_gap
from ..core.interval import FEW_CLUSTERS, MANY_CLUSTERS, Interval
from ..core.permutations import null_range
from .baseline_by import OUTSIDE, baseline_notes
from .by_run import by_run
from .chunks import Parts, added_up, counted, largest
from .clusters import find_clusters, nameless, stand_ins
from .finding_ranges import finding_ranges
from .finite import finite
from .logprob_section import logprob_section
from .null import null_of_log, p_value
from .options import Options
from .ratios import Sums
from .running_sums import RunningSums
from .state_sharing import state_section
from .statistics import OVERLAP, STATISTICS, SUMMARY, Section, in_section
from .teaching import teaching_section
from .verdict import verdict
from .whole_log import log_drawn
from .worst_groups import worst_groups

SCHEMA_VERSION = 3
UNITS = {"log": "token", "tokenizer": "token", "pieces": "piece"}
_RARE = (
    *("rows_joined", "groups_joined", "groups_merged", "groups_lack_members", "groups_fronts_differ", "prompt_tokens"),
    *("ends_with_others", OUTSIDE),
)


def summarize(
    groups: Parts,
    baseline: pl.DataFrame,
    gaps: pl.DataFrame,
    running: RunningSums,
    pooled: int,
    rejected: int,
    options: Options,
) -> dict[str, Any]:
    """Sum an analysis up.

    Args:
        groups: The groups table.
        baseline: The pseudo-groups.
        gaps: Sampler and trainer by process-set size (`logprob_columns`).
        running: What was added up on the way.
        pooled: How often several steps were put together for pseudo-groups.
        rejected: Rows of the log that were left out.
        options: What changed the numbers.

    Returns:
        The content of summary.json.
    """
    notes: dict[str, str] = {}
    # The order of the clusters, which resamples go by, must not follow from how files are called.
    runs = stand_ins(groups)
    unnamed = [part.with_columns(nameless(runs, ids=True)) for part in groups]
    clusters = find_clusters(unnamed)
    drawn = log_drawn(unnamed, clusters, options.seed)
    intervals = {name: one.interval for name, one in drawn.items()}
    ranges = finding_ranges(unnamed, baseline.with_columns(nameless(runs)), clusters, options.seed)
    null = null_of_log(groups, running)
    # The general reason would be wrong: tokens and rewards are there, but no interval can be narrow enough.
    sums = _sums(groups)
    if running.binary and not sums["certain"]:
        notes["certain_share"] = "impossible with two rewards and five completions or fewer: no interval is that narrow"
    summary = {
        "schema_version": SCHEMA_VERSION,
        "source": _source(running, options),
        "counts": _counts(sums, counted(groups, "k"), running, rejected),
        "reward": _mean(intervals["reward"]),
        "overlap": _section("overlap", intervals, null),
        "baseline": _baseline(baseline.with_columns(nameless(runs)), pooled, options, running, notes),
        "informativeness": _informativeness(intervals["informativeness"].mean, null["informativeness"]),
        "credit": {**_section("credit", intervals, null), **running.decisions.counts()},
        "prm": {
            "process_steps": int(sums["process_steps"]),
            "intermediate_steps": int(sums["intermediate_steps"]),
            **_section("prm", intervals, null),
            **_logprobs(groups, notes),
        },
        "defects": {**_section("defects", intervals, null), "worst_groups": worst_groups(groups)},
        "sharing": _section("sharing", intervals, null),
        "teaching": {**teaching_section(groups, running.rewards, notes), **_section("teaching", intervals, null)},
        "logprobs": {
            **_section("logprobs", intervals, null),
            **logprob_section(unnamed, gaps, options.seed, notes, clusters),
        },
        "notes": notes,
    }
    # Absent in a log of one run, or of too many for a table.
    if runs := by_run(groups, summary["source"]["runs"], options.seed):
        summary["runs"] = runs
    if options.share == "state":
        masked = running.counts["tokens_masked"]
        section, said = state_section(unnamed, clusters, running.states, options.seed, masked=masked)
        summary["state_sharing"] = section
        notes |= said
    if not sums["exchangeable"]:
        notes["null"] = (
            "nothing can be permuted: no group whose rewards differ has two distinct completions that come equally "
            "often and differ in reward"
        )
    _note_nulls(summary, notes)
    _note_intervals(intervals["path_depth"].n, notes)
    summary = finite(summary, notes) | {"notes": notes}
    return summary | {"verdict": finite(verdict(summary, groups, drawn | ranges), notes, "verdict")}


def _section(section: Section, intervals: dict[str, Interval], null: dict[str, Floats]) -> dict[str, Any]:
    """The statistics of a section: those that differ in a power under one key, the others with their null if any."""
    content: dict[str, Any] = {}
    for one in in_section(section):
        # No interval without a mean, so a statistic that is missing is null as a whole.
        mean = _mean(intervals[one.name])
        if one.power is not None:
            content.setdefault(one.key, {})[f"{one.power:g}"] = mean
        elif mean is None or one.null != "permutation":
            content[one.name] = mean
        else:
            content[one.name] = mean | null_range(null[one.name])._asdict()
            if section == "credit":
                content[one.name]["p_value"] = p_value(mean["mean"], null[one.name])
    return content


def _mean(interval: Interval) -> dict[str, float | int | None] | None:
    return None if interval.mean is None else interval._asdict()


def _source(running: RunningSums, options: Options) -> dict[str, Any]:
    steps = sorted({step for _, step in running.steps if step is not None})
    runs = sorted({run for run, _ in running.steps})
    # a run read from folders that differ was trained with no one method
    named = {run: running.methods.get(run, frozenset([None])) for run in runs}
    methods = {run: next(iter(names)) for run, names in named.items() if len(names) == 1 and None not in names}
    units = {UNITS[name] for name in running.tokens_from}
    return {
        "files": list(running.files),
        "format": ", ".join(running.formats),
        "unit": units.pop() if len(units) == 1 else "mixed",
        "tokens_from": ", ".join(sorted(running.tokens_from)),
        "runs": runs,
        **({"methods": methods} if methods else {}),  # absent in a log of others, whose summary stays as it was
        "steps": {"first": steps[0] if steps else None, "last": steps[-1] if steps else None, "count": len(steps)},
        "options": {
            "std": options.std,
            "advantage": options.advantage,
            "seed": options.seed,
            "outcome": options.outcome,
            # absent where nothing was asked for, so that such a summary stays as it was
            **({"baseline_by": options.baseline_by} if options.baseline_by else {}),
            **({"share": options.share} if options.share != "prefix" else {}),
            **running.options,
        },
        "notes": [*running.why_rejected, *_of_another_size(running), *running.notes],
    }


def _of_another_size(running: RunningSums) -> list[str]:
    """A sentence about groups that are not of the size which the user gave, none without such."""
    size, uneven = running.options.get("group_size"), running.counts["groups_uneven"]
    if not size or not uneven:
        return []
    are = "1 group is" if uneven == 1 else f"{uneven:,} groups are"
    return [f"{are} of another size than --group-size {size}, and kept: --drop-uneven leaves such groups out."]


_ADDED = (
    *("k", "tokens", "zero_variance", "duplicates", "advantage_mismatch", "process_steps", "intermediate_steps"),
    "exchangeable",
)


def _sums(groups: Parts) -> dict[str, Any]:
    """Sums of `_ADDED` over the groups, and how many have `certain_tokens` and `advantage_mismatch`."""
    known = {"certain": pl.col("certain_tokens").count(), "compared": pl.col("advantage_mismatch").count()}
    return added_up(groups, {name: pl.col(name).sum() for name in _ADDED} | known)


def _counts(sums: dict[str, Any], sizes: Counter[int], running: RunningSums, rejected: int) -> dict[str, Any]:
    counts = running.counts
    return {
        "rows_read": counts["rows_read"],
        "used": counts["completions_read"],
        "rejected": rejected,
        # Absent where there are none: rows that went into others of their rollout, and groups that may be of several.
        **{name: counts[name] for name in _RARE if counts[name]},
        "completions": int(sums["k"]),
        "tokens": int(sums["tokens"]),
        # Absent where no token is out of the loss.
        **({"tokens_masked": counts["tokens_masked"]} if counts["tokens_masked"] else {}),
        "groups": sizes.total(),
        "groups_of_one": counts["groups_of_one"],
        "groups_uneven": counts["groups_uneven"],
        "groups_split": counts["groups_split"],
        "groups_prompts_differ": counts["groups_prompts_differ"],
        "groups_zero_variance": int(sums["zero_variance"]),
        "groups_k3": sum(groups for size, groups in sizes.items() if size >= 3),
        "duplicates": int(sums["duplicates"]),
        # Null in every group: the log has no advantages to compare with, which is not the same as no mismatch.
        "advantage_mismatch": int(sums["advantage_mismatch"]) if sums["compared"] else None,
        "group_size": {"min": min(sizes), "mode": modal_size(sizes), "max": max(sizes)},
    }


def _baseline(
    baseline: pl.DataFrame, pooled: int, options: Options, running: RunningSums, notes: dict[str, str]
) -> dict[str, Any]:
    if said := list(baseline_notes(options.baseline_by, running.counts[OUTSIDE], pooled, none=not len(baseline))):
        notes["baseline"] = "; ".join(said)
    if not len(baseline):
        return dict.fromkeys(OVERLAP)
    intervals = Sums(baseline, ("run", "step"), OVERLAP).intervals(options.seed)
    # Pseudo-groups of a step share prompts, so steps are the clusters: a few of them give no interval of any kind.
    few = {name: one for name, one in intervals.items() if one.n < FEW_CLUSTERS}
    return {name: _mean(one._replace(low=None, high=None) if name in few else one) for name, one in intervals.items()}


def _informativeness(observed: float | None, null: Floats) -> dict[str, float | None] | None:
    """Mean abs(A) beside its permutation null, with its one-sided p."""
    if observed is None:
        return None
    return {"observed": observed, **null_range(null)._asdict(), "p_value": p_value(observed, null)}


def _logprobs(groups: Parts, notes: dict[str, str]) -> dict[str, Any]:
    # A log may have log-probabilities in some of its files only.
    names = ("with_outcome", "with_step", "absolute", "spread", "shared")
    sums = {name: pl.col(f"logprob_{name}").sum() for name in names}
    sums |= {"tokens": pl.col("logprob_tokens").sum(), "groups": pl.col("logprob_absolute").len()}
    found = added_up(groups, sums, pl.col("logprob_absolute").is_not_null())
    if not found["groups"]:
        notes["identity_gap"] = notes["logprob_spread"] = "the log has no log-probabilities"
        return {"identity_gap": None, "logprob_spread": None}
    gap = identity_gap(found["with_outcome"], found["with_step"], found["absolute"])
    none = None if found["tokens"] else "no token in the loss has a log-probability"
    if not found["absolute"]:
        notes["identity_gap"] = none or "all advantages are 0"
    if not found["shared"]:
        notes["logprob_spread"] = none or "no shared token has a log-probability"
    spread = (
        {"mean": found["spread"] / found["shared"], "max": largest(groups, "logprob_largest")}
        if found["shared"]
        else None
    )
    return {"identity_gap": gap if found["absolute"] else None, "logprob_spread": spread}


def _note_nulls(summary: dict[str, Any], notes: dict[str, str]) -> None:
    """Say why a statistic is null."""
    if summary["reward"] is None:
        notes["reward"] = STATISTICS["reward"].reason_when_null
    for section in SUMMARY:
        for one in in_section(section):
            value = summary[section] if one.name == section else summary[section][one.key]
            missing = value is None or (one.power is not None and value[f"{one.power:g}"] is None)
            if missing and one.key not in notes:
                notes[one.key] = one.reason_when_null


def _note_intervals(clusters: int, notes: dict[str, str]) -> None:
    """Say where intervals are missing or too narrow."""
    if clusters < FEW_CLUSTERS:
        some = "1 problem is" if clusters == 1 else f"{clusters} problems are"
        notes["intervals"] = f"{some} too few for intervals: {FEW_CLUSTERS} are needed"
    elif clusters < MANY_CLUSTERS:
        notes["intervals"] = f"with {clusters} problems the 95 % intervals cover less than 95 %, some only 85 %"
