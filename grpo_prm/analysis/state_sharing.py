"""What equal states say of a log, beside its prefix trees: a section of summary.json (definitions: State sharing)."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..core.permutations import null_range
from .chunks import Parts, added_up
from .clusters import Clusters
from .null import p_value
from .ratios import columns_of
from .states_table import OF_STATES, RunningStates
from .statistics import STATISTICS
from .whole_log import log_intervals

# The statistics that sets of states have; the others say what GRPO does with its own steps.
KEPT = (
    *("path_depth", "intermediate_proportion", "shared_proportion", "mean_step_size", "reliability"),
    "leave_pair_out_auc",
)
COUNTS = ("observations", "states", "shared_states")
NEEDS_PREFIXES = "they need prefixes, the steps of GRPO itself, and a state is none"


def state_section(
    groups: Parts, clusters: Clusters, states: RunningStates, seed: int, *, masked: int
) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The section `state_sharing` of summary.json, and what is to be said about it.

    Args:
        groups: The groups table.
        clusters: `find_clusters` of it.
        states: What was added up on the way.
        seed: Of the resamples.
        masked: Tokens of the log that are out of the loss.

    Returns:
        The section, None where the log has no observation; and notes, by their names.
    """
    counts = added_up(groups, {name: pl.col(OF_STATES + name).sum() for name in COUNTS})
    if not counts["observations"]:
        return None, {"state_sharing": _why_nothing(masked)}
    own = [
        part.select(*clusters.columns, *(pl.col(OF_STATES + name).alias(name) for name in _columns()))
        for part in groups
    ]
    intervals = log_intervals(own, clusters, seed, KEPT)
    section: dict[str, Any] = counts | dict.fromkeys(_needing_prefixes())
    notes = {"state_sharing": f"{', '.join(_needing_prefixes())} are null: {NEEDS_PREFIXES}"}
    for name, found in intervals.items():
        section[name] = None if found.mean is None else found._asdict()
        if found.mean is None:
            notes[f"state_sharing.{name}"] = STATISTICS[name].reason_when_null
    if (auc := section["leave_pair_out_auc"]) is not None:
        null = _null(groups, states)
        auc |= null_range(null)._asdict() | {"p_value": p_value(auc["mean"], null)}
    return section | states.decisions.counts(), notes


def _columns() -> list[str]:
    """Columns that the statistics are made of."""
    return list(dict.fromkeys(name for one in KEPT for name in columns_of(one) if name != "groups"))


def _needing_prefixes() -> list[str]:
    """Statistics of the prefix trees that states do not have."""
    sections = ("overlap", "informativeness", "credit", "prm", "defects")
    keys = [one.key for one in STATISTICS.values() if one.section in sections and one.name not in KEPT]
    return [*dict.fromkeys(keys), "identity_gap"]


def _null(groups: Parts, states: RunningStates) -> Floats:
    """The share of pairs in the right order under each permutation, NaN where nothing can be exchanged."""
    right, counted = states.order
    some = added_up(groups, {"exchangeable": pl.col("exchangeable").sum()})["exchangeable"] > 0
    return np.divide(right, counted, out=np.full(len(right), np.nan), where=(counted > 0) & some)


def _why_nothing(masked: int) -> str:
    if not masked:
        return (
            "no token is out of the loss, so it is not known what the completions read between their turns: log a mask "
            "beside the ids, or completions as messages with roles"
        )
    return "no completion reads anything between two turns of its own, so there are no states to share"
