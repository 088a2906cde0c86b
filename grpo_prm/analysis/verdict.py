"""Three answers from the numbers of a summary, as codes with their numbers (definitions: The verdict).

Does the hidden PRM know anything here, would λ-GRPO change anything, what should be done next? The sentences are in
`text.verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from shlex import quote
from typing import Any

import polars as pl

from ..core.permutations import PERMUTATIONS
from .chunks import Parts, added_up
from .findings import COPIES, EXAMPLES, Figures, Judgement, judge, most_concerned, nearest

LITTLE_LENGTH = 0.05
LITTLE_TURN = 10.0  # degrees
ALPHA = 0.05
CLOSE = 2 * math.sqrt(ALPHA * (1 - ALPHA) / (PERMUTATIONS + 1))  # two standard errors of a p of so many permutations
CARRIED = 0.05  # of reliability: by so much copies are a part of it
FOLDER = "DIR"  # stands in commands for the folder of the analysis


def verdict(summary: dict[str, Any], groups: Parts | pl.DataFrame) -> dict[str, Any]:
    """The codes `knows` and `changes` with their numbers, `findings`, and what is `nearest` to one.

    Args:
        summary: The other sections of summary.json.
        groups: The groups table, for examples.
    """
    every = _sums(groups)
    judged = list(judge(_figures(summary, every)))
    return {
        "knows": _knows(summary) | _copies(summary, every),
        "changes": _changes(summary),
        "findings": list(_findings(summary, groups, judged, every["groups"])),
        "nearest": nearest(judged),
    }


def _knows(summary: dict[str, Any]) -> dict[str, Any]:
    credit = summary["credit"]
    reliability, auc = credit["reliability"], credit["leave_pair_out_auc"]
    above = reliability is not None and reliability["low"] is not None and reliability["low"] > 0
    orders = auc is not None and auc["p_value"] is not None and auc["p_value"] <= ALPHA
    asked = reliability is not None and reliability["low"] is not None
    judged = auc is not None and auc["p_value"] is not None
    code = {(True, True): "steps", (True, False): "whole_texts", (False, True): "order_only"}.get((above, orders))
    if code is None:
        code = "nothing" if asked and judged else "cannot_say"
    # So near the limit another seed of the permutations may give the other code.
    close = judged and abs(auc["p_value"] - ALPHA) <= CLOSE
    counts = {name: credit[name] for name in ("decisions", "decidable", "sure_decisions")}
    return {"code": code, "close": close, "reliability": reliability, "leave_pair_out_auc": auc, **counts}


def _copies(summary: dict[str, Any], sums: dict[str, int]) -> dict[str, Any]:
    """How many of the completions that the reliability is over are copies, and whether they are a part of it."""
    credit = summary["credit"]
    whole, once = credit["reliability"], credit["reliability_texts_once"]
    share = sums["copied"] / sums["mixed"] if sums["mixed"] else None
    copied = bool(share) and whole is not None
    if copied and once is not None:
        copied = share >= COPIES or abs(whole["mean"] - once["mean"]) >= CARRIED
    return {"reliability_texts_once": once, "copies": share, "copied": copied}


def _changes(summary: dict[str, Any]) -> dict[str, Any]:
    defects, power = summary["defects"], _power(summary["source"])
    norm, cosine, raised = defects["update_norm"][power], defects["update_cosine"][power], defects["raised_share"]
    numbers = {"power": float(power), "norm": norm, "degrees": None, "raised_share": raised}
    if norm is None or cosine is None:
        return {"code": "cannot_say", "risk": None, **numbers}
    # Rounding may leave a cosine above 1, which has no angle.
    degrees = math.degrees(math.acos(min(1.0, cosine["mean"])))
    code = "direction" if degrees >= LITTLE_TURN else "length"
    if degrees < LITTLE_TURN and abs(norm["mean"] - 1) < LITTLE_LENGTH:
        code = "next_to_nothing"
    return {"code": code, "risk": _risk(raised), **numbers, "degrees": degrees}


def _power(source: dict[str, Any]) -> str:
    """The power of a run of λ-GRPO among those measured, else 1."""
    powers = {method.removeprefix("λ-GRPO, p = ") for method in source.get("methods", {}).values()}
    return "0.5" if powers == {"0.5"} else "1"


def _risk(raised: dict[str, Any] | None) -> str | None:
    if raised is None or raised["low"] is None:
        return None
    return "exploration" if raised["low"] > 0.5 else "exploitation" if raised["high"] < 0.5 else "even"


def _findings(
    summary: dict[str, Any], groups: Parts | pl.DataFrame, judged: list[Judgement], every: int
) -> Iterator[dict[str, Any]]:
    source = summary["source"]
    for code, value, found, more in judged:
        if not found:
            continue
        number, command = every, f"report {FOLDER}"
        if code in EXAMPLES:  # it shows the first of the groups that have most of it
            number, most = most_concerned(code, groups)
            command = f"tree {FOLDER} --group {quote(group_name(source, most))}"
        yield {"code": code, "value": value, "groups": number, "command": f"grpo-prm {command}", **more}


def _sums(groups: Parts | pl.DataFrame) -> dict[str, int]:
    names, mixed = ("prompts_differ", "tool_output"), ~pl.col("zero_variance")
    of_mixed = {"copied": pl.col("duplicates").filter(mixed).sum(), "mixed": pl.col("k").filter(mixed).sum()}
    every = {name: pl.col(name).sum() for name in names} | {"groups": pl.col(names[0]).len()}
    return added_up(groups, every | of_mixed)


def _figures(summary: dict[str, Any], sums: dict[str, int]) -> Figures:
    counts, number = summary["counts"], sums["groups"]

    def mean(section: str, name: str) -> float | None:
        return None if (value := summary[section][name]) is None else value["mean"]

    return Figures(
        prompts_differ=sums["prompts_differ"] / number,
        tool_output=sums["tool_output"] / counts["completions"],
        effective_sample_size=mean("logprobs", "effective_sample_size"),
        logprob_spread=mean("prm", "logprob_spread"),
        phantom_advantage=mean("teaching", "phantom_advantage"),
        zero_variance=counts["groups_zero_variance"] / number,
        copies=counts["duplicates"] / counts["completions"],
        intermediate_proportion=mean("overlap", "intermediate_proportion"),
        baseline=mean("baseline", "intermediate_proportion"),
        reliability=summary["credit"]["reliability"],
        k=counts["group_size"]["mode"],
        fronts_differ=counts.get("groups_fronts_differ", 0) / number,
        others=counts.get("ends_with_others", 0) / counts["completions"],
    )


def group_name(source: dict[str, Any], group: dict[str, Any]) -> str:
    """The name of a group as `tree --group` takes it: [RUN:]STEP:KEY, a dash for a step that was not logged."""
    step = "-" if group["step"] is None else group["step"]
    run = f"{group['run']}:" if len(source["runs"]) > 1 else ""
    return f"{run}{step}:{group['group_key']}"
