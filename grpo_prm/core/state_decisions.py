"""Decisions at states: is where their members go next related to the rewards? (definitions: State sharing)."""

from __future__ import annotations

import numpy as np

from .decisions import Decisions, judged, reward_ranks
from .distinct import distinct
from .groups import Groups
from .states import StateSets


def state_decisions(groups: Groups, sets: StateSets, seed: int = 0) -> Decisions:
    """Test every state from which members go two ways or more, each distinct completion once.

    The way of a member is the observation that follows its last visit; those that read nothing more go one way.

    Args:
        groups: With rewards or advantages, numbered from 0.
        sets: `state_sets` of them.
        seed: As of `decisions.decisions`.

    Returns:
        One entry for each; `step` is the state. None in groups of zero variance.
    """
    text = distinct(groups.forest)
    first = np.diff(text, prepend=-1) != 0
    place = np.argsort(groups.forest.order)
    of_states = (sets.set >= sets.states.start) & first[place[sets.row]] & ~groups.zero[groups.groups[sets.row]]
    pair = np.flatnonzero(of_states)
    found, last = sets.observations, sets.last[pair]
    follows = np.append(found.row, -1)[last + 1] == found.row[last]
    way = np.where(follows, np.append(sets.state, -1)[last + 1], -1)
    state = sets.set[pair] - sets.states.start
    order = np.lexsort((way, state))
    state, way, pair = state[order], way[order], pair[order]
    fresh = (np.diff(state, prepend=-1) != 0) | (np.diff(way, prepend=-2) != 0)
    kept = (np.bincount(state[fresh], minlength=len(sets.seen)) > 1)[state]
    value = reward_ranks(groups, text, np.flatnonzero(first))[text[place[sets.row[pair]]]]
    return judged(state[kept], way[kept], value[kept], seed)
