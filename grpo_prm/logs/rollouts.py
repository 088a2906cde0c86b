"""Canonical rollouts: one table with one row per completion, whatever framework logged it (docs/logs.md)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.prm import HUGE
from ..errors import InputError, UsageError
from ..files import atomic

SCHEMA: dict[str, pl.DataType] = {
    "run": pl.String(),
    "step": pl.Int64(),
    "group": pl.Int64(),
    "group_key": pl.String(),
    "problem": pl.String(),
    "task": pl.String(),
    "sample": pl.Int32(),
    "prompt": pl.String(),
    "completion": pl.String(),
    "tokens": pl.List(pl.Int32()),
    "mask": pl.List(pl.Boolean()),
    "logprobs": pl.List(pl.Float32()),
    "trainer_logprobs": pl.List(pl.Float32()),
    "ref_logprobs": pl.List(pl.Float32()),
    "reward": pl.Float64(),
    "advantage": pl.Float64(),
    "truncated": pl.Boolean(),
    "tokens_from": pl.String(),
    "run_from": pl.String(),
}
ADDED = ("problem", "task", "trainer_logprobs", "run_from")  # tables of older versions lack them: they are null there
REQUIRED = ("run", "group", "group_key", "sample", "tokens", "tokens_from")
REJECTED: dict[str, pl.DataType] = {
    "file": pl.String(),
    "line": pl.Int64(),
    "field": pl.String(),
    "reason": pl.String(),
    "raw": pl.String(),
}
UNITS_FROM = ("log", "tokenizer", "pieces")  # the words of `tokens_from`
BY_LOG, BY_FILE = "log", "file"  # the words of `run_from`: what names the run; null is the log
ROW_GROUP = 1024  # completions in a row group of parquet: a reader decodes one at a time
REWARD_PART = "reward/"  # prefix of the columns that hold the named parts of the reward
PROMPT_HASH = "prompt_hash"  # int64, beside the canonical columns: of the prompt's ids, where these alone are logged
IDS = r"^\[\d+(, \d+)*\]$"  # a prompt that was logged as ids stands in the canonical table as their JSON
ENDS_WITH = "ends_with_role"  # str, beside the canonical columns: of `rows.roles.other_at_the_end`
BESIDE = (PROMPT_HASH, ENDS_WITH)  # in a table whose log had what they tell
PROMPT_CUT = "_prompt_cut"  # int64, in rows that are not grouped yet: ids of the prompt that were cut off the front


class Rollouts(NamedTuple):
    """Whole groups of completions, and what was left out on the way to them.

    Attributes:
        table: `SCHEMA`, then `reward/NAME` (float64) and kept columns; rows of a group are neighbours.
        rejected: `REJECTED`, one row per row or line of the log that cannot be used.
        counts: Whole numbers that add up over batches: rows_read, groups_uneven, groups_split, files_repeated, ...
        notes: Sentences for the user about what was inferred, each once.
        format: Format of the log, as the readers are named.
        files: Files that the rows came from.
        methods: What runs were trained with, by their names, as the folders of their files say; None in the set where
            one says nothing. More than one: they do not agree.

    Examples:
        >>> import grpo_prm
        >>> batch = next(grpo_prm.read_rollouts("examples/chain.jsonl"))
        >>> batch.table["reward"][:3].to_list()
        [1.0, 0.0, 1.0]
        >>> batch.rejected.height
        0
    """

    table: pl.DataFrame
    rejected: pl.DataFrame = pl.DataFrame(schema=REJECTED)
    counts: Counter[str] = Counter()  # noqa: RUF012 - added to, never changed
    notes: tuple[str, ...] = ()
    format: str = ""
    files: tuple[str, ...] = ()
    methods: Mapping[str, frozenset[str | None]] = {}


def merged_methods(every: Iterable[Mapping[str, frozenset[str | None]]]) -> dict[str, frozenset[str | None]]:
    """The methods of each run over all batches."""
    merged: dict[str, frozenset[str | None]] = {}
    for methods in every:
        for run, of_run in methods.items():
            merged[run] = merged.get(run, frozenset()) | of_run
    return merged


def location(file: str, line: int | None) -> str:
    """Where a row stands, for a message: `FILE:LINE`, or the file alone."""
    return file if line is None else f"{file}:{line}"


class Flat(NamedTuple):
    """The arrays of a table: tokens and mask (tokens,), lengths and groups (completions,). No mask: all in the loss."""

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]
    groups: NDArray[np.int64]
    mask: NDArray[np.bool_] | None


def flatten(table: pl.DataFrame) -> Flat:
    """Put the lists of a table end to end, as arrays.

    Args:
        table: A canonical table; only `tokens`, `mask` and `group` are looked at.

    Returns:
        Arrays in the order of the table. A null mask means that every token of that completion is in the loss.
    """
    # `explode` turns an empty list into a null unless it is told not to: an empty completion has no token.
    lengths = table["tokens"].list.len().to_numpy().astype(np.int64)
    tokens = table["tokens"].list.explode(empty_as_null=False).to_numpy()
    groups = table["group"].to_numpy()
    if table["mask"].null_count() == len(table):
        return Flat(tokens, lengths, groups, None)
    mask = np.ones(len(tokens), bool)
    logged = table["mask"].is_not_null().to_numpy()
    mask[np.repeat(logged, lengths)] = table["mask"].drop_nulls().list.explode(empty_as_null=False).to_numpy()
    return Flat(tokens, lengths, groups, mask)


def groups_of_several_prompts(table: pl.DataFrame) -> NDArray[np.bool_]:
    """True for groups whose members read different prompts, by text or by the ids before the first in the loss.

    Args:
        table: Columns `group`, and `prompt` and `PROMPT_HASH` where they are known; rows of a group are neighbours.
            A null differs from nothing.

    Returns:
        Shape (groups,).
    """
    return _groups_with_a_change(table, [_changes(name) for name in ("prompt", PROMPT_HASH) if name in table.columns])


def groups_of_several_fronts(table: pl.DataFrame) -> NDArray[np.bool_]:
    """True for groups whose members differ in the ids before the first in the loss, and in no text of a prompt.

    Such as turns whose earlier turns differ: no column names what their rows should be grouped by.

    Args:
        table: As for `groups_of_several_prompts`.

    Returns:
        Shape (groups,).
    """
    if PROMPT_HASH not in table.columns:
        return np.zeros(len(group_opens(table)), bool)
    texts = [_changes("prompt") & ~pl.col("prompt").str.contains(IDS)] if "prompt" in table.columns else []
    return _groups_with_a_change(table, [_changes(PROMPT_HASH)]) & ~_groups_with_a_change(table, texts)


def _changes(name: str) -> pl.Expr:
    """Whether a row differs from the one before."""
    return pl.col(name) != pl.col(name).shift(1)


def _groups_with_a_change(table: pl.DataFrame, changes: list[pl.Expr]) -> NDArray[np.bool_]:
    """True for groups with a row, but the first, of which one of `changes` holds, shape (groups,)."""
    opens = group_opens(table)
    if not changes or table.is_empty():
        return np.zeros(len(opens), bool)
    flags = table.select(pl.any_horizontal(changes).fill_null(False)).to_series().to_numpy().copy()
    flags[opens] = False
    return np.logical_or.reduceat(flags, opens)


def prompt_counts(table: pl.DataFrame) -> Counter[str]:
    """How many groups read several prompts, and how many of them show it in ids alone (`groups_of_several_fronts`)."""
    several, fronts = groups_of_several_prompts(table).sum(), groups_of_several_fronts(table).sum()
    return Counter(groups_prompts_differ=int(several), groups_fronts_differ=int(fronts))


def group_opens(table: pl.DataFrame) -> NDArray[np.int64]:
    """First row of each group of a canonical table, shape (groups,)."""
    return np.flatnonzero(np.diff(table["group"].to_numpy(), prepend=-1))


def validate(table: pl.DataFrame, name: str = "table") -> pl.DataFrame:
    """Check a canonical table.

    Args:
        table: Any table.
        name: What messages call it.

    Returns:
        The table; the columns of `ADDED` that it lacks are null.

    Raises:
        InputError: The first thing that is wrong: a missing column, a wrong type, a null, an id out of range, lists of
            unequal length, a number that is not finite, a group in two places, a (group, sample) that stands twice.
    """
    if absent := [pl.lit(None, SCHEMA[c]).alias(c) for c in ADDED if c not in table.columns]:
        ours = [c for c in SCHEMA if c in ADDED or c in table.columns]
        table = table.with_columns(absent).select(*ours, *(c for c in table.columns if c not in SCHEMA))
    for column, dtype in SCHEMA.items():
        if column not in table.columns:
            raise InputError(f"{name}: the column {column} is missing. A canonical table has {', '.join(SCHEMA)}.")
        if table.schema[column] != dtype:
            raise InputError(f"{name}: {column} is {table.schema[column]}, not {dtype}. Cast it.")
    for fault, message in _faults(table):
        if len(rows := np.flatnonzero(fault.to_numpy())):
            raise InputError(f"{name}: row {rows[0]}: {message}. Mend or leave out {len(rows)} such rows.")
    return table


def _faults(table: pl.DataFrame) -> Iterator[tuple[pl.Series, str]]:
    """What can be wrong with the rows of a table of the right types, one flag per row."""
    for column in REQUIRED:
        yield table[column].is_null(), f"{column} is null"
    for column in ("tokens", "mask", "logprobs", "trainer_logprobs", "ref_logprobs"):
        null = table.select(pl.col(column).list.eval(pl.element().is_null()).list.any().fill_null(False)).to_series()
        yield null, f"{column} holds a null"
        if column != "tokens":
            yield (
                (table[column].list.len() != table["tokens"].list.len()).fill_null(False),
                f"{column} is not as long as tokens",
            )
    yield (table["tokens"].list.min() < 0).fill_null(False), "a token id is negative"
    floats = [c for c in table.columns if c in ("reward", "advantage") or c.startswith(REWARD_PART)]
    for column in floats:
        yield (~table[column].is_finite()).fill_null(False), f"{column} is not finite"
        yield (table[column].abs() >= HUGE).fill_null(False), f"{column} is too large a number to compute with"
    # A row that begins a stretch of its group, though the group was there before.
    begins = table["group"].rle_id().is_first_distinct()
    yield begins & ~table["group"].is_first_distinct(), "its group stands in two places"
    twice = table.select(pl.struct("group", "sample").is_first_distinct()).to_series()
    yield ~twice, "its (group, sample) stands twice"


def save(rollouts: Rollouts | pl.DataFrame, path: str | Path) -> None:
    """Write a canonical table, whole or not at all.

    Args:
        rollouts: The table, or what holds it; rejected rows stay behind.
        path: `.parquet` (zstd) or `.jsonl`.

    Raises:
        InputError: The table is not canonical.
        UsageError: Another suffix.

    Examples:
        >>> import grpo_prm
        >>> batch = next(grpo_prm.read_rollouts("examples/chain.jsonl"))
        >>> grpo_prm.save(batch, "step.jsonl")
    """
    path = Path(path)
    table = validate(rollouts.table if isinstance(rollouts, Rollouts) else rollouts, str(path))
    if path.suffix not in (".parquet", ".jsonl"):
        raise UsageError(f"{path}: a table is written as .parquet or .jsonl. Choose one of the two.")
    with atomic(path) as part:
        if path.suffix == ".parquet":
            table.write_parquet(part, compression="zstd", row_group_size=ROW_GROUP)
        else:
            table.write_ndjson(part)


def load(path: str | Path) -> pl.DataFrame:
    """Read a table that `save` wrote, exactly as it was.

    Args:
        path: `.parquet` or `.jsonl`. In JSONL a kept column that is null throughout comes back as text.

    Returns:
        The canonical table.

    Raises:
        InputError: There is no such file, it cannot be read, or it is not a canonical table.

    Examples:
        >>> import grpo_prm
        >>> batch = next(grpo_prm.read_rollouts("examples/chain.jsonl"))
        >>> grpo_prm.save(batch, "step.parquet")
        >>> grpo_prm.load("step.parquet").equals(batch.table)
        True
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file. Check the path.")
    try:
        table = pl.read_parquet(path) if path.suffix == ".parquet" else _load_jsonl(path)
    except (pl.exceptions.PolarsError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a canonical table ({error}). Read it with grpo_prm.logs.") from None
    return validate(table, str(path))


def _load_jsonl(path: Path) -> pl.DataFrame:
    # The first line names every column, as `save` writes nulls too. Types of our columns are known, those of kept ones
    # are not.
    with path.open("rb") as file:
        first = json.loads(file.readline() or b"{}")
    rewards = {name: pl.Float64() for name in first if name.startswith(REWARD_PART)}
    types = {name: dtype for name, dtype in (SCHEMA | rewards).items() if name in first}
    others = [name for name in first if name not in types]
    table = pl.read_ndjson(path, schema=types) if first else pl.DataFrame(schema=SCHEMA)
    if others:
        kept = pl.read_ndjson(path, infer_schema_length=None).select(others)
        table = table.with_columns(kept.with_columns(pl.selectors.by_dtype(pl.Null).cast(pl.String)))
    return table.select(list(first) or list(SCHEMA))
