"""From a log to one file of training data, batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..analysis.divisor import find_divisor
from ..analysis.options import Options
from ..analysis.running_sums import DISTINCT
from ..analysis.table_groups import (
    Advantages,
    advantages_of,
    slices,
    table_groups,
    with_rewards,
    without_groups_of_one,
)
from ..analysis.tool_output import unmasked_tool_output
from ..core.prm import zero_variance
from ..errors import InputError, RejectedError, UsageError
from ..files import atomic
from ..logs import ReadOptions, fold
from ..logs.prefetch import prefetch
from ..logs.rollouts import Rollouts, groups_of_several_prompts
from ..text.amounts import amount
from ..tree.step_text import Cutter
from .certainty import certainties
from .form import Format, Made
from .formats import FORMATS
from .labels import label_steps
from .options import ExportOptions
from .sentences import none_left
from .sinks import sink

SLICE = 1 << 20  # tokens made into rows at a time
COUNTS = (
    *("rows_read", "rows_rejected", "groups_of_one", "groups_zero_variance", "completions_excluded"),
    *("groups_prompts_differ", "completions_of_mixed_prompts"),
    *("groups", "completions", "completions_without_label", "steps", "steps_labelled", "steps_out_of_loss"),
    *("steps_few_members", "steps_uncertain", "steps_without_sign", "labels_good", "labels_neutral", "labels_bad"),
    *("boundaries_inside", "steps_joined", "rows_repeated", "rows_with_mark", "steps_written", "tokens_labelled"),
    *("steps_of_tools", "steps_few_words", "steps_repeated", "steps_excluded", "steps_short"),
    *("rows_with_others", "rows_others_excluded"),
    *("rows_without_prompt", "rows_prompt_excluded", "tool_output_unmasked"),
    *("text_units", "text_decoded", "text_prefix", "text_none", "prompts_missing", "rows"),
)  # docs/export.md says each


def export(
    paths: Sequence[str | Path] | str | Path,
    out: Path,
    to: str,
    options: ExportOptions | None = None,
    *,
    reading: ReadOptions | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Write the implicit process reward model of a log as training data, whole or not at all.

    Args:
        paths: Files and folders, or `-`.
        out: The file.
        to: Name of a format (`FORMATS`).
        options: Which steps get a label, and which.
        reading: How to read the log.
        strict: Write nothing if a row of the log is rejected.

    Returns:
        What was read, written and left out: `format`, `labels`, `counts`, `notes` (docs/export.md).

    Raises:
        InputError: Nothing can be read, or no step gets a label.
        UsageError: The format cannot hold what is asked for, or the log has not what the format needs.
        RejectedError: `strict`, and a row was rejected.
    """
    if to not in FORMATS:
        raise UsageError(f"There is no export format {to}. Take one of {', '.join(FORMATS)}.")
    reading, form = reading or ReadOptions(), FORMATS[to]
    options = (options or ExportOptions()).settled(to, form.labels, solutions=form.text == "needed")
    cutter = Cutter(reading.tokenizer)
    rewards: frozenset[float] = frozenset()
    job = _Job(form, options, cutter, Path(out), strict)
    while True:
        try:
            counts, notes = fold(paths, reading, partial(_write, job=job, rewards=rewards))
        # Which interval R has depends on whether the whole log has two rewards, which its last line may decide.
        except _MoreRewards as more:
            rewards = more.rewards  # at most twice: one, two, many
            continue
        return {"format": to, "labels": options.labels, "counts": {n: counts[n] for n in COUNTS}, "notes": notes}


class _MoreRewards(Exception):
    """The log has other rewards than it seemed to have when its first rows were written."""

    def __init__(self, rewards: frozenset[float]) -> None:
        super().__init__(rewards)
        self.rewards = rewards


class _Job(NamedTuple):
    """What is the same for every batch."""

    form: Format
    options: ExportOptions
    cutter: Cutter
    out: Path
    strict: bool


def _write(batches: Iterator[Rollouts], job: _Job, rewards: frozenset[float]) -> tuple[Counter[str], list[str]]:
    counts: Counter[str] = Counter()
    notes: dict[str, None] = {}
    with atomic(job.out) as part, sink(part, job.form.suffix) as add:
        batches = prefetch(batches)
        if job.options.std is None:
            std, said, batches = find_divisor(batches)
            job = job._replace(options=replace(job.options, std=std))
            notes |= dict.fromkeys([said] if said else [])
        for batch in batches:
            notes |= dict.fromkeys(batch.notes)
            counts["rows_read"] += batch.counts["rows_read"]
            counts["rows_rejected"] += len(batch.rejected)
            table = without_groups_of_one(batch.table)
            counts["groups_of_one"] += len(batch.table) - len(table)
            if table.is_empty():
                continue
            seen = _with(rewards, table)
            # Rows that are written already have the interval of other rewards.
            if _two(seen) != _two(rewards) and counts["rows"] and _intervals(job):
                raise _MoreRewards(seen)
            rewards = seen
            for made in _rows(table, job, _two(rewards)):
                add(made.rows)
                counts.update({"rows": len(made.rows)})
                counts.update(made.counts)
        _check(counts, job)
    return counts, list(notes)


def _with(rewards: frozenset[float], table: pl.DataFrame) -> frozenset[float]:
    """The first distinct rewards of the log, three of which are as good as many."""
    here = table["reward"].drop_nulls().unique().sort()[:DISTINCT].to_list()
    return frozenset(sorted(rewards | set(here))[:DISTINCT])


def _two(rewards: frozenset[float]) -> tuple[float, float] | None:
    return (min(rewards), max(rewards)) if len(rewards) == 2 else None


def _intervals(job: _Job) -> bool:
    return job.form.interval or job.options.min_certainty is not None


def _rows(table: pl.DataFrame, job: _Job, two: tuple[float, float] | None) -> Iterator[Made]:
    """Rows of a batch, some million tokens at a time."""
    options = job.options
    # Before groups are left out and slices are cut: --std batch divides by the deviation of a whole training step.
    given = advantages_of(table, Options(options.std, options.advantage))
    rewarded = with_rewards(table)
    if not rewarded.all():
        _check_without_rewards(options)
    groups = table["group"].rle_id().to_numpy().astype(np.int64)
    zero = zero_variance(np.where(rewarded, table["reward"].to_numpy(), given.used), groups)
    mixed = groups_of_several_prompts(table)
    equal = zero & options.exclude_zero_variance
    differ = mixed & options.exclude_mixed_prompts & ~equal  # a group that is both counts under the first
    out = equal | differ
    counts = Counter(groups_zero_variance=int(zero.sum()), groups_prompts_differ=int((mixed & ~out).sum()))
    counts["completions_excluded"] = int(equal[groups].sum())
    counts["completions_of_mixed_prompts"] = int(differ[groups].sum())
    if out.any():
        kept = np.flatnonzero(~out[groups])
        table, given = table[kept], given.at(kept)
    counts["tool_output_unmasked"] = int(unmasked_tool_output(table).sum())
    yield Made([], counts)  # what is counted of the batch, not of a slice
    for begin, end in slices(table, SLICE):
        yield _made(table[begin:end], given.at(slice(begin, end)), job, two)


def _check_without_rewards(options: ExportOptions) -> None:
    """A log of advantages alone says no R(λ)."""
    if options.labels != "sign" or options.min_certainty is not None:
        option = "--min-certainty" if options.labels == "sign" else f"--labels {options.labels}"
        raise UsageError(
            f"{option} needs rewards, and some completions of the log have none. Name them with --reward or "
            "--columns reward=COLUMN, or take --labels sign, which needs advantages alone."
        )


def _made(table: pl.DataFrame, given: Advantages, job: _Job, two: tuple[float, float] | None) -> Made:
    groups = table_groups(table, given)
    labelled = label_steps(table, groups, certainties(groups, two), job.options, neutral=job.form.neutral)
    if job.form.text == "none":
        made = job.form.make(labelled, None)
        return made._replace(counts=labelled.counts + made.counts)
    cuts = job.cutter.cut(table, groups, labelled.paths)
    rows = np.unique(labelled.paths.row)
    if job.form.text == "needed" and any(cuts.text[row] is None for row in rows.tolist()):
        raise UsageError(
            f"--to {job.form.name} is made of text, and the log has none for some completions. Give the tokenizer that "
            "their ids can be decoded with (--tokenizer), or take --to tokens."
        )
    made = job.form.make(labelled, cuts)
    inside = Counter(boundaries_inside=int(cuts.inside.sum()), prompts_missing=table["prompt"][rows].null_count())
    came = Counter(f"text_{cuts.text_from[row]}" for row in rows.tolist())
    return made._replace(counts=labelled.counts + made.counts + inside + came)


def _check(counts: Counter[str], job: _Job) -> None:
    """Refuse a log that gives no row, and rejected rows where `strict` was asked for."""
    if job.strict and counts["rows_rejected"]:
        rows = amount(counts["rows_rejected"], "row was", "rows were")
        raise RejectedError(
            f"{rows} rejected, so nothing was written. See them with grpo-prm inspect, or leave --strict out."
        )
    left_out = counts["completions_excluded"] + counts["completions_of_mixed_prompts"]
    if left_out and not counts["steps"]:
        raise InputError(
            f"No step gets a label: {amount(left_out, 'completion')}, all that are in groups, are left out by "
            "--exclude-zero-variance or --exclude-mixed-prompts. Leave these options out."
        )
    if not counts["rows"] and counts["steps_labelled"]:
        raise InputError(none_left(counts))
    if not counts["rows"]:
        raise InputError(
            f"No step gets a label. Of {amount(counts['steps'], 'step')} {counts['steps_out_of_loss']} have no token "
            f"in the loss, {counts['steps_few_members']} have fewer than {job.options.min_members} completions, "
            f"{counts['steps_uncertain']} are too uncertain, {counts['steps_without_sign']} have A = 0. Lower "
            "--min-members or --min-certainty, or take other labels."
        )
