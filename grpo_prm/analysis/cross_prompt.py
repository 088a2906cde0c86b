"""Cross-prompt pseudo-groups of a log that comes batch by batch (SPEC: Cross-prompt baseline)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from ..core.baseline import pseudo_groups
from ..core.forest import Ints, build_forest, visits
from ..core.group_size import modal_size
from ..core.overlap import completion_overlap, group_overlap
from ..core.seeds import group_seed
from ..logs.rollouts import flatten, group_opens

SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "path_depth": pl.Float64(),
    "intermediate_proportion": pl.Float64(),
    "shared_proportion": pl.Float64(),
    "non_trivial": pl.Boolean(),
}
NEEDED = ("run", "step", "group", "group_key", "prompt", "tokens", "mask")
Step = tuple[str, int | None]


class _Group(NamedTuple):
    """A group that may be dealt from: its step, its prompt, and its rows in the table."""

    step: Step
    prompt: str
    first: int
    k: int


class PseudoGroups:
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
        table = table[list(NEEDED)]
        if len(self._waiting):
            table = pl.concat([self._waiting, table], how="vertical")
        dealt, names, waiting = np.full(len(table), -1), [], {}
        for (run, step), groups in _by_step(table).items():
            pool, k = _one_group_a_prompt(waiting.pop(run, []) + groups)
            if len(pool) < k:
                waiting[run] = pool
                continue
            opens = pool[0].step
            self.pooled += opens != (run, step)
            rows, at = self._deal(pool, k)
            dealt[rows] = np.where(at < 0, -1, at + len(names))
            names += [opens] * (int(at.max()) + 1)
        kept = [np.arange(group.first, group.first + group.k) for pool in waiting.values() for group in pool]
        self._waiting = table[np.sort(np.concatenate(kept))] if kept else pl.DataFrame()
        return _overlap(table, dealt, names)

    def _deal(self, pool: list[_Group], k: int) -> tuple[Ints, Ints]:
        """Rows of a pool of groups of k, and the pseudo-group of each."""
        rows = np.array([group.first for group in pool])[:, None] + np.arange(k)
        prompts, samples = np.indices(rows.shape)
        rng = np.random.default_rng(group_seed(self._seed, "baseline", *pool[0].step))
        return rows.ravel(), pseudo_groups(prompts.ravel(), samples.ravel(), k, rng)


def _by_step(table: pl.DataFrame) -> dict[Step, list[_Group]]:
    """The groups of two or more, in order."""
    opens = group_opens(table)
    heads = table[opens, ["run", "step", "prompt", "group_key"]].iter_rows()
    steps: dict[Step, list[_Group]] = {}
    for first, k, (run, step, prompt, key) in zip(opens, np.diff(opens, append=len(table)), heads, strict=True):
        if k > 1:
            group = _Group((run, step), key if prompt is None else prompt, int(first), int(k))
            steps.setdefault(group.step, []).append(group)
    return steps


def _one_group_a_prompt(pool: list[_Group]) -> tuple[list[_Group], int]:
    """The first group of the modal size of every prompt, and that size."""
    k = modal_size(group.k for group in pool)
    first: dict[str, _Group] = {}
    for group in pool:
        if group.k == k:
            first.setdefault(group.prompt, group)
    return list(first.values()), k


def _overlap(table: pl.DataFrame, dealt: Ints, names: list[Step]) -> pl.DataFrame:
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
        "run": [run for run, _ in names],
        "step": [step for _, step in names],
        "path_depth": overlap.path_depth,
        "intermediate_proportion": overlap.intermediate_proportion,
        "shared_proportion": overlap.shared_proportion,
        "non_trivial": overlap.intermediate_steps > 0,
    }
    columns = {name: values[: len(names)] for name, values in columns.items()}
    return pl.DataFrame(columns, schema=SCHEMA, nan_to_null=True)
