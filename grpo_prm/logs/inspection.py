"""What a log is: its format, columns, steps, groups and unit, what it lacks, and what will be left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..core.group_size import modal_size
from .options import ReadOptions
from .rollouts import SCHEMA, Rollouts
from .stream import open_all

# What a log may lack, and what cannot be had without it.
LACKS = {
    "step": "no step: the whole log counts as one",
    "prompt": "no prompt: intervals go by the group's key",
    "tokens": "no token ids: text is cut into units, which need not be those that were sampled",
    "logprobs": "no log-probabilities: no identity gap and no log-probability spread",
    "advantage": "no advantages: those computed from the rewards cannot be checked",
    "reward": "no reward: step rewards cannot be had, only step advantages",
    "truncated": "no note of which completions were cut at the length limit",
}


class Reason(NamedTuple):
    """Rejected rows of one kind: field, reason, how many, and the first of them (file, line or None, raw start)."""

    field: str
    reason: str
    rows: int
    file: str
    line: int | None
    raw: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a log was taken for.

    Attributes:
        files: Names of the files.
        formats: Names of their formats, each once.
        columns: Canonical column to column of the log, of the first run; parts of the reward as `reward/NAME`.
        runs: Names of the runs.
        unit: `token` or `piece`.
        tokens_from: `log`, `tokenizer` or `pieces`.
        steps: First, last and number of training steps; None where none is logged.
        rows_read: Rows of the log, rejected ones included.
        completions: Rows in the canonical table.
        tokens: Units in it.
        loss_tokens: Those of them that no mask leaves out of the loss.
        prompt_tokens: Ids of prompts that were cut off the front of the completions.
        groups: Groups in it, those of one completion included.
        groups_of_one: Groups that no statistic can use.
        groups_uneven: Groups of another size than was asked for, or than the commonest of their run up to that step.
        groups_split: Prompts drawn more than once in a step and split.
        group_sizes: Size to number of groups, ascending.
        files_repeated: Files with the bytes of an earlier one.
        missing: What the log lacks, each a sentence part with what cannot be had without it.
        rejected: What will be left out, the most frequent reason first.
        notes: What was inferred, as sentences.
    """

    files: tuple[str, ...]
    formats: tuple[str, ...]
    columns: Mapping[str, str]
    runs: tuple[str, ...]
    unit: str
    tokens_from: str
    steps: Mapping[str, int] | None
    rows_read: int
    completions: int
    tokens: int
    loss_tokens: int
    prompt_tokens: int
    groups: int
    groups_of_one: int
    groups_uneven: int
    groups_split: int
    group_sizes: Mapping[int, int]
    files_repeated: int
    missing: tuple[str, ...]
    rejected: tuple[Reason, ...]
    notes: tuple[str, ...]

    @property
    def group_size(self) -> int:
        """The commonest group size (`core.group_size`), as summary.json has it; 0 if no group has two completions."""
        return modal_size(self.group_sizes)


def inspect(paths: Sequence[str | Path] | str | Path, options: ReadOptions | None = None) -> Inspection:
    """Read a log through and say what was understood.

    Args:
        paths: As for `read`.
        options: As for `read`.

    Returns:
        The inspection.

    Raises:
        UsageError: As for `read`.
        InputError: As for `read`.

    Examples:
        >>> import grpo_prm
        >>> found = grpo_prm.inspect("examples/chain.jsonl")
        >>> list(found.formats)
        ['canonical']
    """
    options = options or ReadOptions()
    opened = open_all(paths, options)  # once: a pipe can be, and what lies elsewhere is fetched
    logs, tally = opened.logs, opened.fold(_tally)
    plan = logs[0].plan
    # Kept columns are left out, as they are called what they were. Of the canonical ones those that hold something.
    columns = {**plan.paths, **plan.reward_columns}
    columns = {name: column for name, column in columns.items() if name not in SCHEMA or name in _logged(tally)}
    steps = sorted(tally.steps)
    return Inspection(
        files=tuple(source.name for log in logs for source in log.sources),
        formats=tuple(dict.fromkeys(log.format for log in logs)),
        columns=columns,
        runs=tuple(tally.runs),
        unit="piece" if tally.tokens_from == "pieces" else "token",
        tokens_from=tally.tokens_from,
        steps={"first": steps[0], "last": steps[-1], "count": len(steps)} if steps else None,
        rows_read=tally.counts["rows_read"],
        completions=tally.completions,
        tokens=tally.tokens,
        loss_tokens=tally.tokens - tally.masked,
        prompt_tokens=tally.counts["prompt_tokens"] + tally.counts["prompt_tokens_of_one"],
        groups=sum(tally.sizes.values()),
        groups_of_one=tally.sizes[1],
        groups_uneven=tally.counts["groups_uneven"],
        groups_split=tally.counts["groups_split"],
        group_sizes=dict(sorted(tally.sizes.items())),
        files_repeated=tally.counts["files_repeated"],
        missing=tuple(_missing(tally)),
        rejected=tuple(sorted(tally.rejected.values(), key=lambda r: -r.rows)),
        notes=tuple(tally.notes),
    )


@dataclass(slots=True)
class _Tally:
    """What the batches add up to."""

    counts: Counter[str] = field(default_factory=Counter)
    sizes: Counter[int] = field(default_factory=Counter)
    runs: dict[str, None] = field(default_factory=dict)
    steps: set[int] = field(default_factory=set)
    present: set[str] = field(default_factory=set)
    rejected: dict[tuple[str, str], Reason] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    completions: int = 0
    tokens: int = 0
    masked: int = 0
    tokens_from: str = "log"


def _tally(batches: Iterable[Rollouts]) -> _Tally:
    tally = _Tally()
    for batch in batches:
        table = batch.table
        tally.counts += batch.counts
        tally.sizes.update(table.group_by("group").len()["len"].to_list())
        tally.runs.update(dict.fromkeys(table["run"].unique(maintain_order=True)))
        tally.steps.update(table["step"].drop_nulls().unique().to_list())
        tally.present.update(c for c in SCHEMA if table[c].null_count() < len(table))
        tally.completions += len(table)
        tally.tokens += int(table["tokens"].list.len().sum())
        tally.masked += int((table["mask"].list.len() - table["mask"].list.sum()).sum())
        tally.notes.update(dict.fromkeys(batch.notes))
        if len(table):
            tally.tokens_from = table["tokens_from"][0]
        for key, reason in _reasons(batch.rejected):
            first = tally.rejected.setdefault(key, reason._replace(rows=0))
            text = first.reason if first.reason == reason.reason else key[1]  # with N for the numbers that differ
            tally.rejected[key] = first._replace(rows=first.rows + reason.rows, reason=text)
    return tally


def _reasons(rejected: pl.DataFrame) -> Iterator[tuple[tuple[str, str], Reason]]:
    """Rejected rows by field and reason; reasons that differ in a number only are one."""
    kind = pl.col("reason").str.replace_all(r"-?\d+(\.\d+)?", "N").alias("kind")
    first = rejected.group_by("field", kind, maintain_order=True).agg(
        pl.len().alias("rows"), pl.col("file", "line", "raw", "reason").first(), pl.col("reason").n_unique().alias("n")
    )
    for field_, kind_, rows, file, line, raw, reason, different in first.iter_rows():
        yield (field_, kind_), Reason(field_, reason if different == 1 else kind_, rows, file, line, raw)


def _missing(tally: _Tally) -> Iterator[str]:
    """What cannot be had. Ids that were not logged count as lacking, although the table has some."""
    yield from (sentence for column, sentence in LACKS.items() if column not in _logged(tally))


def _logged(tally: _Tally) -> set[str]:
    """Columns of the log that hold something."""
    return tally.present - ({"tokens"} if tally.tokens_from != "log" else set())
