"""The states of a slice of groups: their table, and what they add to the groups table (definitions: State sharing)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, Ints
from ..core.groups import Groups
from ..core.permutations import PERMUTATIONS
from ..core.state_decisions import state_decisions
from ..core.state_order import state_order
from ..core.states import StateSets, set_means, state_sets, state_sums
from .columns import column
from .decided_steps import DecidedSteps

OF_STATES = "state_"  # before the name of a column of the groups table
SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "group": pl.Int64(),
    "group_key": pl.String(),
    "state": pl.Int64(),
    "size": pl.Int64(),
    "visits": pl.Int64(),
    "reward": pl.Float64(),
    "advantage": pl.Float64(),
    "tokens": pl.Int64(),
    "sample": pl.Int64(),
    "start": pl.Int64(),
    "end": pl.Int64(),
}


class MeasuredStates(NamedTuple):
    """The states of a slice of groups.

    Attributes:
        table: `SCHEMA`, a row for each state that two completions or more of a group share.
        order: Pairs in the right order and all of them under each permutation, shape (2, permutations).
        decisions: p and least attainable p, shape (2, decisions).
    """

    table: pl.DataFrame
    order: Floats
    decisions: Floats


@dataclass
class RunningStates:
    """The same, added up over slices; halves and whole numbers, which have one sum in any order.

    Attributes:
        order: As of `MeasuredStates`.
        decisions: Of all slices.
    """

    order: Floats = field(default_factory=lambda: np.zeros((2, PERMUTATIONS)))
    decisions: DecidedSteps = field(default_factory=DecidedSteps)

    def add(self, measured: MeasuredStates) -> None:
        """Add a slice."""
        self.order = self.order + measured.order
        self.decisions.add(measured.decisions)


def measured_states(
    table: pl.DataFrame, names: pl.DataFrame, groups: Groups, seeds: NDArray[np.uint64], seed: int
) -> tuple[MeasuredStates, dict[str, pl.Series]]:
    """The states of some groups, and what they add to the groups table.

    Args:
        table: Canonical rollouts.
        names: The groups, with `run`, `step`, `group`, `group_key`.
        groups: The groups, in the order of the table.
        seeds: Of each group (`measure.seeds_of`).
        seed: Of the log.
    """
    sets = state_sets(groups)
    order, null = state_order(groups, sets, seeds)
    decided = state_decisions(groups, sets, seed)
    shared = sets.size[sets.states] > 1
    state_of, of_group = sets.group[sets.states], groups.groups[sets.observations.row]
    columns = {
        "observations": np.bincount(of_group, minlength=groups.number),
        "states": np.bincount(state_of, minlength=groups.number),
        "shared_states": np.bincount(state_of[shared], minlength=groups.number),
        **state_sums(groups, sets),
        "pairs_right": order.right,
        "pairs": order.counted,
    }
    own = {OF_STATES + name: column(name, values, groups.number) for name, values in columns.items()}
    return MeasuredStates(_table(table, names, groups, sets), null, np.stack([decided.p, decided.least])), own


def _table(table: pl.DataFrame, names: pl.DataFrame, groups: Groups, sets: StateSets) -> pl.DataFrame:
    # Sets that are no states are process sets before the first observation, which have a table of their own.
    of_states, found = sets.states, sets.observations
    group, first = sets.group[of_states], sets.seen
    # Positions of observations are those in the tokens of all completions laid end to end.
    opens = np.cumsum(groups.lengths) - groups.lengths
    row = found.row[first]
    value = groups.rewards
    columns: dict[str, Any] = {
        "state": _numbered(group),
        "size": sets.size[of_states],
        "visits": np.bincount(sets.state, minlength=len(first)),
        "reward": None if value is None else set_means(sets, value)[of_states],
        "advantage": set_means(sets, groups.advantages)[of_states],
        "tokens": sets.tokens[of_states],
        "sample": table["sample"].to_numpy()[row],
        "start": found.start[first] - opens[row],
        "end": found.end[first] - opens[row],
    }
    series = [pl.Series(name, values, SCHEMA[name], nan_to_null=True) for name, values in columns.items()]
    # Filtered last, so that a state keeps its number in the group whether or not others are shared.
    return names[group, ["run", "step", "group", "group_key"]].hstack(series).filter(pl.col("size") > 1)


def _numbered(group: Ints) -> Ints:
    """0, 1, ... in each group; the groups ascend."""
    return np.arange(len(group)) - np.searchsorted(group, group)
