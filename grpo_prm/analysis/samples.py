"""The groups whose text travels with an analysis: the worst, the best and some at random."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, Ints
from ..core.seeds import group_seed
from ..logs.grouping.groups import hashed

EACH = 10  # groups of each kind


class Samples:
    """Keeps the rollouts of `EACH` groups of each kind while a log goes by.

    `worst` have the most suppressed-good tokens, `best` the highest mean reward among groups of mixed reward, `random`
    the lowest seeds. A group may be of several kinds. Batching changes nothing: every choice is a lowest rank.

    Args:
        seed: Of the random choice.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._lowest: dict[str, list[tuple[float, int]]] = {"best": [], "random": [], "worst": []}
        self._rows: dict[int, pl.DataFrame] = {}

    def add(self, table: pl.DataFrame, groups: pl.DataFrame) -> None:
        """Look at a slice: its rollouts, and its part of the groups table."""
        names = groups[["run", "step", "group_key"]].iter_rows()
        seeds = np.array([group_seed(self._seed, "sample", *name) / 2**64 for name in names])
        suppressed, reward = groups["suppressed_good_tokens"].to_numpy(), groups["reward_mean"].to_numpy()
        number = groups["group"].to_numpy()
        self._rank("worst", -suppressed, number, suppressed > 0)
        self._rank("best", -reward, number, ~(np.isnan(reward) | groups["zero_variance"].to_numpy()))
        self._rank("random", seeds, number, np.isfinite(seeds))
        chosen = {group for lowest in self._lowest.values() for _, group in lowest}
        held = table["group"].to_numpy()
        for group in chosen.intersection(number.tolist()).difference(self._rows):
            self._rows[group] = table[np.flatnonzero(held == group)]  # a copy: a view would keep the whole table
        self._rows = {group: rows for group, rows in self._rows.items() if group in chosen}

    def _rank(self, kind: str, rank: Floats, groups: Ints, some: NDArray[np.bool_]) -> None:
        fresh = zip(rank[some].tolist(), groups[some].tolist(), strict=True)
        self._lowest[kind] = sorted([*self._lowest[kind], *fresh])[:EACH]

    def table(self) -> pl.DataFrame:
        """Canonical rollouts of the groups kept, with `kind`, a list of worst, best, random."""
        kinds = {
            group: [kind for kind, lowest in self._lowest.items() if any(group == chosen for _, chosen in lowest)]
            for group in sorted(self._rows)
        }
        table = pl.concat([self._rows[group] for group in kinds], how="diagonal")
        named = pl.DataFrame({"group": list(kinds), "kind": list(kinds.values())})
        return table.join(named, on="group").sort("group", "sample")


def prompts_behind(samples: pl.DataFrame) -> dict[tuple[str, int | None, str], str]:
    """Prompts of the groups (run, step, group_key) that are named by a hash of theirs, as which nobody knows them."""
    heads = samples.unique("group", keep="first")["run", "step", "group_key", "prompt"]
    return {
        (run, step, key): prompt
        for run, step, key, prompt in heads.iter_rows()
        if prompt is not None and key.partition("#")[0] == hashed(prompt)
    }
