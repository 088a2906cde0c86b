"""Metrics of trainers over the steps, a panel for each, the runs overlaid."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes

from .letters import plain
from .over_training import EACH, OBSERVED, windows
from .series import draw_series, has_course, known
from .style import Unit, canvas, run_entries, sentence

SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "steps": pl.Int64(),
    "statistic": pl.String(),
    "series": pl.String(),
    **dict.fromkeys(("mean", "low", "high"), pl.Float64()),
}


def make_table(metrics: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """What the figure draws: of a metric with many steps in a run the means of windows of steps, and the steps behind.

    Args:
        metrics: `run`, `metric`, `step`, `value`, and `low` and `high` where a value has a 95 % interval.
        names: Which metrics, in order.

    Returns:
        `run`, `step` (of a window its middle one), `steps` (values of the window), `statistic` (the metric), `series`
        (`observed`; `each_step` for the single steps behind windows), `mean`, `low`, `high` (null for windows).
    """
    tables = [pl.DataFrame(schema=SCHEMA)]
    for name in names:
        part = metrics.filter(metric=name).with_columns(statistic=pl.col("metric"), mean=pl.col("value"))
        within = windows(part)
        long = pl.col("run").is_in(within["run"].unique().to_list())
        single = part.with_columns(
            steps=pl.lit(1, pl.Int64), series=pl.when(long).then(pl.lit(EACH)).otherwise(pl.lit(OBSERVED))
        )
        means = (
            part.join(within, on=("run", "step"), maintain_order="left")
            .group_by("run", "statistic", "middle", maintain_order=True)
            .agg(pl.col("steps").first(), pl.col("mean").mean(), series=pl.lit(OBSERVED))
            .with_columns(step=pl.col("middle"), low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
        )
        tables += [table.select(*SCHEMA) for table in (single, means)]
    return pl.concat(tables)


def training_metrics(
    table: pl.DataFrame,
    ax: Sequence[Axes] | None = None,
    *,
    unit: Unit = "token",  # noqa: ARG001 - every figure takes it
    venue: str = "column",
) -> list[Axes]:
    """Draw metrics of trainers over the steps, a panel for each; bands are the intervals that the source has.

    Args:
        table: Of `make_table`; panels in the order in which metrics first stand.
        ax: As many axes as there are metrics; None makes a figure with two abreast.
        unit: Not used: names of metrics are the trainer's.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes, one for each metric.
    """
    names = table["statistic"].unique(maintain_order=True).to_list()
    runs = table["run"].unique(maintain_order=True).to_list()
    table = known(table)
    course, count = has_course(table), max(1, len(names))
    rows, columns = -(-count // 2), min(2, count)
    shape = (rows, columns, 0.2 + 0.38 * rows) if ax is None else (1, count, 1.0)
    with canvas(ax, venue, shape, run_entries(runs) if runs else []) as panels:
        for panel in panels[count:]:
            panel.set_axis_off()
        if not names:
            sentence(panels[0], "no metrics")
        for panel, name in zip(panels, names, strict=False):
            draw_series(
                panel, table.filter(statistic=name), runs, {OBSERVED: "logged"}, course=course, empty=f"no {name}"
            )
            panel.set_title(plain(name))
            if ax is None and panel not in panels[max(0, count - columns) : count]:
                panel.set_xlabel("")
    return panels[:count]
