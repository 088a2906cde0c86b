"""The three answers in words: each code with its numbers, each finding with its reason, its source and its command."""

import re

import pytest

from grpo_prm.analysis.findings import CODES
from grpo_prm.analysis.findings import SENTENCES as WORDED
from grpo_prm.text.verdict import CHANGES, CLOSE, KNOWS, RISK, changes, findings, knows, no_finding, to_do

RELIABILITY = {"mean": 0.3512, "low": 0.2, "high": 0.5, "n": 40}
AUC = {"mean": 0.628, "low": 0.5, "high": 0.7, "null_mean": 0.501, "null_low": 0.458, "null_high": 0.544}
AUC |= {"p_value": 0.005}


def known(
    code="steps",
    reliability=RELIABILITY,
    auc=AUC,
    sure=7,
    decidable=94,
    close=False,
    problems=80,
    depth=1.5,
    *,
    decisions=300,
    copies=None,
    once=None,
    verdict=None,
):
    by = ["leave_pair_out_auc"] if close is True else close or []
    answer = {"code": code, "close_by": by, "reliability": reliability, "leave_pair_out_auc": auc}
    answer |= {"decisions": decisions, "decidable": decidable, "sure_decisions": sure}
    answer |= {"copied": copies is not None, "copies": copies, "reliability_texts_once": once}
    notes = {"reliability": "reason one", "leave_pair_out_auc": "reason two"}
    verdict = {"knows": answer, "findings": [], "nearest": None} | (verdict or {})
    return {"verdict": verdict, "notes": notes, "overlap": {"path_depth": {"n": problems, "mean": depth}}}


def changed(
    code="direction",
    risk=None,
    norm=(0.7412, 0.7, 0.78, 40),
    degrees=(26.76, 20.5, 30.0),
    power=1.0,
    raised=(0.74, 0.7, 0.78),
    source=None,
    close=(),
):
    raised = dict(zip(("mean", "low", "high"), raised, strict=True))
    norm = dict(zip(("mean", "low", "high", "n"), norm, strict=True))
    answer = {"code": code, "close_by": close, "risk": risk, "power": power, "norm": norm}
    answer |= dict(zip(("degrees", "degrees_low", "degrees_high"), degrees, strict=True))
    verdict, notes = {"changes": answer | {"raised_share": raised}}, {"update_norm": "reason three"}
    return {"verdict": verdict, "notes": notes, "source": source or {}}


def test_what_it_knows_has_its_three_numbers_each_in_a_sentence():
    assert knows(known()) == (
        "Are the step rewards more than luck?",
        "Yes, also on new completions.",
        (
            "A step: text that completions share. Its reward: their mean. [ ]: 95 % range.",
            "0.351 [0.2, 0.5] is their reliability (1: no luck; 0 or less: luck).",
            "62.8 % of the time they tell which of two unseen completions has more reward (luck alone: 50.1 % "
            "[45.8, 54.4], p = 0.005).",
            "7 of 94 decisions with enough texts (of 300) surely go with reward.",
        ),
    )
    assert knows(known()).text.startswith("Yes, also on new completions. A step: ")


@pytest.mark.parametrize("code", KNOWS)
def test_every_answer_of_what_it_knows_is_a_short_sentence(code):
    for close, words in ((False, KNOWS), (True, CLOSE)):
        answer = knows(known(code, close=close))
        assert answer.short.lower() == f"{words[code]}." and answer.short[0].isupper()
        assert len(f"{answer.question} {answer.short}") <= 80
    assert len(KNOWS) == len(set(KNOWS.values())) == 5


def test_what_is_missing_is_named_with_its_reason():
    bare = RELIABILITY | {"low": None, "high": None}
    step, reliability, *_ = knows(known(reliability=bare)).why
    assert step == "A step: text that completions share. Its reward: their mean. [ ]: 95 % range."  # that of luck
    assert reliability == (
        "0.351 is their reliability (1: no luck; 0 or less: luck); 40 problems can be used, an interval needs 20."
    )
    bare_few = knows(known(reliability=bare, problems=81)).why[1:3]
    assert bare_few == (
        "0.351 is their reliability (1: no luck; 0 or less: luck); an interval needs 20 problems.",
        "40 of 81 problems count, others say nothing: equal rewards or no shared step.",
    )
    assert "; 1 problem can be used, " in knows(known(reliability=bare | {"n": 1}, problems=2)).text
    full, of_few, *_ = knows(known(problems=81)).why[1:]
    assert full == "0.351 [0.2, 0.5] is their reliability (1: no luck; 0 or less: luck)."
    assert of_few == "40 of 81 problems count, others say nothing: equal rewards or no shared step."
    assert knows(known(reliability=None)).why[1] == "Their reliability is not known: reason one."
    assert knows(known(auc=None)).why[2] == "How they order unseen completions is not known: reason two."
    assert knows(known(reliability=None, auc=None)).why[1:] == (
        "Their reliability and the order of unseen completions are not known: reason one.",
        "7 of 94 decisions with enough texts (of 300) surely go with reward.",
    )
    flat = knows(known("cannot_say", reliability=None, auc=None, depth=0.0)).why[1]
    assert flat == "There is no such tree here: no text is shared by some completions of a group and not by its others."
    no_null = AUC | {"null_mean": None, "null_low": None, "null_high": None, "p_value": None}
    bracketless = knows(known(reliability=bare, auc=no_null)).why[0]
    assert bracketless == "A step: text that completions share. Its reward: their mean."  # nothing to explain
    assert "62.8 % of the time" in knows(known(auc=no_null)).why[2]
    assert knows(known(auc=no_null)).why[2].endswith("(luck alone: not known).")
    alike = knows(known(auc=AUC | {"null_low": 0.5, "null_high": 0.5})).why[2]
    assert alike == "How they order unseen completions cannot be told: luck alone gives 50 % as well."
    none = knows(known(sure=0, decidable=0)).why[3]
    assert none == "No decision (where completions part) has enough different texts to be sure."
    one = knows(known(sure=0, decidable=1)).why[3]
    assert one == "0 of 1 decision with enough texts (of 300) surely goes with reward."
    rest = "decisions with enough texts (of 300) surely go with reward."
    for code in ("steps", "whole_texts", "order_only"):  # below a yes it says why that is no contradiction
        assert knows(known(code, sure=0)).why[3] == f"0 of 94 single {rest}"
    assert {knows(known(code, sure=0)).why[3] for code in ("nothing", "cannot_say")} == {f"0 of 94 {rest}"}
    every = knows(known(sure=1, decidable=2000, decisions=2000)).why[3]
    assert every == "1 of 2,000 decisions with enough texts surely go with reward."


def test_what_copies_do_to_it_is_said_in_a_line_without_a_second_share_of_them():
    once = RELIABILITY | {"mean": 0.2163}
    with_copies = knows(known(copies=0.003, once=once)).why
    assert with_copies[1:3] == (
        "0.351 [0.2, 0.5] is their reliability (1: no luck; 0 or less: luck).",
        "Copies count here; each text once: 0.216, a low estimate.",
    )
    assert "0.3" not in with_copies[2] and "has more reward (luck alone: 50.1 %" in with_copies[3]
    assert knows(known(copies=0.401, once=once, problems=81)).why[1:4] == (
        "0.351 [0.2, 0.5] is their reliability (1: no luck; 0 or less: luck).",
        "40 of 81 problems count, others say nothing: equal rewards or no shared step.",
        "Copies count here; each text once: 0.216, a low estimate.",
    )
    above = knows(known(copies=0.5, once=once | {"mean": 0.36})).text
    assert "; each text once: 0.36. " in above
    assert "; each text once: nothing is left. " in knows(known(copies=0.5)).text
    assert not re.search("[Cc]opies", knows(known(once=once)).text)


def test_what_to_do_is_asked_on_a_condition_where_nobody_knows_that_it_is_a_training():
    assert to_do({"steps": {"count": 1}}) == "What to do?"
    assert to_do({"steps": {"count": 0}}) == "What to do if you train on it?"


@pytest.mark.parametrize(("code", "end"), list(CHANGES.items()))
def test_what_would_change(code, end):
    assert changes(changed(code)) == (
        "What would λ-GRPO change?",
        f"{end[0].upper()}{end[1:]}.",
        ("0.741 [0.7, 0.78] times GRPO's update norm, turned by 26.8° [20.5, 30].",),
    )
    assert "update norm with λ power p = 0.5, turned" in changes(changed(code, power=0.5)).text
    trained = changes(changed(code, source={"methods": {"a": "λ-GRPO, p = 1"}}))
    assert trained.question == "How far is λ-GRPO from GRPO?" and len(f"{trained.question} {trained.short}") <= 80


@pytest.mark.parametrize(("risk", "words"), list(RISK.items()))
def test_which_way_it_leans_unless_next_to_nothing_changes(risk, words):
    _, lean = changes(changed(risk=risk)).why
    assert lean == f"74 % [70, 78] of the weight it takes off shared steps is on steps that GRPO raises: {words}."
    for code in ("next_to_nothing", "perhaps_next_to_nothing"):
        assert "raises" not in changes(changed(code, risk=risk)).text


def test_a_change_that_cannot_be_told_has_its_reason():
    assert changes(changed("cannot_say")).text == "This log cannot say: reason three."


SENTENCES = {
    ("mixed_prompts", None, 3.0): (
        "3 groups mix prompts (they count): step rewards there compare completions of different prompts; group rows by "
        "prompt"
    ),
    ("mixed_prompts", "mixed_fronts", 3.0): (
        "3 groups mix prompts (they count): step rewards there compare completions of different prompts; the ids "
        "before them differ: trust none"
    ),
    ("unmasked_tool_output", None, 0.9033): "90.3 % of completions hold tool output that the log does not mask: mask it",  # noqa: E501
    ("unmasked_tool_output", "turns_of_others", 0.5): (
        "50 % of completions end, in the loss, with a turn that is not the model's: check the mask"
    ),
    ("sampler_gap", "effective_sample_size", 0.8): (
        "80 % effective sample size, sampler and trainer differ: sample afresh"
    ),
    ("sampler_gap", "logprob_spread", 0.25): (
        "0.25 nats between log-probabilities that should be equal: sync the weights"
    ),
    ("phantom_advantage", None, 0.12): "12 % of the advantage is in groups of equal outcomes: filter them",
    ("teaches_nothing", None, 0.333): "33.3 % of groups teach nothing (equal rewards): filter or resample",
    ("copies", None, 0.18): "18 % of completions are copies in their group: raise the temperature",
    ("copies", "copies_of_others", 0.18): "18 % of completions are copies in their group: check the mask",
    ("boilerplate", None, 0.532): "53.2 % as much overlap between prompts as within: mostly boilerplate",
    ("low_reliability", None, 0.35): "0.35 reliability: trust no single step; groups of 1,067 would bring 0.5",
}  # fmt: skip


@pytest.mark.parametrize(("code", "measure", "value"), list(SENTENCES))
def test_every_finding_has_number_reason_explanation_and_command(code, measure, value):
    one = {"code": code, "value": value, "groups": 3, "command": "grpo-prm tree DIR --group -:p1"}
    one |= ({"measure": measure} if measure else {}) | ({"k": 1067} if code == "low_reliability" else {})
    (said,) = findings({"verdict": {"findings": [one]}}, "'a b.prm'")
    assert said.sentence == SENTENCES[code, measure, value]
    assert said.command == "grpo-prm tree 'a b.prm' --group -:p1"
    assert said.explained == f"grpo-prm explain {code}"
    ranged = findings({"verdict": {"findings": [one | {"low": value / 2, "high": 2 * value}]}}, "x")[0].sentence
    unit, written = (1, f"{value:.3g}") if "{number}" in WORDED[measure or code] else (100, f"{100 * value:.3g} %")
    ends = f"[{unit * value / 2:.3g}, {2 * unit * value:.3g}]"
    assert ranged == (
        said.sentence if code == "mixed_prompts" else said.sentence.replace(written, f"{written} {ends}", 1)
    )
    if code == "mixed_prompts":
        rest = "the ids before them differ: trust none" if measure else "group rows by prompt"
        assert said.short == f"3 groups mix prompts (they count); {rest}"


def test_no_code_is_without_a_sentence_and_none_is_for_nothing():
    assert {code for code, *_ in SENTENCES} == {*CODES}
    assert {measure or code for code, measure, _ in SENTENCES} == {*WORDED}


def test_one_group_and_no_size_that_would_do():
    mixed = {"code": "mixed_prompts", "value": 1.0, "groups": 1, "command": "grpo-prm tree DIR"}
    low = {"code": "low_reliability", "value": -0.1, "groups": 9, "command": "grpo-prm report DIR", "k": None}
    one, other = findings({"verdict": {"findings": [mixed, low]}}, "x")
    assert one.sentence.startswith("1 group mixes prompts (it counts)")
    assert other.sentence == "-0.1 reliability: trust no step reward"
    assert findings({"verdict": {"findings": []}}, "x") == []


def test_a_group_called_like_the_placeholder_keeps_its_name():
    one = {"code": "copies", "value": 0.2, "groups": 1, "command": "grpo-prm tree DIR --group -:DIR"}
    (said,) = findings({"verdict": {"findings": [one]}}, "log.prm")
    assert said.command == "grpo-prm tree log.prm --group -:DIR"


@pytest.mark.parametrize(
    ("problems", "sentence"),
    [
        (20, "No finding. "),
        (19, "No finding, but 19 problems can show only gross faults. "),
        (1, "No finding, but 1 problem can show only gross faults. "),
    ],
)
def test_few_problems_are_no_reason_not_to_worry(problems, sentence):
    summary = {"overlap": {"path_depth": {"n": problems}}, "verdict": {"nearest": None}}
    assert no_finding(summary) == f"{sentence}Nothing that is checked is half way to being one."
    summary["verdict"]["nearest"] = {"code": "teaches_nothing", "value": 0.25, "limit": 0.3}
    near = "Nearest: 25 % of groups teach nothing (equal rewards); from 30 % on it is one."
    assert no_finding(summary) == f"{sentence}{near}"


@pytest.mark.parametrize(("mean", "said"), [(-1.18, "-1.18"), (-1e-17, "0"), (4e-4, "0"), (0.0006, "0.0006")])
def test_a_reliability_of_nothing_is_no_share_and_contradicts_nothing(mean, said):
    reliability = RELIABILITY | {"mean": mean, "low": -3.0, "high": 0.2}
    why = knows(known("nothing", reliability=reliability)).why
    assert why[1] == f"{said} [-3, 0.2] is their reliability (1: no luck; 0 or less: luck)."


def test_a_close_call_is_said():
    close = knows(known(close=True)).why[2]
    assert close.endswith(", p = 0.005: close, another seed may differ).")
    assert "close" not in knows(known()).text


@pytest.mark.parametrize(
    ("code", "close", "short"),
    [
        ("steps", ["reliability"], "Perhaps, since they order new completions."),
        ("order_only", ["reliability"], "Perhaps, since they order new completions."),
        ("whole_texts", ["reliability"], "Close for seen texts, not shown for unseen."),
        ("nothing", ["reliability"], "Close for seen texts, not shown for unseen."),
        ("steps", ["reliability", "leave_pair_out_auc"], "Perhaps, and it is close."),
    ],
)
def test_a_reliability_near_its_limit_is_said_and_nothing_is_claimed_by_it(code, close, short):
    answer = knows(known(code, close=close))
    assert answer.short == short and len(f"{answer.question} {answer.short}") <= 80
    assert answer.why[1].endswith("luck); its low end is close to 0: another seed may differ.")
    assert answer.why[2].endswith(": close, another seed may differ).") == (len(close) == 2)


def test_a_reliability_that_is_nearly_low_is_said_beside_findings_or_as_what_is_nearest_to_one():
    near = {"code": "low_reliability", "value": 0.33, "low": 0.1, "high": 0.51, "limit": 0.5, "close": True, "k": 17}
    other = {"code": "copies", "value": 0.2, "groups": 1, "command": "grpo-prm tree DIR"}
    said = "; its high end is close to 0.5: another seed may call it low."
    assert knows(known(verdict={"findings": [other], "nearest": near})).why[1].endswith(said)
    both = knows(known(close=["reliability"], verdict={"findings": [other], "nearest": near})).why[1]
    assert both.endswith("luck); its ends are close to 0 and 0.5: another seed may differ.")
    alone = known(verdict={"findings": [], "nearest": near})
    assert knows(alone).why[1].endswith("luck).")
    assert no_finding(alone) == (
        "No finding. Nearest: 0.33 [0.1, 0.51] reliability (close, another seed may differ); with its high end below "
        "0.5 it is one."
    )


def test_a_change_without_a_range_says_so_and_one_that_hangs_on_a_seed_is_not_claimed():
    few = changes(changed("perhaps_direction", norm=(0.741, None, None, 2), degrees=(26.76, None, None)))
    assert few[1:] == (
        "Perhaps another direction, not only another rate.",
        ("0.741 times GRPO's update norm, turned by 26.8°; from 2 problems, too few for a range.",),
    )
    near = changes(changed("length", close=["update_cosine"]))
    assert near.short == "Perhaps only another norm, another learning rate."
    assert near.why[0].endswith(" turned by 26.8° [20.5, 30]: close, another seed may differ.")
    leans = changes(changed("length", "exploration", close=["raised_share"]))
    assert leans.short == "Another norm, which is another learning rate."
    assert leans.why[1].endswith(": it leans to exploration; close, another seed may differ.")
    even = changes(changed("length", "even", close=["raised_share"])).why[1]
    assert even.endswith(": it leans neither way; close, another seed may differ.")
