"""How much the groups of runs and of logs overlap: shares, thirds of training and cross-prompt groups, compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from ..analysis.clusters import CLUSTER
from ..core.interval import FEW_CLUSTERS, cluster_sums, resampled_sums, wilson
from .claims import Finding
from .paired import band_table, difference, mean_finding

COLUMNS = (*CLUSTER, "step", "k", "tokens", "path_depth", "non_trivial", "scale_1", "norm_0", "norm_1", "dot_1")
OVERLAP = "intermediate_proportion"
GROWTH, BEYOND, DEPTH = "last - first third", "intermediate - cross-prompt", "path depth"
TREES, TREES_CROSS = "non-trivial", "non-trivial, cross-prompt"
SAME_TASK = ", same task"  # of what is measured within a task
BEYOND_TASK = BEYOND + SAME_TASK
LOG = "a log"  # the setting of what is no task of ours
POINTS = 256  # most points of a curve of sorted values


def shape_of_runs(task: str, records: Sequence[pl.DataFrame]) -> list[Finding]:
    """Whether trees are there and more than boilerplate: Student's intervals over runs, Wilson's of trees.

    Args:
        task: The part.
        records: A table a run: its groups with `COLUMNS`, and its pseudo-groups, whose `k` is null.
    """
    means = {name: [_mean(subset(record)) for record in records] for name, subset in SUBSETS.items()}
    return [
        *_non_trivial(task, pl.concat(records)),
        *(mean_finding(task, "", name, values) for name, values in means.items()),
        difference(task, "", BEYOND, means["intermediate"], means["cross-prompt"]),
        *(mean_finding(task, "", name, [update(real(r)) for r in records]) for name, update in UPDATES.items()),
    ]


def growth_of_runs(task: str, records: Sequence[pl.DataFrame]) -> list[Finding]:
    """Last third of training minus the first, within each run; of cross-prompt groups it is shown, not judged."""
    findings = []
    for what, choose, column in (*GROWTHS, (f"{GROWTH}, cross-prompt", pseudo, OVERLAP)):
        first, last = ([_mean(_third(choose(record), last=end), column) for record in records] for end in (False, True))
        findings += [
            mean_finding(task, "", what.replace(GROWTH, "first third"), first),
            mean_finding(task, "", what.replace(GROWTH, "last third"), last),
            difference(task, "", what, last, first, judged=choose is real),
        ]
    return findings


def shape_of_log(name: str, record: pl.DataFrame, seed: int) -> list[Finding]:
    """`shape_of_runs` of one log, with percentile intervals over its clusters (definitions: Intervals).

    Args:
        name: The part.
        record: As for `shape_of_runs`.
        seed: Of the resamples.
    """
    clusters = {subset: _clusters(choose(record)) for subset, choose in SUBSETS.items()}
    findings = [
        *_non_trivial(name, record),
        *(Finding(name, "", subset, _known(_mean(choose(record)))) for subset, choose in SUBSETS.items()),
        _resampled_difference(name, BEYOND, clusters["intermediate"], clusters["cross-prompt"], seed),
        *(Finding(name, "", what, _known(update(real(record)))) for what, update in UPDATES.items()),
    ]
    return [finding._replace(setting=LOG) for finding in findings]


def growth_of_log(name: str, record: pl.DataFrame, seed: int) -> list[Finding]:
    """`growth_of_runs` of one log, with percentile intervals over its clusters."""
    findings = []
    for what, choose, column in GROWTHS:
        first, last = (_third(choose(record), last=end) for end in (False, True))
        thirds = (("first third", first), ("last third", last))
        findings += [Finding(name, "", what.replace(GROWTH, at), _known(_mean(t, column))) for at, t in thirds]
        findings.append(_resampled_difference(name, what, _clusters(last, column), _clusters(first, column), seed))
    return [finding._replace(setting=LOG) for finding in findings]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def real(record: pl.DataFrame) -> pl.DataFrame:
    """The groups, without the pseudo-groups."""
    return record.filter(pl.col("k").is_not_null())


def pseudo(record: pl.DataFrame) -> pl.DataFrame:
    """The cross-prompt pseudo-groups."""
    return record.filter(pl.col("k").is_null())


def _third(groups: pl.DataFrame, last: bool) -> pl.DataFrame:
    """Groups of the first or last third of their steps; none where there are fewer than three steps."""
    steps = groups["step"].drop_nulls().unique().sort()
    number = len(steps) // 3
    return groups.filter(pl.col("step").is_in((steps.tail(number) if last else steps.head(number)).implode()))


SUBSETS: dict[str, Callable[[pl.DataFrame], pl.DataFrame]] = {
    "intermediate": real,
    "cross-prompt": pseudo,
}
# What the claim about growth reads: both statistics of the paper's figure.
GROWTHS = ((GROWTH, real, OVERLAP), (f"{GROWTH}, {DEPTH}", real, "path_depth"))
# What p = 1 would change, pooled over groups; 1e-300 makes 0/0 a 0, as where no group gives a gradient.
UPDATES: dict[str, Callable[[pl.DataFrame], float]] = {
    "update scale": lambda groups: _sum(groups, "scale_1") / max(_sum(groups, "tokens"), 1),
    "update cosine": lambda groups: (
        _sum(groups, "dot_1") / np.sqrt(max(_sum(groups, "norm_0") * _sum(groups, "norm_1"), 1e-300))
    ),
}


def _sum(groups: pl.DataFrame, column: str) -> float:
    return float(groups[column].to_numpy().sum())


def _mean(groups: pl.DataFrame, column: str = OVERLAP) -> float:
    """Mean over groups; NaN without any."""
    values = groups[column].drop_nulls().to_numpy()
    return float(values.mean()) if len(values) else float("nan")


def _non_trivial(part: str, record: pl.DataFrame) -> list[Finding]:
    """Share of the groups of three or more whose tree is not flat, and that of the pseudo-groups."""
    # k = 2 has no room for an intermediate set: such groups are flat whatever they share.
    bushy = real(record).filter(pl.col("k") >= 3)
    return [_trees(part, TREES, bushy), _trees(part, TREES_CROSS, pseudo(record))]


def _trees(part: str, what: str, groups: pl.DataFrame) -> Finding:
    flags = groups["non_trivial"].to_numpy()
    if not len(flags):
        return Finding(part, "", what, None)
    low, high = wilson(flags.sum(), len(flags))
    return Finding(part, "", what, float(flags.mean()), float(low), float(high), len(flags))


def _clusters(groups: pl.DataFrame, column: str = OVERLAP) -> np.ndarray:
    """Sum and number of the groups of every cluster, shape (clusters, 2).

    A cluster is a prompt of a run. A pseudo-group has no prompt of its own, so each is a cluster.
    """
    known = groups.filter(pl.col(column).is_not_null())  # a group without loss tokens has no proportion
    values = np.stack([known[column].to_numpy().astype(np.float64), np.ones(len(known))], axis=1)
    if known["k"].is_null().any():
        return values
    return cluster_sums(values, known.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy())


def _resampled_difference(part: str, what: str, one: np.ndarray, other: np.ndarray, seed: int) -> Finding:
    """Difference of two means of groups, with percentiles of both resampled on their own.

    Args:
        part: As in `Finding`.
        what: As in `Finding`.
        one: `_clusters` of some groups, shape (clusters, 2).
        other: Of others.
        seed: Of the resamples.
    """
    if not len(one) or not len(other):
        return Finding(part, "", what, None)
    means = [sums[:, 0].sum() / sums[:, 1].sum() for sums in (one, other)]
    if min(len(one), len(other)) < FEW_CLUSTERS:
        return Finding(part, "", what, float(means[0] - means[1]), n=min(len(one), len(other)), note="few prompts")
    # Another seed for the other: with as many clusters both would resample the same ones, as if they were pairs.
    means_of = [(sums := resampled_sums(of, seed + n))[:, 0] / sums[:, 1] for n, of in enumerate((one, other))]
    low, high = np.percentile(means_of[0] - means_of[1], [2.5, 97.5])
    return Finding(part, "", what, float(means[0] - means[1]), float(low), float(high), min(len(one), len(other)))


def step_curves(records: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Mean intermediate proportion of every step, of groups and pseudo-groups, with Student's intervals.

    They are over runs where there are several, else over the groups of the step.
    """
    tables = []
    for method, choose in (("groups", real), ("cross-prompt", pseudo)):
        runs = [choose(record).filter(pl.col(OVERLAP).is_not_null()) for record in records]
        for step in sorted({step for run in runs for step in run["step"].drop_nulls().to_list()}):
            values = [run.filter(step=step)[OVERLAP].to_numpy() for run in runs]
            # One run has no spread over runs, so its band is over the groups of the step.
            units = values[0] if len(runs) == 1 else np.array([own.mean() for own in values if len(own)])
            tables.append(band_table(units[:, None], [step]).with_columns(method=pl.lit(method)))
    columns = {"method": pl.String, "step": pl.Int64, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.concat(tables).select(*columns) if tables else pl.DataFrame(schema=columns)


def sorted_curves(records: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Overlap in time and the same values sorted, of both statistics, against the share of steps or of groups.

    In time: mean over the groups of a step of all runs. Sorted: the values of single groups of all runs, smallest
    first, which rise whatever overlap does in training.

    Returns:
        `statistic`, `method` (`in time`, `sorted`), `step` (0 to 1), `mean`, `low`, `high` (none).
    """
    groups = pl.concat([real(record) for record in records])
    tables = []
    for statistic in ("path_depth", OVERLAP):
        known = groups.select("step", value=pl.col(statistic).cast(pl.Float64)).drop_nulls()
        by_step = known.group_by("step").agg(pl.col("value").mean()).sort("step")["value"].to_numpy()
        ordered = np.sort(known["value"].to_numpy())
        # At most `POINTS` of the sorted values, the first and the last among them.
        kept = np.unique(np.linspace(0, len(ordered) - 1, min(POINTS, len(ordered))).astype(np.int64))
        for method, values, share in (
            ("in time", by_step, np.linspace(0, 1, len(by_step))),
            ("sorted", ordered[kept], kept / max(len(ordered) - 1, 1)),
        ):
            tables.append(_unbanded(share, values).with_columns(statistic=pl.lit(statistic), method=pl.lit(method)))
    return pl.concat(tables)


def _unbanded(share: np.ndarray, values: np.ndarray) -> pl.DataFrame:
    unknown = np.full(len(values), np.nan)
    return pl.DataFrame({"step": share, "mean": values, "low": unknown, "high": unknown})
