"""What is judged: limits from both sides, also where there is no finding, and nothing that is not known."""

import pytest

from grpo_prm.analysis.findings import CODES, Figures, checked, judge, near_miss, sentence
from grpo_prm.core.interval import Drawn, Interval
from grpo_prm.errors import UsageError

GOOD = Figures(
    prompts_differ=0.0, tool_output=0.0, effective_sample_size=None, logprob_spread=None, phantom_advantage=None,
    zero_variance=0.0, copies=0.0, intermediate_proportion=0.5, baseline=None, reliability=None, k=8,
)  # fmt: skip


def judged(**changes):
    return {one.code: one for one in judge(GOOD._replace(**changes))}


def test_what_is_not_known_is_not_judged():
    assert [*judged()] == ["mixed_prompts", "unmasked_tool_output", "teaches_nothing", "copies"]
    assert not any(one.found for one in judged().values())
    few = Drawn(Interval(0.1, None, None, 3))
    assert "low_reliability" not in judged(reliability=few)
    assert "boilerplate" not in judged(baseline=0.4, intermediate_proportion=0.0)
    assert "boilerplate" not in judged(baseline=0.4, intermediate_proportion=None)


def test_all_that_is_known_is_judged_with_its_number():
    every = judged(
        prompts_differ=0.25, tool_output=0.01, effective_sample_size=0.95, logprob_spread=0.01, phantom_advantage=0.02,
        zero_variance=0.1, copies=0.05, intermediate_proportion=0.5, baseline=0.1,
        reliability=Drawn(Interval(0.25, 0.1, 0.6, 40)),
    )  # fmt: skip
    assert tuple(every) == CODES
    assert {code: round(one.value, 6) for code, one in every.items()} == {
        "mixed_prompts": 0.25, "unmasked_tool_output": 0.01, "sampler_gap": 0.95, "phantom_advantage": 0.02,
        "teaches_nothing": 0.1, "copies": 0.05, "boilerplate": 0.2, "low_reliability": 0.25,
    }  # fmt: skip
    assert [code for code, one in every.items() if one.found] == ["mixed_prompts"]
    assert every["low_reliability"].more == {"k": 24, "close": False}


@pytest.mark.parametrize(
    ("size", "spread", "measure", "found"),
    [
        (0.95, None, "effective_sample_size", False),
        (0.89, None, "effective_sample_size", True),
        (0.89, 0.5, "effective_sample_size", True),
        (0.95, 0.5, "logprob_spread", True),
        (0.95, 0.01, "effective_sample_size", False),
        (None, 0.01, "logprob_spread", False),
        (None, 0.1, "logprob_spread", True),
    ],
)
def test_the_sampler_gap_has_two_numbers(size, spread, measure, found):
    one = judged(effective_sample_size=size, logprob_spread=spread)["sampler_gap"]
    assert (one.more["measure"], one.found) == (measure, found)
    assert one.value == (size if measure == "effective_sample_size" else spread)


@pytest.mark.parametrize(
    ("near", "said"),
    [
        ({"code": "copies", "value": 0.08, "limit": 0.1}, "8 % of completions are copies in their group; from 10 % on"),
        (
            {"code": "sampler_gap", "value": 0.92, "limit": 0.9, "measure": "effective_sample_size"},
            "92 % effective sample size, sampler and trainer differ; below 90 %",
        ),
        (
            {"code": "sampler_gap", "value": 0.07, "limit": 0.1, "measure": "logprob_spread"},
            "0.07 nats between log-probabilities that should be equal; from 0.1 on",
        ),
    ],
)
def test_a_near_miss_says_its_limit(near, said):
    assert near_miss(near) == f"{said} it is one"


def test_sentences_count_and_codes_are_checked():
    found = {"code": "mixed_prompts", "value": 0.5, "groups": 1200}
    assert sentence(found).startswith("1,200 groups mix prompts (they count): step rewards there compare ")
    assert sentence(found | {"groups": 1}).startswith("1 group mixes")
    assert checked(CODES, "halt_on") == {*CODES} and checked((), "x") == set()
    with pytest.raises(UsageError, match="x: no finding is called 'b'"):
        checked(["copies", "b", "c"], "x")
