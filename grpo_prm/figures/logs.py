"""The tables of one or more analyses as if of one log: a run has one name, and no two share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from ..analysis.tables import Tables, table_of
from ..errors import UsageError
from ..logs.rollouts import Rollouts
from ..tree.view import find_groups


@dataclass(frozen=True, slots=True)
class Logs:
    """Analyses put together; a run has one name in all tables.

    Attributes:
        summaries: Summary of each analysis by its name: its run's, or that given to the analysis.
        training, groups, baseline, subsamples, process_steps, decided: As in `analysis.tables.Tables`, one below the
            other; lazy, since each figure needs a few of their columns.
        permutations: With `run`, the name of the analysis, before its columns.
        samples, completions: Of the first analysis alone; completions are lazy.
        group: Name of the group asked for.
    """

    summaries: Mapping[str, Mapping[str, Any]]
    training: pl.LazyFrame
    groups: pl.LazyFrame
    baseline: pl.LazyFrame
    subsamples: pl.LazyFrame
    permutations: pl.DataFrame
    process_steps: pl.LazyFrame
    decided: pl.LazyFrame
    samples: pl.DataFrame
    completions: pl.LazyFrame
    group: str | None = None

    @property
    def first(self) -> Mapping[str, Any]:
        """Summary of the first analysis."""
        return next(iter(self.summaries.values()))

    @property
    def seed(self) -> int:
        """Of the resamples: that of the first analysis."""
        return self.first["source"]["options"]["seed"]

    @property
    def unit(self) -> Any:
        """What all of them count, as `figures` call it."""
        return unit_of(self.first)


def unit_of(summary: Mapping[str, Any]) -> Any:
    """`token` or `piece`, or `unit` where a log mixes both."""
    unit = summary["source"]["unit"]
    return unit if unit in ("token", "piece") else "unit"


def join_logs(analyses: Sequence[Tables], names: Iterable[str] = (), group: str | None = None) -> Logs:
    """Put analyses together.

    A run keeps its name unless two analyses share one. Then every run is called by its analysis, and by its own name
    too where that has several.

    Args:
        analyses: One or more.
        names: Of the analyses, different ones; `log 1`, `log 2`, ... where there are none.
        group: Kept for `sampled_group`.

    Raises:
        UsageError: They count different units, or two names are the same.
    """
    named = list(names) or [f"log {n}" for n in range(1, len(analyses) + 1)]
    if repeated := [name for name, times in Counter(named).items() if times > 1]:
        raise UsageError(f"{repeated[0]}: given twice. Name each analysis once.")
    units = {name: unit_of(analysis.summary) for name, analysis in zip(named, analyses, strict=True)}
    if len(set(units.values())) > 1:
        counted = ", ".join(f"{name} counts {unit}s" for name, unit in units.items())
        raise UsageError(f"{counted}: these cannot be compared. Analyse all logs with the same --tokenizer.")
    renamed = _names(named, [analysis.summary["source"]["runs"] for analysis in analyses])

    def stacked(table: str) -> pl.LazyFrame:
        frames = (table_of(analysis, table) for analysis in analyses)
        parts = [frame.with_columns(_renamed(new)) for frame, (_, new) in zip(frames, renamed, strict=True)]
        # Relaxed: the type of a count differs where one log cannot have it (`certain_tokens`) and another can.
        # Diagonal: only a baseline that was divided by a column has its values.
        return pl.concat(parts, how="diagonal_relaxed") if len(parts) > 1 else parts[0]

    permutations = [
        analysis.permutations.lazy().select(pl.lit(name).alias("run"), pl.all())
        for analysis, (name, _) in zip(analyses, renamed, strict=True)
    ]
    return Logs(
        summaries={name: analysis.summary for analysis, (name, _) in zip(analyses, renamed, strict=True)},
        permutations=pl.concat(permutations, how="vertical_relaxed").collect(),
        samples=analyses[0].samples.lazy().collect(),
        completions=analyses[0].completions.lazy(),
        training=stacked("training"),
        groups=stacked("groups"),
        baseline=stacked("baseline"),
        subsamples=stacked("subsamples"),
        process_steps=stacked("process_steps"),
        decided=stacked("decided"),
        group=group,
    )


def _names(names: Sequence[str], runs: Sequence[Sequence[str]]) -> list[tuple[str, dict[str, str]]]:
    """Name of each analysis, and the new name of each of its runs.

    Args:
        names: Of the analyses, as the caller has them.
        runs: Of each analysis.
    """
    times = Counter(run for own in runs for run in own)
    if max(times.values(), default=0) > 1:  # then all are renamed, or a legend would mix two ways of naming
        return [
            (name, {run: name if len(own) == 1 else f"{name}/{run}" for run in own})
            for name, own in zip(names, runs, strict=True)
        ]
    alone = len(names) == 1
    kept = [own[0] if len(own) == 1 else "all runs" if alone else name for name, own in zip(names, runs, strict=True)]
    return [(name, {run: run for run in own}) for name, own in zip(kept, runs, strict=True)]


def _renamed(names: Mapping[str, str]) -> pl.Expr:
    if all(old == new for old, new in names.items()):
        return pl.col("run")
    return pl.col("run").replace(list(names), list(names.values()))


def sampled_group(logs: Logs) -> pl.DataFrame | None:
    """Rollouts of the group asked for, else of the worst group that was kept with its text, else of the first.

    Returns:
        Canonical rollouts with the advantages that the analysis used; None where no group was kept.

    Raises:
        UsageError: No group that was kept has the name asked for.
    """
    samples = logs.samples
    if samples.is_empty():
        if logs.group is not None:
            raise UsageError("The analysis kept no group with its text. Leave the group out.")
        return None
    table = _worst_or_first(samples, logs.first) if logs.group is None else _named(samples, logs.group)
    if logs.first["source"]["options"]["std"] != "batch":
        return table
    # A divisor of the whole batch cannot be computed from one group again.
    used = logs.completions.filter(pl.col("group") == table["group"][0]).select("sample", "advantage").collect()
    return table.drop("advantage").join(used, on="sample", how="left", maintain_order="left").select(table.columns)


def _named(samples: pl.DataFrame, group: str) -> pl.DataFrame:
    try:
        return find_groups([Rollouts(samples)], [group])[0]
    except UsageError as error:  # the log may well have the group: it is its text that was not kept
        reason = str(error).replace("No group is called", "No group with text is called", 1)
        raise UsageError(reason) from None


def _worst_or_first(samples: pl.DataFrame, summary: Mapping[str, Any]) -> pl.DataFrame:
    worst = summary["defects"]["worst_groups"]["examples"][:1]
    same = [pl.col(key).eq_missing(pl.lit(group[key])) for group in worst for key in ("run", "step", "group_key")]
    matching = samples.filter(*same)  # without a worst group all of them
    rows = matching if len(matching) else samples
    return rows.filter(group=rows["group"][0])  # several draws of one prompt in a step share its name
