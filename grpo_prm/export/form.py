"""What an export format is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl

from .choice import Choice
from .cuts import Cuts
from .options import Labels


class Made(NamedTuple):
    """Rows of a slice: JSON objects, or a table for parquet; and what was counted on the way."""

    rows: Sequence[dict[str, Any]] | pl.DataFrame
    counts: Counter[str]


class Format(NamedTuple):
    """An export format.

    Attributes:
        name: What `--to` calls it.
        suffix: `.jsonl` or `.parquet`.
        labels: What labels it can hold, the default first.
        make: Rows of a slice; the cuts are None for a format without text.
        text: `needed`, `taken` where there is some, or `none`.
        interval: Whether its rows hold intervals, which depend on the rewards of the whole log.
        neutral: Whether it has a label for A(λ) = 0.
    """

    name: str
    suffix: str
    labels: tuple[Labels, ...]
    make: Callable[[Choice, Cuts | None], Made]
    text: str = "needed"
    interval: bool = False
    neutral: bool = False
