"""Tool output in the loss: completions that carry the mark of a tool's answer though no token is masked."""

from __future__ import annotations

import numpy as np
import polars as pl

from ..core.forest import Ints
from ..logs.rollouts import group_opens

# What chat templates and agent frameworks put around the answer of a tool, which the policy has not written.
MARKS = (
    *("<tool_response>", "<|im_start|>tool", "<tool_result>", "<function_results>", "[TOOL_RESULTS]", "<interpreter>"),
    *("<|start_header_id|>ipython<|end_header_id|>", "<information>", "<|tool_response>", "```output"),
)


def unmasked_tool_output(table: pl.DataFrame) -> Ints:
    """Completions of each group with a mark of `MARKS` in their text and no token out of the loss, shape (groups,).

    Args:
        table: Canonical rollouts, the rows of a group next to each other.
    """
    # A mask with a gap says that somebody took care; which tokens it leaves out is their business.
    masked = pl.col("mask").list.all().not_().fill_null(False)
    marked = pl.col("completion").str.contains_any(list(MARKS)).fill_null(False)
    flags = table.select((marked & ~masked).cast(pl.Int64)).to_series().to_numpy()
    return np.add.reduceat(flags, group_opens(table)) if len(flags) else flags
