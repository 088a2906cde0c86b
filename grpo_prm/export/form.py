"""What an export format is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import polars as pl

from ..errors import UsageError
from ..logs.rollouts import REWARD_PART, SCHEMA
from ..tree.step_text import Cuts
from .labels import Labelled
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
    make: Callable[[Labelled, Cuts | None], Made]
    text: str = "needed"
    interval: bool = False
    neutral: bool = False


def kept(table: pl.DataFrame, ours: Sequence[str]) -> list[str]:
    """Columns of the log that were asked for beside the canonical ones (`--keep`).

    Raises:
        UsageError: One has the name of a field of the format.
    """
    names = [name for name in table.columns if name not in SCHEMA and not name.startswith(REWARD_PART)]
    if taken := [name for name in names if name in ours]:
        raise UsageError(f"--keep {taken[0]}: the format has a field of this name. Leave it out, or rename the column.")
    return names
