"""The three answers in words: each code with its numbers, each finding with its reason, its source and its command."""

import pytest

from grpo_prm.analysis.findings import CODES
from grpo_prm.analysis.findings import SENTENCES as WORDED
from grpo_prm.text.verdict import CHANGES, KNOWS, RISK, changes, findings, knows, no_finding

RELIABILITY = {"mean": 0.3512, "low": 0.2, "high": 0.5, "n": 40}
AUC = {"mean": 0.628, "low": 0.5, "high": 0.7, "null_low": 0.458, "null_high": 0.544, "p_value": 0.005}


def known(code="steps", reliability=RELIABILITY, auc=AUC, sure=7, decidable=94, close=False):
    answer = {"code": code, "close": close, "reliability": reliability, "leave_pair_out_auc": auc}
    answer |= {"decisions": 300, "decidable": decidable, "sure_decisions": sure}
    return {"verdict": {"knows": answer}, "notes": {"reliability": "reason one", "leave_pair_out_auc": "reason two"}}


def changed(code="direction", risk=None, norm=0.7412, degrees=26.76, power=1.0, raised=(0.74, 0.7, 0.78)):
    raised = dict(zip(("mean", "low", "high"), raised, strict=True))
    answer = {"code": code, "risk": risk, "power": power, "norm": {"mean": norm}, "degrees": degrees}
    return {"verdict": {"changes": answer | {"raised_share": raised}}, "notes": {"update_norm": "reason three"}}


def test_what_it_knows_has_its_three_numbers_and_then_the_answer():
    assert knows(known()) == (
        "0.351 [0.2, 0.5] of the spread of the hidden step rewards is signal, not luck; 62.8 % of unseen pairs are in "
        "the right order (chance: 45.8 to 54.4 %, p = 0.005); 7 of 94 decisions are sure: on average they know "
        "which steps are good, also for new completions."
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("steps", "also for new completions"),
        ("whole_texts", "which whole texts are good, with no sign of more"),
        ("order_only", "they order new completions, but how much of them is luck is open"),
        ("nothing", "no sign that they know anything"),
        ("cannot_say", "this log cannot say"),
    ],
)
def test_every_answer_of_what_it_knows(code, words):
    assert words in knows(known(code)) and knows(known(code)).endswith(".")
    assert len(KNOWS) == 5


def test_what_is_missing_is_named_with_its_reason():
    bare = RELIABILITY | {"low": None, "high": None}
    assert knows(known(reliability=bare)).startswith(
        "0.351 (40 problems with such steps: 20 give an interval) of the spread"
    )
    assert knows(known(reliability=None)).startswith("reliability of the hidden step rewards: not known (reason one);")
    assert "order of unseen pairs: not known (reason two);" in knows(known(auc=None))
    both = knows(known(reliability=None, auc=None))
    assert both.startswith("reliability and order of unseen pairs: not known (reason one); 7 of 94")
    no_null = AUC | {"null_low": None, "null_high": None, "p_value": None}
    assert "62.8 % of unseen pairs are in the right order (chance not known);" in knows(known(auc=no_null))
    assert "; no decision has enough completions to be sure: " in knows(known(sure=0, decidable=0))
    assert "; 0 of 1 decision is sure: " in knows(known(sure=0, decidable=1))
    assert "; 1 of 2,000 decisions are sure: " in knows(known(sure=1, decidable=2000))


@pytest.mark.parametrize(("code", "end"), list(CHANGES.items()))
def test_what_would_change(code, end):
    assert changes(changed(code)) == (
        f"0.741 of GRPO's update norm, update cosine 0.893 (26.8 degrees; λ power 1): {end}."
    )
    assert "; λ power 0.5)" in changes(changed(code, power=0.5))


@pytest.mark.parametrize(("risk", "words"), list(RISK.items()))
def test_which_way_it_leans_unless_next_to_nothing_changes(risk, words):
    said = changes(changed(risk=risk))
    assert said.endswith(f". 74 % [70, 78] of the weight it takes off was on raised steps: {words}.")
    assert "raised" not in changes(changed("next_to_nothing", risk=risk))


def test_a_change_that_cannot_be_told_has_its_reason():
    assert changes(changed("cannot_say")) == "No answer: reason three."


SENTENCES = {
    ("mixed_prompts", None, 3.0): "3 groups mix several prompts: group rows by prompt",
    ("unmasked_tool_output", None, 0.9033): "90.3 % of completions hold unmasked tool output: mask it",
    ("sampler_gap", "effective_sample_size", 0.8): (
        "80 % effective sample size, sampler and trainer differ: sample afresh"
    ),
    ("sampler_gap", "logprob_spread", 0.25): (
        "0.25 nats apart on one prefix and token: several policies, or dropout"
    ),
    ("phantom_advantage", None, 0.12): "12 % of the advantage lies in groups of one outcome: filter groups",
    ("teaches_nothing", None, 0.333): "33.3 % of groups teach nothing (equal rewards): filter or resample",
    ("copies", None, 0.18): "18 % of completions are copies in their group: raise the temperature",
    ("boilerplate", None, 0.532): "53.2 % as much overlap between prompts as within: partly boilerplate",
    ("low_reliability", None, 0.35): "0.35 is too unreliable for credit by step: 0.5 takes groups of 1,067",
}  # fmt: skip


@pytest.mark.parametrize(("code", "measure", "value"), list(SENTENCES))
def test_every_finding_has_number_reason_source_and_command(code, measure, value):
    one = {"code": code, "value": value, "groups": 3, "command": "grpo-prm tree DIR --group -:p1"}
    one |= ({"measure": measure} if measure else {}) | ({"k": 1067} if code == "low_reliability" else {})
    (said,) = findings({"verdict": {"findings": [one]}}, "'a b.prm'")
    assert said.sentence == SENTENCES[code, measure, value]
    assert said.command == "grpo-prm tree 'a b.prm' --group -:p1"
    assert said.source.startswith(("arXiv ", "docs/"))


def test_no_code_is_without_a_sentence_and_none_is_for_nothing():
    assert {code for code, *_ in SENTENCES} == {*CODES}
    assert {measure or code for code, measure, _ in SENTENCES} == {*WORDED}


def test_one_group_and_no_size_that_would_do():
    mixed = {"code": "mixed_prompts", "value": 1.0, "groups": 1, "command": "grpo-prm tree DIR"}
    low = {"code": "low_reliability", "value": -0.1, "groups": 9, "command": "grpo-prm report DIR", "k": None}
    one, other = findings({"verdict": {"findings": [mixed, low]}}, "x")
    assert one.sentence.startswith("1 group mixes several prompts")
    assert other.sentence == "-0.1 is too unreliable for credit by step: unknown what size would do"
    assert findings({"verdict": {"findings": []}}, "x") == []


def test_a_group_called_like_the_placeholder_keeps_its_name():
    one = {"code": "copies", "value": 0.2, "groups": 1, "command": "grpo-prm tree DIR --group -:DIR"}
    (said,) = findings({"verdict": {"findings": [one]}}, "log.prm")
    assert said.command == "grpo-prm tree log.prm --group -:DIR"


@pytest.mark.parametrize(
    ("problems", "sentence"),
    [
        (20, "Nothing to worry about."),
        (19, "No finding, but 19 problems can show only gross faults."),
        (1, "No finding, but 1 problem can show only gross faults."),
    ],
)
def test_few_problems_are_no_reason_not_to_worry(problems, sentence):
    assert no_finding({"overlap": {"path_depth": {"n": problems}}}) == sentence


def test_a_reliability_of_nothing_is_no_negative_share_and_a_close_call_is_said():
    below = RELIABILITY | {"mean": -1.18, "low": -3.0, "high": 0.2}
    assert knows(known("nothing", reliability=below)).startswith(
        "-1.18 [-3, 0.2], so nothing, of the spread of the hidden step rewards is signal; 62.8 %"
    )
    assert knows(known(close=True)).endswith("new completions (close: p near .05).")
    assert "close" not in knows(known())
