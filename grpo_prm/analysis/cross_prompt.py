"""Cross-prompt pseudo-groups of a log that comes batch by batch (definitions: Cross-prompt baseline)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from ..core.baseline import pseudo_groups
from ..core.forest import Ints, build_forest, visits
from ..core.group_size import modal_size
from ..core.overlap import completion_overlap, group_overlap
from ..core.seeds import group_seed
from ..logs.grouping.buckets import in_order_of_keys
from ..logs.rollouts import flatten, group_opens
from .baseline_by import VALUE
from .content import CONTENT, with_content
from .statistics import OVERLAP

SCHEMA: dict[str, pl.DataType] = {
    "run": pl.String(),
    "step": pl.Int64(),
    **{name: pl.Boolean() if name == "non_trivial" else pl.Float64() for name in OVERLAP},
}
NEEDED = ("run", "step", "group", "group_key", "problem", "prompt", "tokens", "mask")
Step = tuple[str, int | None, str | None]  # run, step, and the value by which the baseline is divided


class _Group(NamedTuple):
    """A group that gives completions to pseudo-groups: its step, its problem, and its rows [first, first + k)."""

    step: Step
    problem: tuple[str | None, ...]
    first: int
    k: int
    content: int | None


class PseudoGroups:
    """Makes pseudo-groups of each step of a log as the steps come by.

    A step with fewer different prompts than its group size k is put together with the next such steps of its run until
    there are enough; what is left at the end gives no pseudo-group. Each prompt gives one group at a time: two
    completions of one prompt are no cross-prompt pair. Where tables have `baseline_by.VALUE` the groups of each value
    are treated as if they were a log of their own.

    Args:
        seed: Of the permutations; these depend on it and on the first of the steps put together alone, and where only
            a file names the run on what is in the groups instead of the run.

    Attributes:
        pooled: How often several steps were put together.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._waiting = pl.DataFrame()
        self.pooled = 0

    def add(self, table: pl.DataFrame) -> pl.DataFrame:
        """Add whole steps in order; return the overlap of the pseudo-groups that they complete, `schema_of` them."""
        table = _needed(table)
        if len(self._waiting):
            table = pl.concat([self._waiting, table], how="vertical")
        # The pseudo-group of each row, -1 for none; `steps` is the first step of each pseudo-group.
        pseudo, steps, waiting = np.full(len(table), -1), [], {}
        for at, groups in _by_step(table).items():
            run, _, value = at
            chosen, k = _one_group_a_prompt(groups)
            if len(chosen) < k:
                chosen, k = _one_group_a_prompt(waiting.pop((run, value), []) + groups)
            if len(chosen) < k:
                waiting[run, value] = chosen
                continue
            # Steps that were put together count for the first of them, which also seeds their permutations.
            opens = chosen[0].step
            self.pooled += opens != at
            rows, number = self._permuted(chosen, k)
            pseudo[rows] = np.where(number < 0, -1, number + len(steps))
            steps += [opens] * (int(number.max()) + 1)
        # Only rows that still wait are kept between calls, which bounds the memory.
        kept = [np.arange(group.first, group.first + group.k) for chosen in waiting.values() for group in chosen]
        self._waiting = table[np.sort(np.concatenate(kept))] if kept else pl.DataFrame()
        return _overlap(table, pseudo, steps)

    def _permuted(self, chosen: list[_Group], k: int) -> tuple[Ints, Ints]:
        """Rows of groups of k, shape (groups * k,), and the pseudo-group of each, -1 for those left over."""
        rows = np.array([group.first for group in chosen])[:, None] + np.arange(k)
        prompts, samples = np.indices(rows.shape)
        rng = np.random.default_rng(group_seed(self._seed, "baseline", *_names(chosen)))
        return rows.ravel(), pseudo_groups(prompts.ravel(), samples.ravel(), k, rng)


def steps_apart(table: pl.DataFrame, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pseudo-groups of the steps that have prompts enough, and the rows of those that have not, `NEEDED` of them.

    Whoever gives the latter to one `PseudoGroups` gets the rest.

    Args:
        table: Whole steps.
        seed: As for `PseudoGroups`.
    """
    table = _needed(table)
    few = []
    for groups in _by_step(table).values():
        chosen, k = _one_group_a_prompt(groups)
        if len(chosen) < k:
            few += [np.arange(group.first, group.first + group.k) for group in groups]
    if not few:
        return PseudoGroups(seed).add(table), table.clear()
    waits = np.zeros(len(table), bool)
    waits[np.concatenate(few)] = True
    return PseudoGroups(seed).add(table.filter(~waits)), table.filter(waits)


def schema_of(table: pl.DataFrame) -> dict[str, pl.DataType]:
    """Columns of the pseudo-groups of a table."""
    return SCHEMA | ({VALUE: pl.String()} if VALUE in table.columns else {})


def _needed(table: pl.DataFrame) -> pl.DataFrame:
    return with_content(table)[[*NEEDED, CONTENT, *([VALUE] if VALUE in table.columns else [])]]


def _names(chosen: list[_Group]) -> tuple[str | int | None, ...]:
    """What seeds the permutations of groups: run and step of the first, and the value where there is one."""
    run, step, value = chosen[0].step
    contents = [group.content for group in chosen if group.content is not None]
    run = sum(contents) % 2**64 if contents else run
    return (run, step) if value is None else (run, step, value)


def _by_step(table: pl.DataFrame) -> dict[Step, list[_Group]]:
    """The groups of two or more, those of a step in the order of their keys, whatever that of the log is."""
    opens = group_opens(table)
    heads = table[opens, ["run", "step", "problem", "prompt", "group_key", CONTENT]]
    values = table[opens, VALUE].to_list() if VALUE in table.columns else [None] * len(opens)
    order = in_order_of_keys(heads)
    sizes = np.diff(opens, append=len(table))[order]
    steps: dict[Step, list[_Group]] = {}
    for place, k, head in zip(order, sizes, heads[order].iter_rows(), strict=True):
        run, step, problem, prompt, key, content = head
        # Groups of one are in no statistic, so they give nothing to compare it with.
        if k > 1:
            # As the clusters of intervals: one prompt text may be that of several problems.
            name = (key,) if prompt is None and problem is None else (prompt, problem)
            group = _Group((run, step, values[place]), name, int(opens[place]), int(k), content)
            steps.setdefault(group.step, []).append(group)
    return steps


def _one_group_a_prompt(groups: list[_Group]) -> tuple[list[_Group], int]:
    """The first group of the modal size of every problem, and that size."""
    # One size for all: overlap grows with the size, so pseudo-groups must be as large as most groups are.
    k = modal_size(group.k for group in groups)
    first: dict[tuple, _Group] = {}
    for group in groups:
        if group.k == k:
            first.setdefault(group.problem, group)
    return list(first.values()), k


def _overlap(table: pl.DataFrame, pseudo: Ints, steps: list[Step]) -> pl.DataFrame:
    """Overlap of pseudo-groups.

    Args:
        table: The rollouts.
        pseudo: Pseudo-group of each row, -1 for none.
        steps: The step of each pseudo-group.

    Returns:
        `schema_of` the table, one row per pseudo-group.
    """
    if not steps:
        return pl.DataFrame(schema=schema_of(table))
    # A forest has a group for every row: rows without a pseudo-group are groups of one at the end, dropped below.
    alone = pseudo < 0
    groups = pseudo.copy()
    groups[alone] = len(steps) + np.arange(alone.sum())
    flat = flatten(table)
    forest = build_forest(flat.tokens, flat.lengths, groups)
    seen = visits(forest, flat.mask)
    overlap = group_overlap(forest, seen, completion_overlap(forest, seen), groups, len(steps) + int(alone.sum()))
    of_groups = overlap._asdict() | {"non_trivial": overlap.intermediate_steps > 0}
    columns = {
        "run": [run for run, _, _ in steps],
        "step": [step for _, step, _ in steps],
        **{name: of_groups[name][: len(steps)] for name in OVERLAP},
        VALUE: [value for _, _, value in steps],
    }
    schema = schema_of(table)
    return pl.DataFrame({name: columns[name] for name in schema}, schema=schema, nan_to_null=True)
