"""The tree of one group from left to right: boxes with the text of the steps, coloured by their hidden reward."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ..analysis.extent import QUANTILE, Extent, extents
from ..text.amounts import amount, listed, number, percent
from ..text.printable import printable
from ..tree import view
from .figure import Captioned, LogFigure
from .letters import MISSING, fonts_of, warn_of_missing, without_glyph
from .logs import Logs, sampled_group
from .style import PAPER, REFERENCE, Entries, Unit, canvas, sentence
from .tree_labels import LINE, SIZE, Label, before, draw_key, key_height, labels

FAR = 50  # times the shortest step that the longest may have before widths are square roots
BOXES = {
    "run": pl.String, "step": pl.Int64, "group_key": pl.String, "box": pl.String, "scale": pl.String, "k": pl.Int64,
    "kind": pl.String, "size": pl.Int64, "start": pl.Int64, "end": pl.Int64,
    "x0": pl.Float64, "x1": pl.Float64, "y0": pl.Float64, "y1": pl.Float64,
    "text": pl.String, "reward": pl.Float64, "advantage": pl.Float64, "mark": pl.String, "sample": pl.Int64,
}  # fmt: skip
SCHEMA = BOXES | {"limit": pl.Float64, "most": pl.Float64}
TEXT = 200  # characters kept of the text of a step
COLOURS = "RdBu"  # red is pushed down, blue raised: told apart with any colour vision
SOFT = 1.35  # times the |A| at which the scale ends the colours do: the darkest would hide the text
ROUNDING = 1e-9  # of an |A| that is 0: of a log whose rewards are all equal nothing else is left
LEVELS = 41  # of the bar of colours: with fifty matplotlib makes an image of it
MARKS = {"suppressed-good": "v", "boosted-bad": "^"}
ROWS = 0.042  # height of a completion as part of the width of a column
HEIGHTS = (0.45, 1.25)  # least and greatest height of the boxes
REWARDS, GAP = 0.11, 0.02  # width of the column of rewards as part of that of the boxes, and before it


def make_table(logs: Logs) -> pl.DataFrame:
    """Boxes of the group asked for, else of the worst sampled group, else of the first.

    Args:
        logs: The analyses; samples and options of the first are used.

    Returns:
        `run`, `step`, `group_key`, `box` (`step`, or `completion`: where one ends), `scale` (`linear` or `root`: what
        widths are of the tokens), `k`, `kind` (root, intermediate, terminal), `size`, `start`, `end` (tokens), `x0`,
        `x1`, `y0`, `y1` (sides of the box; a completion is 1 high), `text` (its start), `reward` R(λ), `advantage`
        A(λ), of a completion its own, `mark` (`suppressed-good`, `boosted-bad`, null), `sample`, `limit` and `most`
        (|A| at which the colours of the log end, and its largest). Boxes come parents first; steps without tokens are
        left out. No rows where the log has no sampled group.

    Raises:
        UsageError: No sampled group has the name asked for.
    """
    table = sampled_group(logs)
    if table is None:
        return pl.DataFrame(schema=SCHEMA)
    options = logs.first["source"]["options"]
    std, advantage = options["std"], options["advantage"]
    if std == "batch":  # one group does not tell the divisor: `sampled_group` holds the advantages of the analysis
        std, advantage = "none", "logged"
    tree = boxes(view.group_tree(table, std, advantage, options.get("tokenizer")))
    # Of the whole log, as on the page: a colour means the same in every group, so trees can be laid side by side.
    found = extents(logs.process_steps, "advantage").get("advantage", Extent(0.0, 0.0))
    limit, most = (value if value > ROUNDING else 0.0 for value in found)
    return tree.with_columns(limit=pl.lit(limit, pl.Float64), most=pl.lit(most, pl.Float64))


def boxes(tree: dict[str, Any]) -> pl.DataFrame:
    """Lay a tree of `tree.view.group_tree` out from left to right, the branch with the greatest A on top."""
    steps = tree["steps"]
    lengths = [step["end"] - step["start"] for step in steps]
    drawn = [length for length in lengths if length]
    square_roots = bool(drawn) and max(drawn) > FAR * min(drawn)
    children: dict[int, list[int]] = {}
    for n, step in enumerate(steps):
        children.setdefault(step["parent"], []).append(n)
    group = [tree["run"], tree["step"], tree["group_key"]]
    scale = ["root" if square_roots else "linear", tree["k"]]
    rows: list[list] = []
    # From the top down, depth first: `y` goes on below the completions that end at a step, then below each branch.
    todo = [(n, 0.0, 0) for n in children.get(-1, ())]  # step, left side, top
    while todo:
        n, x, y = todo.pop()
        step, length = steps[n], lengths[n]
        right = x + (length**0.5 if square_roots else length)
        span = [step["kind"], step["size"], step["start"], step["end"]]
        if length:  # a step without tokens is a place where completions end: it has no box
            text = None if step["text"] is None else step["text"][:TEXT]
            advantage = 0.0 if step["sign"] == 0 else step["advantage"]  # but for rounding
            value = [text, step["reward"], advantage, _mark(step), None]
            rows.append([*group, "step", *scale, *span, x, right, y, y + step["size"], *value])
        for end in sorted(step["ends"], key=lambda end: -(end["advantage"] or 0.0)):
            value = [None, end["reward"], end["advantage"], None, end["sample"]]
            span = ["completion", 1, step["end"], step["end"]]
            rows.append([*group, "completion", *scale, *span, right, right, y, y + 1, *value])
            y += 1
        for child in sorted(children.get(n, ()), key=lambda child: -(steps[child]["advantage"] or 0.0)):
            todo.append((child, right, y))
            y += steps[child]["size"]
    return pl.DataFrame(rows, BOXES, orient="row")


def _mark(step: dict[str, Any]) -> str | None:
    # Never both: the sign of A is one, and each mark needs another.
    if step["suppressed_good_tokens"]:
        return "suppressed-good"
    return "boosted-bad" if step["boosted_bad_tokens"] else None


def group_tree(table: pl.DataFrame, ax: Axes | None = None, *, unit: Unit = "token", venue: str = "column") -> Axes:
    """Draw the process steps of one group: width by tokens, height by |λ|, colour by A, rewards at the right end.

    Args:
        table: `figure_tables(...)["group_tree"]`: `run`, `step`, `group_key`, `box`, `scale`, `k`, `start`, `end`,
            `x0`, `x1`, `y0`, `y1`, `text`, `reward`, `advantage`, `mark`, `limit`, `most`.
        ax: Where to draw; its figure gets a bar of colours beside it. None makes a figure.
        unit: What widths count.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    k = table["k"][0] if len(table) else 1
    height = 0.34 + float(np.clip(ROWS * k, *HEIGHTS))
    with canvas(ax, venue, (1, 1, height), _entries(table)) as (panel,):
        if table.is_empty():
            sentence(panel, "no group of this log\nhas been kept with its text")
            return panel
        limit, most = table["limit"][0], table["most"][0]
        norm = Normalize(-SOFT * (limit or 1.0), SOFT * (limit or 1.0))
        right = max(float(table["x1"].to_numpy().max()), 1e-9)  # where the longest completion ends
        panel.set(xlim=(0, (1 + REWARDS) * right), ylim=(k, 0), title=_title(table["step"][0], k))
        if limit:
            _draw_colours(panel, norm, limit, beyond=most > limit)
        steps, ends = table.filter(box="step"), table.filter(box="completion")
        _set_axes(panel, table["scale"][0], right, unit, "reward" if ends["reward"].null_count() == 0 else "")
        # Once the bar of colours has taken its room: what fits into a row depends on the height that is left.
        row, points = _room(panel, k, right)
        warn_of_missing(steps["text"].drop_nulls())
        written = labels(steps, row, points)
        figure = panel.get_figure(root=True)
        if ax is None and isinstance(figure, Figure):
            figure.set_figheight(figure.get_figheight() + key_height(written))
        draw_key(panel, written, own=ax is None)
        _draw_boxes(panel, steps, written, norm, row, points)
        rewards = _draw_rewards(panel, ends, right, row)
        _set_axes(panel, table["scale"][0], right, unit, rewards)
    return panel


def _entries(table: pl.DataFrame) -> Entries:
    style: Any = {"color": "black", "linestyle": "none", "markersize": 4}
    return [(Line2D([], [], marker=marker, **style), mark) for mark, marker in MARKS.items() if mark in table["mark"]]


def _title(step: int | None, k: int) -> str:
    """Without the key of the group, which is a hash more often than not: the caption has it."""
    return f"k = {k}" if step is None else f"training step {step:,}, k = {k}"


def _draw_boxes(
    axes: Axes, steps: pl.DataFrame, written: list[Label], norm: Normalize, row: float, points: float
) -> None:
    """Draw the steps, in rows of so many points, where a unit of x takes so many."""
    for box, label in zip(steps.iter_rows(named=True), written, strict=True):
        x, y, width, height = box["x0"], box["y0"], box["x1"] - box["x0"], box["y1"] - box["y0"]
        colour: Any = (0.85,) * 3 if box["advantage"] is None else colormaps[COLOURS](norm(box["advantage"]))
        patch = Rectangle((x, y), width, height, facecolor=colour, edgecolor="white", linewidth=0.4, gid="step")
        axes.add_patch(patch)
        # Luma of the colour: black text on light boxes, white on dark ones.
        ink = "black" if np.dot(colour[:3], (0.299, 0.587, 0.114)) > 0.5 else "white"
        if box["mark"] and width * points > 6:
            marker: Any = {"marker": MARKS[box["mark"]], "markersize": min(3.5, 0.8 * height * row), "color": ink}
            marker["linestyle"] = "none"
            axes.plot(x + 4 / points, y + height / 2, gid=box["mark"], **marker)
        if label.text:
            style: Any = {"size": SIZE, "color": ink, "va": "center_baseline", "parse_math": False}
            text = axes.text(x + before(box) / points, y + height / 2, label.text, clip_on=True, **style)
            text.set_clip_path(patch)  # another viewer's fonts may be wider


def _room(axes: Axes, k: int, right: float) -> tuple[float, float]:
    """Points of a row and of a unit of x: a new figure is laid out for it, the caller's is taken as it is."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    place = axes.get_window_extent().transformed(figure.dpi_scale_trans.inverted())
    return place.height * 72 / k, place.width * 72 / (1 + REWARDS) / right


def _draw_rewards(axes: Axes, ends: pl.DataFrame, right: float, row: float) -> str:
    """The reward of each completion in its row, a number or, in low rows, a bar; what the axis says below them."""
    if ends["reward"].null_count() or ends.is_empty():
        return ""
    y, reward = ends["y0"].to_numpy() + 0.5, ends["reward"].to_numpy()
    if row >= LINE:
        for at, value in zip(y, reward, strict=True):
            axes.text((1 + REWARDS) * right, at, number(value), size=SIZE, ha="right", va="center_baseline")
        return "reward"
    low, high = min(reward.min(), 0.0), max(reward.max(), 0.0)  # bars begin at 0, to the left where it is negative
    unit = (REWARDS - GAP) * right / (high - low or 1.0)
    left = (1 + GAP) * right + (np.minimum(reward, 0.0) - low) * unit
    axes.barh(y, np.abs(reward) * unit, left=left, height=0.8, color=REFERENCE, gid="rewards")
    return f"reward\n{number(low)} to {number(high)}"


def _draw_colours(axes: Axes, norm: Normalize, limit: float, *, beyond: bool) -> None:
    """A small bar that says which A a colour is; its ends are arrows where some steps of the log go beyond them."""
    figure = axes.get_figure(root=False)
    assert figure is not None
    place: Any = {"location": "bottom", "shrink": 0.45, "aspect": 22, "anchor": (0.5, 1.0), "pad": 0.02}
    colours = colormaps[COLOURS]
    # The part of the colours that boxes have, and not all of `COLOURS`: the darkest stand for what is beyond.
    inner = ListedColormap(colours(norm(np.linspace(-limit, limit, LEVELS))))
    inner = inner.with_extremes(under=colours(0.0), over=colours(1.0))
    shown = ScalarMappable(Normalize(-limit, limit), inner)
    extend: Any = "both" if beyond else "neither"
    bar = figure.colorbar(shown, ax=axes, label="step advantage A(λ)", extend=extend, **place)
    bar.set_ticks([-limit, 0, limit], labels=[f"−{number(limit)}", "0", number(limit)])
    if bar.solids is not None:
        bar.solids.set_edgecolor("face")  # or a viewer shows white between the levels
    bar.outline.set_visible(False)


def _set_axes(axes: Axes, scale: str, right: float, unit: Unit, rewards: str) -> None:
    """Ticks at whole tokens where widths are tokens, and the name of the column of rewards."""
    axes.set_yticks([])
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.grid(visible=False)
    inside = MaxNLocator(nbins=4, integer=True).tick_values(0, right) if scale == "linear" else []
    ticks = [tick for tick in inside if 0 <= tick <= 0.85 * right]  # or the last lies on `reward`
    names = [f"{tick:,.0f}" for tick in ticks]
    if rewards:
        ticks.append((1 + (REWARDS + GAP) / 2) * right)
        names.append(rewards)
    axes.set_xticks(ticks, names)
    axes.tick_params(bottom=False)
    axes.set_xlabel(f"{unit}s" if scale == "linear" else f"width: square root of {unit}s")


def make_caption(shown: Captioned) -> str:
    """Which group it is, what the boxes are, and how many steps are marked."""
    if shown.table.is_empty():
        return "No group of the log has been kept with its text"
    head = shown.table.row(0, named=True)
    steps, ends = shown.table.filter(box="step"), shown.table.filter(box="completion")
    where = "" if head["step"] is None else f" at step {head['step']}"
    scale = f"{shown.unit}s" if head["scale"] == "linear" else f"the square root of {shown.unit}s"
    rewards = ends["reward"]
    mean = "" if rewards.null_count() else f", mean reward {number(rewards.to_numpy().mean())}"
    marks = Counter(steps["mark"].drop_nulls().to_list())
    marked = [f"{marks[mark]} {mark}" for mark in sorted(marks, reverse=True)]
    lost = without_glyph((text[:TEXT] for text in steps["text"].drop_nulls()), fonts_of(tuple(PAPER["font.family"])))
    box = f"; {MISSING} stands for a letter that no font here has" if lost else ""
    return (
        f"Process steps of group {printable(head['group_key'])}{where} of {printable(head['run'])} (k = {head['k']}"
        f"{mean}): width by {scale}, height by |λ|, colour by step advantage A on one scale for "
        f"{_whole(shown)}, rewards at the right; {amount(len(steps), 'step')}, "
        f"{listed(marked or ['none suppressed-good or boosted-bad'])}{box}"
    )


def _whole(shown: Captioned) -> str:
    """What the colours are one scale for, and how much of it lies inside."""
    limit, most = shown.table["limit"][0], shown.table["most"][0]
    inside = f" ({percent(QUANTILE)} % of the steps in the loss within ±{number(limit)})" if most > limit else ""
    return ("the whole log" if len(shown.summaries) == 1 else "all logs") + inside


FIGURE = LogFigure("group_tree", make_table, group_tree, make_caption)
