"""The three answers of a summary in words: what the hidden PRM knows, what λ-GRPO would change, what to do."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..analysis.findings import RELIABLE, near_miss, sentence
from ..analysis.verdict import FOLDER, PERHAPS
from ..core.interval import FEW_CLUSTERS
from .amounts import amount, interval, number, percent, span

GRPO = "GRPO"  # as a method of `source.methods`
TO_DO, IF_TRAINED = "What to do?", "What to do if you train on it?"
QUESTION = "Are the step rewards more than luck?"
KNOWS = {
    "steps": "yes, also on new completions",
    "whole_texts": "yes for seen texts, not shown for unseen",
    "order_only": "perhaps, since they order new completions",
    "nothing": "no sign of it",
    "cannot_say": "this log cannot say",
}
YES = ("steps", "whole_texts", "order_only")
MEAN = "A step: text that completions share. Its reward: their mean."
RANGE = " [ ]: 95 % range."
FLAT = "There is no such tree here: no text is shared by some completions of a group and not by its others."
NONE = 5e-4  # of the spread, which is none on a scale that ends at 1
# Where p lies so near its limit that another seed may say otherwise.
CLOSE = {
    "steps": "yes for seen texts, close for unseen ones",
    "whole_texts": "yes for seen texts, close for unseen ones",
    "order_only": "perhaps, and it is close",
    "nothing": "no clear sign of it",
    "cannot_say": "this log cannot say",
}
# Where the low end of the reliability lies so near 0, in logs whose order of unseen completions is luck or not known.
CLOSE_SEEN = "close for seen texts, not shown for unseen"
BOTH_CLOSE = "perhaps, and it is close"
NEAR = "close, another seed may differ"
CHANGES = {
    "next_to_nothing": "next to nothing",
    "length": "another norm, which is another learning rate",
    "direction": "another direction, not only another rate",
    "perhaps_next_to_nothing": "perhaps next to nothing",
    "perhaps_length": "perhaps only another norm, another learning rate",
    "perhaps_direction": "perhaps another direction, not only another rate",
}
RISK = {
    "exploration": "it leans to exploration",
    "exploitation": "it leans to exploitation",
    "even": "it leans neither to exploration nor to exploitation",
}
NEITHER = "it leans neither way"  # the same, where there is less room


class Answer(NamedTuple):
    """A question with its answer: in short, and the sentences with the numbers that it rests on."""

    question: str
    short: str
    why: tuple[str, ...]

    @property
    def text(self) -> str:
        """The answer without its question."""
        return " ".join((self.short, *self.why))


class Finding(NamedTuple):
    """What to do about a log: a sentence with its number, what explains it, and the command that shows it."""

    sentence: str
    explained: str
    command: str

    @property
    def short(self) -> str:
        """The sentence without its reason, which stands between a colon and a semicolon, for where there is no room."""
        head, _, rest = self.sentence.partition(": ")
        return f"{head}; {rest.partition('; ')[2]}" if "; " in rest else self.sentence


def knows(summary: dict[str, Any]) -> Answer:
    """What the hidden step rewards know: reliability, leave-pair-out AUC beside its null, sure decisions."""
    answer, notes = summary["verdict"]["knows"], summary["notes"]
    reliability, order = answer["reliability"], answer["leave_pair_out_auc"]
    depth = summary["overlap"]["path_depth"]
    if not depth["mean"]:
        return Answer(QUESTION, _sentence(KNOWS[answer["code"]]), (MEAN, FLAT))
    ranges = ((reliability, "low"), (order, "null_low"))
    mean = MEAN + (RANGE if any(value and value[low] is not None for value, low in ranges) else "")
    why = [_signal(summary), *reservations(summary), _order(answer, notes)]
    if reliability is None and order is None:  # one reason: a screen has no room for two
        why = [f"Their reliability and the order of unseen completions are not known: {notes['reliability']}."]
    short = _known(answer["code"], answer["close_by"])
    return Answer(QUESTION, _sentence(short), (mean, *why, _decisions(answer)))


def _known(code: str, close_by: list[str]) -> str:
    """In short; what hangs on a seed is not claimed."""
    if len(close_by) == 2:
        return BOTH_CLOSE
    if "reliability" in close_by:
        return KNOWS["order_only"] if code in ("steps", "order_only") else CLOSE_SEEN
    return (CLOSE if close_by else KNOWS)[code]


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:]}."


def reservations(summary: dict[str, Any]) -> list[str]:
    """What is to be known of the reliability, a sentence each: how few problems it is from, what part copies have."""
    answer, problems = summary["verdict"]["knows"], summary["overlap"]["path_depth"]["n"]
    once, said = answer["reliability_texts_once"], []
    if _few(answer["reliability"], problems):
        few = f"{answer['reliability']['n']:,} of {amount(problems, 'problem')}"
        said.append(f"{few} count, others say nothing: equal rewards or no shared step.")
    if answer["copied"]:
        would = "nothing is left" if once is None else _near_none(once["mean"])
        if once is not None and once["mean"] < answer["reliability"]["mean"]:
            would += ", a low estimate"
        said.append(f"Copies count here; each text once: {would}.")
    return said


def _few(reliability: dict[str, Any] | None, problems: int) -> bool:
    """Whether most problems say nothing about it."""
    return reliability is not None and 2 * reliability["n"] < problems


def _near_none(mean: float) -> str:
    return number(mean) if abs(mean) >= NONE else "0"


def _signal(summary: dict[str, Any]) -> str:
    verdict, problems = summary["verdict"], summary["overlap"]["path_depth"]["n"]
    reliability = verdict["knows"]["reliability"]
    if reliability is None:
        return f"Their reliability is not known: {summary['notes']['reliability']}."
    mean, ends = _near_none(reliability["mean"]), span(reliability["low"], reliability["high"])
    needs = f"; {amount(reliability['n'], 'problem')} can be used, an interval needs {FEW_CLUSTERS}"
    if _few(reliability, problems):  # the next sentence says how many
        needs = f"; an interval needs {FEW_CLUSTERS} problems"
    known = f"{mean}{ends and f' {ends}'} is their reliability (1: no luck; 0 or less: luck)"
    return f"{known}{'' if ends else needs}{_close_ends(verdict)}."


def _close_ends(verdict: dict[str, Any]) -> str:
    """What of the reliability hangs on the seed; without a finding its high end is said as what is nearest to one."""
    low, near = "reliability" in verdict["knows"]["close_by"], verdict["nearest"]
    if not verdict["findings"] or not near or near["code"] != "low_reliability":
        return "; its low end is close to 0: another seed may differ" if low else ""
    if low:
        return f"; its ends are close to 0 and {RELIABLE}: another seed may differ"
    return f"; its high end is close to {RELIABLE}: another seed may call it low"


def _order(answer: dict[str, Any], notes: dict[str, str]) -> str:
    auc = answer["leave_pair_out_auc"]
    if auc is None:
        return f"How they order unseen completions is not known: {notes['leave_pair_out_auc']}."
    low = auc["null_low"]
    if low is not None and low == auc["null_high"]:
        return f"How they order unseen completions cannot be told: luck alone gives {percent(low)} % as well."
    # The range has two sides and p has one, so an order can be inside the range and yet be more than chance.
    luck = "luck alone: not known"
    if low is not None:
        chance = interval(auc, share=True, null=True)
        close = f": {NEAR}" if "leave_pair_out_auc" in answer["close_by"] else ""
        luck = f"luck alone: {chance}, p = {number(auc['p_value'])}{close}"
    return f"{percent(auc['mean'])} % of the time they tell which of two unseen completions has more reward ({luck})."


def _decisions(answer: dict[str, Any]) -> str:
    sure, decidable, every = (answer[name] for name in ("sure_decisions", "decidable", "decisions"))
    if not decidable:
        return "No decision (where completions part) has enough different texts to be sure."
    of = f" (of {every:,})" if every > decidable else ""
    go = "goes" if decidable == 1 else "go"
    # Beside a yes it would read as its opposite.
    alone = not sure and decidable > 1 and answer["code"] in YES
    each = amount(decidable, "decision", "single decisions" if alone else "decisions")
    return f"{sure:,} of {each} with enough texts{of} surely {go} with reward."


def changes(summary: dict[str, Any]) -> Answer:
    """What λ-GRPO would change: update norm and update cosine, and which way it leans."""
    answer, question = summary["verdict"]["changes"], changes_question(summary["source"])
    if answer["code"] == "cannot_say":
        return Answer(question, f"This log cannot say: {summary['notes']['update_norm']}.", ())
    code, close, power = answer["code"], answer["close_by"], answer["power"]
    at = "" if power == 1 else f" with λ power p = {power:g}"  # 1 is the paper's λ-GRPO
    turn, ends = number(answer["degrees"]), span(answer["degrees_low"], answer["degrees_high"])
    near = f": {NEAR}" if {"update_norm", "update_cosine"}.intersection(close) else ""
    if answer["norm"]["n"] < FEW_CLUSTERS:
        near = f"; from {amount(answer['norm']['n'], 'problem')}, too few for a range"
    norm = f"{interval(answer['norm'])} times GRPO's update norm{at}, turned by {turn}°{ends and f' {ends}'}{near}."
    # What hangs on a seed is not claimed.
    short = _sentence(CHANGES[PERHAPS + code.removeprefix(PERHAPS) if near else code])
    if answer["risk"] is None or code.removeprefix(PERHAPS) == "next_to_nothing":
        return Answer(question, short, (norm,))
    share = interval(answer["raised_share"], share=True)
    lean = RISK[answer["risk"]]
    if "raised_share" in close:
        lean = f"{NEITHER if answer['risk'] == 'even' else lean}; {NEAR}"
    lean = f"{share} of the weight it takes off shared steps is on steps that GRPO raises: {lean}."
    return Answer(question, short, (norm, lean))


def changes_question(source: dict[str, Any]) -> str:
    """No `would` of a run that λ-GRPO trained: there the change has been made."""
    return f"How far is λ-GRPO from {GRPO}?" if other_methods(source) else "What would λ-GRPO change?"


def other_methods(source: dict[str, Any]) -> list[str]:
    """What runs are known to be trained with other than GRPO, each once."""
    return sorted({method for method in source.get("methods", {}).values() if method != GRPO})


def to_do(source: dict[str, Any]) -> str:
    """The third question. A log without steps may be an evaluation, and what is advised is for a training."""
    return TO_DO if source["steps"]["count"] else IF_TRAINED


def findings(summary: dict[str, Any], folder: str) -> list[Finding]:
    """What to do; empty where there is nothing to worry about.

    Args:
        summary: The content of summary.json.
        folder: The folder of the analysis as it is typed, for the commands.
    """
    found = summary["verdict"]["findings"]
    return [
        Finding(sentence(one), f"grpo-prm explain {one['code']}", one["command"].replace(FOLDER, folder, 1))
        for one in found
    ]


def no_finding(summary: dict[str, Any]) -> str:
    """The sentence of a log without findings, with what is nearest to one; few problems show few faults."""
    problems, near = summary["overlap"]["path_depth"]["n"], summary["verdict"]["nearest"]
    few = f", but {amount(problems, 'problem')} can show only gross faults" if problems < FEW_CLUSTERS else ""
    if near:
        return f"No finding{few}. Nearest: {near_miss(near)}."
    return f"No finding{few}. Nothing that is checked is half way to being one."
