"""The tables of one or more analyses as if of one log, under run names that are different."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from ..errors import UsageError

Frame = pl.DataFrame | pl.LazyFrame


class Tables(Protocol):
    """What figures are made of: an `analysis.Analysis`, a `folder.Folder`, or anything with their tables.

    Attributes:
        summary: The content of summary.json.
        training: `run`, `step`, `statistic`, `mean`, `low`, `high`, `n`, `null_mean`, `null_low` and `null_high` (the
            same share with the rewards dealt anew).
        groups: One row per group, with the columns of `statistics.STATISTICS`.
        baseline: Cross-prompt pseudo-groups.
        samples: Rollouts of some groups, with text.
        permutations: One row per permutation of the rewards.
        subsamples: One row per group and size of subset.
        process_steps: One row per process step.
        completions: One row per completion.
    """

    @property
    def summary(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def training(self) -> Frame: ...  # noqa: D102
    @property
    def groups(self) -> Frame: ...  # noqa: D102
    @property
    def baseline(self) -> Frame: ...  # noqa: D102
    @property
    def samples(self) -> Frame: ...  # noqa: D102
    @property
    def permutations(self) -> Frame: ...  # noqa: D102
    @property
    def subsamples(self) -> Frame: ...  # noqa: D102
    @property
    def process_steps(self) -> Frame: ...  # noqa: D102
    @property
    def completions(self) -> Frame: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Logs:
    """Analyses put together; a run has one name in all tables.

    Attributes:
        summaries: Summary of each analysis by its name: its run's, or that given to the analysis.
        training, groups, baseline, subsamples: As in `Tables`, one below the other.
        permutations: With `run`, the name of the analysis, before its columns.
        process_steps: Lazy.
        samples, completions: Of the first analysis alone; completions are lazy.
        group: Name of the group asked for.
    """

    summaries: Mapping[str, Mapping[str, Any]]
    training: pl.DataFrame
    groups: pl.DataFrame
    baseline: pl.DataFrame
    subsamples: pl.DataFrame
    permutations: pl.DataFrame
    process_steps: pl.LazyFrame
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


def together(analyses: Sequence[Tables], names: Iterable[str] = (), group: str | None = None) -> Logs:
    """Put analyses together.

    A run keeps its name unless two analyses share one. Then every run is called by its analysis, and by its own name
    too where that has several.

    Args:
        analyses: One or more.
        names: Of the analyses, different ones; `log 1`, `log 2`, ... where there are none.
        group: Kept for `tree_boxes`.

    Raises:
        UsageError: They count different units, or two names are the same.
    """
    called = list(names) or [f"log {n}" for n in range(1, len(analyses) + 1)]
    if repeated := [name for name, times in Counter(called).items() if times > 1]:
        raise UsageError(f"{repeated[0]}: given twice. Name each analysis once.")
    units = {name: unit_of(analysis.summary) for name, analysis in zip(called, analyses, strict=True)}
    if len(set(units.values())) > 1:
        said = ", ".join(f"{name} counts {unit}s" for name, unit in units.items())
        raise UsageError(f"{said}: these cannot be compared. Analyse all logs with the same --tokenizer.")
    renamed = _names(called, [analysis.summary["source"]["runs"] for analysis in analyses])

    def stacked(table: str) -> pl.LazyFrame:
        frames = (getattr(analysis, table).lazy() for analysis in analyses)
        named = [frame.with_columns(_renamed(new)) for frame, (_, new) in zip(frames, renamed, strict=True)]
        return pl.concat(named, how="vertical_relaxed") if len(named) > 1 else named[0]

    permutations = [
        analysis.permutations.lazy().select(pl.lit(name).alias("run"), pl.all())
        for analysis, (name, _) in zip(analyses, renamed, strict=True)
    ]
    held = ("training", "groups", "baseline", "subsamples")
    return Logs(
        summaries={name: analysis.summary for analysis, (name, _) in zip(analyses, renamed, strict=True)},
        permutations=pl.concat(permutations, how="vertical_relaxed").collect(),
        process_steps=stacked("process_steps"),
        samples=analyses[0].samples.lazy().collect(),
        completions=analyses[0].completions.lazy(),
        group=group,
        **{table: stacked(table).collect() for table in held},
    )


def _names(called: Sequence[str], runs: Sequence[Sequence[str]]) -> list[tuple[str, dict[str, str]]]:
    """Name of each analysis, and the new name of each of its runs."""
    times = Counter(run for mine in runs for run in mine)
    if max(times.values(), default=0) > 1:
        return [
            (name, {run: name if len(mine) == 1 else f"{name}/{run}" for run in mine})
            for name, mine in zip(called, runs, strict=True)
        ]
    alone = len(called) == 1
    named = [
        mine[0] if len(mine) == 1 else "all runs" if alone else name for name, mine in zip(called, runs, strict=True)
    ]
    return [(name, {run: run for run in mine}) for name, mine in zip(named, runs, strict=True)]


def _renamed(names: Mapping[str, str]) -> pl.Expr:
    if all(old == new for old, new in names.items()):
        return pl.col("run")
    return pl.col("run").replace(list(names), list(names.values()))
