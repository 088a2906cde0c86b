"""The caption of each figure: one sentence that says what is shown, of how much, and the number it comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import polars as pl

from ..text.amounts import amount, interval, listed, number, percent, span
from ..text.printable import printable

Summaries = Mapping[str, Mapping[str, Any]]
MADE = {"log": "{unit}s as logged", "tokenizer": "{unit}s made again from text", "pieces": "pieces of text"}
NOTHING = "there is nothing to show"
_interval = partial(interval, missing="not known")


class Shown(NamedTuple):
    """What a caption is made of: the table of the figure, the summaries of its logs, and what is counted."""

    table: pl.DataFrame
    summaries: Summaries
    unit: str


def captions(tables: Mapping[str, pl.DataFrame], summaries: Summaries, unit: str) -> dict[str, str]:
    """One sentence for each figure.

    Args:
        tables: Of `figure_tables`.
        summaries: Summary of each log that they are of, by its name (`figure_tables.logs.Logs`).
        unit: What is counted: `token`, `piece` or `unit`.

    Returns:
        Name of the figure to its caption: plain text on one line. What is not known is said or left out, never a NaN.
    """
    logs = [_log(name, summary, unit) for name, summary in summaries.items()]
    said = {name: CAPTIONS[name](Shown(table, summaries, unit)) for name, table in tables.items()}
    shown = {name: logs[:1] if name == "group_tree" else logs for name in tables}
    return {name: f"{' '.join(said[name].split())}; {'; '.join(shown[name])}." for name in tables}


def _log(name: str, summary: Mapping[str, Any], unit: str) -> str:
    """Size of a log, and where its units come from."""
    counts, k = summary["counts"], summary["counts"]["group_size"]
    size = f"{k['mode']}" if k["min"] == k["max"] else f"{k['min']} to {k['max']}"
    made = listed([MADE[origin].format(unit=unit) for origin in summary["source"]["tokens_from"].split(", ")])
    return f"{printable(name)}: {amount(counts['groups'], 'group')} of {size}, {made}"


def _each(shown: Shown, say: Callable[[Mapping[str, Any]], str]) -> str:
    """What is to be said of each log."""
    return "; ".join(_of(name, shown.summaries) + say(summary) for name, summary in shown.summaries.items())


def _of(name: str, all_of_them: Summaries | pl.Series) -> str:
    """The name of a log or run before what is said of it, where there are several."""
    several = all_of_them.n_unique() if isinstance(all_of_them, pl.Series) else len(all_of_them)
    return f"{printable(name)}: " if several > 1 else ""


def _by_run(table: pl.DataFrame, say: Callable[[pl.DataFrame], str]) -> str:
    """What is to be said of the rows of each run."""
    parts = table.group_by("run", maintain_order=True)
    return "; ".join(_of(str(run), table["run"]) + say(part) for (run,), part in parts) or NOTHING


def _when(table: pl.DataFrame) -> str:
    """Steps that a table goes over."""
    steps = table["step"].drop_nulls()
    if steps.is_empty():
        return "(the log knows no training steps)"
    windows = table.filter(pl.col("steps") > 1)["steps"].max()
    if windows is not None:
        steps = pl.concat([table["first"], table["last"]]).drop_nulls()
    ends = (
        f"in training steps {steps.min()} to {steps.max()}" if steps.n_unique() > 1 else f"at training step {steps[0]}"
    )
    return ends + (f", in windows of {windows}" if windows is not None else "")


def _bands(table: pl.DataFrame) -> str:
    own = table.filter(pl.col("series") != "null") if "series" in table.columns else table
    known = own["low"].count() > 0
    said = "brackets and bands are 95 % intervals over prompts" if known else "too few prompts for intervals"
    dealt = "series" in table.columns and table.filter(series="null")["low"].count() > 0
    return said + (", the grey band 95 % of the permutations" if dealt else "")


def _ends(first: int, last: int) -> str:
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def _overlap(shown: Shown) -> str:
    def say(summary: Mapping[str, Any]) -> str:
        found, beside = summary["overlap"], summary["baseline"]
        pairs = (
            ("path_depth", False, "sets per completion"),
            ("intermediate_proportion", True, f"of the {shown.unit}s"),
        )
        said = listed([f"{_interval(found[name], share=share)} {what}" for name, share, what in pairs])
        if beside["path_depth"] is None:
            return f"{said} (no cross-prompt baseline)"
        dealt = listed([_interval(beside[name], share=share) for name, share, _ in pairs])
        return f"{said} (groups of different prompts: {dealt})"

    return _each(shown, say)


def _over_training(shown: Shown) -> str:
    return (
        f"Path depth and intermediate proportion of {shown.unit}s {_when(shown.table)}; over all {_overlap(shown)}; "
        f"{_bands(shown.table)}"
    )


def _over_groups(shown: Shown) -> str:
    return (
        "Share of the groups with at most so much overlap, beside pseudo-groups of different prompts; mean "
        f"{_overlap(shown)}"
    )


def _by_statistic(part: pl.DataFrame, order: str, say: Callable[[dict[str, Any], bool], str]) -> str:
    """For each statistic of a run its first and last row, in the order of a column."""
    said = []
    for (statistic,), rows in part.sort(order).group_by("statistic", maintain_order=True):
        share = statistic != "path_depth" and statistic != "contest"
        ends = [rows.row(0, named=True), *([rows.row(-1, named=True)] if len(rows) > 1 else [])]
        said.append(f"{str(statistic).replace('_', ' ')} {listed([say(row, share) for row in ends])}")
    return ", ".join(said)


def _by_k(shown: Shown) -> str:
    def say(row: dict[str, Any], share: bool) -> str:
        return f"{_interval(row, share=share)} at k = {row['size']} ({amount(row['groups'], 'group')})"

    most = pl.col("size").max().over("run", "statistic")
    chosen = shown.table.filter(pl.col("size") >= pl.min_horizontal(most, 4))
    return (
        f"Overlap of {shown.unit}s expected with k completions drawn from each group; "
        f"{_by_run(chosen, lambda part: _by_statistic(part, 'size', say))}; {_bands(shown.table)}"
    )


def _by_depth(shown: Shown) -> str:
    def say(row: dict[str, Any], share: bool) -> str:
        where = f"depth {_ends(row['depth'], row['last'])} ({amount(row['n'], 'prompt')})"
        return f"{_interval(row, share=share)} at {where}"

    return (
        f"Contest (0: members of a step agree in sign, 1: a draw) and certain share of intermediate {shown.unit}s by "
        f"the number of branchings above; {_by_run(shown.table, lambda part: _by_statistic(part, 'depth', say))}; "
        f"{_bands(shown.table)}"
    )


def _by_position(shown: Shown) -> str:
    def say(part: pl.DataFrame) -> str:
        rows = part.sort("first")
        ends = [rows.row(0, named=True), *([rows.row(-1, named=True)] if len(rows) > 1 else [])]
        medians = listed([f"{number(row['median'])} at {_ends(row['first'], row['last'])}" for row in ends])
        return f"median {medians} ({amount(int(part['steps'].sum()), 'step')})"

    return (
        f"Step advantage A of intermediate process steps by the {shown.unit} at which they begin, in groups whose "
        f"rewards differ, each step once; {_by_run(shown.table, say)}"
    )


def _informativeness(shown: Shown) -> str:
    def say(summary: Mapping[str, Any]) -> str:
        found = summary["informativeness"]
        if found is None:
            return NOTHING
        dealt = f"{number(found['null_mean'])} {span(found['null_low'], found['null_high'])}"
        return f"{number(found['observed'])} observed, {dealt} with the rewards dealt anew, p = {found['p_value']:.3g}"

    course = shown.table.filter(series="observed")
    steps = f", and that {_when(course)}" if course["step"].n_unique() > 1 else ""
    return f"Mean |A| of intermediate {shown.unit}s beside 199 permutations of the rewards{steps}; {_each(shown, say)}"


def _defects(shown: Shown) -> str:
    def say(summary: Mapping[str, Any]) -> str:
        parts = []
        for name in ("suppressed_good", "boosted_bad"):
            value = summary["defects"][name]
            dealt = "" if value is None else f" (rewards dealt anew: {_interval(value, share=True, null=True)})"
            parts.append(f"{name.replace('_', ' ')} {_interval(value, share=True)}{dealt}")
        return listed(parts)

    return (
        f"Share of the {shown.unit}s of above-mean completions that GRPO pushes down (suppressed good) and of those of "
        f"below-mean ones that it raises (boosted bad) {_when(shown.table)}; over all {_each(shown, say)}; "
        f"{_bands(shown.table)}"
    )


def _by_size(shown: Shown) -> str:
    def say(part: pl.DataFrame) -> str:
        sums = {(name, p): v for name, p, v in part.group_by("statistic", "p").agg(pl.col("value").sum()).iter_rows()}
        values = [f"update scale {number(sums['update_scale', p])} for p = {p:g}" for p in (0.5, 1.0)]
        if (whole := sums.get(("amplification", 0.0))) is not None:
            shared = part.filter(pl.col("last") > 1, statistic="amplification", p=0.0)["value"].to_numpy().sum()
            values.insert(0, f"amplification {number(whole)}, {percent(shared / whole)} % of it where |λ| > 1")
        return listed(values)

    return (
        f"What the {shown.unit}s of process sets of each size |λ| add to amplification and update scale if weighted by "
        f"|λ|^-p; in all: {_by_run(shown.table, say)}"
    )


def _tree(shown: Shown) -> str:
    if shown.table.is_empty():
        return "No group of the log has been kept with its text"
    head = shown.table.row(0, named=True)
    steps, ends = shown.table.filter(box="step"), shown.table.filter(box="completion")
    where = "" if head["step"] is None else f" at step {head['step']}"
    scale = f"{shown.unit}s" if head["scale"] == "linear" else f"the square root of {shown.unit}s"
    rewards = ends["reward"]
    mean = "" if rewards.null_count() else f", mean reward {number(rewards.to_numpy().mean())}"
    marks = Counter(steps["mark"].drop_nulls().to_list())
    marked = [f"{marks[mark]} {mark}" for mark in sorted(marks, reverse=True)] or [
        "none suppressed-good or boosted-bad"
    ]
    return (
        f"Process steps of group {printable(head['group_key'])}{where} of {printable(head['run'])} (k = {head['k']}"
        f"{mean}): width by {scale}, height by |λ|, colour by step advantage A, rewards at the right; "
        f"{amount(len(steps), 'step')}, {listed(marked)}"
    )


CAPTIONS: dict[str, Callable[[Shown], str]] = {
    "overlap_over_training": _over_training,
    "overlap_over_groups": _over_groups,
    "overlap_by_k": _by_k,
    "advantage_by_position": _by_position,
    "contest_by_depth": _by_depth,
    "informativeness": _informativeness,
    "defects_over_training": _defects,
    "update_by_size": _by_size,
    "group_tree": _tree,
}
