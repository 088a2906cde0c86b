"""Named parts of the reward that a log holds beside the total: in a dict of numbers, or in columns of their own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import orjson

from ...errors import UsageError
from ..rollouts import REWARD_PART
from .first_rows import Rows, check_present, kind_of

# Dicts that hold one number for each reward function: verifiers' `metrics` (JSON text in hosted exports), verl's
# `reward_extra_info`, and what home-made loops call theirs. A part that two of them name is that of the first.
DICTS = ("reward_components", "reward_parts", "reward_breakdown", "reward_extra_info", "rewards", "scores", "metrics")
NUMBERS = ("float", "int", "bool")
OF_GROUPS = ("floats", "ints", "bools")  # in a row that holds a whole group


def named_parts(columns: Mapping[str, str], rows: Rows, name: str) -> dict[str, str]:
    """Parts that the user named as `reward/NAME=PATH`, name to path.

    Raises:
        UsageError: A part has no name, or no row has its column.
    """
    named = {ours: path for ours, path in columns.items() if ours.startswith(REWARD_PART)}
    for ours, path in named.items():
        if ours == REWARD_PART:
            raise UsageError(
                f"--columns {ours}={path}: the part of the reward has no name. Write it like reward/f={path}."
            )
        check_present([with_objects(row, [path]) for row in rows], path, name, f"--columns {ours}={path}")
    return {ours.removeprefix(REWARD_PART): path for ours, path in named.items()}


def found_parts(rows: Rows, taken: Collection[str], grouped: bool) -> dict[str, str]:
    """Parts in the columns `reward/NAME` that a format makes, and in the dicts of a log, name to path.

    Args:
        rows: The first rows.
        taken: Columns of the log that are something else already.
        grouped: Whether a row holds a whole group, and a dict then a list for each part, or one dict a completion.
    """
    kinds = OF_GROUPS if grouped else NUMBERS
    columns = dict.fromkeys(key for row in rows for key in row if key.startswith(REWARD_PART) and key != REWARD_PART)
    parts = {
        column.removeprefix(REWARD_PART): column
        for column in columns
        if column not in taken and kind_of(rows, column, False) in kinds
    }
    for column in (name for name in DICTS if name not in taken):
        opened = [with_objects(row, [f"{column}."]) for row in rows]
        for key in dict.fromkeys(key for row in opened for key in _keys(row.get(column))):
            path = f"{column}.{key}"
            if path not in taken and kind_of(opened, path, False) in kinds:
                parts.setdefault(key, path)
    return parts


def columns_of_numbers(rows: Rows, taken: Collection[str]) -> dict[str, str]:
    """Columns of numbers that are nothing else, as parts: what a reward function logs beside the score."""
    names = dict.fromkeys(key for row in rows for key in row if key not in taken)
    return {name: name for name in names if kind_of(rows, name, False) in NUMBERS}


def with_objects(row: Mapping[str, Any], paths: Iterable[str]) -> Mapping[str, Any]:
    """The row, its columns that the dotted paths go through parsed where they are JSON text."""
    for column in {path.partition(".")[0] for path in paths if "." in path and path not in row}:
        text = row.get(column)
        if isinstance(text, str) and text[:1] == "{":
            try:
                row = {**row, column: orjson.loads(text)}
            except ValueError:
                continue
    return row


def _keys(value: Any) -> Iterator[str]:
    """Keys of a dict, or of the dicts of a list; those with a dot cannot be told from a path."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and "role" not in item:
            yield from (key for key in item if "." not in key)
