"""Which process sets GRPO's count of |λ| falls on: amplification and update scale up to each size of set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from ..analysis.statistics import STATISTICS
from ..core.defects import POWERS as LAMBDA_POWERS
from ..text.amounts import listed, number
from ..text.amounts import percent as in_percent
from .figure import Captioned, LogFigure
from .logs import Logs
from .phrases import by_run
from .style import (
    MARKERS,
    PALETTE,
    REFERENCE,
    Entries,
    Unit,
    canvas,
    colours,
    from_zero,
    run_entries,
    sentence,
)

POWERS = (0.0, *LAMBDA_POWERS)  # of GRPO and of λ-GRPO
DIGITS = 12  # of a sum of floats: further ones depend on the order in which threads add
EACH_UP_TO = 16  # sizes up to which each is a row of its own; further ones are pooled between powers of two
TITLES = {
    "amplification": STATISTICS["amplification"].label,
    "update_scale": f"{STATISTICS['update_scale_1'].label} s(p)",
}
DASHES = ("-", "--", ":")  # of p, in order
TICKS = 6  # most labelled sizes


def make_table(logs: Logs) -> pl.DataFrame:
    """Part of each size |λ| in what λ-GRPO with some p makes of the amplification and of the update scale.

    amplification: Σ |λ|^-p |A| over the tokens of steps of that size, over Σ |A| over all unique tokens. Summed over
    sizes it is the amplification of the summary for p = 0 and 1 for p = 1 (less where the members of a step do not
    agree which tokens are in the loss). update_scale: Σ |λ|^-p over the tokens of these steps, over all tokens;
    summed it is s(p). All tokens are loss tokens of every completion.

    Args:
        logs: The analyses.

    Returns:
        `run`, `statistic` (amplification, update_scale), `p`, `first`, `last` (least and greatest size of a bin),
        `value`, `up_to` (the sum of values up to this size), `steps`, `tokens`. A size between 1 and the greatest that
        no step has is a row whose value is 0; in bins, none.
    """
    size, tokens, absolute = pl.col("size"), pl.col("tokens"), pl.col("advantage").abs().fill_null(0.0)
    sums = {f"abs_{p}": (size.cast(pl.Float64).pow(-p) * tokens * absolute).sum() for p in POWERS}
    sums |= {f"scale_{p}": (size.cast(pl.Float64).pow(-p) * tokens).sum() for p in POWERS}
    by = (
        logs.process_steps.filter(tokens > 0)
        .group_by("run", "size")
        .agg(**sums, unique=(pl.col("unique") * absolute).sum(), steps=pl.len().cast(pl.Int64), tokens=tokens.sum())
        .with_columns(bin=_bin(size.max().over("run")))
        .group_by("run", "bin")
        .agg(pl.exclude("size").sum(), first=size.min(), last=size.max())
        .sort("run", "bin")
        .collect()
    )
    by = _with_gaps(by)
    rows = [
        _row(by, statistic, p, pl.col(f"{column}_{p}"), over)
        for statistic, column, over in (("amplification", "abs", "unique"), ("update_scale", "scale", "tokens"))
        for p in POWERS
    ]
    values = pl.concat(rows).filter(pl.col("value").is_not_nan()).sort("statistic", "p", "run", "first")
    sums = pl.col("value").cum_sum().over("statistic", "p", "run").round_sig_figs(DIGITS)
    return values.select("run", "statistic", "p", "first", "last", "value", sums.alias("up_to"), "steps", "tokens")


def _bin(most: pl.Expr) -> pl.Expr:
    """Each size its own bin, or 1, 2, 3 to 4, 5 to 8, ... where `most` is large."""
    size = pl.col("size")
    # A log of a power of two may come out an ulp above its whole number: it must not go to the next bin.
    pooled = (size.cast(pl.Float64).log(2) - 1e-9).ceil().cast(pl.Int64)
    return pl.when(most > EACH_UP_TO).then(pooled).otherwise(size.cast(pl.Int64))


def _with_gaps(by: pl.DataFrame) -> pl.DataFrame:
    """Rows of zeros for sizes that no step has, where each size is a row."""
    single = by.filter((pl.col("first") == pl.col("last")).all().over("run"))
    sizes = single.group_by("run", maintain_order=True).agg(first=pl.int_range(1, pl.col("last").max() + 1))
    whole = (
        sizes.explode("first")
        .select("run", *(pl.col("first").cast(by.schema[name]).alias(name) for name in ("first", "last")))
        .join(single, on=("run", "first", "last"), how="left", maintain_order="left")
        .with_columns(pl.exclude("run").fill_null(0))
    )
    return pl.concat([by.join(single, on="run", how="anti", maintain_order="left"), whole.select(by.columns)])


def _row(by: pl.DataFrame, statistic: str, p: float, value: pl.Expr, over: str) -> pl.DataFrame:
    return by.select(
        "run",
        pl.lit(statistic).alias("statistic"),
        pl.lit(p).alias("p"),
        *(pl.col(name).cast(pl.Int64) for name in ("first", "last")),
        (value / pl.col(over).sum().over("run")).round_sig_figs(DIGITS).alias("value"),
        *(pl.col(name).cast(pl.Int64) for name in ("steps", "tokens")),
    )


def update_by_size(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw the amplification and the update scale of sets up to each size, for p = 0, 0.5 and 1.

    A line ends at the figure of the log: left at the amplification for p = 0 and at 1 for p = 1, right at s(p). Where
    it rises, sets of that size matter. Of several runs p = 0.5 is left out.

    Args:
        table: `figure_tables(...)["update_by_size"]`: `run`, `statistic`, `p`, `last`, `up_to`.
        ax: Two axes to draw on; None makes a figure.
        unit: What is counted.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    powers = table["p"].unique().sort().to_list()
    powers = powers if len(runs) == 1 else [powers[0], powers[-1]] if powers else []
    with canvas(ax, venue, (1, 2, 0.6), _entries(runs, powers)) as panels:
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(pl.col("p").is_in(powers), statistic=statistic).sort("first")
            if part.is_empty():
                sentence(panel, f"no {statistic.replace('_', ' ')}\nin this log")
                continue
            for run, (n, p) in product(runs, enumerate(powers)):
                line = part.filter(run=run, p=p)
                marked = [n for n, size in enumerate(line["last"]) if size & (size - 1) == 0]
                style: Any = _line_style(runs, run, n) | {"markevery": marked, "gid": f"{run}/{p:g}"}
                panel.plot(line["last"], line["up_to"], **style)
            _set_sizes(panel, int(part["last"].to_numpy().max()))
            panel.set_title(title)
        panels[0].set_ylabel(f"{unit}s in sets\nup to this size")
        from_zero(panels)
    return panels


def _set_sizes(axes: Axes, most: int) -> None:
    """A logarithmic axis of sizes with ticks at powers of two."""
    axes.set_xscale("log", base=2)
    powers = [2**n for n in range(most.bit_length())]
    axes.set_xticks(powers[:: -(-len(powers) // TICKS)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.set_xlim(0.9, 1.12 * max(most, 2))
    axes.set_xlabel("set size |λ|")


def _line_style(runs: list[str], run: str, n: int) -> dict[str, Any]:
    """One run: a colour and marker for each p; several: the run's colour, a line style for each p."""
    colour = PALETTE[n] if len(runs) == 1 else colours(runs)[run]
    return {"color": colour, "linestyle": DASHES[n % 3], "marker": MARKERS[n], "markersize": 2.5, "linewidth": 1.0}


def _entries(runs: list[str], powers: list[float]) -> Entries:
    if not runs:
        return []
    names = [f"p = {p:g}" + (" (GRPO)" if p == 0 else "") for p in powers]
    shared: dict[str, Any] = {"color": REFERENCE} if len(runs) > 1 else {}
    kinds = [(Line2D([], [], **_line_style(runs, runs[0], n) | shared), name) for n, name in enumerate(names)]
    return [*(run_entries(runs, marked=False) if len(runs) > 1 else []), *kinds]


def make_caption(shown: Captioned) -> str:
    """Amplification, what of it shared steps make, and update scales of each run: sums over its sizes."""

    def totals(part: pl.DataFrame) -> str:
        sums = {(name, p): v for name, p, v in part.group_by("statistic", "p").agg(pl.col("value").sum()).iter_rows()}
        values = [f"update scale {number(sums['update_scale', p])} for p = {p:g}" for p in LAMBDA_POWERS]
        if (whole := sums.get(("amplification", 0.0))) is not None:
            shared = part.filter(pl.col("last") > 1, statistic="amplification", p=0.0)["value"].to_numpy().sum()
            values.insert(0, f"amplification {number(whole)}, {in_percent(shared / whole)} % of it where |λ| > 1")
        return listed(values)

    return (
        f"Amplification and update scale of the {shown.unit}s in process sets of up to so many completions |λ|, each "
        f"weighted by |λ|^-p; at the right end {by_run(shown.table, totals)}"
    )


FIGURE = LogFigure("update_by_size", make_table, update_by_size, make_caption)
