"""Where in the tree members disagree and step rewards are sure: contest and certain share by depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ..analysis.clusters import PROBLEM
from ..analysis.statistics import STATISTICS
from ..core.interval import FEW_CLUSTERS
from ..core.prm import SignSplit, contest
from ..text.amounts import amount
from .figure import Captioned, LogFigure
from .intervals import cluster_of, long_intervals
from .logs import Logs
from .phrases import band_note, by_run, by_statistic, known_interval, value_range
from .ranges import draw_range, in_bars
from .series import band_entries
from .style import RUNS_BANDED, Unit, canvas, colours, from_zero, markers, percent, sentence

SUMS = {"contest": ("contest_sum", "contest_tokens"), "certain_share": ("certain_tokens", "tokens")}
APART = 0.14  # between the points of runs at one depth
DEEPEST = 16  # depths with a row of their own; deeper ones are pooled, and so are those with few problems at the end
TITLES = {"contest": f"{STATISTICS['contest'].label} (1: a draw)", "certain_share": STATISTICS["certain_share"].label}
EMPTY = {
    "contest": "no intermediate {unit}\nin a group\nwhose rewards differ",
    "certain_share": "no certain share:\nno intermediate {unit},\nno rewards, or two rewards\nand k of 5 or less",
}


def make_table(logs: Logs) -> pl.DataFrame:
    """Contest and certain share of intermediate tokens by the depth of their step in the tree (0 is the root).

    As in the summary both count the tokens of every completion. Contest is a mean over tokens of groups whose rewards
    differ: 1 - |S⁺ + S⁻| / (S⁺ - S⁻) of their step (with masks that differ between members, of the step's mean sums).
    Certain share is over all intermediate tokens; it is left out where the summary has none. Depths beyond `DEEPEST`,
    and the last ones with fewer than 20 problems, are one row.

    Args:
        logs: The analyses.

    Returns:
        `run`, `statistic` (contest, certain_share), `depth`, `last` (deepest depth of a pooled row), `mean`, `low`,
        `high` (95 %, over problems; null below 20 of them), `n` (problems), `tokens`.
    """
    sums = _sums(logs)
    rows: list[tuple] = []
    for (run,), part in sums.group_by("run", maintain_order=True):
        for statistic, (top, bottom) in SUMS.items():
            some = part.filter(pl.col(top).is_not_null(), pl.col(bottom) > 0)
            rows += [(run, statistic, *row) for row in _depths(some, top, bottom, logs.seed)]
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    ints = {"depth": pl.Int64, "last": pl.Int64}
    schema = {"run": pl.String, "statistic": pl.String, **ints, **floats, "n": pl.Int64, "tokens": pl.Int64}
    return pl.DataFrame(rows, schema, orient="row")


def _sums(logs: Logs) -> pl.DataFrame:
    """Sums of each group and depth: tokens, contest_sum, contest_tokens, certain_tokens (null: cannot be)."""
    tokens, value = pl.col("tokens"), pl.col("contest")
    has = value.is_not_nan() & ~pl.col("zero_variance")
    outside = (pl.col("low") > pl.col("reward_mean")) | (pl.col("high") < pl.col("reward_mean"))
    certain = outside & ~pl.col("zero_variance")
    # Whether certainty can be had is told by the whole log (two rewards or more): the summary decides for all steps.
    groups = logs.groups.lazy().select(
        "run", "group", *PROBLEM, "reward_mean", known=pl.col("certain_tokens").is_not_null()
    )
    return (
        logs.process_steps.filter(pl.col("size") > 1, pl.col("size") < pl.col("k"), tokens > 0)
        .with_columns(contest=pl.struct("s_plus", "s_minus").map_batches(_contest, pl.Float64, is_elementwise=True))
        .join(groups, on=("run", "group"))
        .group_by("run", "group", *PROBLEM, "depth")
        .agg(
            tokens=tokens.sum(),
            contest_sum=(value * tokens).filter(has).sum(),
            contest_tokens=tokens.filter(has).sum(),
            certain_tokens=pl.when(pl.col("known").first()).then(tokens.filter(certain).sum()),
        )
        .sort("run", "group", "depth")
        .collect()
    )


def _contest(sums: pl.Series) -> pl.Series:
    """Contest of process steps from their S⁺ and S⁻; NaN where both are 0 or not known."""
    plus, minus = (sums.struct.field(name).cast(pl.Float64).to_numpy() for name in ("s_plus", "s_minus"))
    return pl.Series(contest(SignSplit(plus, minus, np.ones(len(sums)))), dtype=pl.Float64)


class _Depth(NamedTuple):
    depth: int
    last: int
    mean: float | None
    low: float | None
    high: float | None
    n: int
    tokens: int


def _depths(sums: pl.DataFrame, top: str, bottom: str, seed: int) -> list[_Depth]:
    """The rows of one run and statistic; a group may have several rows of a depth."""
    if sums.is_empty():
        return []
    depth, cluster = sums["depth"].to_numpy(), cluster_of(sums)
    values, column = np.unique(np.minimum(depth, _pooled_from(depth, cluster)), return_inverse=True)
    tops, bottoms = (sums[name].cast(pl.Float64).to_numpy() for name in (top, bottom))
    intervals = long_intervals(tops, bottoms, column, len(values), sums, seed)
    tokens = np.bincount(column, bottoms).astype(int)
    return [
        _Depth(int(value), int(depth[column == n].max()), *intervals[n], int(tokens[n]))
        for n, value in enumerate(values)
    ]


def _pooled_from(depth: np.ndarray, cluster: np.ndarray) -> int:
    """Depth from which all are one row: the first of the tail in which every depth has few problems, or `DEEPEST`."""
    # A problem counts once at a depth, however many of its groups and steps reach it.
    pairs = np.unique(np.stack([depth, cluster]), axis=1)[0]
    enough = np.flatnonzero(np.bincount(pairs) >= FEW_CLUSTERS)
    return min(int(enough[-1]) + 1 if len(enough) else int(depth.max()), DEEPEST)


def contest_by_depth(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw contest and certain share of intermediate steps by their depth, with 95 % intervals over problems.

    Several runs stand side by side at each depth.

    Args:
        table: `figure_tables(...)["contest_by_depth"]`: `run`, `statistic`, `depth`, `last`, `mean`, `low`, `high`; a
            row of several depths is the rest of the tree.
        ax: Two axes to draw on; None makes a figure.
        unit: What the means are over.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    barred = in_bars(table)
    with canvas(ax, venue, (1, 2, 0.58), band_entries(runs)) as panels:
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(statistic=statistic)
            if part.is_empty():
                sentence(panel, EMPTY[statistic].format(unit=unit))
                continue
            for run in runs:
                _draw(panel, part.filter(run=run).sort("depth"), run, runs, barred=barred)
            _set_depths(panel, part)
            panel.set_title(title)
            panel.set_xlabel("depth in the tree")
            if STATISTICS[statistic].share:
                percent(panel.yaxis)
        panels[0].set_ylabel(f"mean over\nintermediate {unit}s")
        from_zero(panels)
    return panels


def _draw(axes: Axes, table: pl.DataFrame, run: str, runs: list[str], *, barred: bool) -> None:
    colour, depth = colours(runs)[run], table["depth"].cast(pl.Float64).to_numpy()
    mean, low, high = (table[c].cast(pl.Float64).to_numpy() for c in ("mean", "low", "high"))
    depth = depth + APART * (runs.index(run) - (len(runs) - 1) / 2) * (1 < len(runs) <= RUNS_BANDED)
    axes.plot(depth, mean, color=colour, marker=markers(runs)[run], gid=run, zorder=3)
    if len(runs) <= RUNS_BANDED:
        draw_range(axes, depth, mean, low, high, colour=colour, barred=barred or len(runs) > 1)


def _set_depths(axes: Axes, table: pl.DataFrame) -> None:
    """Ticks at whole depths; that of a pooled row says so."""
    depths = table["depth"].unique().sort().to_list()
    pooled = table.filter(pl.col("last") > pl.col("depth"))["depth"].min()
    ticks = [int(tick) for tick in MaxNLocator(nbins=5, integer=True).tick_values(depths[0], depths[-1])]
    ticks = [tick for tick in ticks if depths[0] <= tick <= depths[-1]]
    if isinstance(pooled, int):
        ticks = [tick for tick in ticks if pooled - tick > 0.15 * (pooled - depths[0])] + [pooled]
    axes.set_xticks(ticks, [f"{tick}+" if tick == pooled else f"{tick}" for tick in ticks])
    if len(depths) == 1:
        axes.set_xlim(depths[0] - 1, depths[0] + 1)


def make_caption(shown: Captioned) -> str:
    """Both statistics at the least and at the greatest depth of each run."""

    def value(row: dict[str, Any], share: bool) -> str:
        where = f"depth {value_range(row['depth'], row['last'])} ({amount(row['n'], 'problem')})"
        return f"{known_interval(row, share=share)} at {where}"

    values = by_run(shown.table, lambda part: by_statistic(part, "depth", value))
    return (
        "Contest (0: all completions in a step push it the same way, 1: they cancel) and certain share of intermediate "
        f"{shown.unit}s by depth, the number of branchings above the step; {values}; {band_note(shown.table)}"
    )


FIGURE = LogFigure("contest_by_depth", make_table, contest_by_depth, make_caption)
