"""The rules of the verdict at their limits (definitions: The verdict), on summaries made for it."""

from __future__ import annotations

import math

import polars as pl
import pytest
from analysis.made_summary import GROUPS, interval, summary, verdict

from grpo_prm.analysis.findings import CODES, EXAMPLES
from grpo_prm.analysis.verdict import group_name


def found(groups=GROUPS, **changes):
    return verdict(summary(**changes), groups)["findings"]


def auc(p):
    return None if p == "missing" else interval(0.6) | {"null_low": 0.4, "null_high": 0.5, "p_value": p}


@pytest.mark.parametrize(
    ("low", "p", "code"),
    [
        (0.001, 0.05, "steps"),
        (0.001, 0.055, "whole_texts"),
        (0.001, None, "whole_texts"),
        (0.001, "missing", "whole_texts"),
        (0.0, 0.05, "order_only"),
        (None, 0.05, "order_only"),
        (0.0, 0.055, "nothing"),
        (-0.5, 1.0, "nothing"),
        (None, 0.055, "cannot_say"),  # fewer than 20 problems
        (-0.5, None, "cannot_say"),
        (-0.5, "missing", "cannot_say"),
        ("missing", 0.5, "cannot_say"),
        ("missing", "missing", "cannot_say"),
    ],
)
def test_what_the_hidden_prm_knows(low, p, code):
    reliability = None if low == "missing" else interval(0.3, low, None if low is None else 0.9)
    knows = verdict(summary(credit__reliability=reliability, credit__leave_pair_out_auc=auc(p)), GROUPS)["knows"]
    assert knows["code"] == code
    close = p in (0.05, 0.055)
    assert (knows["close"], knows["close_by"]) == (close, ["leave_pair_out_auc"] * close)
    assert (knows["reliability"], knows["leave_pair_out_auc"]) == (reliability, auc(p))
    assert (knows["decisions"], knows["decidable"], knows["sure_decisions"]) == (9, 3, 1)


@pytest.mark.parametrize(
    ("duplicates", "whole", "once", "share", "copied"),
    [
        ((0, 0, 0, 0), 0.6, 0.6, 0.0, False),
        ((2, 0, 0, 8), 0.6, 0.5499, 2 / 24, True),  # the last group teaches nothing and is in no reliability
        ((2, 0, 0, 8), 0.6, 0.5501, 2 / 24, False),
        ((2, 0, 0, 0), 0.5, 0.55, 2 / 24, True),
        ((3, 0, 0, 0), 0.6, 0.6, 3 / 24, True),  # a tenth
        ((1, 0, 0, 0), 0.6, None, 1 / 24, True),
        ((0, 0, 0, 8), None, None, 0.0, False),
        ((3, 0, 0, 0), None, None, 3 / 24, False),
    ],
)
def test_copies_are_a_part_of_the_reliability(duplicates, whole, once, share, copied):
    values = {
        f"credit__reliability{end}": mean and interval(mean, 0.1, 0.9)
        for end, mean in (("", whole), ("_texts_once", once))
    }
    groups = GROUPS.with_columns(duplicates=pl.Series(duplicates), zero_variance=pl.Series([False] * 3 + [True]))
    knows = verdict(summary(**values), groups)["knows"]
    assert (knows["copies"], knows["copied"]) == (pytest.approx(share), copied)
    assert knows["reliability_texts_once"] == values["credit__reliability_texts_once"]


def test_without_a_finding_the_number_that_is_nearest_to_its_limit_is_named():
    def near(**changes):
        groups = GROUPS.with_columns(duplicates=pl.Series([1, 0, 0, 0]))  # a finding has a group
        return verdict(summary(**changes), groups)["nearest"]

    none = {"low": None, "high": None}
    assert near(baseline__intermediate_proportion=interval(0.0999)) is None
    assert near() == {"code": "boilerplate", "value": 0.25, "limit": 0.5, **none}  # half of the way
    assert near(counts__groups_zero_variance=1) == {"code": "teaches_nothing", "value": 0.25, "limit": 0.3, **none}
    far = {"logprobs__effective_sample_size": interval(0.92), "counts__duplicates": 6}
    assert near(**far) == {
        "code": "sampler_gap", "value": 0.92, "limit": 0.9, "measure": "effective_sample_size", **none,
    }  # fmt: skip
    assert near(**far | {"counts__duplicates": 9})["code"] == "copies"
    assert near(**far | {"counts__duplicates": 10})["code"] == "sampler_gap"  # what is a finding is not near to one


@pytest.mark.parametrize(
    ("norm", "degrees", "code"),
    [
        (1.0, 0.0, "next_to_nothing"),
        (1.049, 9.9, "next_to_nothing"),
        (0.951, 9.9, "next_to_nothing"),
        (1.051, 9.9, "length"),
        (0.949, 9.9, "length"),
        (1.0, 10.1, "direction"),
        (0.5, 60.0, "direction"),
    ],
)
def test_what_the_weights_would_change(norm, degrees, code):
    cosine = math.cos(math.radians(degrees))
    for ends, expected in ((2, code), (0, f"perhaps_{code}")):  # without a range it is not sure
        of_norm, of_cosine = interval(norm, *[norm] * ends), interval(cosine, *[cosine] * ends)
        made = summary(defects__update_norm={"1": of_norm}, defects__update_cosine={"1": of_cosine})
        changes = verdict(made, GROUPS)["changes"]
        assert changes["code"] == expected and changes["degrees"] == pytest.approx(degrees, abs=1e-6)
        turned = changes["degrees"] if ends else None
        assert (changes["degrees_low"], changes["degrees_high"]) == (turned, turned)
        assert (changes["norm"], changes["power"], changes["close_by"]) == (of_norm, 1.0, [])


def test_a_cosine_above_1_is_no_turn_and_without_an_update_there_is_no_answer():
    one = {"1": interval(1.0)}
    above = summary(defects__update_norm=one, defects__update_cosine={"1": interval(1 + 1e-15)})
    assert verdict(above, GROUPS)["changes"]["degrees"] == 0.0
    none = summary(defects__update_norm={"1": None}, defects__update_cosine={"1": None})
    answer = verdict(none, GROUPS)["changes"]
    assert (answer["code"], answer["degrees"], answer["risk"]) == ("cannot_say", None, None)


def test_a_run_of_another_power_is_asked_about_its_own():
    made = summary()
    for methods, power in (({"a": "λ-GRPO, p = 0.5"}, 0.5), ({"a": "λ-GRPO, p = 1"}, 1.0), ({"a": "GRPO"}, 1.0)):
        made["source"]["methods"] = methods
        changes = verdict(made, GROUPS)["changes"]
        assert changes["power"] == power and changes["norm"]["mean"] == (0.8 if power == 0.5 else 0.7)


@pytest.mark.parametrize(
    ("low", "high", "risk"),
    [
        (0.501, 0.7, "exploration"),
        (0.5, 0.7, "even"),
        (0.3, 0.5, "even"),
        (0.3, 0.499, "exploitation"),
        (None, None, None),
    ],
)
def test_the_direction_of_risk(low, high, risk):
    assert verdict(summary(defects__raised_share=interval(0.5, low, high)), GROUPS)["changes"]["risk"] == risk


def test_nothing_to_worry_about():
    assert found() == []


@pytest.mark.parametrize(
    ("code", "column", "most", "changes", "value"),
    [
        ("mixed_prompts", "prompts_differ", True, {}, 0.25),
        ("unmasked_tool_output", "tool_output", 5, {}, 0.05),
        ("phantom_advantage", "phantom_advantage", 2.5, {"teaching__phantom_advantage": interval(0.1)}, 0.1),
        ("teaches_nothing", "zero_variance", True, {"counts__groups_zero_variance": 2}, 0.5),
        ("copies", "duplicates", 10, {}, 0.1),
    ],
)
def test_a_finding_about_groups_names_them_and_shows_the_one_that_has_most(code, column, most, changes, value):
    """One group has it, and its key needs quotes in a shell."""
    kind = GROUPS[column].dtype
    groups = GROUPS.with_columns(
        pl.when(pl.col("group_key") == "r s").then(pl.lit(most, kind)).otherwise(pl.col(column)).alias(column)
    )
    made = summary(**changes)
    made["counts"] |= {"duplicates": 10} if code == "copies" else {}
    (one,) = verdict(made, groups)["findings"]
    command = "grpo-prm tree DIR --group '7:r s'"
    assert one == {
        "code": code,
        "value": pytest.approx(value),
        "groups": 1,
        "command": command,
        "low": None,
        "high": None,
    }
    assert EXAMPLES[code] == column


def test_the_group_that_has_most_is_shown_and_the_first_of_equals():
    made = summary(counts__duplicates=30)
    (one,) = verdict(made, GROUPS.with_columns(duplicates=pl.Series([1, 7, 0, 7])))["findings"]
    assert (one["groups"], one["command"]) == (3, "grpo-prm tree DIR --group 0:q")


SIZE, SPREAD, PHANTOM = "logprobs__effective_sample_size", "prm__logprob_spread", "teaching__phantom_advantage"
OTHER, RELIABILITY = "baseline__intermediate_proportion", "credit__reliability"


@pytest.mark.parametrize(
    ("code", "below", "at"),
    [
        ("unmasked_tool_output", {"tool": 4}, {"tool": 5}),
        ("sampler_gap", {SIZE: interval(0.9)}, {SIZE: interval(0.899)}),
        ("sampler_gap", {SPREAD: {"mean": 0.099, "max": 9}}, {SPREAD: {"mean": 0.1, "max": 9}}),
        ("phantom_advantage", {PHANTOM: interval(0.099)}, {PHANTOM: interval(0.1)}),
        ("teaches_nothing", {"zero": 1}, {"zero": 2}),
        ("copies", {"copies": 9}, {"copies": 10}),
        ("boilerplate", {OTHER: interval(0.199)}, {OTHER: interval(0.2)}),
        ("low_reliability", {RELIABILITY: interval(0.4, 0.1, 0.5)}, {RELIABILITY: interval(0.4, 0.1, 0.499)}),
    ],
)
def test_limits(code, below, at):
    for changes, expected in ((below, []), (at, [code])):
        changes = dict(changes)
        tool, zero, copies = changes.pop("tool", 0), changes.pop("zero", 0), changes.pop("copies", 0)
        groups = GROUPS.with_columns(
            tool_output=pl.Series([tool, 0, 0, 0]),
            zero_variance=pl.Series([n < zero for n in range(4)]),
            duplicates=pl.Series([copies, 0, 0, 0]),
            phantom_advantage=pl.Series([1.0, 0.0, 0.0, 0.0]),
        )
        made = summary(**changes)
        made["counts"] |= {"groups_zero_variance": zero, "duplicates": copies}
        assert [one["code"] for one in verdict(made, groups)["findings"]] == expected


def test_sampler_and_trainer_may_be_apart_by_either_number():
    spread = {"mean": 5.0, "max": 9.0}
    (one,) = found(prm__logprob_spread=spread, logprobs__effective_sample_size=interval(0.95))
    assert one["measure"] == "logprob_spread"
    (one,) = found(prm__logprob_spread=spread, logprobs__effective_sample_size=interval(0.5))
    assert (one["measure"], one["value"], one["command"]) == ("effective_sample_size", 0.5, "grpo-prm report DIR")
    (one,) = found(prm__logprob_spread=spread)
    assert (one["measure"], one["value"], one["groups"]) == ("logprob_spread", 5.0, 4)


@pytest.mark.parametrize(("r", "k"), [(0.25, 24), (0.31, 18), (0.31, None), (-0.2, None)])
def test_a_low_reliability_names_the_k_at_which_the_same_steps_would_reach_a_half(r, k):
    (one,) = found(credit__reliability=interval(r, 0.01 if k else 0.0, 0.45))
    assert (one["code"], one["value"], one["k"]) == ("low_reliability", r, k)
    if k is not None:  # noise falls as 1/k: r k' / (r k' + (1 - r) k) is a half there, and below it one k earlier
        at = [r * n / (r * n + (1 - r) * 8) for n in (k - 1, k)]
        assert at[0] < 0.5 <= at[1] + 1e-12


def test_what_is_missing_is_no_finding_and_no_overlap_is_no_boilerplate():
    assert found(credit__reliability=None, prm__logprob_spread=None, baseline__intermediate_proportion=None) == []
    assert found(credit__reliability=interval(0.1)) == []  # without an interval
    assert found(overlap__intermediate_proportion=interval(0.0), baseline__intermediate_proportion=interval(0.0)) == []


def test_all_findings_stand_in_the_order_of_the_codes():
    groups = GROUPS.with_columns(
        prompts_differ=pl.lit(True), tool_output=pl.lit(9), zero_variance=pl.lit(True), duplicates=pl.lit(9),
        phantom_advantage=pl.lit(1.0),
    )  # fmt: skip
    made = summary(
        logprobs__effective_sample_size=interval(0.1), teaching__phantom_advantage=interval(0.9),
        baseline__intermediate_proportion=interval(0.4), credit__reliability=interval(0.1, 0.0, 0.2),
    )  # fmt: skip
    made["counts"] |= {"groups_zero_variance": 4, "duplicates": 36}
    assert tuple(one["code"] for one in verdict(made, groups)["findings"]) == CODES


def test_names_of_groups():
    group = {"run": "b", "step": None, "group_key": "p"}
    assert group_name({"runs": ["b"]}, group) == "-:p"
    assert group_name({"runs": ["a", "b"]}, group | {"step": 3}) == "b:3:p"
