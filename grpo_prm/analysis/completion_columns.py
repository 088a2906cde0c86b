"""The completions table: overlap and advantage of each completion."""

from __future__ import annotations

import numpy as np
import polars as pl

from ..core.groups import Groups
from ..core.overlap import CompletionOverlap
from .columns import column


def completions_table(table: pl.DataFrame, groups: Groups, each: CompletionOverlap) -> pl.DataFrame:
    """One row per completion.

    Args:
        table: Canonical rollouts.
        groups: Their groups, in the order of the table.
        each: `completion_overlap` of their forest.
    """
    loss = groups.seen.completion
    share = [
        np.divide(tokens, loss, out=np.full(len(loss), np.nan), where=loss > 0)
        for tokens in (each.intermediate, each.shared)
    ]
    order, roots = groups.forest.order, groups.forest.first[groups.forest.parent < 0]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - roots[groups.groups[order]]
    columns = {
        "tree_rank": rank,  # the members of a process step are those with first <= tree_rank < first + size
        "advantage": groups.advantages,
        "length": groups.lengths,
        "loss_tokens": loss,
        "path_depth": each.path_depth,
        "intermediate_proportion": share[0],
        "shared_proportion": share[1],
    }
    named = table[["run", "step", "group", "group_key", "sample", "reward"]]
    return named.hstack([column(name, values, len(loss)) for name, values in columns.items()])
