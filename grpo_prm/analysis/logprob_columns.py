"""Columns of the groups table that come from logged log-probabilities; a group that lacks one has null in them."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, add_up
from ..core.groups import Groups
from ..core.identity import logprob_check
from ..core.sampler_gap import GapSums, gap_sums, groups_of_tokens, size_bins
from ..core.surprisal import SurprisalSums, surprisal_sums

SECOND = "trainer_logprobs"  # beside the sampler's `logprobs`
CHECKS = ("with_outcome", "with_step", "absolute", "spread", "shared", "largest")


def logprob_columns(table: pl.DataFrame, groups: Groups) -> tuple[dict[str, Floats], pl.DataFrame]:
    """What log-probabilities give for each group, and sampler and trainer by process-set size.

    Args:
        table: Canonical rollouts.
        groups: Their groups, in the order of the table.

    Returns:
        Columns of shape (groups,), NaN for a group in which a completion has none; `GapSums` of each bin of sizes, one
        row for each with a token.
    """
    sampler, whole = _per_token(table, groups, "logprobs")
    trainer, both = _per_token(table, groups, SECOND)
    columns = {f"logprob_{name}": None for name in CHECKS} | dict.fromkeys(SurprisalSums._fields)
    if whole.any():
        check = logprob_check(groups.forest, groups.advantages, sampler, groups.groups, groups.number, groups.mask)
        columns = {f"logprob_{name}": values for name, values in check._asdict().items()}
        columns |= surprisal_sums(groups, sampler)._asdict()
    both &= whole
    gaps = dict.fromkeys(GapSums._fields)
    if both.any():
        gaps = gap_sums(groups, sampler, trainer, groups_of_tokens(groups), groups.number)._asdict()
    known = [(columns, whole), (gaps, both)]
    return {
        name: np.full(groups.number, np.nan) if values is None else np.where(has, values, np.nan)
        for part, has in known
        for name, values in part.items()
    }, _by_size(groups, sampler, np.where(both[groups_of_tokens(groups)], trainer, np.nan))


def _by_size(groups: Groups, sampler: Floats, trainer: Floats) -> pl.DataFrame:
    bins = size_bins(groups)
    sums = gap_sums(groups, sampler, trainer, bins, int(bins.max(initial=-1)) + 1)
    table = pl.DataFrame(sums._asdict()).with_row_index("bin")
    return table.filter(pl.col("gap_tokens") > 0).drop("gap_left_out")


def _per_token(table: pl.DataFrame, groups: Groups, column: str) -> tuple[Floats, NDArray[np.bool_]]:
    """The values of a list column, and which groups have all of theirs.

    Returns:
        Values, completion after completion, NaN where there is none, shape (tokens,); True for groups in which every
        completion with a token has its list, shape (groups,).
    """
    values = np.full(len(groups.tokens), np.nan)
    if column not in table.columns or table[column].null_count() == len(table):
        return values, np.zeros(groups.number, bool)  # not groups of empty completions that have all they can
    logged = table[column].is_not_null().to_numpy()
    values[np.repeat(logged, groups.lengths)] = table[column].drop_nulls().explode(empty_as_null=False).to_numpy()
    return values, add_up(groups.groups, ~logged & (groups.lengths > 0), groups.number) == 0
