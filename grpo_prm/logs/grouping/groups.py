"""From rows of whole steps to groups: buckets of one key or prompt, cut into draws where a prompt was drawn again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...core.forest import ranges
from ..columns.apart import SPLIT
from ..columns.plan import Plan
from ..options import ReadOptions
from ..rollouts import PROMPT_CUT, REJECTED, prompt_counts
from ..rows.rejects import rejected_rows
from ..rows.roles import end_counts, ends_of_others
from ..sources import Source
from .buckets import PIECE, hashed, in_buckets, in_order_of_keys, keys_of, numbered, numbers, steps_of
from .done import Done
from .draws import Buckets, GroupingState, cut_into_draws, draw_of_rows, split_notes
from .keyed_parts import with_draws
from .members import SAMPLE, said_members, without_members
from .repeats import with_samples_once, written_again
from .turns import with_turns_joined
from .unnamed_steps import come_back, joined, with_pieces

__all__ = ["Grouped", "hashed", "into_groups"]

_ENDS = (
    "In {{rows}} (each a completion) the last message is of `{}`, not of the model, and the last token is in the loss: "
    "the mask may be that of another turn, or the ids may end before that message. Check it: every number, of copies "
    "too, is about what is in the loss."
)


class Grouped(NamedTuple):
    """Rows in groups, rejected rows, counts and notes (see `rollouts.Rollouts`), and what is told of rows (`Done`)."""

    rows: pl.DataFrame
    rejected: pl.DataFrame
    counts: Counter[str]
    notes: tuple[str, ...]
    told: Counter[str]


def into_groups(
    steps: Sequence[pl.DataFrame], plan: Plan, options: ReadOptions, state: GroupingState, sources: Sequence[Source]
) -> Grouped:
    """Group the rows of whole steps.

    A bucket holds the rows of one run, step and key, or exact prompt; where no step is named also of one file. The
    modal size k is that of the buckets of the run so far, this step included, so it does not depend on how the log is
    cut into batches.

    Args:
        steps: Rows of whole steps, a table each, in the order of the log.
        plan: What tells the buckets apart.
        options: `group_size` and `drop_uneven` are used.
        state: Carried from batch to batch, changed here.
        sources: Files of the log, for the rejected rows.

    Returns:
        Rows with `group`, `group_key` and `sample`; rows of a group are neighbours. Where the log names keys the groups
        of a step come in their order, else in that of the log.
    """
    done = Done([], [], Counter(), Counter())
    rows = _one_a_rollout(steps, plan, state, sources, done)
    if SPLIT in plan.beside:  # an evaluation has a group size of its own, as a run has
        split = pl.format("{} {}={}", "run", pl.lit(plan.beside[SPLIT]), pl.col(SPLIT).cast(pl.String()).fill_null(""))
        rows = rows.with_columns(split.alias("run"))
    if "group" not in plan.by:
        rows = with_pieces(rows, plan, sources, done)
    rows = with_samples_once(rows, plan, sources, state.noted, done)
    rows, bucket, place = in_buckets(rows, plan)
    opens = np.flatnonzero(np.diff(bucket, prepend=-1))
    heads = rows[opens]
    keys = keys_of(heads)
    advantage = None if plan.per_draw else numbers(rows, "advantage")
    size = np.diff(opens, append=len(bucket))
    buckets = Buckets(opens, size, numbers(rows, "reward"), advantage, place, not plan.per_draw, said_members(heads))
    cut = cut_into_draws(buckets, steps_of(heads), options.group_size, state)
    if plan.per_draw:
        cut.draws[:], cut.merged[:] = 1, False  # only the modal sizes are wanted then
    done.notes.extend(split_notes(buckets, cut, heads, keys, state))
    draw = draw_of_rows(buckets, cut)
    if cut.strided.any():  # draws that take turns: put the rows of each side by side
        order = np.lexsort((draw, bucket))
        rows, draw, place = rows[order], draw[order], place[order]

    # From here on by group: its first row, its size k, and the bucket that it was cut from.
    starts = np.flatnonzero((np.diff(bucket, prepend=-1) != 0) | (np.diff(draw, prepend=0) != 0))
    k = np.diff(starts, append=len(bucket))
    of_bucket = np.searchsorted(opens, starts, "right") - 1
    if PIECE in rows.columns:
        done.notes.extend(come_back(heads, plan))
        # A key made anew for each draw may come back where rows are mixed; a number may also have begun anew.
        if not plan.per_draw or plan.kinds.get(plan.paths.get("group", "")) == "int":
            done.counts["groups_joined"], note = joined(np.repeat(np.arange(len(k)), k), rows, place)
            done.notes.extend(note)
    rows = rows.with_columns(
        numbered(heads, keys, of_bucket).gather(np.repeat(np.arange(len(k)), k)).alias("group_key"),
        pl.Series("sample", np.arange(len(rows)) - np.repeat(starts, k), pl.Int32()),
    )
    uneven = (k != cut.modal[of_bucket]) & (k > 1)
    order = in_order_of_keys(rows[starts]) if "key" in rows.columns else np.arange(len(starts))
    if (np.diff(order) != 1).any():
        rows, uneven = rows[ranges(starts[order], k[order])[0]], uneven[order]
        k = k[order]
        starts = np.cumsum(k) - k
    samples = without_members(rows, starts, k, plan, options, state.noted, done)
    drop = samples | (uneven if options.drop_uneven else False)
    for left_out, reason in ((samples, SAMPLE), (drop & ~samples, "uneven group")):
        if left_out.any():
            done.rejected.append(rejected_rows(rows.filter(np.repeat(left_out, k)), sources, "group", reason))
    rows, k, uneven = rows.filter(np.repeat(~drop, k)), k[~drop], uneven[~drop]
    rows = rows.with_columns(pl.Series("group", state.next_group + np.repeat(np.arange(len(k)), k), pl.Int64()))
    state.next_group += len(k)
    done.counts.update(
        groups_uneven=int(uneven.sum()),
        groups_split=int((cut.draws > 1).sum()),
        groups_merged=int(cut.merged.sum()),
    )
    done.counts.update(prompt_counts(rows) + _prompts_cut(rows, k))
    roles = ends_of_others(rows)
    done.counts.update(end_counts(roles))
    done.told.update({_ENDS.format(role): roles[role] for role in sorted(roles)})
    rejected = pl.concat([pl.DataFrame(schema=REJECTED), *done.rejected])
    return Grouped(rows, rejected, done.counts, tuple(done.notes), done.told)


def _prompts_cut(rows: pl.DataFrame, k: NDArray[np.int64]) -> Counter[str]:
    """Ids of prompts that were cut off the front of completions: of those in groups, and of those alone in theirs."""
    if PROMPT_CUT not in rows.columns:
        return Counter()
    cut, of_one = rows[PROMPT_CUT].fill_null(0).to_numpy(), np.repeat(k, k) == 1
    return Counter(prompt_tokens=int(cut[~of_one].sum()), prompt_tokens_of_one=int(cut[of_one].sum()))


def _one_a_rollout(
    steps: Sequence[pl.DataFrame], plan: Plan, state: GroupingState, sources: Sequence[Source], done: Done
) -> pl.DataFrame:
    """The steps as one table: no row that was written again, and one row a rollout."""
    rows = _without_copies(steps, sources, done)
    if "group" in plan.by:  # a canonical log
        rows, copies, notes = with_draws(rows, state.noted)
        done.rejected.append(rejected_rows(copies, sources, "sample", "duplicate"))
        done.notes.extend(notes)
        return rows
    return with_turns_joined(rows, plan, sources, done)


def _without_copies(steps: Sequence[pl.DataFrame], sources: Sequence[Source], done: Done) -> pl.DataFrame:
    """The steps as one table without the rows that were written again."""
    kept = []
    for rows in steps:
        again = written_again(rows)
        kept.append(rows.head(len(rows) - again))
        if again:
            done.rejected.append(rejected_rows(rows.tail(again), sources, "", "duplicate"))
    return pl.concat(kept)
