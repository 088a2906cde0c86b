"""Are the rows of a log turns? Which column names the rollout of a row, and which its place in the rollout.

Agents log a row a turn, and often call the turn `step`. Members of a group are rollouts, so their rows must be joined;
taken for training steps such turns would make groups of first turns, of second turns, and so on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Any

from .first_rows import Rows, at, dumped, exists, kind_of
from .plan import NAMES, WEAK, Plan

ROLLOUT, TURN = "_rollout", "_turn"  # as the rows call them
_MOST = 0.9  # of the rollouts, where a few may be cut by the end of the first rows


def with_rollouts(plan: Plan, rows: Rows) -> tuple[Plan, Rows]:
    """Settle whether rows are parts of rollouts, and what their turns are called.

    Args:
        plan: With what was recognised under `rollout` and `turn`.
        rows: The first rows.

    Returns:
        The plan with `_rollout` and `_turn` beside, where a rollout has several rows, without a `step` that is the
        turn; and the first row of each rollout, by which keys are to be judged.
    """
    found = {c: path for c, path in plan.paths.items() if c in ("rollout", "turn")}
    plan = replace(plan, paths={c: path for c, path in plan.paths.items() if c not in found})
    if plan.grouped:
        return plan, rows
    named = (found["rollout"], *NAMES["rollout"]) if "rollout" in found else ()
    # Beside turns a sample index is that of rollouts.
    sample = (plan.paths["sample"],) if "turn" in found and "sample" in plan.paths else ()
    for rollout in dict.fromkeys((*named, *sample)):
        if not _names(rows, rollout) or plan.paths.get(plan.unit) == rollout:
            continue
        key = _key(plan, rows, rollout)
        turn = found.get("turn")
        if turn is not None and kind_of(rows, turn, plan.from_text) != "int":
            turn = None
        trial, note = plan, None
        if turn is None and _step_is_turn(plan, rows, rollout, key):
            turn = plan.paths["step"]
            trial, note = _other_step(plan, rows, turn), f"The column {turn} is the turn inside {rollout}, no"
            note = f"{note} training step{_instead(trial)}."
        if turn is None and not _is_of_one_group(rows, rollout, key or plan.paths.get("prompt")):
            continue
        scope = [trial.paths.get("run"), trial.paths.get("step"), key]
        if key is None and turn is None:
            scope.append(plan.paths.get("prompt"))  # a sample index is no name of a rollout but of one prompt
        of_rollout = _buckets(rows, [*scope, rollout])
        if len(of_rollout) == len(rows) or not _tells_members_apart(
            of_rollout.values(), key or plan.paths.get("prompt")
        ):
            continue
        beside = {ROLLOUT: rollout, **({TURN: turn} if turn else {})}
        # A sample index that is the turn, or the rollout, numbers no rows of a group once these are joined.
        paths = {c: p for c, p in trial.paths.items() if c != "sample" or p not in beside.values()}
        plan = replace(trial, paths=paths, beside=beside, notes=(*trial.notes, *((note,) if note else ())))
        return plan, [members[0] for members in of_rollout.values()]
    if "turn" in found and _count_turns(rows, found["turn"]):
        note = (
            f"The column {found['turn']} seems to count turns, and nothing says which rows are of one rollout: each row"
            " was taken for a rollout. Name the column that does with --columns rollout=NAME."
        )
        plan = replace(plan, cautions=(*plan.cautions, note))
    return plan, rows


def _count_turns(rows: Rows, path: str) -> bool:
    """Are there several numbers from 0 or 1 on, none more often than the one before, as rollouts end one by one?"""
    values = [at(row, path) for row in rows]
    if not all(type(value) is int for value in values):
        return False
    counts = [count for _, count in sorted(Counter(values).items())]
    return min(values) in (0, 1) and 1 < len(counts) < len(rows) and counts == sorted(counts, reverse=True)


def _step_is_turn(plan: Plan, rows: Rows, rollout: str, key: str | None) -> bool:
    """Does `step` go up inside each rollout, and start anew in the next one?

    So it does in a training log that draws every problem at every step, where `rollout` numbers the samples of a
    prompt. There the rows go on by step; of turns the rows of a rollout are neighbours, or have one reward.
    """
    path = plan.paths.get("step")
    if path is None or kind_of(rows, path, plan.from_text) != "int":
        return False
    buckets = _buckets(list(enumerate(rows)), [plan.paths.get("run"), key, rollout], value=lambda pair: pair[1])
    several = [members for members in buckets.values() if len(members) > 1]
    if not several or len(buckets) < 2:
        return False
    steps = [[at(row, path) for _, row in members] for members in buckets.values()]
    if not all(type(step) is int for of_one in steps for step in of_one):
        return False
    rising = sum(all(a < b for a, b in pairwise(of_one)) for of_one in steps)
    _, starts = Counter(of_one[0] for of_one in steps).most_common(1)[0]
    if min(rising, starts) < _MOST * len(steps):
        return False
    neighbours = sum(members[-1][0] - members[0][0] == len(members) - 1 for members in several)
    reward = plan.paths.get("reward")
    alike = sum(len({dumped(at(row, reward)) for _, row in members}) == 1 for members in several) if reward else 0
    return max(neighbours, alike) >= _MOST * len(several)


def _other_step(plan: Plan, rows: Rows, turn: str) -> Plan:
    """The plan with another column of training steps than `turn`, or without any."""
    others = (name for name in NAMES["step"] if name != turn and kind_of(rows, name, plan.from_text) == "int")
    paths = {c: path for c, path in plan.paths.items() if c != "step"}
    other = next(others, None)
    return replace(plan, paths={**paths, "step": other} if other else paths)


def _instead(plan: Plan) -> str:
    return f"; that is {plan.paths['step']}" if "step" in plan.paths else ""


def _key(plan: Plan, rows: Rows, rollout: str) -> str | None:
    """The key of the group, as far as a name says: one that may number the rows tells no rollouts apart."""
    names = (name for name in NAMES["group"] if name not in WEAK and name != rollout and _names(rows, name))
    return plan.paths.get("group") or next(names, None)


def _is_of_one_group(rows: Rows, rollout: str, group: str | None) -> bool:
    """Does each value stand in one group alone? Else it numbers the members of each, and what repeats is a draw."""
    groups = defaultdict(set)
    for row in rows:
        groups[dumped(at(row, rollout))].add(dumped(at(row, group)) if group else "")
    several = len(set().union(*groups.values())) > 1
    return all(len(of_one) == 1 for of_one in groups.values()) and (several or kind_of(rows, rollout, False) == "text")


def _tells_members_apart(rollouts: Any, group: str | None) -> bool:
    """Do most groups have several rollouts? Else it is the group, the job or the session that is named."""
    if group is None:
        return True
    groups = Counter(dumped(at(members[0], group)) for members in rollouts)
    return 2 * sum(n > 1 for n in groups.values()) >= len(groups)


def _buckets(rows: Any, paths: list[str | None], value: Any = lambda row: row) -> dict[tuple[str, ...], list[Any]]:
    """Rows by what they hold under the paths, in order."""
    buckets = defaultdict(list)
    for row in rows:
        buckets[tuple(dumped(at(value(row), path)) for path in paths if path)].append(row)
    return buckets


def _names(rows: Rows, path: str) -> bool:
    """Does every row have a name or a number there?"""
    return exists(rows, path) and kind_of(rows, path, False) in ("int", "text")
