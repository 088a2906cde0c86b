"""Data of a log as JSON inside the page: nothing in it can end the script element, hide from a reader, or be run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

import polars as pl
from markupsafe import Markup

from ..text.printable import printable

# Inside a string of JSON these mean the same as the characters, and HTML and JavaScript see none of them.
_ESCAPES = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def embed(data: Any) -> Markup:
    """JSON for a script element of the type application/json; every string, keys too, passes `shown`."""
    text = json.dumps(_shown(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES))  # noqa: S704 - no character of it is markup


def shown(text: str) -> str:
    """Text with its line breaks; control, format and surrogate characters are written as escapes."""
    return printable(text, newline="\n")


def numbers(values: Iterable[float | None], digits: int = 4) -> list[float | int | None]:
    """Values at `digits` significant figures, which is more than the page shows; whole ones as int, NaN as None."""
    return [_number(value, digits) for value in values]


def column(series: pl.Series, digits: int = 4) -> Any:
    """A column as a list, as `{"all": value}` where every row has the same, or `{"from": value}` where it counts up."""
    if series.dtype == pl.Boolean:
        series = series.cast(pl.Int8)
    if len(series) > 1 and series.n_unique() == 1:
        series = series.head(1)
        return {"all": (numbers(series, digits) if series.dtype.is_numeric() else series.to_list())[0]}
    if len(series) > 1 and series.dtype.is_integer() and (series.diff().drop_nulls() == 1).sum() == len(series) - 1:
        return {"from": series[0]}
    return numbers(series, digits) if series.dtype.is_float() else series.to_list()


def _number(value: float | None, digits: int) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    if value == int(value) and abs(value) < 2**53:
        return int(value)
    return float(f"{value:.{digits}g}")


def _shown(data: Any) -> Any:
    if isinstance(data, str):
        return shown(data)
    if isinstance(data, dict):
        return {shown(str(key)): _shown(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        # Columns of numbers are most of the data and hold nothing to make safe.
        return data if all(isinstance(v, int | float | None) for v in data) else [_shown(value) for value in data]
    return data
