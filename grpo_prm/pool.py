"""Cross-prompt pseudo-groups of a log that comes batch by batch (SPEC: Cross-prompt baseline)."""

from __future__ import annotations

import numpy as np
import polars as pl

from .baseline import modal_size, pseudo_groups
from .chance import group_seed
from .forest import Ints, build_forest, visits
from .overlap import completion_overlap, group_overlap
from .rollouts import flatten

SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "path_depth": pl.Float64(),
    "intermediate_proportion": pl.Float64(),
    "shared_proportion": pl.Float64(),
    "non_trivial": pl.Boolean(),
}
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
        self._waiting = pl.DataFrame()
        self.pooled = 0

    def add(self, table: pl.DataFrame) -> pl.DataFrame:
        """Take whole steps in order; give the overlap of the pseudo-groups that are complete, `SCHEMA`."""
        table = (
            pl.concat([self._waiting, table.select(NEEDED)], how="vertical")
            if len(self._waiting)
            else table.select(NEEDED)
        )
        rows = table.select(
            "run", "step", "group", who=pl.col("prompt").fill_null(pl.col("group_key")), k=pl.len().over("group"),
            sample=pl.int_range(pl.len()).over("group"), row=pl.int_range(pl.len()),
        ).filter(pl.col("k") > 1)  # fmt: skip
        dealt, names, waiting, waited = np.full(len(table), -1), [], [], {}
        for (run, step), part in rows.group_by("run", "step", maintain_order=True):
            before = waited.pop(run, None)
            pool = part if before is None else pl.concat([before, part])
            kept, k = _one_group_a_prompt(pool)
            if kept["who"].n_unique() < k:
                waited[run] = kept
                continue
            self.pooled += kept["step"][0] != step
            at = self._deal(kept, k)
            some = at >= 0
            dealt[kept["row"].to_numpy()[some]] = at[some] + len(names)
            names += [(run, kept["step"][0])] * (int(at.max()) + 1)
        waiting = [part["row"] for part in waited.values()]
        self._waiting = table[pl.concat(waiting).sort()] if waiting else pl.DataFrame()
        return _overlap(table, dealt, names)

    def _deal(self, pool: pl.DataFrame, k: int) -> Ints:
        prompts = np.unique(pool["group"].to_numpy(), return_inverse=True)[1]
        rng = np.random.default_rng(group_seed(self._seed, "baseline", pool["run"][0], pool["step"][0]))
        return pseudo_groups(prompts, pool["sample"].to_numpy(), k, rng)


def _one_group_a_prompt(pool: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """The first group of the modal size of every prompt, and that size."""
    k = modal_size(pool.filter(pl.col("sample") == 0)["k"].to_numpy())
    kept = pool.filter(pl.col("k") == k)
    return kept.filter(pl.col("group") == pl.col("group").first().over("who")), k


def _overlap(table: pl.DataFrame, dealt: Ints, names: list[tuple[str, int | None]]) -> pl.DataFrame:
    """Overlap of the pseudo-groups `dealt`; completions with -1 stand alone and are dropped."""
    if not names:
        return pl.DataFrame(schema=SCHEMA)
    alone = dealt < 0
    groups = dealt.copy()
    groups[alone] = len(names) + np.arange(alone.sum())
    flat = flatten(table)
    forest = build_forest(flat.tokens, flat.lengths, groups)
    seen = visits(forest, flat.mask)
    overlap = group_overlap(forest, seen, completion_overlap(forest, seen), groups, len(names) + int(alone.sum()))
    columns = {
        "path_depth": overlap.path_depth,
        "intermediate_proportion": overlap.intermediate_proportion,
        "shared_proportion": overlap.shared_proportion,
        "non_trivial": overlap.intermediate_steps > 0,
    }
    numbers = pl.DataFrame(
        {name: pl.Series(values[: len(names)], nan_to_null=True) for name, values in columns.items()}
    )
    who = pl.DataFrame(names, schema=["run", "step"], orient="row")
    return pl.concat([who, numbers], how="horizontal").select(
        pl.col(name).cast(dtype) for name, dtype in SCHEMA.items()
    )
