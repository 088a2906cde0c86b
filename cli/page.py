"""The summary of an analysis as a page that a person can read aloud."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grpo_prm.printable import printable

PAPER = {"non_trivial": "99.8 % (k = 6), 100 % (k = 36)"}  # DeepSeek-R1-Distill-Qwen-1.5B on OpenRS
OVERLAP = {
    "path_depth": "path depth",
    "intermediate_proportion": "intermediate proportion",
    "shared_proportion": "shared proportion",
    "non_trivial": "non-trivial trees",
    "identical_share": "of it in identical completions",
}
SHARES = {"intermediate_proportion", "shared_proportion", "non_trivial", "identical_share"}
CHANCE = {
    "suppressed_good": "tokens of good completions pushed down (suppressed-good)",
    "boosted_bad": "tokens of bad completions raised (boosted-bad)",
    "certain_share": "intermediate tokens whose step reward is certain",
}


def show_summary(summary: dict[str, Any], folder: str, logs: list[str]) -> None:
    """Print the page on stdout.

    Args:
        summary: The content of summary.json.
        folder: The folder of the analysis, for what to do next.
        logs: The logs as the user named them, for the commands.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    log = shlex.join(logs)
    for title, body in (
        ("What was read", _read(summary)),
        ("Do completions overlap?", _overlap(summary)),
        ("Do the branches say anything?", _informative(summary)),
        ("Where does it hurt?", _defects(summary)),
        ("What would λ-GRPO change here?", _change(summary)),
        ("Worst groups", _worst(summary, log)),
        ("Next", _next(folder)),
    ):
        console.print(Text(title, style="bold"))
        for part in body:
            console.print(Padding(Text(printable(part)), (0, 0, 0, 2)) if isinstance(part, str) else part)
        console.print()


def number(value: float | None, *, share: bool = False) -> str:
    """Three figures, as a per cent if it is a share; `-` for null."""
    if value is None:
        return "-"
    if share:
        return f"{100 * value:.3g} %"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def interval(value: dict[str, Any] | None, *, share: bool = False) -> str:
    """Mean and 95 % range."""
    if value is None or value["mean"] is None:
        return "-"
    mean = number(value["mean"], share=share)
    if value["low"] is None:
        return mean
    return f"{mean}  [{number(value['low'], share=share)}, {number(value['high'], share=share)}]"


def _read(summary: dict[str, Any]) -> Iterator[str]:
    source, counts, k = summary["source"], summary["counts"], summary["counts"]["group_size"]
    size = f"{k['mode']}" if k["min"] == k["max"] else f"{k['min']} to {k['max']} (mostly {k['mode']})"
    steps = source["steps"]
    when = f"steps {steps['first']} to {steps['last']} ({steps['count']} logged)" if steps["count"] else "no steps logged"
    yield f"{counts['completions']:,} completions in {counts['groups']:,} groups of {size}; {when}; {source['format']}."
    made = {
        "log": "token ids as logged",
        "tokenizer": "token ids made again from text with the tokenizer",
        "pieces": "pieces of text (GPT-2 pre-tokenisation), since the log has no token ids",
    }
    unit = " and ".join(made[name] for name in source["tokens_from"].split(", "))
    yield f"Unit: {unit}; {counts['tokens']:,} {source['unit']}s in the loss."
    left = [f"{counts['rejected']:,} of {counts['rows_read']:,} rows rejected (rejects.jsonl says why)"]
    left += [f"{counts['groups_of_one']:,} groups of one left out"] if counts["groups_of_one"] else []
    yield "; ".join(left) + "."
    shares = counts["groups_zero_variance"] / counts["groups"]
    yield (
        f"{counts['groups_zero_variance']:,} groups ({number(shares, share=True)}) have equal rewards and teach nothing; "
        f"{counts['duplicates']:,} completions equal an earlier one of their group."
    )
    if counts["advantage_mismatch"]:
        yield (
            f"In {counts['advantage_mismatch']:,} groups the logged advantages are not those of the rewards "
            f"(std {source['options']['std']}): see --std, --reward and --advantage logged."
        )
    yield from source["notes"]


def _overlap(summary: dict[str, Any]) -> Iterator[str | Table]:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
    for column in ("", "this run  [95 %]", "cross-prompt", "the paper"):
        table.add_column(column)
    baseline = summary["baseline"]
    for name, label in OVERLAP.items():
        share = name in SHARES
        table.add_row(
            label,
            interval(summary["overlap"][name], share=share),
            interval(baseline[name], share=share) if name in baseline else "",
            PAPER.get(name, ""),
        )
    yield table
    counts = summary["counts"]
    yield f"{counts['groups_k3']:,} of {counts['groups']:,} groups have three completions or more, as a non-trivial tree needs."
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
        else "no more than chance: the trees have shape, but the branches do not tell good completions from bad ones"
    )
    yield (
        f"Mean |A| of intermediate steps {number(found['observed'])}; with the rewards of each group dealt out anew "
        f"{number(found['null_mean'])} [{number(found['null_low'])}, {number(found['null_high'])}], p = {found['p_value']:.3g}:"
    )
    yield f"{verdict}."


def _defects(summary: dict[str, Any]) -> Iterator[str]:
    values = summary["defects"] | summary["prm"]
    for name, label in CHANCE.items():
        found = values[name]
        if found is None:
            yield f"{label}: cannot be said ({summary['notes'][name]})."
            continue
        yield f"{label}: {interval(found, share=True)}; {against_chance(found)}."
    contest = values["contest"]
    if contest is not None:
        yield f"contest of intermediate tokens (0 all members agree in sign, 1 a draw): {interval(contest)}."
    if values["amplification"] is not None:
        yield f"GRPO counts a unit of step advantage {interval(values['amplification'])} times on average (amplification)."
    if values["logprob_spread"] is not None:
        spread = values["logprob_spread"]
        yield (
            f"Members of a step disagree on its log-probability by {number(spread['mean'])} on average, "
            f"{number(spread['max'])} at most (0 if one policy sampled them)."
        )


def against_chance(found: dict[str, Any]) -> str:
    """Where a figure lies beside its permutation null, in words."""
    if found["null_mean"] is None:
        return "chance cannot be said"
    low, high = found["null_low"], found["null_high"]
    word = "no more than chance" if low <= found["mean"] <= high else "more than chance" if found["mean"] > high else "less than chance"
    return (
        f"{word} ({number(found['null_mean'], share=True)} "
        f"[{number(low, share=True)}, {number(high, share=True)}] with the rewards dealt out anew)"
    )


def _change(summary: dict[str, Any]) -> Iterator[str]:
    defects = summary["defects"]
    norm, cosine, scale = (defects[name]["1"] for name in ("update_norm", "update_cosine", "update_scale"))
    if norm is None or cosine is None:
        yield f"Cannot be said: {summary['notes'].get('update_norm', 'all step advantages are 0')}."
        return
    degrees = math.degrees(math.acos(min(1.0, cosine["mean"])))
    yield (
        f"λ-GRPO (p = 1) would change the length of the vector of token coefficients by {interval(norm)} and turn it by "
        f"{degrees:.3g} degrees (tokens counted as independent directions); update scale {interval(scale)}."
    )
    if norm["mean"] > 0.95 and degrees < 10:
        yield "That is close to no change: whatever it gained here would be a change of learning rate."


def _worst(summary: dict[str, Any], log: str) -> Iterator[str]:
    worst = summary["defects"]["worst_groups"]
    if not worst:
        yield "No group has a suppressed-good token."
    runs = len({group["run"] for group in worst}) > 1 or len(summary["source"]["runs"]) > 1
    for group in worst[:3]:
        step = "" if group["step"] is None else group["step"]
        name = f"{group['run']}:{step}:{group['group_key']}" if runs else f"{step}:{group['group_key']}"
        yield f"{group['suppressed_good_tokens']:,} of {group['good_tokens']:,} good tokens pushed down:"
        yield f"    grpo-prm tree {log} --group '{name}'"


def _next(folder: str) -> Iterator[str]:
    yield f"Look at {folder}/figures; every number is in {folder}/summary.json, every group in {folder}/groups.parquet."
