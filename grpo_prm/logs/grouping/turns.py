"""Rows that are turns of one rollout: joined in order, so that members of a group are rollouts.

Only what the policy wrote is in such rows. What came between two turns is not, so a newline that is out of the loss
stands for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from ..columns.plan import Plan
from ..columns.turns import ROLLOUT, TURN
from ..rollouts import ENDS_WITH, PROMPT_CUT
from ..rows.rejects import rejected_rows
from ..sources import Source
from .done import Done

_DIFFERENT = "the rows of its rollout have different rewards, so its own is not known"
_NO_ORDER = "its rollout has several rows, and no column says which turn each is"
_SAME_TURN = "its rollout has two different rows of one turn"
_PER_TOKEN = ("mask", "logprobs", "trainer_logprobs", "ref_logprobs")


def with_turns_joined(rows: pl.DataFrame, plan: Plan, sources: Sequence[Source], done: Done) -> pl.DataFrame:
    """Join the rows of each rollout.

    Args:
        rows: Whole steps, with `_rollout` and `_turn` where the plan has them beside.
        plan: What tells rollouts apart.
        sources: Files of the log, for the rejected rows.
        done: Gets the rejected rows: copies, and rollouts whose rows cannot be one completion; what is told of
            the others; and the count `rows_joined` of the rows that went into others.

    Returns:
        The rows, one a rollout, where its first row stood: texts joined by newlines, ids end to end.
    """
    if ROLLOUT not in rows.columns:
        return rows
    of = rows.select(pl.struct(_scope(rows, plan)).rank("dense")).to_series().to_numpy()
    several = (np.bincount(of)[of] > 1) & rows[ROLLOUT].is_not_null().to_numpy()
    if not several.any():
        return rows
    rows = rows.with_columns(pl.Series("_of", of), pl.Series("_place", np.arange(len(rows))))
    parts = rows.filter(several)
    copies = ~parts.select(pl.struct(_said(parts)).is_first_distinct()).to_series()
    done.rejected.append(rejected_rows(parts.filter(copies), sources, "rollout", "duplicate"))
    parts = parts.filter(~copies)
    for fault, reason in _faults(parts):
        bad = parts.select(fault.any().over("_of")).to_series()
        done.rejected.append(rejected_rows(parts.filter(bad), sources, "rollout", reason))
        parts = parts.filter(~bad)
    whole = _joined(parts)
    gone = len(parts) - len(whole)
    done.counts["rows_joined"] = gone
    if gone:
        done.told[_sentence(plan)] += parts.select(pl.col("_of").is_duplicated().sum()).item()
    return pl.concat([rows.filter(~several), whole]).sort("_place").drop("_of", "_place")


def _scope(rows: pl.DataFrame, plan: Plan) -> list[str]:
    """What names a rollout: its id alone tells the samples of one group apart only, in many logs."""
    # With turns the prompt is that of a turn; without them equal ids under two prompts are two rollouts.
    by = [c for c in plan.by if c != "prompt" or TURN not in rows.columns]
    return [c for c in ("run", "step", *by, ROLLOUT) if c in rows.columns]


def _said(rows: pl.DataFrame) -> list[str]:
    """Columns by which a row that stands there twice is known."""
    return [c for c in rows.columns if c not in ("_file", "_line", "_place")]


def _faults(parts: pl.DataFrame) -> Iterator[tuple[pl.Expr, str]]:
    """What is wrong with rollouts of several rows, as a flag of each row."""
    lone = pl.len().over("_of") == 1  # its other rows were copies
    if "reward" in parts.columns:
        yield (pl.col("reward") != pl.col("reward").first().over("_of")).fill_null(False) & ~lone, _DIFFERENT
    if TURN not in parts.columns:
        yield ~lone, _NO_ORDER
    else:
        yield (~pl.struct("_of", TURN).is_first_distinct() | pl.col(TURN).is_null()) & ~lone, _SAME_TURN


def _joined(parts: pl.DataFrame) -> pl.DataFrame:
    """One row a rollout; its other columns are those of its first turn, but how it ends is that of the last."""
    order = [c for c in ("_of", TURN) if c in parts.columns]
    parts = parts.sort(order, maintain_order=True)
    if "mask" in parts.columns:  # null means that all tokens are in the loss
        every = pl.col("tokens").list.eval(pl.element() >= 0)
        parts = parts.with_columns(pl.coalesce("mask", every).alias("mask"))
    made = {c: pl.col(c).first() for c in parts.columns}
    made |= {c: pl.col(c).list.explode(empty_as_null=False) for c in ("tokens", *_PER_TOKEN) if c in made}
    if "completion" in made:
        made["completion"] = pl.col("completion").str.join("\n", ignore_nulls=False)
    made |= {c: pl.col(c).last() for c in ("truncated", ENDS_WITH) if c in made}
    if "advantage" in made:  # those of turns are not that of the rollout
        alike = pl.col("advantage").n_unique() == 1
        made["advantage"] = pl.when(alike).then(pl.col("advantage").first())
    if PROMPT_CUT in made:
        made[PROMPT_CUT] = pl.col(PROMPT_CUT).sum()
    made["_place"] = pl.col("_place").min()
    lacks = [pl.col(c).is_null().any().alias(f"_no_{c}") for c in _PER_TOKEN if c in made]
    names = [c for c in made if c != "_of"]
    joined = parts.group_by("_of", maintain_order=True).agg(*(made[c].alias(c) for c in names), *lacks)
    kept = (pl.when(~pl.col(f"_no_{c}")).then(c).alias(c) for c in _PER_TOKEN if c in made)
    joined = joined.with_columns(*kept)
    if "_segments" in parts.columns:
        cuts = [_segments(group) for _, group in parts.group_by("_of", maintain_order=True)]
        joined = joined.with_columns(pl.Series("_segments", cuts, parts.schema["_segments"]))
    return joined.select(parts.columns).cast(parts.schema)


def _segments(turns: pl.DataFrame) -> list[int] | None:
    """Lengths of the segments of joined turns, out of the loss and in it in turn; None for one plain row."""
    if len(turns) == 1:
        return turns["_segments"].to_list()[0]
    lengths: list[int] = []
    for text, cut in turns.select("completion", "_segments").iter_rows():
        first, *rest = cut or [0, len(text)]
        if not lengths:
            lengths = [first, *rest]
        elif len(lengths) % 2:  # it ends out of the loss, and so does the newline stand
            lengths = [*lengths[:-1], lengths[-1] + 1 + first, *rest]
        else:
            lengths += [first + 1, *rest]
    return lengths


def _sentence(plan: Plan) -> str:
    return (
        f"A row is a turn: {{rows}} were joined by {plan.beside[ROLLOUT]}, to one row a rollout, in the order of"
        f" {plan.beside[TURN]}. What stood between is not logged: texts are joined by newlines."
    )
