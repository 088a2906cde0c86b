"""The sections of a summary that are tables of the registry, each with what its statistics are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..analysis.by_run import HEADLINES
from ..analysis.statistics import STATISTICS, Section
from ..core.identity import HIGHEST, LOWEST
from .amounts import MISSING, amount, interval, listed, number, percent
from .cells import BESIDE, Rows, against_null, beside, entry, in_summary, without_range
from .glossary import COMPANY, COPIES, FEW_SURE

PAPER = {"non_trivial": "99.8 %"}
ROUNDING = 1e-9  # of an identity gap
PERMUTED = "Rewards permuted"
HOW = (
    "in each group over its distinct completions that come equally often, 199 times; mean and 95 % range. A number "
    "inside that range is no more than chance; where it has a p, which has one side, p decides (.05)."
)
POOLED = (
    "Pooled over the log: sums over all groups, divided (of the order sums over pairs, of the others over tokens or "
    "steps). A mean of the numbers of single groups is another number."
)
POOLED_TOKENS = "Pooled over the log: sums over tokens of all groups, divided."


def by_run(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """The headline numbers of each run, where there are several and not too many: as an analysis of it alone has."""
    runs = summary.get("runs", [])
    if not runs:
        return
    shown = [STATISTICS[name] for name in HEADLINES if any(run[name] is not None for run in runs)]
    table = Rows(("run", "completions", "groups", *(one.title for one in shown)), [])
    for run in runs:
        cells = (interval(run[one.name], share=one.share) for one in shown)
        table.rows.append((run["run"], f"{run['completions']:,}", f"{run['groups']:,}", *cells))
    yield table
    few = all(run[one.name] is None or run[one.name]["low"] is None for run in runs for one in shown)
    yield (
        "Each run as if it were the log; the numbers elsewhere are of all together."
        + (
            " No run has the 20 problems that an interval needs."
            if few
            else " In brackets: the 95 % range, from 20 problems on."
        )
        + " grpo-prm compare has more, and the differences."
    )


def overlap(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """Overlap beside that of groups of different prompts."""
    counts, notes = summary["counts"], summary["notes"]
    table = Rows(("", "this run [95 %]", BESIDE["cross-prompt"], "the paper"), [])
    for one in in_summary("overlap"):
        # A dash only where the baseline could be had and was not: other statistics of overlap have none.
        null = beside(summary, one, missing=MISSING if one.null == "cross-prompt" else "")
        if entry(summary, one) is not None:
            cells = (one.title, interval(entry(summary, one), share=one.share), null, PAPER.get(one.name, ""))
            table.rows.append(cells)
    yield table
    yield "Means over groups, but for the identical share, which is a ratio of sums over the log."
    yield from _definitions(summary, "overlap")
    # Without this a log of pairs would look as if its policy never branched.
    if counts["groups_k3"] < counts["groups"]:
        yield (
            f"{counts['groups_k3']:,} of {amount(counts['groups'], 'group')} have three completions or more; smaller "
            "ones cannot be non-trivial."
        )
    column = summary["source"]["options"].get("baseline_by")
    within = f" with the same {column}" if column else ""
    yield (
        f"Cross-prompt: the same numbers for groups put together from different prompts{within}. Overlap above them is "
        "not boilerplate. The paper: DeepSeek-R1-Distill-Qwen-1.5B on OpenRS, k = 6; 100 % at k = 36."
    )
    if "baseline" in notes:
        yield f"Cross-prompt numbers: {notes['baseline']}."
    if "intervals" in notes:
        yield f"Intervals: {notes['intervals']}."


def branches(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """What the hidden step rewards know, and how much of it is chance."""
    credit, notes, three = summary["credit"], summary["notes"], ("credit", "informativeness", "prm")
    yield f"{PERMUTED}: {notes['null']}." if "null" in notes else f"{PERMUTED}: {HOW}"
    yield from _tables(summary, *three, said=(POOLED,))
    if (answer := summary["verdict"]["knows"])["copied"]:
        yield f"{percent(answer['copies'])} % of the completions in groups whose rewards differ are copies. {COPIES}"
    known = [(one.title, entry(summary, one) or {}) for one in in_summary(*three)]
    p_values = [f"{title} {number(value['p_value'])}" for title, value in known if value.get("p_value") is not None]
    if p_values:
        yield f"p, one-sided, .005 at the least: {', '.join(p_values)}."
    if credit["decisions"]:
        sure, decidable = (credit[name] for name in ("sure_decisions", "decidable"))
        yield (
            f"{amount(credit['decisions'], 'decision')}, places where completions of a group part; copies count once. "
            f"{decidable:,} could be sure{f': {FEW_SURE}' if decidable < credit['decisions'] else '.'} {sure:,} "
            f"{'is' if sure == 1 else 'are'} sure: the way that completions went is related to their rewards, p ≤ .05 "
            "after Benjamini-Hochberg, each judged alone."
        )
    gap, spread = summary["prm"]["identity_gap"], summary["prm"]["logprob_spread"]
    if gap is not None and gap > ROUNDING:
        yield f"{number(gap)} is the gap of the paper's Theorem 1 on the logged log-probabilities; 0 where it holds."
    if spread is not None and spread["max"] > 0:
        yield (
            f"{number(spread['mean'])} nats, at most {number(spread['max'])}, is the spread of log-probabilities "
            "inside a step: 0 where one policy sampled all with the same numerics."
        )


def states(summary: dict[str, Any]) -> Iterator[str]:
    """What equal states say beside prefixes: three sentences, or why there is nothing; nothing unless asked for."""
    if "state_sharing" not in summary:
        return
    section, notes = summary["state_sharing"], summary["notes"]
    if section is None:
        yield f"Nothing by states: {notes['state_sharing']}."
        return
    prefix = summary["overlap"] | summary["credit"]

    def beside(name: str, *, share: bool) -> tuple[str, str]:
        return interval(section[name], share=share), interval(prefix[name], share=share)

    own, other = beside("shared_proportion", share=True)
    yield (
        f"{own} of a completion is shared with another by state, {other} by prefix; {section['shared_states']:,} of "
        f"{amount(section['states'], 'state')} are read by two completions or more."
    )
    own, other = beside("reliability", share=False)
    yield f"{own} is the reliability of the step rewards by state, {other} by prefix."
    auc = section["leave_pair_out_auc"]
    own, other = beside("leave_pair_out_auc", share=True)
    chance = against_null(auc) if auc else ""
    null = f" ({chance}: {interval(auc, share=True, null=True)} with rewards permuted)" if chance else ""
    yield f"{own} of unseen pairs are in the right order by state{null}, {other} by prefix."


def defects(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """Good pushed down and bad raised, beside the same by chance."""
    yield from _tables(summary, "defects", said=(POOLED_TOKENS,))


def teaching(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """Groups of equal rewards, and advantages without a difference in outcome; nothing where there is neither."""
    groups, section = summary["counts"]["groups"], summary["teaching"]
    # All right and all wrong are known in logs of two rewards; `equal` has what is neither.
    kinds = (("all_right", "all right"), ("all_wrong", "all wrong"), ("equal", "of equal rewards"))
    parts = [
        f"{section[name]:,} ({percent(section[name] / groups)} %) {words}" for name, words in kinds if section[name]
    ]
    if parts:
        yield f"{listed(parts)}, of {amount(groups, 'group')}: these teach nothing."
    if section["phantom_advantage"] is not None:
        yield from _tables(summary, "teaching")


def sharing(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """What tree-packed training would save."""
    if any(entry(summary, one) is not None for one in in_summary("sharing")):
        yield from _tables(summary, "sharing", said=(COMPANY,))


def logprobs(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """What the logged log-probabilities say; nothing of a log without."""
    section = summary["logprobs"]
    table = Rows(("", "this run [95 %]"), [])
    for one in in_summary("logprobs"):
        if (value := entry(summary, one)) is not None:
            table.rows.append((one.title, interval(value, share=one.share)))
    table.rows.extend((label, interval(section[name])) for name, (label, _) in OTHERS.items() if section[name])
    if not table.rows:
        return
    yield table
    yield from without_range([*(entry(summary, one) for one in in_summary("logprobs")), *map(section.get, OTHERS)])
    yield from _definitions(summary, "logprobs")
    yield from (f"{label}: {definition}." for name, (label, definition) in OTHERS.items() if section[name])
    if section["largest_gap"] is not None:
        yield f"{number(section['largest_gap'])} nats is the largest gap between sampler and trainer at one token."
    if section["by_size"]:
        sizes = Rows(("completions in the process set", "tokens", "effective sample size", "largest gap"), [])
        for one in section["by_size"]:
            cells = (f"{one['tokens']:,}", number(one["effective_sample_size"]), number(one["largest_gap"]))
            sizes.rows.append((str(one["size"]), *cells))
        yield sizes
    yield from (f"{amount(section[name], 'token')} {why}." for name, why in LEFT_OUT.items() if section[name])


# Of the section `logprobs`, what is no entry of the registry: label and definition.
OTHERS = {
    "covariance": (
        "covariance",
        "that of log π and the step advantage over tokens; where it is positive an update makes probable tokens more "
        "probable, and entropy falls (arXiv 2505.22617)",
    ),
    "covariance_at_decisions": ("covariance at decisions", "the same over the first tokens after a decision"),
    "covariance_share_at_decisions": ("share at decisions", "the part of the sum behind it that these tokens hold"),
    "effective_sample_size": (
        "effective sample size",
        "the share of the tokens that the sampler's are worth to the trainer: 1 where both have one policy",
    ),
}
_NONE = f"a log-probability that is not finite, below {LOWEST:g} or above {HIGHEST:g}, is none"
LEFT_OUT = {
    "left_out": f"left out: {_NONE}",
    "gap_left_out": f"left out of the comparison of sampler and trainer: {_NONE}",
}


def _tables(summary: dict[str, Any], *chosen: Section, said: tuple[str, ...] = ()) -> Iterator[str | Rows]:
    """A table of the statistics that are not null, beside the same with permuted rewards, and what all of them are.

    What is `said` stands below the table, where there is one.
    """
    known = [(one, entry(summary, one)) for one in in_summary(*chosen) if one.power is None]
    rows: list[tuple[str, ...]] = [
        (one.title, interval(value, share=one.share), beside(summary, one), against_null(value))
        for one, value in known
        if value is not None
    ]
    if any(null for *_, null, _ in rows):
        yield Rows(("", "this run [95 %]", BESIDE["permutation"], ""), rows)
    elif rows:  # nothing to read the numbers beside: no column for it
        yield Rows(("", "this run [95 %]"), [row[:2] for row in rows])
    yield from without_range(value for _, value in known)
    yield from said if rows else ()
    yield from _definitions(summary, *chosen)


def _definitions(summary: dict[str, Any], *chosen: Section) -> Iterator[str]:
    """What each statistic is; those that are null in one line for each reason. Not those that differ in a power."""
    missing: dict[str, list[str]] = {}
    for one in in_summary(*chosen):
        if one.power is None and entry(summary, one) is None:
            missing.setdefault(summary["notes"][one.key], []).append(one.title)
        elif one.power is None:
            yield f"{one.title}: {one.definition}."
    for reason, titles in missing.items():
        yield f"{listed(titles)} {'is' if len(titles) == 1 else 'are'} not known here: {reason}."
