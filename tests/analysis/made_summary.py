"""A summary made for the rules of the verdict, and the rules on it."""

from __future__ import annotations

import polars as pl

from grpo_prm.analysis.verdict import verdict as rules
from grpo_prm.core.interval import Drawn, Interval

GROUPS = pl.DataFrame(
    {
        "run": ["a"] * 4,
        "step": [0, 0, 7, 7],
        "group_key": ["p", "q", "r s", "t"],
        "zero_variance": [False] * 4,
        "prompts_differ": [False] * 4,
        "tool_output": [0] * 4,
        "phantom_advantage": [None] * 4,
        "duplicates": [0] * 4,
        "k": [8] * 4,
    },
    schema_overrides={"phantom_advantage": pl.Float64},
)


def interval(mean, low=None, high=None):
    return {"mean": mean, "low": low, "high": high, "n": 40}


def known(value, **between):
    """As the analysis has it; `low` and `high`: between what other seeds put the ends."""
    numbers = value or dict.fromkeys(("mean", "low", "high"), None) | {"n": 0}
    return Drawn(Interval(**{name: numbers[name] for name in ("mean", "low", "high", "n")}), **between)


def verdict(made, groups, more=None):
    """The rules on a summary, with the intervals that it holds and more of them."""
    defects, credit, section = made["defects"], made["credit"], made["teaching"]
    of_powers = {f"{name}_{p}": one for name in ("update_norm", "update_cosine") for p, one in defects[name].items()}
    numbers = of_powers | {"reliability": credit["reliability"], "raised_share": defects["raised_share"], **section}
    return rules(made, groups, {name: known(one) for name, one in numbers.items()} | (more or {}))


def summary(**changes):
    """A log with nothing to worry about; `section__key=value` changes it."""
    made = {
        "source": {"runs": ["a"]},
        "counts": {"completions": 100, "groups_zero_variance": 0, "duplicates": 0, "group_size": {"mode": 8}},
        "overlap": {"intermediate_proportion": interval(0.4)},
        "baseline": {"intermediate_proportion": interval(0.1)},
        "prm": {"logprob_spread": {"mean": 0.0, "max": 0.0}},
        "credit": {
            "reliability": interval(0.6, 0.4, 0.8),
            "reliability_texts_once": interval(0.6, 0.4, 0.8),
            "leave_pair_out_auc": interval(0.6, 0.55, 0.65) | {"null_low": 0.45, "null_high": 0.55, "p_value": 0.005},
            "decisions": 9,
            "decidable": 3,
            "sure_decisions": 1,
        },
        "defects": {
            "update_norm": {"0.5": interval(0.8), "1": interval(0.7)},
            "update_cosine": {"0.5": interval(0.97), "1": interval(0.9)},
            "raised_share": interval(0.7, 0.6, 0.8),
        },
        "teaching": {"phantom_advantage": None},
        "logprobs": {"effective_sample_size": None},
    }
    for name, value in changes.items():
        section, key = name.split("__")
        made[section][key] = value
    return made
