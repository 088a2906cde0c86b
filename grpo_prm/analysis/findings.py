"""THE registry of findings: from when on each is one, and the sentence that says it (definitions: The verdict).

The report card of a log (`verdict`) and the alarms of a running training (`alarms`) judge by the same limits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import polars as pl

from ..core.interval import Drawn, hangs
from ..errors import UsageError
from .chunks import Parts, added_up, first_rows
from .worst_groups import largest_first

# From when on a finding is one.
TOOL_OUTPUT = 0.05  # of the completions
SAMPLE_SIZE = 0.9  # effective, of the tokens: below
SPREAD = 0.1  # of log-probabilities inside a step, mean
PHANTOM = 0.1  # of the advantages
NO_VARIANCE = 0.3  # of the groups
COPIES = 0.1  # of the completions
BOILERPLATE = 0.5  # of the intermediate proportion
RELIABLE = 0.5  # below, with its whole range

# The same by code or by what was measured, of those that are a number against a limit.
LIMITS = {
    "unmasked_tool_output": TOOL_OUTPUT,
    "turns_of_others": TOOL_OUTPUT,
    "effective_sample_size": SAMPLE_SIZE,
    "logprob_spread": SPREAD,
    "phantom_advantage": PHANTOM,
    "teaches_nothing": NO_VARIANCE,
    "copies": COPIES,
    "copies_of_others": COPIES,
    "boilerplate": BOILERPLATE,
    "low_reliability": RELIABLE,
}
NEAR = 0.5  # of the way to its limit: what is nearer is named where there is no finding

# By code or, where a code has two, by what was measured: the number, the reason and what to do.
SENTENCES = {
    "mixed_prompts": "{groups} {mix} prompts ({they}): step rewards there compare completions of different prompts; "
    "group rows by prompt",
    "mixed_fronts": "{groups} {mix} prompts ({they}): step rewards there compare completions of different prompts; "
    "the ids before them differ: trust none",
    "unmasked_tool_output": "{share} of completions hold tool output that the log does not mask: mask it",
    "turns_of_others": "{share} of completions end, in the loss, with a turn that is not the model's: check the mask",
    "effective_sample_size": "{share} effective sample size, sampler and trainer differ: sample afresh",
    "logprob_spread": "{number} nats between log-probabilities that should be equal: sync the weights",
    "phantom_advantage": "{share} of the advantage is in groups of equal outcomes: filter them",
    "teaches_nothing": "{share} of groups teach nothing (equal rewards): filter or resample",
    "copies": "{share} of completions are copies in their group: raise the temperature",
    "copies_of_others": "{share} of completions are copies in their group: check the mask",
    "boilerplate": "{share} as much overlap between prompts as within: mostly boilerplate",
    "low_reliability": "{number} reliability{close}: {larger}",
}
CODES = (
    *("mixed_prompts", "unmasked_tool_output", "sampler_gap", "phantom_advantage", "teaches_nothing", "copies"),
    *("boilerplate", "low_reliability"),
)
# The column of the groups table that says how much of a finding a group has; `samples` keeps one that has most.
EXAMPLES = {
    "mixed_prompts": "prompts_differ",
    "unmasked_tool_output": "tool_output",
    "phantom_advantage": "phantom_advantage",
    "teaches_nothing": "zero_variance",
    "copies": "duplicates",
}


class Figures(NamedTuple):
    """What findings are judged by, of whole groups of two or more; None where it is not known.

    Attributes:
        prompts_differ: Share of the groups that hold completions of different prompts.
        tool_output: Share of the completions with unmasked tool output, or with a turn of others as `others` has it.
        effective_sample_size: Of sampler and trainer, a share of the tokens.
        logprob_spread: Mean spread of log-probabilities inside a step, in nats.
        phantom_advantage: Share of the advantage.
        zero_variance: Share of the groups with equal rewards.
        copies: Share of the completions that are equal to an earlier one of their group.
        intermediate_proportion: A mean over groups.
        baseline: The same of cross-prompt groups.
        reliability: With its range, and between what other seeds put it.
        k: The commonest size of a group.
        fronts_differ: Share of the groups whose prompts differ in the ids before the completions alone, as those of
            turns behind other turns do.
        others: Share of the completions whose last message is not the model's, though their last token is in the loss.
    """

    prompts_differ: float
    tool_output: float
    effective_sample_size: float | None
    logprob_spread: float | None
    phantom_advantage: float | None
    zero_variance: float
    copies: float
    intermediate_proportion: float | None
    baseline: float | None
    reliability: Drawn | None
    k: int
    fronts_differ: float = 0.0
    others: float = 0.0


class Judgement(NamedTuple):
    """Whether there is a finding.

    Attributes:
        code: Of `CODES`.
        value: The number that was judged.
        found: Whether it is beyond the limit.
        more: `measure`, where a code has two numbers or sentences; of a low reliability `k`, and `close`: another seed
            may judge otherwise.
    """

    code: str
    value: float
    found: bool
    more: dict[str, Any]


def checked(codes: Iterable[str], setting: str) -> set[str]:
    """Codes of findings.

    Args:
        codes: As a user gave them; a single one may be a string.
        setting: What messages call them.

    Raises:
        UsageError: One that there is not.
    """
    given = {codes} if isinstance(codes, str) else set(codes)  # not its letters
    if unknown := sorted(given.difference(CODES)):
        raise UsageError(f"{setting}: no finding is called {unknown[0]!r}. Choose from {', '.join(CODES)}.")
    return given


def judge(figures: Figures) -> Iterator[Judgement]:
    """Hold figures against the limits, in the order of `CODES`; what is not known is not judged."""
    fronts = {"measure": "mixed_fronts"} if figures.fronts_differ >= figures.prompts_differ > 0 else {}
    yield Judgement("mixed_prompts", figures.prompts_differ, figures.prompts_differ > 0, fronts)
    roles = {"measure": "turns_of_others"} if figures.others * 2 > figures.tool_output else {}  # most are known by role
    yield Judgement("unmasked_tool_output", figures.tool_output, figures.tool_output >= TOOL_OUTPUT, roles)
    yield from _sampler_gap(figures.effective_sample_size, figures.logprob_spread)
    if (phantom := figures.phantom_advantage) is not None:
        yield Judgement("phantom_advantage", phantom, phantom >= PHANTOM, {})
    yield Judgement("teaches_nothing", figures.zero_variance, figures.zero_variance >= NO_VARIANCE, {})
    others = {"measure": "copies_of_others"} if figures.others >= TOOL_OUTPUT else {}  # no temperature changes these
    yield Judgement("copies", figures.copies, figures.copies >= COPIES, others)
    own, other = figures.intermediate_proportion, figures.baseline
    if own is not None and other is not None and own > 0:
        yield Judgement("boilerplate", other / own, other >= BOILERPLATE * own, {})
    if figures.reliability is not None:
        mean, low, high, _ = figures.reliability.interval
        if mean is not None and high is not None:
            more = {"close": hangs(_low, figures.reliability), "k": _reliable_k(mean, low, figures.k)}
            yield Judgement("low_reliability", mean, _low(low, high), more)


def _low(_: float | None, high: float | None) -> bool:
    return high is not None and high < RELIABLE


def _sampler_gap(size: float | None, spread: float | None) -> Iterator[Judgement]:
    """By either number: the sample size where it is too small, else the spread where there is one."""
    if size is not None and (size < SAMPLE_SIZE or spread is None or spread < SPREAD):
        yield Judgement("sampler_gap", size, size < SAMPLE_SIZE, {"measure": "effective_sample_size"})
    elif spread is not None:
        yield Judgement("sampler_gap", spread, spread >= SPREAD, {"measure": "logprob_spread"})


def _reliable_k(r: float, low: float | None, k: int) -> int | None:
    """Completions a group at which the same steps would have a reliability of .5; None where there may be no signal."""
    return math.ceil(k * (1 - r) / r) if low is not None and low > 0 else None


def nearest(judgements: Iterable[Judgement]) -> dict[str, Any] | None:
    """Of what is no finding, the number that is nearest to its limit; None where none is `NEAR`.

    Returns:
        `code`, `value`, `limit`, and `more` of its judgement.
    """
    by_way = [(_way(one), one) for one in judgements if not one.found and measured(one) in LIMITS]
    way, one = max(by_way, key=itemgetter(0), default=(0.0, None))
    if one is None or way < NEAR:
        return None
    return {"code": one.code, "value": one.value, "limit": LIMITS[measured(one)], **one.more}


def measured(one: Judgement) -> str:
    """Code or, where it has two numbers, which of them."""
    return one.more.get("measure", one.code)


def _way(one: Judgement) -> float:
    """How far a number has gone to its limit: from 0 on, of an effective sample size from 1 down."""
    limit = LIMITS[measured(one)]
    if one.code == "low_reliability":  # its range is judged, of which only the draws tell what is near
        return float(one.more["close"])
    return (1 - one.value) / (1 - limit) if measured(one) == "effective_sample_size" else one.value / limit


def most_concerned(code: str, groups: Parts | pl.DataFrame) -> tuple[int, dict[str, Any]]:
    """How many groups a finding with an example is about, and the one that has most of it."""
    column = EXAMPLES[code]
    some = pl.col(column) > 0
    number = added_up(groups, {"number": some.sum()})["number"]

    def most(table: pl.DataFrame) -> pl.DataFrame:
        return largest_first(table.filter(some), column).head(1)

    return number, first_rows(groups, ["run", "step", "group_key", column], most).row(0, named=True)


def concerned_by(code: str, groups: pl.DataFrame) -> pl.DataFrame:
    """The groups that a finding with an example (`EXAMPLES`) is about."""
    return groups.filter(pl.col(EXAMPLES[code]) > 0)


def near_miss(near: Mapping[str, Any]) -> str:
    """What `nearest` found, and from when on it would be a finding."""
    measure, limit = near.get("measure") or near["code"], near["limit"]
    words, _, _ = sentence({**near, "groups": 0}).partition(": ")
    if measure == "low_reliability":
        return f"{words}; with its high end below {limit:.3g} it is one"
    written = f"{limit:.3g}" if measure == "logprob_spread" else f"{100 * limit:.3g} %"
    return f"{words}; {f'below {written}' if measure == 'effective_sample_size' else f'from {written} on'} it is one"


def sentence(found: Mapping[str, Any]) -> str:
    """What a finding says.

    Args:
        found: `code`, `value` and `groups` (how many it is about), `more` of its judgement, and `low` and `high` where
            they are known.
    """
    words = SENTENCES[found.get("measure") or found["code"]]
    value, groups, k = found["value"], found["groups"], found.get("k")
    values = {
        "groups": "1 group" if groups == 1 else f"{groups:,} groups",
        "mix": "mixes" if groups == 1 else "mix",
        "they": "it counts" if groups == 1 else "they count",
        "number": f"{value:.3g}{_range(found)}",
        "share": f"{100 * value:.3g} %{_range(found, 100)}",
        "close": " (close, another seed may differ)" if found.get("close") else "",
        "larger": "trust no step reward" if k is None else f"trust no single step; groups of {k:,} would bring 0.5",
    }
    return words.format(**values)


def _range(found: Mapping[str, Any], unit: float = 1) -> str:
    low, high = found.get("low"), found.get("high")
    return "" if low is None or high is None else f" [{unit * low:.3g}, {unit * high:.3g}]"
