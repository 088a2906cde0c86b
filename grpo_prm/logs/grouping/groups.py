"""From rows of whole steps to groups: buckets of one key or prompt, cut into draws where a prompt was drawn again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..columns.plan import Plan
from ..options import ReadOptions
from ..rollouts import REJECTED, groups_of_several_prompts
from ..rows.rejects import rejected_rows
from ..sources import Source
from .draws import Buckets, GroupingState, cut_into_draws, draw_of_rows, split_notes
from .keyed_parts import with_draws
from .repeats import index_comes_again, written_again
from .turns import with_turns_joined
from .unnamed_steps import PIECE, are_steps_named, come_back, joined, joined_note, with_pieces

Ints = NDArray[np.int64]


class Grouped(NamedTuple):
    """Rows in groups, rejected rows, counts and notes (see `rollouts.Rollouts`)."""

    rows: pl.DataFrame
    rejected: pl.DataFrame
    counts: Counter[str]
    notes: tuple[str, ...]


def into_groups(
    steps: Sequence[pl.DataFrame], plan: Plan, options: ReadOptions, state: GroupingState, sources: Sequence[Source]
) -> Grouped:
    """Group the rows of whole steps.

    A bucket holds the rows of one run, step and key, or exact prompt. The modal size k is that of the buckets of the
    run so far, this step included, so it does not depend on how the log is cut into batches.

    Args:
        steps: Rows of whole steps, a table each, in the order of the log.
        plan: What tells the buckets apart.
        options: `group_size` and `drop_uneven` are used.
        state: Carried from batch to batch, changed here.
        sources: Files of the log, for the rejected rows.

    Returns:
        Rows with `group`, `group_key` and `sample`; the rows of a group are neighbours, in the order of the log.
    """
    rows, rejected = _without_copies(steps, sources)
    notes: tuple[str, ...] = ()
    if "group" in plan.by:  # a canonical log
        rows, copies, notes = with_draws(rows, state.noted)
        rejected.append(rejected_rows(copies, sources, "sample", "duplicate"))
    rows, parts, joined_rows, told = with_turns_joined(rows, plan, sources, state.noted)
    rejected += parts
    unnamed = not are_steps_named(rows)
    if unnamed:
        rows = with_pieces(rows, sources)
    rows, bucket, place = _in_buckets(rows, plan)
    if "sample" in rows.columns and (again := index_comes_again(bucket, rows["sample"])).any():
        rejected.append(rejected_rows(rows.filter(again), sources, "sample", "duplicate"))
        rows, bucket, place = rows.filter(~again), bucket[~again], place[~again]
    opens = np.flatnonzero(np.diff(bucket, prepend=-1))
    size = np.diff(opens, append=len(bucket))
    heads = rows[opens]
    keys = _keys(heads)
    place = np.argsort(np.argsort(place))  # without the gaps that rejected rows left
    advantage = None if plan.per_draw else _numbers(rows, "advantage")
    buckets = Buckets(opens, size, _numbers(rows, "reward"), advantage, place, not plan.per_draw)
    cut = cut_into_draws(buckets, _steps(heads), options.group_size, state)
    if plan.per_draw:
        cut.draws[:], cut.merged[:] = 1, False  # only the modal sizes are wanted then
    notes += (*told, *split_notes(buckets, cut, heads, keys, state))
    draw = draw_of_rows(buckets, cut)
    if cut.strided.any():  # draws that take turns: put the rows of each side by side
        order = np.lexsort((draw, bucket))
        rows, draw, place = rows[order], draw[order], place[order]

    # From here on by group: its first row, its size k, and the bucket that it was cut from.
    starts = np.flatnonzero((np.diff(bucket, prepend=-1) != 0) | (np.diff(draw, prepend=0) != 0))
    k = np.diff(starts, append=len(bucket))
    of_bucket = np.searchsorted(opens, starts, "right") - 1
    uneven = (k != cut.modal[of_bucket]) & (k > 1)
    names = _numbered(heads, keys, of_bucket)
    again = 0  # groups that a log without steps comes back to
    if unnamed and "group" not in plan.by:
        notes += tuple(come_back(heads, plan))
        if not plan.per_draw:
            again, cycle = joined(np.repeat(np.arange(len(k)), k), rows[PIECE].to_numpy(), place)
            notes += (joined_note(again, cycle),) if again else ()
            again = 0 if cycle else again
    rows = rows.with_columns(
        names.gather(np.repeat(np.arange(len(k)), k)).alias("group_key"),
        pl.Series("sample", np.arange(len(rows)) - np.repeat(starts, k), pl.Int32()),
    )
    kept = np.ones(len(k), bool)
    if options.drop_uneven and uneven.any():
        kept = ~uneven
        rejected.append(rejected_rows(rows.filter(np.repeat(uneven, k)), sources, "group", "uneven group"))
        rows, k, uneven = rows.filter(np.repeat(kept, k)), k[kept], uneven[kept]
    group = state.next_group + np.repeat(np.arange(len(k)), k)
    state.next_group += len(k)
    rows = rows.with_columns(pl.Series("group", group, pl.Int64()))
    counts = Counter(
        groups_uneven=int(uneven.sum()),
        groups_split=int((cut.draws > 1).sum()),
        groups_merged=int(cut.merged.sum()),
        groups_joined=again,
        groups_prompts_differ=int(groups_of_several_prompts(rows).sum()),
    )
    counts += joined_rows
    return Grouped(rows, pl.concat([pl.DataFrame(schema=REJECTED), *rejected]), counts, notes)


def _without_copies(
    steps: Sequence[pl.DataFrame], sources: Sequence[Source]
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The steps as one table without the rows that were written again, and these as rejected rows."""
    kept, rejected = [], []
    for rows in steps:
        again = written_again(rows)
        kept.append(rows.head(len(rows) - again))
        if again:
            rejected.append(rejected_rows(rows.tail(again), sources, "", "duplicate"))
    return pl.concat(kept), rejected


def _in_buckets(rows: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, Ints, Ints]:
    """Rows bucket after bucket, in the order in which these appear; the bucket of each, and its place in the log."""
    # Rows of a canonical log name their group whole, wherever they stand.
    by = [c for c in ("run", "step", *((PIECE,) if "group" not in plan.by else ()), *plan.by) if c in rows.columns]
    buckets = rows.select(by).with_row_index("_row").group_by(by, maintain_order=True).agg("_row")["_row"]
    order = buckets.list.explode(empty_as_null=False).to_numpy()
    if (np.diff(order) != 1).any():  # most logs have them in order: then nothing is copied
        rows = rows[order]
    return rows, np.repeat(np.arange(len(buckets)), buckets.list.len().to_numpy()), order


def _steps(heads: pl.DataFrame) -> list[tuple[str, int]]:
    """Run and number of buckets of every step, in order."""
    names = [c for c in ("run", "step") if c in heads.columns]
    runs = heads.select(pl.struct(names).rle().alias("runs")).unnest("runs")
    return list(zip(runs["value"].struct.field("run"), runs["len"].to_list(), strict=True))


def _numbers(rows: pl.DataFrame, column: str) -> NDArray[np.float64] | None:
    """A column of numbers, nulls as NaN; None where it is not logged at all."""
    if column not in rows.columns or rows[column].null_count() == len(rows):
        return None
    return rows[column].to_numpy()


def hashed(prompt: str) -> str:
    """Name of a group whose log has no key but the prompt."""
    return hashlib.blake2b(prompt.encode(), digest_size=6).hexdigest()


def _keys(heads: pl.DataFrame) -> pl.Series:
    """The log's own key of each bucket, else a hash of its exact prompt, else the line that holds it."""
    if "key" in heads.columns:
        return heads["key"]
    if "prompt" in heads.columns and not heads["prompt"].null_count():
        return pl.Series([hashed(prompt) for prompt in heads["prompt"]], dtype=pl.String())
    return heads["_line"].cast(pl.String())


def _numbered(heads: pl.DataFrame, keys: pl.Series, of_bucket: Ints) -> pl.Series:
    """Keys of the groups, the second and later ones of a step with one key marked `#2`, `#3`."""
    names = [c for c in ("run", "step") if c in heads.columns]
    frame = heads.select(names).with_columns(keys.alias("key"))[of_bucket]
    frame = frame.with_columns(pl.int_range(1, pl.len() + 1).over(*names, "key").alias("number"))
    named = pl.when(pl.col("number") > 1).then(pl.format("{}#{}", "key", "number")).otherwise("key")
    return frame.select(named.alias("key")).to_series()
