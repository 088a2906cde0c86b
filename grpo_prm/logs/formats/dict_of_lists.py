"""A dictionary of lists: `{"prompt": [...], "completion": [...], "reward": [...]}`, a row at each place of the lists.

pandas writes its columns as objects under the numbers of the rows, which are read the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..columns.plan import NAMES
from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source

_UNITS = {*NAMES["completion"], *NAMES["tokens"]}
_REWARDS = {*NAMES["reward"], *NAMES["advantage"]}
_KEYS = {*NAMES["group"], *NAMES["prompt"]}


def _detect(head: Head) -> bool:
    """One object: of completions, rewards, and prompts or keys, each a list. Without keys it would be one group."""
    if head.container not in ("json", "torch_zip") or len(head.rows) != 1 or not isinstance(head.rows[0], Mapping):
        return False
    lists = {_singular(name): values for name, values in _lists(head.rows[0]).items()}
    return all(any(_is_column(lists.get(name)) for name in names) for names in (_UNITS, _REWARDS, _KEYS))


def _is_column(values: Any) -> bool:
    """A list of values; a chat is one value."""
    return isinstance(values, list) and len(values) > 1 and not (isinstance(values[0], dict) and "role" in values[0])


def _lists(record: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns of a dictionary, those of pandas as lists."""
    columns = {name: list(v.values()) if _is_numbered(v) else v for name, v in record.items()}
    return {name: values for name, values in columns.items() if isinstance(values, list)}


def _is_numbered(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(key.isdigit() for key in value)


def _singular(name: str) -> str:
    """The name of a column of `prompts`, `questions`, ..., where it is known in the singular only."""
    known = {known for names in NAMES.values() for known in names}
    return name[:-1] if name not in known and name.endswith("s") and name[:-1] in known else name


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row]:
    """The rows of a dictionary; lists of another length than the completions are refused where their name is known.

    Args:
        record: Column to its values, all of one length; a step or a run that it names once is that of all rows, and
            anything else that it holds belongs to the whole and is left out.
    """
    lists = _lists(record)
    unit = next((name for name in lists if name in _UNITS), None)
    if unit is None:
        raise Bad("completion", "no list of completions or of their ids")
    rows = len(lists[unit])
    for name, values in lists.items():
        if len(values) != rows and any(_singular(name) in names for names in NAMES.values()):
            raise Bad(name, f"{len(values)} values for {rows} completions")
    columns = {_singular(name): values for name, values in lists.items() if len(values) == rows}
    shared = of_all_rows(record)
    for values in zip(*columns.values(), strict=True):
        yield {**shared, **dict(zip(columns, values, strict=True))}


def of_all_rows(record: Mapping[str, Any]) -> Row:
    """The step and the run that an object names beside its rows."""
    found: Row = {}
    for ours, kinds in (("step", int), ("run", str)):
        if names := [name for name in NAMES[ours] if type(record.get(name)) is kinds]:
            found[ours] = record[names[0]]
    return found


FORMAT = Format("dict_of_lists", _detect, flatten)
