"""The groups whose text travels with an analysis: the worst, the best and some at random."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, Ints
from ..core.seeds import group_seeds
from ..logs.grouping.groups import hashed
from .content import names_of
from .findings import EXAMPLES
from .worst_groups import CLEAREST

EACH = 10  # groups of each kind


class Samples:
    """Keeps the rollouts of `EACH` groups of each kind while the batches of a log come by.

    `worst` are those with suppressed-good tokens that show them best (`worst_groups.CLEAREST`), `best` those of the
    highest mean reward among groups whose rewards differ, `random` those of the lowest seeds, `finding` the group that
    has most of each finding of the verdict. A group may be of several kinds. Batching changes nothing: every choice is
    a lowest rank.

    Args:
        seed: Of the random choice.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        kinds = ("best", "random", "worst", *EXAMPLES)
        self._lowest: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in kinds}
        self._rows: dict[int, pl.DataFrame] = {}

    def add(self, table: pl.DataFrame, groups: pl.DataFrame) -> None:
        """Add a slice: its rollouts, and its rows of the groups table."""
        # A rank by a seed of its own picks at random, and the same groups however the log is cut into batches.
        seeds = group_seeds(self._seed, repeat("sample", len(groups)), *names_of(groups)) / 2.0**64
        clearest, reward = [-groups[name].to_numpy() for name in CLEAREST], groups["reward_mean"].to_numpy()
        number = groups["group"].to_numpy()
        self._rank("worst", clearest, number, clearest[-1] < 0)
        self._rank("best", [-reward], number, ~(np.isnan(reward) | groups["zero_variance"].to_numpy()))
        self._rank("random", [seeds], number, np.isfinite(seeds))
        for code, column in EXAMPLES.items():
            most = groups[column].cast(pl.Float64).fill_null(0.0).to_numpy()
            self._rank(code, [-most], number, most > 0)
        chosen = {int(rank[-1]) for lowest in self._lowest.values() for rank in lowest}
        group_of_row = table["group"].to_numpy()
        for group in chosen.intersection(number.tolist()).difference(self._rows):
            self._rows[group] = table[
                np.flatnonzero(group_of_row == group)
            ]  # a copy: a view would keep the whole table
        # A group that was among the lowest may have been overtaken: its rows are no longer needed.
        self._rows = {group: rows for group, rows in self._rows.items() if group in chosen}

    def _rank(self, kind: str, ranks: Sequence[Floats], groups: Ints, some: NDArray[np.bool_]) -> None:
        """Keep the `EACH` lowest ranks of a kind, of those before and of `some` groups now; the group breaks ties."""
        number = 1 if kind in EXAMPLES else EACH
        lowest = np.lexsort([rank[some] for rank in (groups, *ranks[::-1])])[:number]
        fresh = zip(*(rank[some][lowest].tolist() for rank in (*ranks, groups)), strict=True)
        self._lowest[kind] = sorted([*self._lowest[kind], *fresh])[:number]

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Rows of the groups kept, with the columns of `table`."""
        return pl.concat([table.clear(), *(self._rows[group] for group in sorted(self._rows))])

    def table(self) -> pl.DataFrame:
        """Canonical rollouts of the groups kept, with `kind`, a list of best, random, worst, finding."""
        kinds: dict[int, list[str]] = {group: [] for group in sorted(self._rows)}
        for kind, lowest in self._lowest.items():
            for *_, group in lowest:
                shown = "finding" if kind in EXAMPLES else kind
                kinds[int(group)] += [shown] if shown not in kinds[int(group)] else []
        table = pl.concat([self._rows[group] for group in kinds], how="diagonal")
        named = pl.DataFrame({"group": list(kinds), "kind": list(kinds.values())})
        return table.join(named, on="group").sort("group", "sample")


def prompts_behind(samples: pl.DataFrame) -> dict[tuple[str, int | None, str], str]:
    """Prompts of the groups (run, step, group_key) whose key is a hash of their prompt.

    Such a key was made by the reader of the log, so it tells nobody which group it is: the prompt does.
    """
    heads = samples.unique("group", keep="first")["run", "step", "group_key", "prompt"]
    return {
        (run, step, key): prompt
        for run, step, key, prompt in heads.iter_rows()
        if prompt is not None and key.partition("#")[0] == hashed(prompt)
    }
