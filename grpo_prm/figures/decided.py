"""Where the outcome is decided: do completions fare more alike, the more of their path they share?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..analysis.clusters import CLUSTER
from ..analysis.decided_table import SHARE, TOKENS
from ..core.interval import Interval
from ..text.amounts import amount, listed, percent
from .figure import Captioned, LogFigure
from .intervals import long_intervals
from .logs import Logs
from .phrases import band_note, by_run, known_interval
from .ranges import draw_range, in_bars
from .series import band_entries
from .style import REFERENCE, RUNS_BANDED, Unit, canvas, colours, markers, sentence
from .style import percent as percent_axis

AXES = {
    SHARE: "share of the path\ntwo completions\nhave in common",
    TOKENS: "{unit}s\ntwo completions\nhave in common",
}
NAMED = (0.0, 0.5)  # points of a caption
TICKS = 5  # most labelled numbers of tokens


def make_table(logs: Logs) -> pl.DataFrame:
    """Mean product of the advantages of two completions that share more than so much, less its mean under the null.

    Args:
        logs: The analyses.

    Returns:
        `run`, `axis` (share, tokens), `point`, `mean`, `low`, `high` (95 %, over problems; null below 20 of them), `n`
        (problems), `pairs`; only points that a pair reaches. `mean` and its ends are null where in no group a
        permutation of the rewards moves the sum, as where all pairs share so much: the difference is 0 by itself.
    """
    rows: list[tuple] = []
    for (run, axis), part in _by_cluster(logs).group_by("run", "axis", maintain_order=True):
        # One call for all points of a curve: they share the resamples, so that it is smooth where the data are.
        points, column = np.unique(part["point"].to_numpy(), return_inverse=True)
        above, pairs, moved = part.select(pl.col("above", "pairs", "moved").cast(pl.Float64)).to_numpy().T
        intervals = long_intervals(above, pairs, column, len(points), part, logs.seed)
        # A 0 that no reward could change is no finding: it is left out, and the caption says so.
        free = np.bincount(column, moved) > 0
        known = zip(intervals, free, strict=True)
        intervals = [one if some else Interval(None, None, None, one.n) for one, some in known]
        pairs = np.bincount(column, pairs).astype(int).tolist()
        rows += [(run, axis, *row) for row in zip(points.tolist(), intervals, pairs, strict=True)]
    floats = dict.fromkeys(("point", "mean", "low", "high"), pl.Float64)
    schema = {"run": pl.String, "axis": pl.String, **floats, "n": pl.Int64, "pairs": pl.Int64}
    return pl.DataFrame([(*r[:3], *r[3], r[4]) for r in rows], schema, orient="row")


def _by_cluster(logs: Logs) -> pl.DataFrame:
    """Products above their null mean and pairs of each prompt, axis and point: one row each.

    `moved`: whether the null says anything of a group of the prompt. `core.decided` writes the sum itself as the mean
    of a null that cannot move it, so that the two are equal to the last bit.
    """
    # Prompts are drawn with all their groups (core.interval), so what a group adds to its prompt is enough.
    groups = logs.groups.lazy().select("run", "group", "prompt_key", "problem")
    keys = ("axis", "point", *CLUSTER)
    sums = logs.decided.join(groups, on=("run", "group")).group_by(keys)
    above = (pl.col("sum") - pl.col("expected")).sum()
    moved = (pl.col("sum") != pl.col("expected")).any()
    return sums.agg(above=above, pairs=pl.col("pairs").sum(), moved=moved).sort("run", *keys).collect()


def decided(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw how much more alike two completions fare than by chance, against what they have in common of their path.

    Where the curve rises the outcome is decided; below 0 completions that part so late fare less alike than any two, so
    it is decided by what follows. Intervals are 95 %, over problems.

    Args:
        table: `figure_tables(...)["decided"]`: `run`, `axis`, `point`, `mean`, `low`, `high`.
        ax: Two axes to draw on; None makes a figure.
        unit: What a path is counted in.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    barred = in_bars(table)
    with canvas(ax, venue, (1, 2, 0.62), band_entries(runs), sharey=True) as panels:
        for panel, (axis, label) in zip(panels, AXES.items(), strict=True):
            part = table.filter(axis=axis)
            if part.is_empty():
                sentence(panel, f"no two completions of\na group whose rewards differ\nshare a {unit} in the loss")
                continue
            if part["mean"].null_count() == len(part):
                sentence(panel, "nothing can be permuted:\nthe rewards of these pairs\ncannot be exchanged")
                continue
            for run in runs:
                _draw(panel, part.filter(run=run).sort("point"), run, runs, barred=barred)
            panel.axhline(0, color=REFERENCE, linewidth=0.5, linestyle=":", zorder=1)
            panel.set_xlabel(label.format(unit=unit))
            if axis == SHARE:
                panel.set_ylabel("agreement above chance")
                panel.set_xlim(-0.04, 1)
                panel.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
                percent_axis(panel.xaxis)
            else:
                _set_tokens(panel, part["point"].unique().sort().to_list())
    return panels


def _draw(axes: Axes, table: pl.DataFrame, run: str, runs: list[str], *, barred: bool) -> None:
    colour = colours(runs)[run]
    # Nulls become NaN, where a line has a gap.
    point, mean, low, high = (table[c].cast(pl.Float64).to_numpy() for c in ("point", "mean", "low", "high"))
    axes.plot(point, mean, color=colour, marker=markers(runs)[run], gid=run, zorder=3)
    if len(runs) <= RUNS_BANDED:  # more would lie on each other
        draw_range(axes, point, mean, low, high, colour=colour, barred=barred)


def _set_tokens(axes: Axes, points: list[float]) -> None:
    """An axis of 0 and powers of two, some of which are named."""
    axes.set_xscale("symlog", base=2, linthresh=1)  # 0 is a point too, which has no place on a logarithmic axis
    axes.set_xlim(-0.3, 1.2 * max(points[-1], 1))
    axes.xaxis.set_major_locator(FixedLocator(points[:: -(-len(points) // TICKS)]))  # every n-th, rounded up
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:.0f}"))


def make_caption(shown: Captioned) -> str:
    """The curve at the beginning and in the middle of the path."""

    def value(row: dict[str, Any]) -> str:
        share = f"more than {percent(row['point'])} %" if row["point"] else "any"
        if row["mean"] is None:
            return f"nothing to permute where they share {share} of it ({amount(row['pairs'], 'pair')})"
        return f"{known_interval(row)} where they share {share} of it ({amount(row['pairs'], 'pair')})"

    def values(part: pl.DataFrame) -> str:
        curve = part.filter(axis=SHARE).sort("point")
        rows = curve.filter(pl.col("point").is_in(NAMED))
        return listed([value(row) for row in rows.rows(named=True)]) + _gaps(curve)

    return (
        "Where the outcome is decided: mean product of the advantages of two different completions of a group that "
        f"share more than so much of their path, in {shown.unit}s, less its mean with the rewards permuted (0: they "
        f"fare alike no more than by chance); {by_run(shown.table, values)}; {band_note(shown.table)}"
    )


def _gaps(curve: pl.DataFrame) -> str:
    """From which share of the path to which nothing can be permuted, so that the line has a gap."""
    points, empty = curve["point"].to_list(), curve["mean"].is_null().to_numpy()
    edges = np.flatnonzero(np.diff(empty, prepend=False, append=False)).reshape(-1, 2)
    gaps = [
        f"from {percent(points[begin])} % on" if end == len(points) else _between(points[begin], points[end - 1])
        for begin, end in edges.tolist()
    ]
    return f", a gap where nothing can be permuted ({listed(gaps)})" if gaps else ""


def _between(first: float, last: float) -> str:
    return f"at {percent(first)} %" if first == last else f"{percent(first)} to {percent(last)} %"


FIGURE = LogFigure("decided", make_table, decided, make_caption)
