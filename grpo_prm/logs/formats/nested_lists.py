"""Lists within lists: arrays of groups, and objects that hold their completions in lists, however deep.

The members of a group stand in one list. What an outer object says of all of them (its step, its prompt) each inherits.
Only logs are taken in which one place alone holds objects with a completion and a reward under known names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import NAMES, WEAK, Plan
from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source

ITEM = "[]"  # in a place: every item of the list
Place = tuple[str, ...]
_DEPTH = 8
_LOOKED_AT = 4  # items of each list
_KEY = "_key"  # of a row: what it calls its group itself
_TOGETHER = "_together"  # of a row: how many of its list name the same group and prompt
_SCALAR = (str, int, float, bool)


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """The places of a record where lists of objects stand, but for chats: ("results", "[]", "completions", "[]")."""
    if len(at) > _DEPTH:
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    elif isinstance(value, list):
        items = value[:_LOOKED_AT]
        if items and all(isinstance(item, Mapping) and "role" not in item for item in items):
            yield (*at, ITEM)
        for item in items:
            if isinstance(item, list) or (isinstance(item, Mapping) and "role" not in item):
                yield from places(item, (*at, ITEM))


def leaves(value: Any, place: Place, outer: Row | None = None, at: str = "") -> Iterator[tuple[str, Row, Any]]:
    """The objects at a place: the number of the list that each stands in, what it inherits, and itself.

    Args:
        value: A record.
        place: As from `places`.
        outer: What is inherited so far; of two objects that say the same the inner one is heard.
        at: Numbers of the outer lists.
    """
    if not place:
        yield at.rpartition(".")[0], outer or {}, value
        return
    step, rest = place[0], place[1:]
    if step == ITEM:
        for number, item in enumerate(value if isinstance(value, list) else ()):
            yield from leaves(item, rest, outer, f"{at}.{number}" if at else f"{number}")
    elif isinstance(value, Mapping) and step in value:
        said = {key: inner for key, inner in value.items() if isinstance(inner, _SCALAR) or _is_prompt(key, inner)}
        yield from leaves(value[step], rest, {**(outer or {}), **said}, at)


def _is_prompt(key: str, value: Any) -> bool:
    return key in NAMES["prompt"] and isinstance(value, list)


def rollout_places(records: Sequence[Any]) -> list[Place]:
    """The places at which objects with a completion and a reward stand; what lies within such objects is theirs."""
    found = [p for one in records for p in places(one) if any(is_rollout(leaf[2]) for leaf in _some(one, p))]
    return [p for p in dict.fromkeys(found) if not any(p[: len(outer)] == outer != p for outer in found)]


def _some(record: Any, place: Place) -> Iterator[tuple[str, Row, Any]]:
    for number, leaf in enumerate(leaves(record, place)):
        if number == _LOOKED_AT:
            return
        yield leaf


def is_rollout(leaf: Any) -> bool:
    """Has it a completion, one and not a group of them, and a reward, both under known names?"""
    if not isinstance(leaf, Mapping):
        return False
    units = [leaf[name] for name in (*NAMES["completion"], *NAMES["tokens"]) if name in leaf]
    rewarded = any(isinstance(leaf.get(name), _SCALAR) for name in (*NAMES["reward"], *NAMES["advantage"]))
    return rewarded and any(isinstance(u, str) or (isinstance(u, list) and not isinstance(u[:1], str)) for u in units)


def _detect(head: Head) -> bool:
    """Lists within lists, or within the objects of several records; one list in one object is no group by itself."""
    if any(is_rollout(record) for record in head.rows):
        return False
    if _is_list_of_objects(head.rows[0]):  # whatever their names are: the user may say
        return True
    found = rollout_places(head.rows[:_LOOKED_AT])
    return any(place.count(ITEM) > 1 or len(head.rows) > 1 or isinstance(head.rows[0], list) for place in found)


def _is_list_of_objects(record: Any) -> bool:
    return isinstance(record, list) and (ITEM,) in places(record)


def flatten(record: Any, _source: Source) -> list[Row]:
    """The rows of a record, each with all that the objects around it say.

    Args:
        record: A list of rollouts, or an object or a list that holds such lists in one place.
    """
    found = rollout_places([record]) or ([(ITEM,)] if _is_list_of_objects(record) else [])
    if not found:
        raise Bad("", "no list of objects with a completion and a reward")
    if len(found) > 1:
        listed = ", ".join(".".join(place).replace(f".{ITEM}", ITEM) for place in found)
        raise Bad("", f"completions stand in {len(found)} places ({listed}): write those of one as JSON lines")
    rows = [_row(*leaf) for leaf in leaves(record, found[0])]
    together = Counter(map(_bucket, rows))
    return [{**row, _TOGETHER: together[_bucket(row)]} for row in rows]


def _row(parent: str, inherited: Row, leaf: Any) -> Row:
    if not isinstance(leaf, Mapping):
        raise Bad("", "not an object among the completions")
    key = next((leaf[name] for name in NAMES["group"] if name not in WEAK and name in leaf), None)
    own = {} if key is None else {_KEY: key}
    return {**inherited, **leaf, **own, "group": parent if key is None else f"{parent}/{key}"}


def _bucket(row: Row) -> tuple[str, str]:
    """The list that a row stands in, with the group and the prompt that it names itself."""
    return str(row["group"]), str(next((row[name] for name in NAMES["prompt"] if name in row), ""))


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """Groups are the lists, or what rows of one list call one; where lists hold one row of each, that name alone."""
    prompt = plan.paths.get("prompt")
    if 2 * sum(row[_TOGETHER] > 1 for row in rows) >= len(rows):
        by = ("_file", "_line", "key", *(("prompt",) if prompt else ()))
        said = "The members of a group stand in one list of the log."
        return replace(plan, by=by, per_draw=True, notes=(*plan.notes, said))
    if any(_KEY in row for row in rows):
        return replace(plan, paths={**plan.paths, "group": _KEY}, by=("key",), per_draw=False)
    return replace(plan, by=("prompt",), per_draw=False) if prompt else plan


FORMAT = Format("nested_lists", _detect, flatten, plan=_plan)
