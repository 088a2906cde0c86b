"""The sentences in which a summary is told: on the terminal, and in the report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from .amounts import amount, interval, number, percent

PAPER = {"non_trivial": "99.8 %"}
OVERLAP = {
    "path_depth": "path depth",
    "intermediate_proportion": "intermediate proportion",
    "shared_proportion": "shared proportion",
    "non_trivial": "non-trivial trees",
    "identical_share": "identical share",
}
SHARES = set(OVERLAP) - {"path_depth"}
CHANCE = {
    "suppressed_good": "of the tokens of above-mean completions, those in a step that GRPO pushes down",
    "boosted_bad": "of the tokens of below-mean completions, those in a step that GRPO raises",
    "certain_share": "of the intermediate tokens, those whose step reward differs from the group's mean for sure",
}
MADE = {
    "log": "token ids as logged",
    "tokenizer": "token ids made again from text with the tokenizer",
    "pieces": "pieces of text (GPT-2 pre-tokenisation), since the log has no token ids",
}


DIFFER = (
    "of members that read different prompts: what they share was not generated after the same prefix, so process "
    "sets, step rewards and advantages of these groups are not those of the theory."
)


class Rows(NamedTuple):
    """A small table among sentences.

    Attributes:
        columns: Heads; the first, of the names of rows, is empty.
        rows: One cell for each column.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def sections(summary: dict[str, Any]) -> list[tuple[str, list[str | Rows]]]:
    """Title and body of each section.

    Args:
        summary: The content of summary.json.
    """
    return [
        ("What was read", list(_read(summary))),
        ("Do completions overlap?", list(_overlap(summary))),
        ("Do the branches say anything?", list(_informative(summary))),
        ("Where does it hurt?", list(_defects(summary))),
        ("What would λ-GRPO change here?", list(_change(summary))),
    ]


def _read(summary: dict[str, Any]) -> Iterator[str]:
    source, counts, k = summary["source"], summary["counts"], summary["counts"]["group_size"]
    size = f"{k['mode']}" if k["min"] == k["max"] else f"{k['min']} to {k['max']} (mostly {k['mode']})"
    log = f"{source['format']} log" if source["format"] else "rollouts"
    groups = amount(counts["groups"], "group")
    yield f"{log}, {_steps(source)}: {amount(counts['completions'], 'completion')} in {groups} of {size}."
    unit = " and ".join(MADE[name] for name in source["tokens_from"].split(", "))
    yield f"Unit: {unit}; {counts['tokens']:,} {source['unit']}s in the loss."
    left = [f"{counts['rejected']:,} of {counts['rows_read']:,} rows rejected"]
    left[0] += " (rejects.jsonl says why)" if counts["rejected"] else ""
    left += [f"{amount(counts['groups_of_one'], 'group')} of one left out"] if counts["groups_of_one"] else []
    yield "; ".join(left) + "."
    share = percent(counts["groups_zero_variance"] / counts["groups"])
    yield (
        f"{amount(counts['groups_zero_variance'], 'group')} ({share} %) of equal rewards, which teach nothing; "
        f"{amount(counts['duplicates'], 'completion')} equal to an earlier one of the group."
    )
    if counts.get("groups_prompts_differ"):
        yield f"{amount(counts['groups_prompts_differ'], 'group')} {DIFFER}"
    if counts["advantage_mismatch"]:
        yield (
            f"In {amount(counts['advantage_mismatch'], 'group')} the logged advantages are not those of the rewards "
            f"(std {source['options']['std']}): see --std, --reward and --advantage logged."
        )
    yield from source["notes"]


def _steps(source: dict[str, Any]) -> str:
    first, last, count = source["steps"].values()
    if not count:
        return "no steps logged"
    return f"step {first}" if count == 1 else f"{count:,} steps from {first} to {last}"


def _overlap(summary: dict[str, Any]) -> Iterator[str | Rows]:
    baseline, counts = summary["baseline"], summary["counts"]
    table = Rows(("", "this run [95 %]", "cross-prompt", "the paper"), [])
    for name, label in OVERLAP.items():
        found, share = summary["overlap"][name], name in SHARES
        beside = interval(baseline[name], share=share) if name in baseline else ""
        table.rows.append((label, interval(found, share=share), beside, PAPER.get(name, "")))
    yield table
    if counts["groups_k3"] < counts["groups"]:
        yield (
            f"Only {counts['groups_k3']:,} of {amount(counts['groups'], 'group')} have the three completions that a "
            "non-trivial tree needs."
        )
    yield (
        "Cross-prompt: the same for groups put together from different prompts, so what is above it is not "
        "boilerplate. The paper: DeepSeek-R1-Distill-Qwen-1.5B on OpenRS, k = 6; 100 % at k = 36."
    )
    if "baseline" in summary["notes"]:
        yield f"Cross-prompt baseline: {summary['notes']['baseline']}."
    if "intervals" in summary["notes"]:
        yield f"Intervals: {summary['notes']['intervals']}."


def _informative(summary: dict[str, Any]) -> Iterator[str]:
    found = summary["informativeness"]
    if found is None:
        yield f"Cannot be said: {summary['notes']['informativeness']}."
        return
    verdict = (
        "more than chance: the branches tell good completions from bad ones"
        if found["p_value"] <= 0.05
        else "no more than chance: the trees have a shape, but no sign that their branches tell good from bad"
    )
    chance = interval(found, null=True)
    yield (
        f"Mean |A| of intermediate steps {number(found['observed'])}; with the rewards of each group dealt out anew "
        f"{chance}. p = {found['p_value']:.3g}, {verdict}."
    )


def _defects(summary: dict[str, Any]) -> Iterator[str | Rows]:
    values, notes = summary["defects"] | summary["prm"], summary["notes"]
    table = Rows(("", "this run [95 %]", "rewards dealt anew", ""), [])
    for name in CHANCE:
        found = values[name]
        if found is not None:
            chance = interval(found, share=True, null=True)
            table.rows.append((name.replace("_", "-"), interval(found, share=True), chance, against_null(found)))
    if table.rows:
        yield table
        if "null" in notes:
            yield f"Chance: {notes['null']}."
    for name, meaning in CHANCE.items():
        why = f"; cannot be said: {notes[name]}" if values[name] is None else ""
        yield f"{name.replace('_', '-')}: {meaning}{why}."
    if values["contest"] is not None:
        yield f"contest of intermediate tokens (0: members agree in sign, 1: a draw): {interval(values['contest'])}."
    if values["amplification"] is not None:
        yield f"amplification: GRPO counts a unit of step advantage {interval(values['amplification'])} times."
    if values["logprob_spread"] is not None:
        spread = values["logprob_spread"]
        yield (
            f"log-probability spread inside a step: mean {number(spread['mean'])}, at most {number(spread['max'])} "
            "(0 where one policy sampled all with the same numerics)."
        )


def against_null(found: dict[str, Any]) -> str:
    """Where a figure lies beside its permutation null, in words."""
    low, high = found["null_low"], found["null_high"]
    if low is None:
        return ""
    if low <= found["mean"] <= high:
        return "no more than chance"
    return "more than chance" if found["mean"] > high else "less than chance"


def _change(summary: dict[str, Any]) -> Iterator[str]:
    defects = summary["defects"]
    norm, cosine, scale = (defects[name]["1"] for name in ("update_norm", "update_cosine", "update_scale"))
    if norm is None or cosine is None:
        yield f"Cannot be said: {summary['notes']['update_norm']}."
        return
    degrees = math.degrees(math.acos(min(1.0, cosine["mean"])))
    yield (
        f"λ-GRPO (p = 1) would multiply the length of the vector of token coefficients by {interval(norm)} and turn it "
        f"by {degrees:.3g} degrees (tokens counted as independent directions); update scale {interval(scale)}."
    )
    if abs(norm["mean"] - 1) < 0.05 and degrees < 10:
        yield "That is close to no change: whatever it gained here would be a change of learning rate."
