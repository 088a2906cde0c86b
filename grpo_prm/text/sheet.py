"""A table as CSV that a spreadsheet may open: no text of a log is a formula there."""

from __future__ import annotations

import polars as pl

# What begins a formula in a spreadsheet, after spaces too; a number may begin with a sign.
_FORMULA = r"^\s*[=+\-@\t\r]"
_NUMBER = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$"


def as_csv(table: pl.DataFrame) -> str:
    """The table as CSV. A cell of text that a spreadsheet would take for a formula gets an apostrophe in front.

    Args:
        table: Numbers stay as they are, and text that is one, like `-0.5`.
    """
    texts = [name for name, kind in table.schema.items() if kind in (pl.String, pl.Categorical, pl.Enum)]
    return table.with_columns(_no_formula(name) for name in texts).write_csv()


def _no_formula(name: str) -> pl.Expr:
    text = pl.col(name).cast(pl.String)
    formula = text.str.contains(_FORMULA) & ~text.str.contains(_NUMBER)
    return pl.when(formula).then(pl.concat_str(pl.lit("'"), text)).otherwise(text).alias(name)
