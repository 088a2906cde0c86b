"""Columns of the groups table that come from logged log-probabilities; a group that lacks one has null in them."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, add_up
from ..core.groups import Groups
from ..core.identity import logprob_check

Columns = dict[str, Floats]


def logprob_columns(table: pl.DataFrame, groups: Groups) -> Columns:
    """What the sampler's log-probabilities give for each group, NaN where a completion has none, shape (groups,) each.

    Args:
        table: Canonical rollouts.
        groups: Their groups, in the order of the table.
    """
    logprobs, whole = per_token(table, groups, "logprobs")
    check = logprob_check(groups.forest, groups.advantages, logprobs, groups.groups, groups.number, groups.mask)
    columns = {f"logprob_{name}": values for name, values in check._asdict().items()}
    return {name: np.where(whole, values, np.nan) for name, values in columns.items()}


def per_token(table: pl.DataFrame, groups: Groups, column: str) -> tuple[Floats, NDArray[np.bool_]]:
    """The values of a list column, and which groups have all of theirs.

    Returns:
        Values, completion after completion, NaN where there is none, shape (tokens,); True for groups in which every
        completion with a token has its list, shape (groups,).
    """
    values = np.full(len(groups.tokens), np.nan)
    if column not in table.columns:
        return values, np.zeros(groups.number, bool)
    logged = table[column].is_not_null().to_numpy()
    values[np.repeat(logged, groups.lengths)] = table[column].drop_nulls().explode(empty_as_null=False).to_numpy()
    missing = add_up(groups.groups, ~logged & (groups.lengths > 0), groups.number)
    # A log without any is not one of empty completions that have all that they can have.
    return values, (missing == 0) & logged.any()
