"""What the three figures of overlap share: their two statistics, how axes name them, and their means in a caption."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..analysis.statistics import STATISTICS
from ..text.amounts import listed
from .figure import Summaries
from .over_training import BASELINE, EACH, OBSERVED
from .phrases import by_log, known_interval
from .style import Unit

OVERLAP = ("path_depth", "intermediate_proportion")
SERIES = {OBSERVED: "within groups", BASELINE: "cross-prompt", EACH: "single steps"}


def overlap_labels(unit: Unit, gap: str) -> dict[str, str]:
    """Label of each statistic, with `gap` where its line may break."""
    depth, proportion = (STATISTICS[name].label for name in OVERLAP)
    return {
        "path_depth": f"{depth}{gap}(sets per completion)",
        "intermediate_proportion": f"{proportion.replace(' ', gap)} of {unit}s",
    }


def overlap_means(summaries: Summaries, unit: str) -> str:
    """Mean of both statistics of each log, and in brackets those of groups of different prompts."""
    what = {"path_depth": "sets per completion", "intermediate_proportion": f"of the {unit}s"}

    def mean(value: Mapping[str, Any], name: str) -> str:
        return known_interval(value[name], share=STATISTICS[name].share)

    def means(summary: Mapping[str, Any]) -> str:
        overlap, baseline = summary["overlap"], summary["baseline"]
        own = [f"{mean(overlap, name)} {what[name]}" for name in OVERLAP]
        if baseline["path_depth"] is None:
            return f"{listed(own)} (no cross-prompt baseline)"
        other = listed([mean(baseline, name) for name in OVERLAP])
        return f"{listed(own)} (groups of different prompts: {other})"

    return by_log(summaries, means)
