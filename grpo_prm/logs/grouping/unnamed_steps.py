"""Logs that name no step: which rows of one key are of one draw, and what is said of keys that come back.

A later file is a later step: a key that comes back there is another draw. A key that comes back inside a file may be of
a later step, or its rows are mixed with others, as those of an evaluation are that goes through its problems again and
again. So they are joined, and that is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..columns.plan import Plan
from ..sources import Source
from .buckets import AGAIN, PIECE
from .done import Done

Ints = NDArray[np.int64]
_OF_MANY = re.compile(r"\d+(?=-of-\d+)")  # data-00000-of-00004.arrow


def with_pieces(rows: pl.DataFrame, plan: Plan, sources: Sequence[Source], done: Done) -> pl.DataFrame:
    """Add the piece of the log that each row stands in, where a step is not named.

    Args:
        rows: Rows of whole steps.
        plan: What tells the groups apart.
        sources: Files of the log.
        done: Gets a note.

    Returns:
        Rows with `_piece`, int32, null where a step is named; the rows as they are where all are. A log that has a file
        for each rollout, or for each pass over its problems, is one piece: no file holds a group then.
    """
    unnamed = rows["step"].is_null() if "step" in rows.columns else pl.Series([True]).new_from_index(0, len(rows))
    if not unnamed.any():
        return rows
    names = [_OF_MANY.sub("#", source.name) for source in sources]
    first = {name: number for number, name in reversed(list(enumerate(names)))}
    pieces = np.array([first[name] for name in names], np.int32)
    piece = pl.Series(PIECE, pieces[rows["_file"].to_numpy()])
    rows = rows.with_columns(piece).with_columns(pl.when(unnamed).then(PIECE).alias(PIECE))
    if piece.n_unique() == 1:
        return rows
    by = [c for c in plan.by if c in rows.columns]
    of_key = rows.filter(unnamed).group_by("run", PIECE, *by).agg(pl.len())
    alone = of_key.group_by("run").agg(((pl.col("len") == 1).mean() > 0.5) & pl.struct(by).is_duplicated().any())
    whole = alone.filter(pl.col("len"))["run"].to_list()
    if not whole:
        return rows
    done.notes.append(
        "No step is logged, and a file holds one row of a key: rows of one key in several files are one group."
    )
    return rows.with_columns(
        pl.when(pl.col("run").is_in(whole) & pl.col(PIECE).is_not_null())
        .then(0)
        .otherwise(PIECE)
        .cast(pl.Int32)
        .alias(PIECE)
    )


def come_back(heads: pl.DataFrame, plan: Plan) -> Iterator[str]:
    """Say how many keys stand in a later file again.

    Args:
        heads: First row of each bucket.
        plan: What tells the groups apart.
    """
    heads = heads.filter(pl.col(PIECE).is_not_null())
    by = [c for c in ("run", *plan.by, AGAIN) if c in heads.columns]
    if again := len(heads) - heads.select(pl.struct(by).n_unique()).item():
        keys = f"{again} {'key comes' if again == 1 else 'keys come'}"
        yield (
            f"No step is logged, and {keys} back in a later file: each time it is another draw, a group of its own."
            " Name the step with --columns step=NAME if that is wrong."
        )


def joined(group: Ints, rows: pl.DataFrame, place: Ints) -> tuple[int, list[str]]:
    """Find the groups whose rows are not neighbours in the log.

    Args:
        group: Group of each row, shape (rows,).
        rows: With the piece of the log that each stands in.
        place: Place of each in the log, shape (rows,).

    Returns:
        How many there are, 0 where the log goes through its groups in one order again and again; and what is said.
    """
    order = np.argsort(place)
    piece = rows[PIECE].fill_null(-1).to_numpy()[order]
    group, piece = group[order][piece >= 0], piece[piece >= 0]  # rows that name no step
    stretches = np.flatnonzero(np.diff(group, prepend=-1))
    number = int((np.bincount(group[stretches]) > 1).sum()) if len(group) else 0
    if not number:
        return 0, []
    if all(_is_cycle(group[piece == one]) for one in np.unique(piece)):
        note = "The log goes through its prompts in one order again and again: rows of one key are one group."
        return 0, [note]
    keys = "1 key comes" if number == 1 else f"{number} keys come"
    return number, [
        f"No step is logged, and {keys} back later in the log: rows of one key were joined, whatever step they are of."
        " Name the step with --columns step=NAME, or what tells the groups apart with --columns group=NAME."
    ]


def _is_cycle(group: Ints) -> bool:
    """Does each turn hold the same groups, each once, in one order? The last may be cut short."""
    turn = int(np.argmax(group[1:] == group[0])) + 1 if len(group) > 1 else 1
    if len(group) > 1 and group[turn] != group[0]:
        return len(np.unique(group)) == len(group)
    return len(np.unique(group[:turn])) == turn and bool((group[turn:] == group[:-turn]).all())
