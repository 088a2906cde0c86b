"""Every statistic over training: one row per training step and statistic, made as soon as a step is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints
from ..core.permutations import PermutedSums, null_ranges
from .chunks import Parts, added_up
from .clusters import CLUSTER, ID
from .intervals_by_step import StepRanges, of_open_step, of_steps
from .null import FIXED, fixed_sums, null_distributions
from .ratios import columns_of
from .running_sums import RunningSums
from .spill import Spill
from .statistics import OF_GROUPS, OVERLAP, PERMUTED

SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "statistic": pl.String(),
    "mean": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
    "null_mean": pl.Float64(),
    "null_low": pl.Float64(),
    "null_high": pl.Float64(),
}
BLOCK = 512  # steps at a time, whose permutations are held
GROUPS = 1 << 12  # or so many groups: what a call of polars takes is spread over many steps
# Only at the end of a log is it known which interval this statistic takes: rows of both are made, and one is kept.
CERTAIN, BINARY, WILSON, STUDENT = "certain_share", "binary", "certain_wilson", "certain_student"
_AT = OF_GROUPS.index(CERTAIN) + 1  # place of the second row
_NAMES = (*OF_GROUPS[:_AT], CERTAIN, *OF_GROUPS[_AT:])
_BINARY = [True if place == _AT else False if name == CERTAIN else None for place, name in enumerate(_NAMES)]


class OverTraining:
    """Makes the training table of a log whose groups come slice by slice, the steps one after the other.

    Args:
        seed: Of the resamples.
        folder: Where rows are kept; None: in memory.
    """

    def __init__(self, seed: int, folder: Path | None) -> None:
        self._seed = seed
        self._rows = Spill("training", folder)
        self._held: list[pl.DataFrame] = []
        self._open: dict[str, int] = {}  # runs that have groups without a step: rows that stand before theirs

    def add(self, slices: Iterable[pl.DataFrame], running: RunningSums, *, in_order: bool) -> None:
        """Add the groups table of whole steps, slice by slice; they are held until there are enough.

        Args:
            slices: The table.
            running: Has the permutations of a slice once it is here, and lets those of finished steps go.
            in_order: Whether the groups of each step stand together.
        """
        if not in_order and (tables := list(slices)):
            slices = [steps_together(pl.concat(tables, how="vertical_relaxed"))]
        for groups in slices:
            self._add(groups, running)

    def rows(self) -> pl.DataFrame:
        """The rows of the steps that are closed, for the `take` of another; none of them is without a number."""
        return self._rows.table().collect()

    def take(self, rows: pl.DataFrame, running: RunningSums) -> None:
        """Add the rows of whole steps that were made elsewhere.

        Args:
            rows: Of `rows`.
            running: Has the permutations of these steps, and lets them go.
        """
        self.close(running)  # what is held comes before
        for key in rows.select("run", "step").unique(maintain_order=True).iter_rows():
            running.close(key)
        self._rows.add(rows)

    def _add(self, groups: pl.DataFrame, running: RunningSums) -> None:
        for part in _parted(groups):
            if part["step"].null_count():
                self.close(running)
                for run in part["run"].unique(maintain_order=True):
                    self._open.setdefault(run, self._rows.rows)
            else:
                self._add_numbered(part.select(_needed()), running)

    def _add_numbered(self, groups: pl.DataFrame, running: RunningSums) -> None:
        self._held.append(groups)
        if sum(map(len, self._held)) >= GROUPS or len(running.permuted) >= BLOCK:
            table = pl.concat(self._held, how="vertical_relaxed")
            step = _dense(table)
            end = int(np.searchsorted(step, step[-1]))  # the last one may go on in the next slice
            self._add_rows(table[:end], step[:end], running)
            self._held = [table[end:]]

    def close(self, running: RunningSums) -> None:
        """All steps are whole: make the rows of those that are held, before `running` or `table` are asked."""
        if self._held:
            table = pl.concat(self._held, how="vertical_relaxed")
            self._add_rows(table, _dense(table), running)
        self._held = []

    def _add_rows(self, groups: pl.DataFrame, step: Ints, running: RunningSums) -> None:
        begins = np.append(np.flatnonzero(np.diff(step, prepend=-1)), len(groups)).tolist()
        for first in range(0, len(begins) - 1, BLOCK):
            begin, end = begins[first], begins[min(first + BLOCK, len(begins) - 1)]
            self._rows.add(_rows(groups[begin:end].rechunk(), step[begin:end] - first, self._seed, running))

    def table(self, groups: Parts, baseline: pl.DataFrame, running: RunningSums, *, certain: bool) -> pl.LazyFrame:
        """The training table of steps that are closed.

        Args:
            groups: The groups table, with `certain_tokens`.
            baseline: The pseudo-groups; their statistics are named `baseline_NAME`. They share prompts within a step,
                so that a step gives no interval of them.
            running: With the sums under the permutations of groups without a step.
            certain: Whether any group has `certain_tokens`.

        Returns:
            `SCHEMA`, by run and step in the order of the log; `null_*` of the statistics that have a permutation null.
        """
        rows, begin = self._rows.table(), 0
        parts = [pl.LazyFrame(schema=SCHEMA)]
        for run, end in self._open.items():
            parts += [_chosen(rows.slice(begin, end - begin), running.binary, certain)] if end > begin else []
            parts.append(_open_rows(run, groups, self._seed, running).lazy())
            begin = end
        parts += [_chosen(rows.slice(begin), running.binary, certain)] if self._rows.rows > begin else []
        return pl.concat([*parts, _baseline_rows(baseline).lazy()], how="vertical_relaxed")


def _parted(groups: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Groups with a step, and without, in turns."""
    changes = np.flatnonzero(np.diff(groups["step"].is_null().to_numpy().astype(np.int8))) + 1
    for begin, end in pairwise([0, *changes.tolist(), len(groups)]):
        yield groups[begin:end]


def in_order(groups: pl.DataFrame) -> bool:
    """Whether the groups of each step stand together."""
    step = groups.select(pl.struct("run", "step").rle_id()).to_series()
    return not len(step) or int(step[-1]) + 1 == groups.select("run", "step").n_unique()


def steps_together(groups: pl.DataFrame) -> pl.DataFrame:
    """The groups of each step next to each other, the steps in the order in which they first come."""
    first = pl.col("_row").min().over("run", "step")
    return groups.with_row_index("_row").sort(first, maintain_order=True).drop("_row")


def _needed() -> list[pl.Expr]:
    """What the rows of steps are made of."""
    tops_and_bottoms = {column for name in OF_GROUPS for column in columns_of(name)}
    columns = {*tops_and_bottoms, *FIXED, WILSON, STUDENT} - {"groups", "certain_tokens"}
    return [pl.col(name) for name in (*CLUSTER, "step", ID, *sorted(columns))]


def _dense(groups: pl.DataFrame) -> Ints:
    return groups.select(pl.struct("run", "step").rle_id()).to_series().to_numpy().astype(np.int64)


def _rows(groups: pl.DataFrame, step: Ints, seed: int, running: RunningSums) -> pl.DataFrame:
    """The rows of some steps, `SCHEMA` and `BINARY`; their permutations are taken out of `running`.

    Args:
        groups: The groups table of these steps, without `certain_tokens`.
        step: Step of each group, dense from 0, ascending, shape (groups,).
        seed: Of the resamples.
        running: With their permutations.
    """
    keys = groups[np.flatnonzero(np.diff(step, prepend=-1)), ["run", "step"]]
    permuted = [running.close(key) for key in keys.iter_rows()]
    every = PermutedSums(*(np.stack(sums) for sums in zip(*permuted, strict=True)))
    student, wilson = (groups.with_columns(certain_tokens=name) for name in (STUDENT, WILSON))
    found = _inserted(of_steps(student, step, seed, OF_GROUPS), of_steps(wilson, step, seed, (CERTAIN,)))
    sums = student.group_by(pl.Series("_at", step), maintain_order=True).agg(_fixed_by_name())
    fixed = {name: sums[name].to_numpy() for name in FIXED}
    nulls = {name: null_ranges(values) for name, values in null_distributions(every, fixed, binary=False).items()}
    of_two = null_ranges(null_distributions(every, fixed, binary=True)[CERTAIN])
    beside = [of_two if binary else nulls.get(name) for name, binary in zip(_NAMES, _BINARY, strict=True)]
    return _frame(keys, _NAMES, found, beside).with_columns(pl.Series(BINARY, _BINARY * len(keys)))


def _inserted(one: StepRanges, other: StepRanges) -> StepRanges:
    pairs = ((one.mean, other.mean), (one.low, other.low), (one.high, other.high))
    mean, low, high = (np.insert(values, _AT, more[:, 0], axis=1) for values, more in pairs)
    return StepRanges(mean, low, high, np.insert(one.n, _AT, other.n[:, 0], axis=1))


def _fixed_by_name() -> list[pl.Expr]:
    return [expression.alias(name) for name, expression in zip(FIXED, fixed_sums(), strict=True)]


def _frame(
    keys: pl.DataFrame, names: tuple[str, ...], found: StepRanges, nulls: list[tuple[Floats, Floats, Floats] | None]
) -> pl.DataFrame:
    """Rows of steps, `SCHEMA`.

    Args:
        keys: `run` and `step` of each.
        names: Of the statistics.
        found: The statistics, shape (steps, names) each.
        nulls: Of each statistic mean, low and high under permutation, shape (steps,) each; None: it has none.
    """
    steps = len(keys)
    none = np.full(steps, np.nan)
    beside = np.stack([np.stack(null or (none, none, none)) for null in nulls], axis=-1)  # (3, steps, names)
    # Without the statistic itself its null would have nothing to stand beside.
    beside = np.where(np.isfinite(found.mean), beside, np.nan)
    columns = dict(zip(list(SCHEMA)[3:], (*found, *beside), strict=True))
    where = np.repeat(np.arange(steps), len(names))
    numbers = [
        pl.Series(name, np.where(np.isfinite(values), values, np.nan).ravel(), SCHEMA[name], nan_to_null=True)
        if SCHEMA[name] == pl.Float64
        else pl.Series(name, values.ravel(), SCHEMA[name])
        for name, values in columns.items()
    ]
    return keys[where].hstack([pl.Series("statistic", list(names) * steps), *numbers])


def _chosen(rows: pl.LazyFrame, binary: bool, certain: bool) -> pl.LazyFrame:
    """The rows that hold for this log."""
    kept = rows.filter(pl.col(BINARY).is_null() | (pl.col(BINARY) == binary)).drop(BINARY)
    if certain:
        return kept
    # No interval of two rewards is narrow enough in such small groups (definitions: Certain share).
    none = {name: pl.lit(0 if name == "n" else None, dtype) for name, dtype in list(SCHEMA.items())[3:]}
    here = pl.col("statistic") == CERTAIN
    return kept.with_columns(pl.when(here).then(value).otherwise(name).alias(name) for name, value in none.items())


def _open_rows(run: str, groups: Parts, seed: int, running: RunningSums) -> pl.DataFrame:
    """The rows of the groups of a run that have no step."""
    own = [part.filter(pl.col("run") == run, pl.col("step").is_null()) for part in groups]
    fixed = added_up(own, dict(zip(FIXED, fixed_sums(), strict=True)))
    null = null_distributions(running.permuted[run, None], fixed, binary=running.binary)
    nulls = [null_ranges(null[name][None]) if name in PERMUTED else None for name in OF_GROUPS]
    keys = pl.DataFrame({"run": [run], "step": [None]}, {"run": pl.String, "step": pl.Int64})
    return _frame(keys, OF_GROUPS, of_open_step(own, seed, OF_GROUPS), nulls)


def _baseline_rows(baseline: pl.DataFrame) -> pl.DataFrame:
    """A mean without interval: pseudo-groups of a step share their prompts, so there are no clusters to resample."""
    if not len(baseline):
        return pl.DataFrame(schema=SCHEMA)
    named = {f"baseline_{name}": pl.col(name).cast(pl.Float64).mean() for name in OVERLAP}
    steps = baseline.group_by("run", "step", maintain_order=True).agg(n=pl.len().cast(pl.Int64), **named)
    index = ["_at", "run", "step", "n"]
    rows = steps.with_row_index("_at").unpivot(
        list(named), index=index, variable_name="statistic", value_name="mean"
    )  # statistic after statistic
    nothing = {name: pl.lit(None, dtype) for name, dtype in SCHEMA.items() if name not in rows.columns}
    return rows.sort("_at", maintain_order=True).with_columns(**nothing).select(list(SCHEMA))
