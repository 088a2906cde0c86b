"""The sentences of a summary: on the terminal, and in the report."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..analysis.statistics import STATISTICS, Section, Statistic
from ..core.defects import POWERS
from ..logs.memory import NAME
from .amounts import MISSING, amount, interval, number, percent
from .cells import BESIDE, against_null, beside, entry, in_summary

PAPER = {"non_trivial": "99.8 %"}
GRPO = "GRPO"  # as a method of `source.methods`
MADE = {
    "log": "token ids as logged",
    "tokenizer": "token ids made again from text with the tokenizer",
    "pieces": "pieces of text (GPT-2 pre-tokenisation), since the log has no token ids",
}
DIFFER = (
    "with completions of different prompts. The theory is about completions of one prompt, so process sets, step "
    "rewards and advantages of these groups are not what it means."
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
        ("Do the branches say anything?", list(_branches(summary))),
        ("Where does it hurt?", list(_defects(summary))),
        ("What do the groups teach?", list(_teaching(summary))),
        ("How much is sampled twice?", list(_plain(summary, "sharing"))),
        ("What do the log-probabilities say?", list(_logprobs(summary))),
        (_change_title(summary["source"]), list(_change(summary))),
    ]


def read_in_short(summary: dict[str, Any]) -> str:
    """What was read, in one line."""
    rejected = summary["counts"]["rejected"]
    return _log_and_groups(summary) + (f"; {amount(rejected, 'row')} rejected." if rejected else ".")


def _log_and_groups(summary: dict[str, Any]) -> str:
    source, counts, k = summary["source"], summary["counts"], summary["counts"]["group_size"]
    # All groups of one size is the common case: a range would read like a warning.
    size = f"{k['mode']}" if k["min"] == k["max"] else f"{k['min']} to {k['max']} (mostly {k['mode']})"
    log = f"{source['format']} log" if source["format"] else "rollouts"
    groups = amount(counts["groups"], "group")
    return f"{log}, {_steps(source)}: {amount(counts['completions'], 'completion')} in {groups} of {size}"


def doubts(summary: dict[str, Any]) -> Iterator[str]:
    """What may be wrong with the log or with how it was understood, each in a sentence."""
    counts = summary["counts"]
    if counts["groups_prompts_differ"]:
        yield f"{amount(counts['groups_prompts_differ'], 'group')} {DIFFER}"
    if counts["advantage_mismatch"]:
        yield mismatch(summary)
    yield from summary["source"]["notes"]


def _read(summary: dict[str, Any]) -> Iterator[str]:
    source, counts = summary["source"], summary["counts"]
    yield f"{_log_and_groups(summary)}."
    if "methods" in source:
        yield trained_with(source)
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
    yield from doubts(summary)


def trained_with(source: dict[str, Any]) -> str:
    """What runs were trained with, where their folders say so: by name, where there is more than one run."""
    methods = source["methods"]
    if len(source["runs"]) == 1:
        (method,) = methods.values()
        return f"Trained with {method}."
    return f"Trained with: {'; '.join(f'{run}: {method}' for run, method in methods.items())}."


def mismatch(summary: dict[str, Any]) -> str:
    """The sentence on groups whose logged advantages are not the computed ones."""
    source, groups = summary["source"], amount(summary["counts"]["advantage_mismatch"], "group")
    see = "--std, --reward and --advantage logged"
    if not source["files"] or source["files"] == [NAME]:  # Groups, Rollouts or rows came from Python
        see = 'Options(std=...), ReadOptions(reward=...) and Options(advantage="logged")'
    return (
        f"In {groups} the logged advantages differ from those that the rewards give (std "
        f"{source['options']['std']}): see {see}."
    )


def _steps(source: dict[str, Any]) -> str:
    first, last, count = source["steps"].values()
    if not count:
        return "no steps logged"
    return f"step {first}" if count == 1 else f"{count:,} steps from {first} to {last}"


def _overlap(summary: dict[str, Any]) -> Iterator[str | Rows]:
    counts, notes = summary["counts"], summary["notes"]
    table = Rows(("", "this run [95 %]", BESIDE["cross-prompt"], "the paper"), [])
    for one in in_summary("overlap"):
        # A dash only where the baseline could be had and was not: other statistics of overlap have none.
        null = beside(summary, one, missing=MISSING if one.null == "cross-prompt" else "")
        table.rows.append((one.title, interval(entry(summary, one), share=one.share), null, PAPER.get(one.name, "")))
    yield table
    yield from _definitions(summary, "overlap")
    # Without this a log of pairs would look as if its policy never branched.
    if counts["groups_k3"] < counts["groups"]:
        yield (
            f"{counts['groups_k3']:,} of {amount(counts['groups'], 'group')} have three completions or more; smaller "
            "ones cannot be non-trivial."
        )
    yield (
        "Cross-prompt: the same numbers for groups put together from different prompts. Overlap above them is not "
        "boilerplate. The paper: DeepSeek-R1-Distill-Qwen-1.5B on OpenRS, k = 6; 100 % at k = 36."
    )
    if "baseline" in notes:
        yield f"Cross-prompt numbers: {notes['baseline']}."
    if "intervals" in notes:
        yield f"Intervals: {notes['intervals']}."


def _branches(summary: dict[str, Any]) -> Iterator[str | Rows]:
    value = summary["informativeness"]
    if value is not None:
        verdict = (
            "more than chance: the branches tell good completions from bad ones"
            if value["p_value"] <= 0.05
            else "no more than chance: the trees have a shape, but no sign that their branches tell good from bad"
        )
        yield (
            f"{number(value['observed'])} is the mean |A| of intermediate steps; with the rewards of each group "
            f"permuted it is {interval(value, null=True)}. p = {value['p_value']:.3g}, {verdict}."
        )
    yield from _definitions(summary, "informativeness")
    yield from _beside_permutations(summary, "credit")
    yield from _beside_permutations(summary, "prm")
    spread = summary["prm"]["logprob_spread"]
    if spread is not None:
        yield (
            f"log-probability spread inside a step: mean {number(spread['mean'])}, at most {number(spread['max'])} "
            "(0 where one policy sampled all with the same numerics)."
        )


def _defects(summary: dict[str, Any]) -> Iterator[str | Rows]:
    yield from _beside_permutations(summary, "defects")
    if "null" in summary["notes"]:
        yield f"Permuted rewards and copies: {summary['notes']['null']}."


def _teaching(summary: dict[str, Any]) -> Iterator[str | Rows]:
    of, groups = summary["teaching"], summary["counts"]["groups"]
    equal = [] if of["all_right"] is None else [f"{of['all_right']:,} all right", f"{of['all_wrong']:,} all wrong"]
    if of["all_right"] is None or of["equal"]:
        equal.append(f"{of['equal']:,} of equal rewards")
    yield f"Groups that teach nothing, of {groups:,}: {', '.join(equal)}."
    yield from _plain(summary, "teaching")


def _logprobs(summary: dict[str, Any]) -> Iterator[str | Rows]:
    yield from _plain(summary, "logprobs")
    of = summary["logprobs"]
    if of["covariance"] is not None:
        yield (
            f"{interval(of['covariance'])} is the covariance of log π and A over tokens; {_here(of)}. Where it is "
            "positive an update makes probable tokens more probable: entropy falls (arXiv 2505.22617)."
        )
    if of["effective_sample_size"] is not None:
        yield (
            f"{interval(of['effective_sample_size'], share=True)} is the effective sample size of the sampler's tokens "
            f"for the trainer; their log-probabilities differ by at most {number(of['largest_gap'])}."
        )
        table = Rows(("completions that share the token", "tokens", "effective sample size", "largest gap"), [])
        for row in of["by_size"]:
            size = f"{percent(row['effective_sample_size'])} %"
            table.rows.append((row["size"], f"{row['tokens']:,}", size, number(row["largest_gap"])))
        yield table
    out = sum(of[name] or 0 for name in ("left_out", "gap_left_out"))
    if out:
        yield f"{amount(out, 'value')} left out: a log-probability that is not finite, or at most -9999, is none."


def _here(of: dict[str, Any]) -> str:
    """The covariance at decisions."""
    if of["covariance_at_decisions"] is None:
        return "no token follows a decision"
    share = of["covariance_share_at_decisions"]
    part = "" if share is None else f", {percent(share['mean'])} % of the sum" if share["mean"] >= 0 else ""
    return f"{interval(of['covariance_at_decisions'])} over those after decisions{part}"


def _plain(summary: dict[str, Any], section: Section) -> Iterator[str | Rows]:
    """A table of the statistics of a section that are not null, and what all of them are."""
    found = [(one, value) for one in in_summary(section) if (value := entry(summary, one)) is not None]
    if found:
        yield Rows(("", "this run [95 %]"), [(one.title, interval(value, share=one.share)) for one, value in found])
    yield from _definitions(summary, section)


def _beside_permutations(summary: dict[str, Any], section: Section) -> Iterator[str | Rows]:
    """A table of the statistics that are not null beside the same with permuted rewards, and what all of them are."""
    table = Rows(("", "this run [95 %]", BESIDE["permutation"], ""), [])
    for one in in_summary(section):
        value = entry(summary, one)
        if value is not None and one.power is None:
            cells = (one.title, interval(value, share=one.share), beside(summary, one), against_null(value))
            table.rows.append(cells)
    if table.rows:
        yield table
    yield from _definitions(summary, section)


def _definitions(summary: dict[str, Any], section: Section) -> Iterator[str]:
    """What each statistic of a section is, and why it is missing if it is; not those that differ in a power."""
    for one in in_summary(section):
        if one.power is None:
            why = f"; not known here: {summary['notes'][one.key]}" if entry(summary, one) is None else ""
            yield f"{one.title}: {one.definition}{why}."


def _other_methods(source: dict[str, Any]) -> list[str]:
    """What runs are known to be trained with other than GRPO, each once."""
    return sorted({method for method in source.get("methods", {}).values() if method != GRPO})


def _change_title(source: dict[str, Any]) -> str:
    if _other_methods(source):  # no `would`: the change has been made
        return "How far is λ-GRPO from GRPO here?"
    return "What would λ-GRPO change here?"


def _change(summary: dict[str, Any]) -> Iterator[str | Rows]:
    source, others = summary["source"], _other_methods(summary["source"])
    measured = {f"λ-GRPO, p = {power:g}": f"{power:g}" for power in POWERS}
    power = measured.get(others[0], "1") if others else "1"
    norm, cosine = (entry(summary, STATISTICS[f"{name}_{power}"]) for name in ("update_norm", "update_cosine"))
    if others:
        which, whose = ("This run was", "its") if len(source["runs"]) == 1 else ("Some of these runs were", "their")
        if len(source["runs"]) > 1 and all(source["methods"].get(run, GRPO) != GRPO for run in source["runs"]):
            which = "These runs were"
        yield f"{which} trained with {'; '.join(others)}. λ-GRPO is compared with GRPO on {whose} completions."
    if norm is None or cosine is None:
        yield f"No answer: {summary['notes']['update_norm']}."
    elif not others or (len(others) == 1 and others[0] in measured):  # else it would read as a verdict on these runs
        # Rounding may leave a cosine above 1, which has no angle.
        degrees = math.degrees(math.acos(min(1.0, cosine["mean"])))
        changes = "multiplies the length of GRPO's update by {} and turns it by {}"
        would = "would multiply the length of the update by {} and turn it by {}"
        change = (changes if others else would).format(number(norm["mean"]), f"{degrees:.3g} degrees")
        yield f"λ-GRPO (p = {power}) {change} (tokens counted as independent directions)."
        if abs(norm["mean"] - 1) < 0.05 and degrees < 10:
            gain = "gains over GRPO is" if others else "gained here would be"
            yield f"That is close to no change: whatever it {gain} a change of learning rate."
    families: dict[str, list[Statistic]] = {}
    for one in in_summary():
        if one.power is not None:
            families.setdefault(one.key, []).append(one)
    powers = [f"p = {one.power:g}" for one in next(iter(families.values()))]
    table = Rows(("", *(f"{power} [95 %]" for power in powers)), [])
    # One row for each family, its powers side by side.
    for family in families.values():
        table.rows.append((family[0].label, *(interval(entry(summary, one), share=one.share) for one in family)))
    yield table
    for family in families.values():
        yield f"{family[0].label}: {family[0].definition}."
