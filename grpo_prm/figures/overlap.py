"""What the three figures of overlap share: their two statistics, how axes name them, and their means in a caption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..text.amounts import listed
from .figure import Summaries
from .over_training import BASELINE, EACH, OBSERVED
from .phrases import by_log, known_interval
from .style import Unit

OVERLAP = ("path_depth", "intermediate_proportion")
SHARES = ("intermediate_proportion",)
SERIES = {OBSERVED: "within groups", BASELINE: "cross-prompt", EACH: "single steps"}


def overlap_labels(unit: Unit, gap: str) -> dict[str, str]:
    """Label of each statistic, with `gap` where its line may break."""
    return {
        "path_depth": f"path depth{gap}(sets per completion)",
        "intermediate_proportion": f"intermediate{gap}proportion of {unit}s",
    }


def overlap_means(summaries: Summaries, unit: str) -> str:
    """Mean of both statistics of each log, and in brackets those of groups of different prompts."""
    what = {"path_depth": "sets per completion", "intermediate_proportion": f"of the {unit}s"}

    def means(summary: Mapping[str, Any]) -> str:
        overlap, baseline = summary["overlap"], summary["baseline"]
        own = [f"{known_interval(overlap[name], share=name in SHARES)} {what[name]}" for name in OVERLAP]
        if baseline["path_depth"] is None:
            return f"{listed(own)} (no cross-prompt baseline)"
        other = listed([known_interval(baseline[name], share=name in SHARES) for name in OVERLAP])
        return f"{listed(own)} (groups of different prompts: {other})"

    return by_log(summaries, means)
