"""What the reward of a log is made of: a column, a sum of columns, its parts, and how each is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from ..options import ReadOptions
from ..rollouts import REWARD_PART
from .first_rows import Rows, check_present, has
from .parts import found_parts, named_parts
from .plan import Plan
from .reward_of_parts import parts_of
from .verdicts import is_per_token, said_of, words_of


def with_reward(plan: Plan, rows: Rows, options: ReadOptions, name: str) -> Plan:
    """Settle what the reward is made of."""
    if options.reward:
        from ..rewards import parse_weights

        weights = parse_weights(options.reward)
        known = parts_of(rows, plan)  # a part is called by its name, wherever it stands
        parts = {column: known[column] for column in weights if column in known and not has(rows, column)}
        for column in (one for one in weights if one not in parts):
            check_present(rows, column, name, f"--reward {options.reward}")
        paths = {c: p for c, p in plan.paths.items() if c != "reward"}
        if list(weights.values()) == [1.0]:  # one column as it is: no sum, and no reward parts
            (column,) = weights
            return replace(plan, paths={**paths, "reward": parts.get(column, column)})
        return replace(plan, paths=paths, reward_weights=weights, parts=parts)
    return plan


def with_parts(plan: Plan, rows: Rows, options: ReadOptions, name: str) -> Plan:
    """Note the parts of the reward: those that the user named, and those that the log holds in dicts."""
    named = named_parts(options.named, rows, name)
    taken = {*plan.paths.values(), *plan.reward_weights}
    found = {} if plan.from_text else found_parts(rows, taken, plan.grouped)
    # Parts that are only found may be missing or odd in a row; one that the user names must hold a number or null.
    out = {*plan.reward_weights, *(column.removeprefix(REWARD_PART) for column in options.off)}
    parts = {part: path for part, path in {**found, **named}.items() if part not in out}
    optional = (REWARD_PART + part for part in parts if part not in named)
    return replace(plan, parts={**parts, **plan.parts}, optional=(*plan.optional, *optional))


def with_readings(plan: Plan, rows: Rows) -> Plan:
    """Note how rewards are read that are no plain numbers."""
    columns = {c: p for c, p in {**plan.paths, **plan.reward_columns}.items() if c.partition("/")[0] == "reward"}
    words = {c: found for c, path in columns.items() if (found := words_of(rows, path)) is not None}
    if plan.from_text:  # numbers in a CSV are read as numbers anyway
        words = {c: found for c, found in words.items() if found}
    said = [said_of(c.removeprefix(REWARD_PART), columns[c], found) for c, found in words.items()]
    path = plan.paths.get("reward")
    summed = path is not None and is_per_token(rows, path, plan.paths.get("tokens"), plan.grouped)
    if summed:
        said.append(f"The reward under {path} is a list with a number per token: their sum is the reward.")
    return replace(plan, words=words, summed=summed, cautions=(*plan.cautions, *said))


def left_out(plan: Plan, off: Collection[str]) -> Iterator[str]:
    """Say that only advantages are used, where the user switched the reward off."""
    if "reward" in off and "advantage" in plan.paths:
        yield "The reward is left out, as asked: only the logged advantages are used."
