"""One group as boxes: where each process step stands in the figure of its tree, and what it says."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..errors import UsageError
from ..logs.rollouts import Rollouts
from ..tree.view import find_groups, group_tree
from .logs import Logs

FAR = 50  # times the shortest step that the longest may have before widths are square roots
SCHEMA = {
    "run": pl.String, "step": pl.Int64, "group_key": pl.String, "box": pl.String, "scale": pl.String, "k": pl.Int64,
    "kind": pl.String, "size": pl.Int64, "start": pl.Int64, "end": pl.Int64,
    "x0": pl.Float64, "x1": pl.Float64, "y0": pl.Float64, "y1": pl.Float64,
    "text": pl.String, "reward": pl.Float64, "advantage": pl.Float64, "mark": pl.String, "sample": pl.Int64,
}  # fmt: skip
TEXT = 200  # characters kept of the text of a step


def tree_boxes(logs: Logs) -> pl.DataFrame:
    """Boxes of the group asked for, else of the worst sampled group, else of the first.

    Args:
        logs: The analyses; samples and options of the first are used.

    Returns:
        `run`, `step`, `group_key`, `box` (`step`, or `completion`: where one ends), `scale` (`linear` or `root`: what
        widths are of the tokens), `k`, `kind` (root, intermediate, terminal), `size`, `start`, `end` (tokens), `x0`,
        `x1`, `y0`, `y1` (sides of the box; a completion is 1 high), `text` (its start), `reward` R(λ), `advantage`
        A(λ), of a completion its own, `mark` (`suppressed-good`, `boosted-bad`, null), `sample`. Boxes come parents
        first; steps without tokens are left out. No rows where the log has no sampled group.

    Raises:
        UsageError: No sampled group has the name asked for.
    """
    table = _chosen(logs)
    if table is None:
        return pl.DataFrame(schema=SCHEMA)
    options = logs.first["source"]["options"]
    std, advantage = options["std"], options["advantage"]
    if std == "batch":  # one group does not tell the divisor; `_chosen` has put the advantages of the analysis in place
        std, advantage = "none", "logged"
    return boxes(group_tree(table, std, advantage, options.get("tokenizer")))


def boxes(tree: dict[str, Any]) -> pl.DataFrame:
    """Lay a tree of `tree.view.group_tree` out from left to right, the branch with the greatest A on top."""
    steps = tree["steps"]
    lengths = [step["end"] - step["start"] for step in steps]
    some = [length for length in lengths if length]
    root = bool(some) and max(some) > FAR * min(some)
    children: dict[int, list[int]] = {}
    for n, step in enumerate(steps):
        children.setdefault(step["parent"], []).append(n)
    head = [tree["run"], tree["step"], tree["group_key"]]
    tail = ["root" if root else "linear", tree["k"]]
    rows: list[list] = []
    todo = [(n, 0.0, 0) for n in children.get(-1, ())]  # step, left side, top
    while todo:
        n, x, y = todo.pop()
        step, length = steps[n], lengths[n]
        right = x + (length**0.5 if root else length)
        said = [step["kind"], step["size"], step["start"], step["end"]]
        if length:
            text = None if step["text"] is None else step["text"][:TEXT]
            advantage = 0.0 if step["sign"] == 0 else step["advantage"]  # but for rounding
            value = [text, step["reward"], advantage, _mark(step), None]
            rows.append([*head, "step", *tail, *said, x, right, y, y + step["size"], *value])
        for end in sorted(step["ends"], key=lambda end: -(end["advantage"] or 0.0)):
            value = [None, end["reward"], end["advantage"], None, end["sample"]]
            rows.append(
                [*head, "completion", *tail, "completion", 1, step["end"], step["end"], right, right, y, y + 1, *value]
            )
            y += 1
        for child in sorted(children.get(n, ()), key=lambda child: -(steps[child]["advantage"] or 0.0)):
            todo.append((child, right, y))
            y += steps[child]["size"]
    return pl.DataFrame(rows, SCHEMA, orient="row")


def _mark(step: dict[str, Any]) -> str | None:
    return (
        "suppressed-good" if step["suppressed_good_tokens"] else "boosted-bad" if step["boosted_bad_tokens"] else None
    )


def _chosen(logs: Logs) -> pl.DataFrame | None:
    """Rollouts of the group to draw."""
    samples = logs.samples
    if samples.is_empty():
        if logs.group is not None:
            raise UsageError("The analysis kept no group with its text. Leave the group out.")
        return None
    if logs.group is not None:
        try:
            table = find_groups([Rollouts(samples)], [logs.group])[0]
        except UsageError as error:
            said = str(error).replace("No group is called", "No group with text is called", 1)
            raise UsageError(said) from None
    else:
        worst = logs.first["defects"]["worst_groups"]
        keys = ("run", "step", "group_key")
        hit = (
            samples.filter(pl.all_horizontal(pl.col(key).eq_missing(pl.lit(worst[0][key])) for key in keys))
            if worst
            else samples
        )
        hit = hit if len(hit) else samples
        table = hit.filter(group=hit["group"][0])
    if logs.first["source"]["options"]["std"] == "batch":
        return _with_advantages(table, logs)
    return table


def _with_advantages(table: pl.DataFrame, logs: Logs) -> pl.DataFrame:
    """Put the advantages that the analysis used in place of the logged ones."""
    mine = logs.completions.filter(pl.col("group") == table["group"][0]).select("sample", "advantage").collect()
    return table.drop("advantage").join(mine, on="sample", how="left", maintain_order="left").select(table.columns)
