"""All groups of a log as columns of numbers, small enough to travel in a page."""

from __future__ import annotations

from os.path import commonprefix  # of any sequences, in spite of its module
from typing import Any

import polars as pl

from .cut import one_line
from .embed import column

# Characters of one, and of all of them together: the more groups, the shorter each is.
KEY, KEYS = 64, 1_000_000
PROMPT, PROMPTS = 90, 800_000
LEAST = 12

# Column of the page to column of groups.parquet.
NUMBERS = {
    "group": "group",
    "step": "step",
    "k": "k",
    "tokens": "tokens",
    "reward": "reward_mean",
    "deviation": "reward_std",
    "depth": "path_depth",
    "intermediate": "intermediate_proportion",
    "shared": "shared_proportion",
    "suppressed": "suppressed_good_tokens",
    "good": "good_tokens",
    "boosted": "boosted_bad_tokens",
    "bad": "bad_tokens",
    "duplicates": "duplicates",
    "zero": "zero_variance",
    "differ": "prompts_differ",
    "tool": "tool_output",
    "phantom": "phantom_advantage",
}
NAMES = {theirs: ours for ours, theirs in NUMBERS.items()}


def group_columns(groups: pl.DataFrame) -> dict[str, Any]:
    """The groups table for the page.

    Args:
        groups: Of an analysis.

    Returns:
        `count`, `runs` (names), `prompts` (starts, each once), and `columns`: `NUMBERS`, `run` and `prompt` (indices,
        -1 without a prompt) and `key`; each as `embed.column` has it.
    """
    runs = groups["run"].unique().sort()
    # Without a prompt the log's own key stands in for it (measure); it is shown as the key.
    asked = groups.select(
        prompt=pl.when(pl.col("prompt_key") != pl.col("group_key")).then(pl.col("prompt_key"))
    ).to_series()
    prompts = asked.drop_nulls().unique(maintain_order=True)
    index = asked.replace_strict(prompts, pl.Series(range(len(prompts)), dtype=pl.Int64), default=-1)
    keys = groups["group_key"]
    return {
        "count": len(groups),
        "runs": runs.to_list(),
        "prompts": starts(prompts.to_list()),
        "columns": {
            "run": column(groups["run"].replace_strict(runs, list(range(len(runs))))),
            "key": [one_line(key, _room(KEY, KEYS, len(keys))) for key in keys],
            "prompt": column(index),
            **{name: column(groups[source]) for name, source in NUMBERS.items()},
        },
    }


def starts(prompts: list[str]) -> list[str]:
    """What tells the prompts apart, in one line each: their starts, from where they stop being alike."""
    if not prompts:
        return []
    keep = _room(PROMPT, PROMPTS, len(prompts))
    alike = len(commonprefix([min(prompts), max(prompts)])) if len(prompts) > 1 else 0  # noqa: RUF071 - texts
    if alike < PROMPT // 3:
        return [one_line(prompt, keep) for prompt in prompts]
    begin = max(prompts[0].rfind(" ", 0, alike), prompts[0].rfind("\n", 0, alike)) + 1
    return [f"…{one_line(prompt[begin:], keep - 1)}" for prompt in prompts]


def _room(most: int, together: int, count: int) -> int:
    """Characters of each of `count` texts, with what JSON puts around it."""
    return max(LEAST, min(most, together // count - 6))
