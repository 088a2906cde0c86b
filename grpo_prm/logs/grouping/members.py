"""Groups of which the log says that they have more members than it holds."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..columns.members import LISTS, MEMBERS
from ..columns.plan import Plan
from ..options import ReadOptions
from .done import Done, once

Ints = NDArray[np.int64]


SAMPLE = "its group has more members than are logged, so it stands for none"


def said_members(heads: pl.DataFrame) -> Ints:
    """How many members each group has by what its first row says, 0 where nothing does; a list is text here."""
    if MEMBERS not in heads.columns:
        return np.zeros(len(heads), np.int64)
    said = heads[MEMBERS]
    return (said.str.count_matches(",") + 1 if said.dtype == pl.String else said).fill_null(0).cast(pl.Int64).to_numpy()


def without_members(
    rows: pl.DataFrame,
    starts: Ints,
    k: Ints,
    plan: Plan,
    options: ReadOptions,
    noted: dict[str, str],
    done: Done,
) -> NDArray[np.bool_]:
    """Find the groups that lack members.

    Args:
        rows: Rows group after group, with `_members` where the plan has it beside: a number, or a list as text.
        starts: First row of each group, shape (groups,).
        k: Rows of each group, shape (groups,).
        plan: Which column says how many members there are.
        options: A `group_size` that the user gave is believed.
        noted: Notes that were given already, by kind; grows.
        done: Gets the count `groups_lack_members` and a note.

    Returns:
        True for those to be left out, shape (groups,): the log holds the rewards of the members that it leaves out, so
        its rows are a choice of them, and no group.
    """
    if MEMBERS not in rows.columns or options.group_size is not None:
        return np.zeros(len(k), bool)
    said = said_members(rows[starts])
    short = k < said
    done.counts["groups_lack_members"] = int(short.sum())
    left_out = short if plan.beside[MEMBERS] in LISTS else np.zeros(len(k), bool)
    if short.any():
        first = int(np.flatnonzero(short)[0])
        name = rows["group_key"][int(starts[first])]
        what = "such groups are left out" if left_out.any() else "what is counted here is not what the run trained on"
        sentence = (
            f"The log lacks members of groups ({name}: {k[first]} of the {said[first]} that {plan.beside[MEMBERS]}"
            f" says): {what}."
        )
        done.notes.extend(once(noted, "members", sentence))
    return left_out
