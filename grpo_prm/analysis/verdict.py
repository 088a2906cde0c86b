"""Three answers from the numbers of a summary, as codes with their numbers (definitions: The verdict).

Does the hidden PRM know anything here, would λ-GRPO change anything, what should be done next? The sentences are in
`text.verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from shlex import quote
from typing import Any

import polars as pl

from ..core.interval import Drawn, Interval, hangs
from ..core.permutations import PERMUTATIONS
from .chunks import Parts, added_up
from .findings import COPIES, EXAMPLES, Figures, Judgement, judge, measured, most_concerned, nearest

LITTLE_LENGTH = 0.05
LITTLE_TURN = 10.0  # degrees
ALPHA = 0.05
CLOSE = 2 * math.sqrt(ALPHA * (1 - ALPHA) / (PERMUTATIONS + 1))  # two standard errors of a p of so many permutations
CARRIED = 0.05  # of reliability: by so much copies are a part of it
PERHAPS = "perhaps_"  # before a code that the ranges leave open
FOLDER = "DIR"  # stands in commands for the folder of the analysis


def verdict(summary: dict[str, Any], groups: Parts | pl.DataFrame, drawn: Mapping[str, Drawn]) -> dict[str, Any]:
    """The codes `knows` and `changes` with their numbers, `findings`, and what is `nearest` to one.

    Args:
        summary: The other sections of summary.json.
        groups: The groups table, for examples.
        drawn: The statistics of the log and `finding_ranges`, by name.
    """
    every = _sums(groups)
    judged = list(_with_ranges(judge(_figures(summary, every, drawn["reliability"])), summary, drawn))
    return {
        "knows": _knows(summary, drawn["reliability"]) | _copies(summary, every),
        "changes": _changes(summary, drawn),
        "findings": list(_findings(summary, groups, judged, every["groups"])),
        "nearest": nearest(judged),
    }


def _knows(summary: dict[str, Any], reliability: Drawn) -> dict[str, Any]:
    credit = summary["credit"]
    auc = credit["leave_pair_out_auc"]
    p = None if auc is None else auc["p_value"]
    close = ["reliability"] if hangs(lambda low, _: _knowledge(low, p), reliability) else []
    # So near the limit another seed of the permutations may give the other code.
    close += ["leave_pair_out_auc"] if p is not None and abs(p - ALPHA) <= CLOSE else []
    numbers = {"reliability": credit["reliability"], "leave_pair_out_auc": auc}
    counts = {name: credit[name] for name in ("decisions", "decidable", "sure_decisions")}
    code = _knowledge(reliability.interval.low, p)
    return {"code": code, "close": bool(close), "close_by": close, **numbers, **counts}


def _knowledge(low: float | None, p: float | None) -> str:
    """Code by the low end of the reliability and the p of the order of unseen pairs; None for what is not known."""
    above, orders = low is not None and low > 0, p is not None and p <= ALPHA
    code = {(True, True): "steps", (True, False): "whole_texts", (False, True): "order_only"}.get((above, orders))
    return code or ("cannot_say" if low is None or p is None else "nothing")


def _copies(summary: dict[str, Any], sums: dict[str, int]) -> dict[str, Any]:
    """How many of the completions that the reliability is over are copies, and whether they are a part of it."""
    credit = summary["credit"]
    whole, once = credit["reliability"], credit["reliability_texts_once"]
    share = sums["copied"] / sums["mixed"] if sums["mixed"] else None
    copied = bool(share) and whole is not None
    if copied and once is not None:
        copied = share >= COPIES or abs(whole["mean"] - once["mean"]) >= CARRIED
    return {"reliability_texts_once": once, "copies": share, "copied": copied}


def _changes(summary: dict[str, Any], drawn: Mapping[str, Drawn]) -> dict[str, Any]:
    defects, power = summary["defects"], _power(summary["source"])
    names = (f"update_norm_{power}", f"update_cosine_{power}", "raised_share")
    norm, cosine, raised = (drawn[name].interval for name in names)
    code = _change(norm, cosine)
    known = code != "cannot_say"
    # One end at a time goes where another seed may put it: is the answer another one then?
    hang = (
        hangs(lambda low, high: _change(norm._replace(low=low, high=high), cosine), drawn[names[0]]),
        hangs(lambda low, high: _change(norm, cosine._replace(low=low, high=high)), drawn[names[1]]),
        known and hangs(_risk, drawn[names[2]]),
    )
    close = [name.removesuffix(f"_{power}") for name, one in zip(names, hang, strict=True) if one]
    risk = _risk(raised.low, raised.high) if known else None
    turns = {"degrees": _turn(cosine.mean), "degrees_low": _turn(cosine.high), "degrees_high": _turn(cosine.low)}
    numbers = {"power": float(power), "norm": defects["update_norm"][power], **turns}
    answer = {"code": code, "close": bool(close), "close_by": close, "risk": risk}
    return answer | numbers | {"raised_share": defects["raised_share"]}


def _change(norm: Interval, cosine: Interval) -> str:
    """Code by the means, behind `PERHAPS` where their ranges leave another open or there are none."""
    if norm.mean is None or cosine.mean is None:
        return "cannot_say"
    code = _update(norm.mean, cosine.mean)
    if norm.low is None or norm.high is None or cosine.low is None or cosine.high is None:
        return PERHAPS + code
    norms = (norm.low, norm.high, min(max(1.0, norm.low), norm.high))  # 1, the most alike, may lie between the ends
    every = {_update(one, other) for one in norms for other in (cosine.low, cosine.high)}
    return code if every == {code} else PERHAPS + code


def _update(norm: float, cosine: float) -> str:
    if (_turn(cosine) or 0.0) >= LITTLE_TURN:
        return "direction"
    return "next_to_nothing" if abs(norm - 1) < LITTLE_LENGTH else "length"


def _turn(cosine: float | None) -> float | None:
    """The angle in degrees; rounding may leave a cosine above 1, which has none."""
    return None if cosine is None else math.degrees(math.acos(min(1.0, cosine)))


def _power(source: dict[str, Any]) -> str:
    """The power of a run of λ-GRPO among those measured, else 1."""
    powers = {method.removeprefix("λ-GRPO, p = ") for method in source.get("methods", {}).values()}
    return "0.5" if powers == {"0.5"} else "1"


def _risk(low: float | None, high: float | None) -> str | None:
    """By the ends of the raised share."""
    if low is None or high is None:
        return None
    return "exploration" if low > 0.5 else "exploitation" if high < 0.5 else "even"


def _with_ranges(
    judged: Iterable[Judgement], summary: dict[str, Any], drawn: Mapping[str, Drawn]
) -> Iterator[Judgement]:
    """Each with the 95 % range of its number, null where there is none."""
    size = summary["logprobs"]["effective_sample_size"] or {}
    own = {"effective_sample_size": (size.get("low"), size.get("high"))}
    own |= {name: (one.interval.low, one.interval.high) for name, one in drawn.items()}
    own["low_reliability"] = own["reliability"]
    for one in judged:  # a second number of a code, such as copies_of_others, may have the range of the first
        low, high = own.get(measured(one)) or own.get(one.code, (None, None))
        yield one._replace(more={"low": low, "high": high, **one.more})


def _findings(
    summary: dict[str, Any], groups: Parts | pl.DataFrame, judged: list[Judgement], every: int
) -> Iterator[dict[str, Any]]:
    source = summary["source"]
    for code, value, found, more in judged:
        if not found:
            continue
        number, command = every, f"report {FOLDER}"
        if code in EXAMPLES:  # it shows the first of the groups that have most of it
            number, most = most_concerned(code, groups)
            command = f"tree {FOLDER} --group {quote(group_name(source, most))}"
        yield {"code": code, "value": value, **more, "groups": number, "command": f"grpo-prm {command}"}


def _sums(groups: Parts | pl.DataFrame) -> dict[str, int]:
    names, mixed = ("prompts_differ", "tool_output"), ~pl.col("zero_variance")
    of_mixed = {"copied": pl.col("duplicates").filter(mixed).sum(), "mixed": pl.col("k").filter(mixed).sum()}
    every = {name: pl.col(name).sum() for name in names} | {"groups": pl.col(names[0]).len()}
    return added_up(groups, every | of_mixed)


def _figures(summary: dict[str, Any], sums: dict[str, int], reliability: Drawn) -> Figures:
    counts, number = summary["counts"], sums["groups"]

    def mean(section: str, name: str) -> float | None:
        return None if (value := summary[section][name]) is None else value["mean"]

    return Figures(
        prompts_differ=sums["prompts_differ"] / number,
        tool_output=sums["tool_output"] / counts["completions"],
        effective_sample_size=mean("logprobs", "effective_sample_size"),
        logprob_spread=mean("prm", "logprob_spread"),
        phantom_advantage=mean("teaching", "phantom_advantage"),
        zero_variance=counts["groups_zero_variance"] / number,
        copies=counts["duplicates"] / counts["completions"],
        intermediate_proportion=mean("overlap", "intermediate_proportion"),
        baseline=mean("baseline", "intermediate_proportion"),
        reliability=reliability,
        k=counts["group_size"]["mode"],
        fronts_differ=counts.get("groups_fronts_differ", 0) / number,
        others=counts.get("ends_with_others", 0) / counts["completions"],
    )


def group_name(source: dict[str, Any], group: dict[str, Any]) -> str:
    """The name of a group as `tree --group` takes it: [RUN:]STEP:KEY, a dash for a step that was not logged."""
    step = "-" if group["step"] is None else group["step"]
    run = f"{group['run']}:" if len(source["runs"]) > 1 else ""
    return f"{run}{step}:{group['group_key']}"
