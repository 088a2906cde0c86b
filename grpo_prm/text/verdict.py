"""The three answers of a summary in words: what the hidden PRM knows, what λ-GRPO would change, what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..analysis.verdict import FOLDER
from ..core.interval import FEW_CLUSTERS
from .amounts import amount, interval, number, percent, span

KNOWS = {
    "steps": "So it knows which steps are good, also for completions that it has not seen.",
    "whole_texts": "So it knows which whole texts are good here, and nothing beyond them.",
    "order_only": "So it knows something of unseen completions, but most of a step reward is luck.",
    "nothing": "So there is no sign that it knows anything.",
    "cannot_say": "So this log cannot say what it knows.",
}
CHANGES = {
    "next_to_nothing": "That is next to nothing: a gain would be a change of learning rate.",
    "length": "A change of length alone is a change of learning rate.",
    "direction": "That is another direction, not another learning rate.",
}
RISK = {
    "exploration": "toward exploration: frequent good steps are raised less",
    "exploitation": "toward exploitation: frequent bad steps are pushed down less",
    "even": "both ways alike",
}


class Finding(NamedTuple):
    """What to do about a log, in one sentence with its number and source, and the command that shows it."""

    sentence: str
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
    return f"{'; '.join(parts)}. {KNOWS[answer['code']]}"


def _signal(reliability: dict[str, Any] | None, notes: dict[str, str]) -> str:
    if reliability is None:
        return f"reliability is not known: {notes['reliability']}"
    ends = span(reliability["low"], reliability["high"]) or f"(no interval below {FEW_CLUSTERS} problems)"
    return f"{number(reliability['mean'])} {ends} of the spread of step rewards is signal, the rest luck"


def _order(auc: dict[str, Any] | None, notes: dict[str, str]) -> str:
    if auc is None:
        return f"the order of unseen completions is not known: {notes['leave_pair_out_auc']}"
    low, high = auc["null_low"], auc["null_high"]
    chance = "no null" if low is None else f"chance {percent(low)} to {percent(high)}"
    return f"{percent(auc['mean'])} % of unseen pairs are put in the right order ({chance})"


def changes(summary: dict[str, Any]) -> str:
    """What λ-GRPO would change: length and direction of the update, and which way it leans."""
    answer = summary["verdict"]["changes"]
    if answer["code"] == "cannot_say":
        return f"No answer: {summary['notes']['update_norm']}."
    sentence = (
        f"{number(answer['norm']['mean'])} times as long and turned by {answer['degrees']:.3g} degrees: the update under "
        f"λ-GRPO (p = {answer['power']:g}). {CHANGES[answer['code']]}"
    )
    if answer["risk"] is None or answer["code"] == "next_to_nothing":
        return sentence
    share = interval(answer["raised_share"], share=True)
    return f"{sentence} {share} of what it takes off lies on raised steps: {RISK[answer['risk']]}."


def findings(summary: dict[str, Any], folder: str) -> list[Finding]:
    """What to do; empty where there is nothing to worry about.

    Args:
        summary: The content of summary.json.
        folder: The folder of the analysis as it is typed, for the commands.
    """
    size = summary["counts"]["group_size"]["mode"]
    return [
        Finding(
            FINDINGS[found.get("measure") or found["code"]].format(
                percent=percent(found["value"]),
                number=number(found["value"]),
                groups=amount(found["groups"], "group"),
                size=size,
                larger=_larger(found.get("k")),
            ),
            found["command"].replace(FOLDER, folder),
        )
        for found in summary["verdict"]["findings"]
    ]


def _larger(k: int | None) -> str:
    return "No k can be named: there is no signal yet" if k is None else f"The same steps would reach 0.5 at k = {k:,}"


# By code or, where a code has two, by what was measured: number, reason, what to do, source.
FINDINGS = {
    "mixed_prompts": "{groups} hold completions of different prompts, so their trees mean nothing: group the rows by "
    "prompt (docs/logs.md).",
    "unmasked_tool_output": "{percent} % of the completions have tool output in the loss, which the policy did not "
    "write: mask it (arXiv 2503.09516).",
    "effective_sample_size": "{percent} % effective sample size: sampler and trainer are apart. Sample from newer "
    "weights, or in the trainer's precision (arXiv 2510.26788).",
    "logprob_spread": "{number} nats lie between log-probabilities of one token after one prefix: several policies, "
    "or numerics that differ by row (arXiv 2510.26788).",
    "phantom_advantage": "{percent} % of the advantage lies in groups of one outcome, where other reward parts make "
    "it: filter groups by outcome (arXiv 2503.14476).",
    "teaches_nothing": "{percent} % of the groups ({groups}) have equal rewards and teach nothing: filter or resample "
    "prompts (arXiv 2503.14476).",
    "copies": "{percent} % of the completions are copies of another in their group: raise the temperature, or lower k "
    "(docs/definitions.md).",
    "boilerplate": "{percent} % of the overlap is there between different prompts, too: it is boilerplate, not credit "
    "(docs/definitions.md).",
    "low_reliability": "{number} is too low a reliability for credit by step at k = {size}. {larger} "
    "(docs/definitions.md).",
}
