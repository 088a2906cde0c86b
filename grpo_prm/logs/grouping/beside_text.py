"""Log-probabilities beside units that were made from text: they are of the tokens that were sampled, and these of none.

A text is cut anew, into pieces or by a tokenizer, and the same number of units is no proof that they are the same ones.
"""

from __future__ import annotations

from collections import Counter

import polars as pl

from ..columns.plan import LISTS

LOGPROBS = LISTS[2:]
LEFT_OUT = (
    "The log-probabilities of {rows} stand beside units that were made from text, not beside the ids that were sampled:"
    " they are left out. If the tokens are those ids, write log under tokens_from."
)


def without_logprobs_beside_text(table: pl.DataFrame, told: Counter[str]) -> pl.DataFrame:
    """The table without log-probabilities in rows whose units were made from text; masks of chats stay, as do others.

    Args:
        table: The lists of log-probabilities, and `tokens_from`.
        told: Gets how many rows had some.
    """
    names = [name for name in LOGPROBS if name in table.columns and table[name].null_count() < len(table)]
    made = pl.col("tokens_from") != "log"
    had = made & pl.any_horizontal(pl.col(name).list.len() > 0 for name in names) if names else pl.lit(False)
    if not (rows := table.select(had.fill_null(False).sum()).item()):
        return table
    told[LEFT_OUT] += rows
    return table.with_columns(pl.when(~made).then(pl.col(name)).alias(name) for name in names)
