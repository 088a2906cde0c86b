"""The three answers of a summary in words: what the hidden PRM knows, what λ-GRPO would change, what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..analysis.verdict import FOLDER
from ..core.interval import FEW_CLUSTERS
from .amounts import amount, interval, number, percent, span

KNOWS = {
    "steps": "it knows which steps are good, also for completions that it has not seen",
    "whole_texts": "it knows which whole texts are good, and nothing beyond them",
    "order_only": "it knows something of unseen completions, but a step reward is mostly luck",
    "nothing": "no sign that it knows anything",
    "cannot_say": "this log cannot say what it knows",
}
CHANGES = {
    "next_to_nothing": "next to nothing; a gain would be a change of learning rate",
    "length": "another length, which is another learning rate",
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
    """What the hidden PRM knows: reliability, leave-pair-out AUC beside its null, sure decisions."""
    answer = summary["verdict"]["knows"]
    sure, decidable = answer["sure_decisions"], answer["decidable"]
    parts = (
        _signal(answer["reliability"], summary["notes"]),
        _order(answer["leave_pair_out_auc"], summary["notes"]),
        f"{sure:,} of {amount(decidable, 'decision')} {'is' if sure == 1 else 'are'} sure",
    )
    return f"{'; '.join(parts)}: {KNOWS[answer['code']]}."


def _signal(reliability: dict[str, Any] | None, notes: dict[str, str]) -> str:
    if reliability is None:
        return f"reliability is not known: {notes['reliability']}"
    ends = span(reliability["low"], reliability["high"]) or f"(no interval below {FEW_CLUSTERS} problems)"
    return f"{number(reliability['mean'])} {ends} of the spread of step rewards is signal, not luck"


def _order(auc: dict[str, Any] | None, notes: dict[str, str]) -> str:
    if auc is None:
        return f"the order of unseen completions is not known: {notes['leave_pair_out_auc']}"
    low, high = auc["null_low"], auc["null_high"]
    chance = "no null" if low is None else f"chance {percent(low)} to {percent(high)}"
    return f"{percent(auc['mean'])} % of unseen pairs are ordered rightly ({chance})"


def changes(summary: dict[str, Any]) -> str:
    """What λ-GRPO would change: length and direction of the update, and which way it leans."""
    answer = summary["verdict"]["changes"]
    if answer["code"] == "cannot_say":
        return f"No answer: {summary['notes']['update_norm']}."
    sentence = (
        f"{number(answer['norm']['mean'])} times as long and turned by {answer['degrees']:.3g} degrees is the update "
        f"at p = {answer['power']:g}: {CHANGES[answer['code']]}"
    )
    if answer["risk"] is None or answer["code"] == "next_to_nothing":
        return f"{sentence}."
    share = interval(answer["raised_share"], share=True)
    return f"{sentence}. {share} of what it takes off lies on raised steps: {RISK[answer['risk']]}."


def findings(summary: dict[str, Any], folder: str) -> list[Finding]:
    """What to do; empty where there is nothing to worry about.

    Args:
        summary: The content of summary.json.
        folder: The folder of the analysis as it is typed, for the commands.
    """
    found = summary["verdict"]["findings"]
    return [Finding(*_worded(one, summary), one["command"].replace(FOLDER, folder)) for one in found]


def _worded(found: dict[str, Any], summary: dict[str, Any]) -> tuple[str, str]:
    """Sentence and source of a finding."""
    sentence, source = FINDINGS[found.get("measure") or found["code"]]
    larger = "no k can be named yet" if found.get("k") is None else f"these steps would reach 0.5 at k = {found['k']:,}"
    values = {"percent": percent(found["value"]), "number": number(found["value"]), "larger": larger}
    values |= {"groups": amount(found["groups"], "group"), "size": summary["counts"]["group_size"]["mode"]}
    return sentence.format(**values), source


# By code or, where a code has two, by what was measured: the number, the reason and what to do; where to read why.
FINDINGS = {
    "mixed_prompts": ("{groups} with several prompts have no tree: group rows by prompt", "docs/logs.md"),
    "unmasked_tool_output": ("{percent} % of completions have tool output in the loss: mask it", "arXiv 2503.09516"),
    "effective_sample_size": (
        "{percent} % effective sample size, sampler and trainer are apart: sample afresh",
        "arXiv 2510.26788",
    ),
    "logprob_spread": ("{number} nats apart on one token and prefix: several policies sampled", "arXiv 2510.26788"),
    "phantom_advantage": (
        "{percent} % of the advantage is without a difference in outcome: filter groups",
        "arXiv 2503.14476",
    ),
    "teaches_nothing": ("{percent} % of groups teach nothing (equal rewards): filter or resample", "arXiv 2503.14476"),
    "copies": ("{percent} % of completions are copies in their group: raise temperature", "docs/definitions.md"),
    "boilerplate": ("{percent} % of the overlap is there between prompts, too: boilerplate", "docs/definitions.md"),
    "low_reliability": ("{number} is too unreliable for credit by step; {larger}", "docs/definitions.md"),
}
