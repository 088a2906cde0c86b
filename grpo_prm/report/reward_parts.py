"""The named parts of the reward over groups and over training, of the groups whose text the analysis kept."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..analysis.tables import Tables
from ..figures.over_training import has_course
from ..logs.rollouts import REWARD_PART
from .embed import numbers


def reward_parts(folder: Tables) -> dict[str, Any] | None:
    """Means of each part.

    Returns:
        `group` (numbers of the groups) and `parts`: for each its `name`, the `means` over the completions of these
        groups, and a `chart` over training steps as those of `trend`, None where there are fewer than two. None where
        no part is logged.
    """
    groups = [
        table.group_by("run", "step", "group").agg(pl.col(here).mean())
        for table in (folder.samples.lazy(), folder.texts)
        if (here := [name for name in table.collect_schema().names() if name.startswith(REWARD_PART)])
    ]
    if not groups:
        return None
    means = pl.concat(groups, how="diagonal").unique("group", keep="first").sort("group").collect()
    logged = [name for name in means.columns if name.startswith(REWARD_PART) and means[name].count()]
    parts = [
        {"name": name.removeprefix(REWARD_PART), "means": numbers(means[name]), "chart": _chart(means, name)}
        for name in logged
    ]
    return {"group": means["group"].to_list(), "parts": parts} if parts else None


def _chart(means: pl.DataFrame, name: str) -> dict[str, Any] | None:
    steps = means.drop_nulls(["step", name]).group_by("run", "step").agg(pl.col(name).mean()).sort("run", "step")
    if not has_course(steps):
        return None
    series = [
        {"run": str(run), "step": of["step"].to_list(), "mean": numbers(of[name])}
        | {edge: [None] * len(of) for edge in ("low", "high")}
        for (run,), of in steps.group_by("run", maintain_order=True)
    ]
    title = f"reward part: {name.removeprefix(REWARD_PART)}"
    return {"name": title, "share": False, "beside": None, "every": 1, "series": series}
