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

LITTLE_LENGTH = 0.05
LITTLE_TURN = 10.0  # degrees
ALPHA = 0.05
CLOSE = 2 * math.sqrt(ALPHA * (1 - ALPHA) / (PERMUTATIONS + 1))  # two standard errors of a p of so many permutations

# From when on a finding is one.
TOOL_OUTPUT = 0.05  # of the completions
SAMPLE_SIZE = 0.9  # effective, of the tokens: below
SPREAD = 0.1  # of log-probabilities inside a step, mean
PHANTOM = 0.1  # of the advantages
NO_VARIANCE = 0.3  # of the groups
COPIES = 0.1  # of the completions
BOILERPLATE = 0.5  # of the intermediate proportion
RELIABLE = 0.5  # below, with its whole interval

CODES = (
    *("mixed_prompts", "unmasked_tool_output", "sampler_gap", "phantom_advantage", "teaches_nothing", "copies"),
    *("boilerplate", "low_reliability"),
)
FOLDER = "DIR"  # stands in commands for the folder of the analysis
# The column of the groups table that says how much of a finding a group has; `samples` keeps one that has most.
EXAMPLES = {
    "mixed_prompts": "prompts_differ",
    "unmasked_tool_output": "tool_output",
    "phantom_advantage": "phantom_advantage",
    "teaches_nothing": "zero_variance",
    "copies": "duplicates",
}


def verdict(summary: dict[str, Any], groups: pl.DataFrame) -> dict[str, Any]:
    """The codes `knows` and `changes` with their numbers, and `findings`.

    Args:
        summary: The other sections of summary.json.
        groups: The groups table, for examples.
    """
    return {"knows": _knows(summary), "changes": _changes(summary), "findings": list(_findings(summary, groups))}


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


def _findings(summary: dict[str, Any], groups: pl.DataFrame) -> Iterator[dict[str, Any]]:
    counts, source, number = summary["counts"], summary["source"], len(groups)

    def of_groups(code: str, value: float) -> dict[str, Any]:
        """A finding about some groups; its command shows the first of those that have most of it."""
        concerned = concerned_by(code, groups)
        shown = f"tree {FOLDER} --group {quote(group_name(source, concerned.row(0, named=True)))}"
        return {"code": code, "value": value, "groups": len(concerned), "command": f"grpo-prm {shown}"}

    def of_log(code: str, value: float, **more: Any) -> dict[str, Any]:
        return {"code": code, "value": value, "groups": number, "command": f"grpo-prm report {FOLDER}", **more}

    if differ := int(groups["prompts_differ"].sum()):
        yield of_groups("mixed_prompts", differ / number)
    if (share := groups["tool_output"].sum() / counts["completions"]) >= TOOL_OUTPUT:
        yield of_groups("unmasked_tool_output", share)
    size, spread = summary["logprobs"]["effective_sample_size"], summary["prm"]["logprob_spread"]
    if size is not None and size["mean"] < SAMPLE_SIZE:
        yield of_log("sampler_gap", size["mean"], measure="effective_sample_size")
    elif spread is not None and spread["mean"] >= SPREAD:
        yield of_log("sampler_gap", spread["mean"], measure="logprob_spread")
    phantom = summary["teaching"]["phantom_advantage"]
    if phantom is not None and phantom["mean"] >= PHANTOM:
        yield of_groups("phantom_advantage", phantom["mean"])
    if (share := counts["groups_zero_variance"] / number) >= NO_VARIANCE:
        yield of_groups("teaches_nothing", share)
    if (share := counts["duplicates"] / counts["completions"]) >= COPIES:
        yield of_groups("copies", share)
    own, other = (summary[section]["intermediate_proportion"] for section in ("overlap", "baseline"))
    if own is not None and other is not None and own["mean"] > 0 and other["mean"] >= BOILERPLATE * own["mean"]:
        yield of_log("boilerplate", other["mean"] / own["mean"])
    reliability = summary["credit"]["reliability"]
    if reliability is not None and reliability["high"] is not None and reliability["high"] < RELIABLE:
        yield of_log("low_reliability", reliability["mean"], k=_reliable_k(reliability, counts))


def concerned_by(code: str, groups: pl.DataFrame) -> pl.DataFrame:
    """The groups that a finding with an example (`EXAMPLES`) is about, those that have most of it first."""
    column = EXAMPLES[code]
    return groups.filter(pl.col(column) > 0).sort(column, descending=True, maintain_order=True)


def _reliable_k(reliability: dict[str, Any], counts: dict[str, Any]) -> int | None:
    """Completions a group at which the same steps would have a reliability of .5; None where there may be no signal."""
    r = reliability["mean"]
    return math.ceil(counts["group_size"]["mode"] * (1 - r) / r) if reliability["low"] > 0 else None


def group_name(source: dict[str, Any], group: dict[str, Any]) -> str:
    """The name of a group as `tree --group` takes it: [RUN:]STEP:KEY, a dash for a step that was not logged."""
    step = "-" if group["step"] is None else group["step"]
    run = f"{group['run']}:" if len(source["runs"]) > 1 else ""
    return f"{run}{step}:{group['group_key']}"
