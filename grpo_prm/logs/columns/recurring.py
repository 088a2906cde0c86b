"""How the values of a column come back: equally often, as those of a key, or differing under one key, as samples."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence

from .first_rows import MISSING, Rows, at

CLOSE = 0.8  # share of rows or values that must agree
LARGEST = 128  # rows of a value beyond which a column names a data set rather than a prompt


def dumped(rows: Rows, path: str) -> list[str]:
    """The value of each row as JSON, empty where there is none."""
    values = (at(row, path) for row in rows)
    return ["" if v is MISSING or v is None else json.dumps(v, sort_keys=True, default=str) for v in values]


def repeats(values: Sequence[str]) -> bool:
    """Does a value come twice?"""
    return len(set(values)) < len(values)


def differ_within(keys: Sequence[str], values: Sequence[str], share: float = 0.5) -> bool:
    """Do values differ within more than a share of the keys that have several rows?"""
    within: dict[str, list[str]] = defaultdict(list)
    for key, value in zip(keys, values, strict=True):
        within[key].append(value)
    several = [found for found in within.values() if len(found) > 1]
    differing = sum(len(set(found)) > 1 for found in several)
    return differing > share * len(several) or (share > 0 and differing > 0 and 2 * differing >= len(several))


def even(values: Sequence[str]) -> bool:
    """Do several values come equally often, twice at least, but for a fifth of them or the last?"""
    sizes = Counter(Counter(values).values())
    if not sizes:
        return False
    (size, count), of_all = sizes.most_common(1)[0], sizes.total()
    return of_all > 1 and 2 <= size <= LARGEST and of_all - count <= max(1, (1 - CLOSE) * of_all)
