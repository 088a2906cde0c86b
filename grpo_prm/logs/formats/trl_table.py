"""TRL's W&B tables (0.17 to 0.27 wrote no files, later versions write both): the columns of its parquet files in JSON.

Each reward function has a column of floats of its own name, behind the completion. The total is not logged; the logged
advantages tell it (`columns.reward_of_parts`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..format import Format, Head, Row
from ..rollouts import REWARD_PART
from ..sources import Source
from .trl import OWN

_OTHERS = ("prompt", "completion")


def _detect(head: Head) -> bool:
    """A table called as TRL calls it, with reward functions and no total, which the oldest versions have."""
    if head.container != "table_json" or not head.has("step", *_OTHERS) or head.has("reward"):
        return False
    named = re.match(r"completions_\d+_", head.source.path.name) is not None
    return named and any(_functions(row) for row in head.rows)


def flatten(record: Any, _: Source) -> Iterator[Row]:
    """The row, its reward functions as parts of the reward."""
    functions = _functions(record)
    yield {(REWARD_PART + name if name in functions else name): value for name, value in record.items()}


def _functions(record: Mapping[str, Any]) -> set[str]:
    """Columns of numbers, null where a function does not apply; other functions log text or whole numbers."""
    return {name for name, value in record.items() if name not in OWN and isinstance(value, float | None)}


FORMAT = Format("trl-table", _detect, flatten)
