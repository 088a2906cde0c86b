"""A training run: reward, accuracy, overlap, amplification, entropy and length of completions over its steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from .over_training import OBSERVED
from .ranges import bars
from .series import colour_of, draw_series, has_course, known, observed_in_bars
from .style import PALETTE, REFERENCE, Entries, Unit, canvas, from_zero, percent, run_entries

HELD_OUT = "held_out"
SERIES = {OBSERVED: "rollouts of the step"}
SHARES = ("accuracy", "intermediate_proportion")
MAY_BE_NEGATIVE = ("reward",)


def _titles(unit: Unit) -> dict[str, str]:
    return {
        "reward": "reward",
        "accuracy": "accuracy",
        "intermediate_proportion": f"intermediate {unit}s",
        "amplification": "amplification",
        "entropy": "entropy (nats)",
        "length": f"length ({unit}s)",
    }


def training_curves(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw what a run did, step by step; held-out accuracy as points with its 95 % Wilson interval.

    Args:
        table: Of `grpo_prm.train.record.curves_table`: `run`, `step`, `statistic`, `series` (`observed` or `held_out`),
            `mean`, `low`, `high`.
        ax: Six axes to draw on; None makes a figure.
        unit: What is counted.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    table = known(table)
    observed, held_out = table.filter(series=OBSERVED), table.filter(series=HELD_OUT)
    course, entries, barred = has_course(observed), _entries(runs, held_out), observed_in_bars(observed)
    with canvas(ax, venue, (3, 2, 1.1), entries, sharex=course) as panels:
        for panel, (statistic, title) in zip(panels, _titles(unit).items(), strict=True):
            part, points = (series.filter(statistic=statistic) for series in (observed, held_out))
            if len(part) or not (course and len(points)):
                empty = f"no {statistic.replace('_', ' ')}\nin this run"
                draw_series(panel, part, runs, SERIES, course=course, empty=empty, barred=barred)
            if course:  # else there is no axis of steps to put points on
                _draw_held_out(panel, points, runs)
            panel.set_title(title)
            if statistic in SHARES:
                percent(panel.yaxis)
        if ax is None:
            for panel in panels[:-2]:
                panel.set_xlabel("")
        from_zero([panel for panel, name in zip(panels, _titles(unit), strict=True) if name not in MAY_BE_NEGATIVE])
    return panels


def _entries(runs: list[str], held_out: pl.DataFrame) -> Entries:
    """Legend: the runs, if there are several; what points are, if there are any."""
    several = run_entries(runs) if len(runs) > 1 else []
    if held_out.is_empty():
        return several
    lines = [] if several else [(Line2D([], [], color=PALETTE[0]), SERIES[OBSERVED])]
    colour = _colour(runs, runs[0]) if len(runs) == 1 else REFERENCE
    point = Line2D([], [], color=colour, marker="o", markersize=3, linestyle="none")
    return [*several, *lines, (point, "held-out prompts")]


def _colour(runs: list[str], run: str) -> str:
    """Of held-out points: another one than the line's where there is one run."""
    return PALETTE[1] if len(runs) == 1 else colour_of(runs, run, OBSERVED)


def _draw_held_out(axes: Axes, table: pl.DataFrame, runs: list[str]) -> None:
    """Points with intervals, over the lines if there are any."""
    for (run,), part in table.group_by("run", maintain_order=True):
        x, mean, low, high = (part[c].cast(pl.Float64).to_numpy() for c in ("step", "mean", "low", "high"))
        point: Any = {"color": _colour(runs, str(run)), "markersize": 3, "elinewidth": 0.8, "capsize": 1.5, "zorder": 4}
        axes.errorbar(x, mean, bars(mean, low, high), fmt="o", gid=f"{run}/{HELD_OUT}", **point)
