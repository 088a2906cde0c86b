"""How a training run went: reward, accuracy, overlap, amplification and entropy over its steps."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .series import OBSERVED, draw_series, has_course, known, series_entries
from .style import COLUMN, PAPER, Unit, given_axes, new_axes, percent

NAMES = {OBSERVED: "each step's batch", "held_out": "held-out prompts"}
SHARES = ("accuracy", "intermediate_proportion")


def _labels(unit: Unit) -> dict[str, str]:
    return {
        "reward": "mean reward",
        "accuracy": "accuracy",
        "intermediate_proportion": f"intermediate proportion of {unit}s",
        "amplification": "amplification",
        "entropy": f"entropy of the policy (nats per {unit})",
    }


def training_curves(
    table: pl.DataFrame, axes: Sequence[Axes] | None = None, *, unit: Unit = "token", width: float = COLUMN
) -> Figure:
    """Draw the metrics of a run that it has, one below the other.

    Args:
        table: `run`, `step`, `statistic` (a metric), `series` (`observed`, or `held_out` with its 95 % interval),
            `mean`, `low`, `high`.
        axes: One for each metric that is there; None makes a figure.
        unit: What entropy and overlap count.
        width: Inches.

    Returns:
        The figure.
    """
    table = known(table)
    runs = table["run"].unique().sort().to_list()
    present = {name: label for name, label in _labels(unit).items() if name in table["statistic"]}
    course, entries = has_course(table), series_entries(table, runs, NAMES)
    rows = max(len(present), 1)
    with mpl.rc_context(PAPER):
        shape = (rows, 1, 0.4 * width * rows)
        figure, panels = given_axes(axes, entries) if axes else new_axes(*shape, width, entries, sharex=course)
        for panel, (statistic, label) in zip(panels, present.items(), strict=False):
            part = table.filter(statistic=statistic)
            draw_series(panel, part, runs, NAMES, course=course, empty="")
            panel.set_title(label)
            if statistic in SHARES:
                percent(panel.yaxis)
        if course and axes is None:
            for panel in panels[:-1]:
                panel.set_xlabel("")
    return figure
