"""Cross-prompt pseudo-groups of a log that comes batch by batch (SPEC: Cross-prompt baseline)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from .baseline import modal_size, pseudo_groups
from .chance import group_seed
from .forest import build_forest, visits
from .overlap import completion_overlap, group_overlap
from .rollouts import flatten

NEEDED = ("run", "step", "group", "group_key", "prompt", "tokens", "mask")


class Pool:
    """Steps that wait for enough different prompts, and the pseudo-groups made of those that have them.

    A step with fewer prompts than its group size k waits for the next one of its run; what is left at the end gives
    no pseudo-group. Each prompt counts once in a pool: two completions of one prompt are no cross-prompt pair.

    Args:
        seed: Of the permutations; the draws depend on it and on the first step of the pool alone.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._waiting: dict[str, pl.DataFrame] = {}
        self.pooled = 0

    def add(self, table: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Take whole steps; yield the overlap of pseudo-groups, one row each: run, step, and the four statistics."""
        rows = table.select(NEEDED).with_columns(
            who=pl.col("prompt").fill_null(pl.col("group_key")), k=pl.len().over("group")
        )
        rows = rows.filter(pl.col("k") > 1).drop("prompt")
        for (run, _), step in rows.group_by("run", "step", maintain_order=True):
            waiting = self._waiting.pop(run, None)
            pool = step if waiting is None else pl.concat([waiting, step])
            pool, k, prompts = _one_group_a_prompt(pool)
            if prompts < k:
                self._waiting[run] = pool
                continue
            self.pooled += waiting is not None
            yield _pseudo_group_overlap(pool, k, self._seed)


def _one_group_a_prompt(pool: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
    """Keep the first group of the modal size of every prompt; with that size and the number of prompts."""
    k = modal_size(pool.group_by("group").len()["len"].to_numpy())
    kept = pool.filter(
        (pl.col("k") == k) & (pl.col("group") == pl.col("group").filter(pl.col("k") == k).first().over("who"))
    )
    return kept, k, kept["who"].n_unique()


def _pseudo_group_overlap(pool: pl.DataFrame, k: int, seed: int) -> pl.DataFrame:
    run, step = pool["run"][0], pool["step"][0]
    prompts = np.unique(pool["group"].to_numpy(), return_inverse=True)[1]
    samples = pool.select(pl.int_range(pl.len()).over("group")).to_series().to_numpy()
    dealt = pseudo_groups(prompts, samples, k, np.random.default_rng(group_seed(seed, "baseline", run, step)))
    kept = np.flatnonzero(dealt >= 0)
    pool, dealt = pool[kept], dealt[kept]
    flat = flatten(pool)
    forest = build_forest(flat.tokens, flat.lengths, dealt)
    seen = visits(forest, flat.mask)
    overlap = group_overlap(forest, seen, completion_overlap(forest, seen), dealt, int(dealt.max(initial=-1)) + 1)
    return pl.DataFrame(
        {
            "path_depth": overlap.path_depth,
            "intermediate_proportion": pl.Series(overlap.intermediate_proportion, nan_to_null=True),
            "shared_proportion": pl.Series(overlap.shared_proportion, nan_to_null=True),
            "non_trivial": overlap.intermediate_steps > 0,
        }
    ).select(pl.lit(run, pl.String).alias("run"), pl.lit(step, pl.Int64).alias("step"), pl.all())
