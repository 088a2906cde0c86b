"""State sharing by the definition: sets of completions as Python sets, observations as tuples, pairs one by one.

Comments that open with "Reading:" mark what the definitions leave open and what is taken here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from oracle_credit import pair_order as order_of_pairs
from oracle_credit import step_noise
from oracle_rewards import Analysed
from oracle_sets import Group, Members, in_loss, mean, present, process_set

Token = tuple[int, int]  # completion, position
Key = tuple  # of a set: ("prefix", members, ...) or ("state", content)


def turns(group: Group, i: int) -> list[tuple[tuple[int, ...] | None, list[int]]]:
    """The turns of a completion: the observation before each (None before the first), and its positions."""
    found: list[tuple[tuple[int, ...] | None, list[int]]] = []
    between: list[int] = []
    for t, token in enumerate(group[i].tokens):
        if not in_loss(group[i], t):
            between.append(token)
            continue
        if not found or between:
            found.append((tuple(between) if found else None, []))
        found[-1][1].append(t)
        between = []
    return found


def observations(group: Group) -> set[tuple[int, ...]]:
    """What is read between two turns of one completion."""
    return {observation for i in range(len(group)) for observation, _ in turns(group, i)[1:]}


def passed(group: Group, observation: tuple[int, ...]) -> Members:
    """The completions that read the observation, whatever came before it."""
    return frozenset(j for j in range(len(group)) if any(o == observation for o, _ in turns(group, j)))


def path(group: Group, i: int) -> dict[Token, tuple[Key, Members]]:
    """For each loss token of completion i the set that it lies in: its name and its members, in order."""
    sets = {}
    for observation, positions in turns(group, i):
        for t in positions:
            if observation is None:
                members = process_set(group, i, t)
                # Reading: two process steps have different members, so these name a step.
                sets[i, t] = (("prefix", members), members)
            else:
                sets[i, t] = (("state", observation), passed(group, observation))
    return sets


def all_tokens(group: Group) -> list[tuple[Token, Key, Members]]:
    return [(token, *one) for i in range(len(group)) for token, one in path(group, i).items()]


def between(group: Group, members: Members) -> bool:
    return 1 < len(members) < len(group)


def group_sums(g: Analysed) -> dict[str, float | None]:
    """What one group adds."""
    group, k = g.rows, len(g.rows)
    sets = {key: members for _, key, members in all_tokens(group)}
    shares: dict[str, list[float | None]] = {"intermediate": [], "shared": []}
    depths = []
    for i in range(k):
        own = list(path(group, i).values())
        depths.append(len({key for key, members in own if between(group, members)} | depth_of_others(group, i, sets)))
        shares["intermediate"].append(mean(float(between(group, members)) for _, members in own))
        shares["shared"].append(mean(float(len(members) > 1) for _, members in own))
    tokens = [] if g.zero else [members for _, _, members in all_tokens(group) if between(group, members)]
    squares = [g.step_advantage(members) ** 2 for members in tokens]
    noise = [step_noise(g.a, members) for members in tokens]
    return {
        "path_depth": mean(depths),
        "intermediate_proportion": mean(present(shares["intermediate"])),
        "shared_proportion": mean(present(shares["shared"])),
        "process_steps": len(sets),
        "step_size": sum(len(members) for members in sets.values()),
        "squared_sum": math.fsum(squares),
        "reliable_sum": math.fsum(squares) - math.fsum(noise),
    }


def depth_of_others(group: Group, i: int, sets: dict[Key, Members]) -> set[Key]:
    """Reading: a process set counts for a member that has no loss token in it, if another member has one there."""
    if not turns(group, i):
        return set()
    return {key for key, members in sets.items() if key[0] == "prefix" and i in members and between(group, members)}


def score(group: Group, values: Sequence[float], i: int, pair: Members) -> tuple[float | None, bool]:
    """Score of completion i of a pair, and whether a set gives it: the last on its path with another member."""
    steps = {key: members for _, key, members in all_tokens(group) if key[0] == "prefix" and i in members}
    # A member without a loss token in a process set passes it all the same; larger sets come first.
    order = sorted(steps.items(), key=lambda one: -len(one[1]))
    order += [one for one in path(group, i).values() if one[0][0] == "state"]
    for _, members in reversed(order):
        if between(group, members) and members - pair:
            return mean(values[j] for j in members - pair), True
    return mean(values[j] for j in range(len(group)) if j not in pair), False


def pair_order(group: Group, values: Sequence[float], tol: float) -> tuple[float, int]:
    """Pairs of one group in the right order by the score of their states, and pairs that count."""
    return order_of_pairs(group, values, tol, score)


def decision_tables(group: Group, values: Sequence[float]) -> dict[tuple[int, ...], list[list[float]]]:
    """Every observation after which members go two ways or more, and the values of the distinct texts that go each.

    Reading: of copies whose masks differ the first in the order of the group says which way their text goes.
    """
    texts: dict[tuple[int, ...], list[int]] = {}
    for j, row in enumerate(group):
        texts.setdefault(tuple(row.tokens), []).append(j)
    ways: dict[tuple[int, ...], dict[tuple[int, ...] | None, list[float]]] = {}
    for same in texts.values():
        own = [observation for observation, _ in turns(group, same[0])[1:]]
        value = round(math.fsum(values[j] for j in same) / len(same), 9)
        for observation in dict.fromkeys(own):
            after = own[len(own) - own[::-1].index(observation) :]
            ways.setdefault(observation, {}).setdefault(after[0] if after else None, []).append(value)
    return {observation: list(to.values()) for observation, to in ways.items() if len(to) > 1}
