"""What the ranges decide: answers that they leave open, and those that hang on the seed of the resamples."""

from __future__ import annotations

import math

import pytest
from analysis.made_summary import GROUPS, interval, known, summary, verdict

from grpo_prm.analysis.findings import near_miss, sentence

RELIABILITY = interval(0.33, 0.1, 0.498)
NEARLY = interval(0.33, 0.1, 0.51)


def changes(*, norm=(0.7, 0.6, 0.8), turn=(30.0, 20.0, 40.0), more=None, raised=(0.7, 0.6, 0.8)):
    """Of a change with its ranges, the turn in degrees."""
    mean, low, high = (math.cos(math.radians(angle)) for angle in turn)
    made = summary(
        defects__update_norm={"1": interval(*norm)},
        defects__update_cosine={"1": interval(mean, high, low)},
        defects__raised_share=interval(*raised),
    )
    return verdict(made, GROUPS, more)["changes"]


@pytest.mark.parametrize(
    ("norm", "turn", "code"),
    [
        ((0.7, 0.6, 0.8), (30.0, 10.1, 40.0), "direction"),
        ((0.7, 0.6, 0.8), (30.0, 9.9, 40.0), "perhaps_direction"),
        ((1.0, 1.0, 1.0), (9.0, 8.0, 10.1), "perhaps_next_to_nothing"),
        ((0.7, 0.6, 0.8), (9.0, 8.0, 10.1), "perhaps_length"),
        ((0.7, 0.6, 0.949), (9.0, 8.0, 9.9), "length"),
        ((0.7, 0.6, 0.951), (9.0, 8.0, 9.9), "perhaps_length"),
        ((0.97, 0.951, 1.049), (9.0, 8.0, 9.9), "next_to_nothing"),
        ((0.97, 0.949, 1.0), (9.0, 8.0, 9.9), "perhaps_next_to_nothing"),
        ((0.94, 0.9, 1.1), (9.0, 8.0, 9.9), "perhaps_length"),  # both ends are far from 1, and 1 is between them
    ],
)
def test_an_answer_that_the_ranges_leave_open_is_perhaps(norm, turn, code):
    found = changes(norm=norm, turn=turn)
    assert (found["code"], found["close"]) == (code, False)
    ends = (found["degrees"], found["degrees_low"], found["degrees_high"])
    assert ends == pytest.approx(turn, abs=1e-6)


@pytest.mark.parametrize(
    ("between", "close"), [((0.948, 0.9499), []), ((0.948, 0.9501), ["update_norm"]), ((0.6, 0.7), [])]
)
def test_a_change_is_close_where_another_seed_may_put_the_end_beyond_the_limit(between, close):
    norm, turn = (0.7, 0.6, 0.949), (9.0, 8.0, 9.9)
    more = {"update_norm_1": known(interval(*norm), high=between)}
    found = changes(norm=norm, turn=turn, more=more)
    assert (found["code"], found["close"], found["close_by"]) == ("length", bool(close), close)
    cosine = [math.cos(math.radians(angle)) for angle in (9.0, 10.1, 9.0)]
    more = {"update_cosine_1": known(interval(cosine[0], *cosine[1:]), low=tuple(cosine[1:]))}
    assert changes(norm=norm, turn=(9.0, 9.0, 10.1), more=more)["close_by"] == ["update_cosine"]


@pytest.mark.parametrize(
    ("raised", "end", "between", "risk", "close"),
    [
        ((0.7, 0.51, 0.8), "low", (0.501, 0.52), "exploration", False),
        ((0.7, 0.51, 0.8), "low", (0.5, 0.52), "exploration", True),
        ((0.7, 0.49, 0.8), "low", (0.48, 0.501), "even", True),
        ((0.3, 0.2, 0.49), "high", (0.48, 0.5), "exploitation", True),
        ((0.3, 0.2, 0.49), "high", (0.48, 0.499), "exploitation", False),
    ],
)
def test_where_it_leans_may_be_close(raised, end, between, risk, close):
    more = {"raised_share": known(interval(*raised), **{end: between})}
    found = changes(raised=raised, more=more)
    assert (found["risk"], found["close_by"]) == (risk, ["raised_share"] * close)


@pytest.mark.parametrize(
    ("low", "between", "p", "code", "close"),
    [
        (0.01, (-0.01, 0.02), 0.005, "steps", ["reliability"]),
        (0.01, (0.001, 0.02), 0.005, "steps", []),
        (-0.01, (-0.02, 0.001), 0.5, "nothing", ["reliability"]),
        (0.01, (0.0, 0.02), 0.04, "steps", ["reliability", "leave_pair_out_auc"]),
        (-0.01, (-0.02, 0.001), None, "cannot_say", ["reliability"]),
    ],
)
def test_what_it_knows_may_hang_on_the_low_end_of_the_reliability(low, between, p, code, close):
    reliability = interval(0.3, low, 0.9)
    order = interval(0.6) | {"null_low": 0.4, "null_high": 0.5, "p_value": p}
    made = summary(credit__reliability=reliability, credit__leave_pair_out_auc=order)
    knows = verdict(made, GROUPS, {"reliability": known(reliability, low=between)})["knows"]
    assert (knows["code"], knows["close"], knows["close_by"]) == (code, bool(close), close)


@pytest.mark.parametrize(("between", "close"), [((0.49, 0.4999), False), ((0.49, 0.5), True)])
def test_a_low_reliability_that_another_seed_may_not_call_low_is_close(between, close):
    made = summary(credit__reliability=RELIABILITY)
    (one,) = verdict(made, GROUPS, {"reliability": known(RELIABILITY, high=between)})["findings"]
    assert (one["code"], one["close"], one["low"], one["high"]) == ("low_reliability", close, 0.1, 0.498)
    said = " (close, another seed may differ)" if close else ""
    assert sentence(one) == f"0.33 [0.1, 0.498] reliability{said}: trust no single step; groups of 17 would bring 0.5"


def test_one_that_just_misses_is_what_is_nearest_to_a_finding():
    made = summary(credit__reliability=NEARLY, counts__groups_zero_variance=1)
    for between, code in (((0.49, 0.52), "low_reliability"), ((0.501, 0.52), "teaches_nothing")):
        found = verdict(made, GROUPS, {"reliability": known(NEARLY, high=between)})
        assert found["findings"] == [] and found["nearest"]["code"] == code
    near = verdict(made, GROUPS, {"reliability": known(NEARLY, high=(0.49, 0.52))})["nearest"]
    assert near == {
        "code": "low_reliability", "value": 0.33, "limit": 0.5, "low": 0.1, "high": 0.51, "close": True, "k": 17,
    }  # fmt: skip
    assert near_miss(near) == (
        "0.33 [0.1, 0.51] reliability (close, another seed may differ); with its high end below 0.5 it is one"
    )


def test_a_finding_has_the_range_of_its_number_and_changes_nothing_in_what_is_one():
    made = summary(
        counts__groups_zero_variance=2, logprobs__effective_sample_size=interval(0.85, 0.8, 0.93),
        baseline__intermediate_proportion=interval(0.4),
    )  # fmt: skip
    more = {"teaches_nothing": known(interval(0.5, 0.2, 0.8)), "boilerplate": known(interval(1.0, 0.45, 1.3))}
    groups = GROUPS.with_columns(zero_variance=GROUPS["step"] == 0)
    plain, ranged = (verdict(made, groups, one)["findings"] for one in ({}, more))
    assert [one["code"] for one in ranged] == ["sampler_gap", "teaches_nothing", "boilerplate"]
    assert [(one["low"], one["high"]) for one in ranged] == [(0.8, 0.93), (0.2, 0.8), (0.45, 1.3)]
    assert [one | {"low": None, "high": None} for one in ranged[1:]] == plain[1:]
    assert [sentence(one).partition(" %")[2][:14] for one in ranged] == [
        " [80, 93] effe",
        " [20, 80] of g",
        " [45, 130] as ",
    ]
