"""Columns of the groups table that come from logged log-probabilities; a group that lacks one has null in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, add_up
from ..core.groups import Groups
from ..core.identity import logprob_check
from ..core.sampler_gap import GapSums, gap_sums, groups_of_tokens, size_bins
from ..core.surprisal import SurprisalSums, surprisal_sums
from ..logs.rollouts import group_opens

SAMPLER, TRAINER = "logprobs", "trainer_logprobs"
BY_SIZE = {"bin": pl.UInt32} | {name: pl.Float64 for name in GapSums._fields if name != "gap_left_out"}
CHECKS = ("with_outcome", "with_step", "absolute", "spread", "shared", "largest")


def logprob_columns(table: pl.DataFrame, groups: Groups) -> tuple[dict[str, Floats], pl.DataFrame]:
    """What log-probabilities give for each group, and sampler and trainer by process-set size.

    Args:
        table: Canonical rollouts.
        groups: Their groups, in the order of the table.

    Returns:
        Columns of shape (groups,), NaN for a group in which a completion has none; `GapSums` of each step and bin of
        sizes, one row for each with a token.
    """
    whole, both, sampler, trainer = logged_logprobs(table, groups)
    columns = {f"logprob_{name}": None for name in CHECKS} | dict.fromkeys(SurprisalSums._fields)
    gaps, by_size = dict.fromkeys(GapSums._fields), pl.DataFrame(schema=BY_SIZE)
    # A log without log-probabilities, as most are, has no array of the size of its tokens here.
    if sampler is not None:
        check = logprob_check(groups.forest, groups.advantages, sampler, groups.groups, groups.number, groups.mask)
        columns = {f"logprob_{name}": values for name, values in check._asdict().items()}
        columns |= surprisal_sums(groups, sampler)._asdict()
        if trainer is not None:
            of_token = groups_of_tokens(groups)
            gaps = gap_sums(groups, sampler, trainer, of_token, groups.number)._asdict()
            by_size = _by_size(table, groups, sampler, np.where(both[of_token], trainer, np.nan))
    known = [(columns, whole), (gaps, both)]
    return {
        name: np.full(groups.number, np.nan) if values is None else np.where(has, values, np.nan)
        for part, has in known
        for name, values in part.items()
    }, by_size


class Logged(NamedTuple):
    """The log-probabilities of a table.

    Attributes:
        whole: Groups in which every completion has those of the sampler, shape (groups,).
        both: Those in which every completion has those of the trainer, too.
        sampler, trainer: One a token, NaN where there is none, shape (tokens,); None where no group is whole.
    """

    whole: NDArray[np.bool_]
    both: NDArray[np.bool_]
    sampler: Floats | None
    trainer: Floats | None


def logged_logprobs(table: pl.DataFrame, groups: Groups) -> Logged:
    """The log-probabilities of sampler and trainer; arguments as of `logprob_columns`."""
    whole = _whole(table, groups, SAMPLER)
    both = whole & _whole(table, groups, TRAINER)
    sampler = _per_token(table, groups, SAMPLER) if whole.any() else None
    return Logged(whole, both, sampler, _per_token(table, groups, TRAINER) if both.any() else None)


def _by_size(table: pl.DataFrame, groups: Groups, sampler: Floats, trainer: Floats) -> pl.DataFrame:
    """Sums of each step by bin of sizes: those of a step do not depend on what else is in the batch."""
    step = table[group_opens(table)].select(pl.struct("run", "step").rle_id()).to_series().to_numpy().astype(np.int64)
    bins = size_bins(groups)
    number = int(bins.max(initial=-1)) + 1
    at = step[groups_of_tokens(groups)] * number + bins
    sums = gap_sums(groups, sampler, trainer, at, (int(step.max(initial=-1)) + 1) * number)
    by_size = pl.DataFrame(sums._asdict()).with_row_index("bin").with_columns((pl.col("bin") % number).cast(pl.UInt32))
    return by_size.filter(pl.col("gap_tokens") > 0).select(*BY_SIZE)


def _whole(table: pl.DataFrame, groups: Groups, column: str) -> NDArray[np.bool_]:
    """True for groups with a token in which every completion with one has its list, shape (groups,)."""
    if column not in table.columns:
        return np.zeros(groups.number, bool)
    missing = table[column].is_null().to_numpy() & (groups.lengths > 0)
    # A group of empty completions has nothing, whatever other groups of the slice have.
    some = add_up(groups.groups, groups.lengths, groups.number) > 0
    return some & (add_up(groups.groups, missing, groups.number) == 0)


def _per_token(table: pl.DataFrame, groups: Groups, column: str) -> Floats:
    """The values of a list column, completion after completion, NaN where there is none, shape (tokens,)."""
    values = np.full(len(groups.tokens), np.nan)
    logged = table[column].is_not_null().to_numpy()
    values[np.repeat(logged, groups.lengths)] = table[column].drop_nulls().explode(empty_as_null=False).to_numpy()
    return values
