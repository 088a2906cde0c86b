"""The worst groups, named: by number and by share of their tokens, and those that show the defect best."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..logs.grouping.buckets import shortlex
from .chunks import Parts, first_rows

EACH = 10
OF = {"suppressed_good": "good_tokens", "boosted_bad": "bad_tokens"}
CLEAREST = ("clarity", "suppressed_good_tokens")  # largest first: the order of what is shown to a reader


def worst_groups(groups: Parts | pl.DataFrame) -> dict[str, Any]:
    """Ten groups at most of each kind; of equals the first by run, step and key.

    Args:
        groups: The groups table.

    Returns:
        `examples`, groups with suppressed-good tokens, the clearest first; and for `suppressed_good` and `boosted_bad`
        the lists `by_count` and `by_share`. An entry is run, step, group_key, the tokens of the defect, the tokens of
        which they are, and the share.
    """
    return {
        "examples": _first(groups, "suppressed_good", CLEAREST),
        **{
            defect: {
                "by_count": _first(groups, defect, [f"{defect}_tokens"]),
                "by_share": _first(groups, defect, ["share"]),
            }
            for defect in OF
        },
    }


def _first(groups: Parts | pl.DataFrame, defect: str, order: tuple[str, ...] | list[str]) -> list[dict[str, Any]]:
    some, of = f"{defect}_tokens", OF[defect]
    share = (pl.col(some) / pl.col(of)).alias("share")

    def first(table: pl.DataFrame) -> pl.DataFrame:
        found = table.lazy().filter(pl.col(some) > 0).with_columns(share).collect()
        return largest_first(found, *order)[:EACH, table.columns]

    columns = dict.fromkeys(["run", "step", "group_key", some, of, *(name for name in order if name != "share")])
    chosen = first_rows(groups, list(columns), first)
    # Not by polars: of a column that it keeps as one number, as of one row, it takes the reciprocal: another last bit.
    shares = pl.Series("share", chosen[some].to_numpy() / chosen[of].to_numpy(), pl.Float64)
    return chosen[["run", "step", "group_key", some, of]].hstack([shares]).to_dicts()


def largest_first(groups: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """Groups that have most of it first; of equals the first by run, step and key, whatever the order of the log."""
    names = (pl.col("run"), pl.col("step"), *shortlex("group_key"))
    # Rounded, since two that are equal may differ in the last bit of a sum; stable, whatever way polars sorts.
    sizes = [pl.col(column).cast(pl.Float64).round(9) for column in columns]
    down = [*(True for _ in sizes), *(False for _ in names)]
    return groups.sort(*sizes, *names, descending=down, maintain_order=True)
