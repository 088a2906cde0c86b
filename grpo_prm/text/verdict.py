"""The three answers of a summary in words: what the hidden PRM knows, what λ-GRPO would change, what to do."""

from __future__ import annotations

from math import cos, radians
from typing import Any, NamedTuple

from ..analysis.findings import sentence
from ..analysis.verdict import FOLDER
from ..core.interval import FEW_CLUSTERS
from .amounts import amount, interval, number, percent, span

KNOWS = {
    "steps": "on average they know which steps are good, also for new completions",
    "whole_texts": "they know which whole texts are good, with no sign of more",
    "order_only": "they order new completions, but how much of them is luck is open",
    "nothing": "no sign that they know anything",
    "cannot_say": "this log cannot say what they know",
}
NONE = 5e-4  # of the spread, which is none on a scale that ends at 1
CLOSE = " (close: p near .05)"
CHANGES = {
    "next_to_nothing": "next to nothing",
    "length": "another norm, which is another learning rate",
    "direction": "another direction, not another learning rate",
}
RISK = {
    "exploration": "toward exploration",
    "exploitation": "toward exploitation",
    "even": "both ways alike",
}


class Finding(NamedTuple):
    """What to do about a log: a sentence with its number, where to read why, and the command that shows it."""

    sentence: str
    source: str
    command: str


def knows(summary: dict[str, Any]) -> str:
    """What the hidden step rewards know: reliability, leave-pair-out AUC beside its null, sure decisions."""
    answer, notes = summary["verdict"]["knows"], summary["notes"]
    reliability, order = answer["reliability"], answer["leave_pair_out_auc"]
    parts = [_signal(reliability, notes), _order(order, notes)]
    if reliability is None and order is None:  # one reason: a screen has no room for two
        parts = [f"reliability and order of unseen pairs: not known ({notes['reliability']})"]
    parts.append(_decisions(answer["sure_decisions"], answer["decidable"]))
    return f"{'; '.join(parts)}: {KNOWS[answer['code']]}{CLOSE if answer['close'] else ''}."


def _signal(reliability: dict[str, Any] | None, notes: dict[str, str]) -> str:
    if reliability is None:
        return f"reliability of the hidden step rewards: not known ({notes['reliability']})"
    few = f"({amount(reliability['n'], 'problem')} with such steps: {FEW_CLUSTERS} give an interval)"
    ends = span(reliability["low"], reliability["high"]) or few
    if reliability["mean"] < NONE:  # a difference of estimates, which may lie below what it estimates
        mean = number(reliability["mean"]) if reliability["mean"] < -NONE else "0"
        return f"{mean} {ends}, so nothing, of the spread of the hidden step rewards is signal"
    return f"{number(reliability['mean'])} {ends} of the spread of the hidden step rewards is signal, not luck"


def _order(auc: dict[str, Any] | None, notes: dict[str, str]) -> str:
    if auc is None:
        return f"order of unseen pairs: not known ({notes['leave_pair_out_auc']})"
    low, high = auc["null_low"], auc["null_high"]
    if low is not None and low == high:
        return f"order of unseen pairs: cannot be told here (by chance it would be {percent(low)} % as well)"
    # The range has two sides and p has one, so an order can be inside the range and yet be more than chance.
    chance = f"chance: {percent(low)} to {percent(high)} %, p = {number(auc['p_value'])}"
    chance = "chance not known" if low is None else chance
    return f"{percent(auc['mean'])} % of unseen pairs are in the right order ({chance})"


def _decisions(sure: int, decidable: int) -> str:
    if not decidable:
        return "no decision has enough completions to be sure"
    return f"{sure:,} of {amount(decidable, 'decision')} {'is' if decidable == 1 else 'are'} sure"


def changes(summary: dict[str, Any]) -> str:
    """What λ-GRPO would change: update norm and update cosine, and which way it leans."""
    answer = summary["verdict"]["changes"]
    if answer["code"] == "cannot_say":
        return f"No answer: {summary['notes']['update_norm']}."
    cosine = cos(radians(answer["degrees"]))
    sentence = (
        f"{number(answer['norm']['mean'])} of GRPO's update norm, update cosine {number(cosine)} "
        f"({number(answer['degrees'])} degrees; λ power {answer['power']:g}): {CHANGES[answer['code']]}"
    )
    if answer["risk"] is None or answer["code"] == "next_to_nothing":
        return f"{sentence}."
    share = interval(answer["raised_share"], share=True)
    return f"{sentence}. {share} of the weight it takes off was on raised steps: {RISK[answer['risk']]}."


def findings(summary: dict[str, Any], folder: str) -> list[Finding]:
    """What to do; empty where there is nothing to worry about.

    Args:
        summary: The content of summary.json.
        folder: The folder of the analysis as it is typed, for the commands.
    """
    found = summary["verdict"]["findings"]
    return [Finding(*sentence(one), one["command"].replace(FOLDER, folder, 1)) for one in found]


def no_finding(summary: dict[str, Any]) -> str:
    """The sentence of a log without findings; few problems show few faults."""
    problems = summary["overlap"]["path_depth"]["n"]
    if problems < FEW_CLUSTERS:
        return f"No finding, but {amount(problems, 'problem')} can show only gross faults."
    return "Nothing to worry about."
