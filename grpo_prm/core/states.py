"""Sets of equal states: which completions of a group read the same observation (definitions: State sharing).

An observation is what stands between two turns of the model: a run of tokens out of the loss with tokens in the loss
before and after it. Its content alone makes a state, not the history before it, so the sets of a group need not be
nested: they are written out as pairs of a set and a member.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .distinct import distinct
from .forest import Floats, Ints, add_up, build_forest, ranges, visits
from .groups import Groups
from .overlap import CompletionOverlap, overlap_means
from .prm import ROUNDING, Bools, beyond
from .reliability import noise_of


class Observations(NamedTuple):
    """The observations of some completions in their order, shape (observations,) each.

    Attributes:
        row: The completion.
        start, end: Where it stands in the flat token array, `end` exclusive.
        tokens: Loss tokens of the turn that follows, up to the next observation.
    """

    row: Ints
    start: Ints
    end: Ints
    tokens: Ints


class StateSets(NamedTuple):
    """The sets of some groups that have a token in the loss: process sets of first turns, then states.

    Attributes:
        group: Of each set, shape (sets,).
        size: Members, each once however often it passes, shape (sets,).
        k: Completions of the group, shape (sets,).
        tokens: Loss tokens of all members in the set, shape (sets,).
        seen: For each state, which are the last of the sets, the first observation that shows it, shape (states,).
        set: Set of each pair of a set and a member, ascending, members in tree order, shape (pairs,).
        row: The member, shape (pairs,).
        own: Its loss tokens in the set, those of all its visits, shape (pairs,).
        last: Its last visit, shape (pairs,): larger is later on its path; of a state the index of an observation.
        observations: All of them.
        state: Of each observation, dense from 0, group by group, shape (observations,).
    """

    group: Ints
    size: Ints
    k: Ints
    tokens: Ints
    seen: Ints
    set: Ints
    row: Ints
    own: Ints
    last: Ints
    observations: Observations
    state: Ints

    @property
    def intermediate(self) -> Bools:
        """True where 1 < members < k, shape (sets,)."""
        return (self.size > 1) & (self.size < self.k)

    @property
    def states(self) -> slice:
        """The sets that are states."""
        return slice(len(self.size) - len(self.seen), len(self.size))


def observations(mask: NDArray[np.bool_] | None, lengths: Ints) -> Observations:
    """Find the observations of completions.

    Args:
        mask: True where a token is in the loss, shape (tokens,); None: all are, so there is no observation.
        lengths: Tokens of each completion, shape (completions,).
    """
    if mask is None or not len(mask):
        return Observations(*np.zeros((4, 0), np.int64))
    row = np.repeat(np.arange(len(lengths)), lengths)
    start = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (np.diff(mask.view(np.int8), prepend=-1) != 0))
    end, row = np.append(start[1:], len(mask)), row[start]
    # Runs in the loss and out of it take turns, so one that is neither the first nor the last stands between two turns.
    inner = (np.diff(row, prepend=-1) == 0) & (np.diff(row, append=-1) == 0)
    at = np.flatnonzero(inner & ~mask[start])
    return Observations(row[at], start[at], end[at], (end - start)[at + 1])


def state_sets(groups: Groups) -> StateSets:
    """Find which completions share a state.

    Args:
        groups: The groups, numbered from 0.

    Returns:
        The sets; tokens before the first observation of a completion share by prefix.
    """
    found = observations(groups.mask, groups.lengths)
    state = _states(groups, found)
    early, late = _of_prefixes(groups, found), _of_states(groups, found, state)
    prefixes = len(early.group)
    group = np.concatenate([early.group, late.group])
    of_set, own = np.concatenate([early.set, late.set + prefixes]), np.concatenate([early.own, late.own])
    seen = np.full(len(late.group), len(state))
    np.minimum.at(seen, state, np.arange(len(state)))
    return StateSets(
        group=group,
        size=np.bincount(of_set, minlength=len(group)),
        k=np.bincount(groups.groups, minlength=groups.number)[group],
        tokens=np.bincount(of_set, own, len(group)).astype(np.int64),
        seen=seen,
        set=of_set,
        row=np.concatenate([early.row, late.row]),
        own=own,
        # Steps ascend from parent to child, and all come before the first observation.
        last=np.concatenate([early.set - prefixes, late.last]),
        observations=found,
        state=state,
    )


class _Pairs(NamedTuple):
    """Some sets and their members: as of `StateSets`."""

    group: Ints
    set: Ints
    row: Ints
    own: Ints
    last: Ints


def _of_prefixes(groups: Groups, found: Observations) -> _Pairs:
    """The process steps with a loss token of a member before its first observation."""
    lengths = groups.lengths
    opens = np.cumsum(lengths) - lengths
    first = opens + lengths  # where the first observation begins; the end of a completion without one
    np.minimum.at(first, found.row, found.start)
    early = np.arange(int(lengths.sum())) < np.repeat(first, lengths)
    seen = visits(groups.forest, early if groups.mask is None else early & groups.mask)
    kept = np.flatnonzero(seen.unique > 0)
    number = np.full(len(groups.forest.size), -1)
    number[kept] = np.arange(len(kept))
    pairs = number[seen.step] >= 0
    step = number[seen.step[pairs]]
    return _Pairs(groups.forest.group[kept], step, seen.row[pairs], seen.tokens[pairs], step)


def _of_states(groups: Groups, found: Observations, state: Ints) -> _Pairs:
    """The states, each with the completions that read it, those in tree order."""
    order = groups.forest.order
    place = np.argsort(order)[found.row]
    key, at = np.unique(state * len(order) + place, return_inverse=True)
    passed, member = np.divmod(key, max(len(order), 1))
    group, last = np.zeros(int(state.max(initial=-1)) + 1, np.int64), np.zeros(len(key), np.int64)
    group[state] = groups.groups[found.row]
    np.maximum.at(last, at, np.arange(len(at)))
    return _Pairs(group, passed, order[member], np.bincount(at, found.tokens, len(key)).astype(np.int64), last)


def _states(groups: Groups, found: Observations) -> Ints:
    """The state of each observation, dense from 0, group by group: equal tokens in one group are one."""
    length = found.end - found.start
    at, _ = ranges(found.start, length)
    # Equal observations are copies in the trees of all observations of a group: compared whole, not by a hash.
    trees = build_forest(groups.tokens[at], length, groups.groups[found.row])
    state = np.empty(len(length), np.int64)
    state[trees.order] = distinct(trees)
    return state


def set_means(sets: StateSets, values: Floats) -> Floats:
    """Mean of one value per completion over the members of every set, shape (sets,): V of rewards."""
    return add_up(sets.set, values[sets.row], len(sets.size)) / np.maximum(sets.size, 1)


def state_sums(groups: Groups, sets: StateSets) -> dict[str, Floats | Ints]:
    """What each group adds to the statistics of state sharing, named as for process sets, shape (groups,) each.

    Args:
        groups: With advantages, numbered from 0.
        sets: `state_sets` of them.

    Returns:
        path_depth, intermediate_proportion, shared_proportion: As `overlap.GroupOverlap`, NaN without a loss token.
        process_steps, step_size: Number of sets and Σ of their sizes.
        squared_sum, reliable_sum: As `reliability.reliability_sums`.
    """
    rows, number, between = len(groups.lengths), groups.number, sets.intermediate
    loss = groups.seen.completion

    def over_rows(values: NDArray) -> Ints:
        return np.bincount(sets.row, values, rows).astype(np.int64)

    depth = np.where(loss > 0, over_rows(between[sets.set]), 0)
    inside = over_rows(sets.own * between[sets.set])
    each = CompletionOverlap(depth, inside, over_rows(sets.own * (sets.size > 1)[sets.set]))
    names = ("path_depth", "intermediate_proportion", "shared_proportion")
    squared = sets.tokens * between * beyond(groups.tolerance[sets.group], set_means(sets, groups.advantages)) ** 2
    total = add_up(sets.group, squared, number)
    reliable = add_up(sets.group, squared - sets.tokens * between * _noise(groups, sets), number)
    return {
        **dict(zip(names, overlap_means(each, loss, groups.groups, number), strict=True)),
        "process_steps": np.bincount(sets.group, minlength=number),
        "step_size": np.bincount(sets.group, sets.size, number).astype(np.int64),
        "squared_sum": total,
        "reliable_sum": beyond(ROUNDING * total, reliable),
    }


def _noise(groups: Groups, sets: StateSets) -> Floats:
    """Variance of A of each set that comes from the draw, shape (sets,)."""
    k = np.bincount(groups.groups, minlength=groups.number)
    centred = groups.advantages - (add_up(groups.groups, groups.advantages, groups.number) / k)[groups.groups]
    mean = set_means(sets, centred)
    inside = add_up(sets.set, (centred[sets.row] - mean[sets.set]) ** 2, len(sets.size))
    whole = add_up(groups.groups, centred**2, groups.number)
    return noise_of(sets.size, sets.k, mean, inside, whole[sets.group])
