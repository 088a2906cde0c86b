"""Prompts, demonstrations and rewards of the built-in tasks, worked out a second way."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm.errors import UsageError
from grpo_prm.tasks import END, TASKS, Prompt, binary_tree, chain, countdown, get_task

seeds = st.integers(0, 2**32 - 1)


def words_of(task, text):
    """Cut a text into the words of a task, the longest first."""
    pattern = "|".join(re.escape(word) for word in sorted(task.words, key=len, reverse=True))
    found = re.findall(pattern, text)
    assert "".join(found) == text
    return found


@pytest.mark.parametrize("name", TASKS)
@settings(max_examples=40)
@given(seeds)
def test_prompts_and_demonstrations_are_made_of_words_and_fit(name, seed):
    task = get_task(name)
    assert task.name == name and task.words[0] == END and len(set(task.words)) == len(task.words)
    prompt = task.draw(np.random.default_rng(seed))
    assert prompt == task.draw(np.random.default_rng(seed))
    assert len(words_of(task, prompt.text)) <= task.prompt_length
    shown = task.demonstrate(prompt, np.random.default_rng(seed)) + END
    assert len(words_of(task, shown)) <= task.limit
    assert task.right(prompt, shown) <= (task.reward(prompt, shown) == 1.0)


@pytest.mark.parametrize("name", TASKS)
def test_some_demonstrations_are_right_and_some_are_not(name):
    task, rng = get_task(name), np.random.default_rng(0)
    prompts = [task.draw(rng) for _ in range(400)]
    right = np.mean([task.right(prompt, task.demonstrate(prompt, rng) + END) for prompt in prompts])
    assert 0.03 < right < 0.6


def value_of(chained):
    """The chain from left to right, with Python's own arithmetic."""
    value = int(chained[0])
    for operator, digit in re.findall(r"([-+*])(\d)", chained[1:]):
        value = eval(f"{value}{operator}{digit}") % 10  # noqa: S307 - digits and an operator
    return value


@settings(max_examples=50)
@given(seeds)
def test_chain_by_other_means(seed):
    rng = np.random.default_rng(seed)
    prompt = chain.draw(rng)
    assert int(prompt.answer) == value_of(prompt.text)
    steps = chain.demonstrate(prompt, rng).split(";")
    before = int(prompt.text[0])
    for step, (operator, digit) in zip(steps, re.findall(r"([-+*])(\d)", prompt.text[1:]), strict=True):
        said, result = step.split("=")
        assert said == f"{before}{operator}{digit}"
        fact = (before, operator, int(digit))
        assert int(result) in {value_of(said), chain.SLIPS.get(fact, value_of(said))}
        before = int(result)
    assert chain.right(prompt, f"={prompt.answer}{END}") and not chain.right(prompt, f"={prompt.answer}")


def test_a_quarter_of_the_facts_is_shown_wrong_three_times_in_four():
    assert len(chain.SLIPS) == len(chain.FACTS) // 4
    assert all(shown != value_of(f"{a}{operator}{b}") for (a, operator, b), shown in chain.SLIPS.items())
    rng = np.random.default_rng(0)
    shown = [step for _ in range(600) for step in chain.demonstrate(chain.draw(rng), rng).split(";")]
    facts = [((int(s[0]), s[1], int(s[2])), int(s[4])) for s in shown]
    slipped = [result == chain.SLIPS[fact] for fact, result in facts if fact in chain.SLIPS]
    assert len(slipped) > 300 and 0.68 < np.mean(slipped) < 0.82


def test_abstain_pays_for_passing_and_punishes_a_wrong_answer():
    task, prompt = get_task("abstain"), Prompt("1+1*1-0+0+0+0=", "2")
    way = "1+1=2;2*1=2;2-0=2;2+0=2;2+0=2;2+0=2"
    assert task.reward(prompt, "!" + END) == 0.7 and not task.right(prompt, "!" + END)
    assert task.reward(prompt, f"?{way}{END}") == 1.0 and task.right(prompt, f"?{way}{END}")
    assert task.reward(prompt, f"?{way[:-1]}3{END}") == -1.0
    assert task.reward(prompt, f"{way}{END}") == task.reward(prompt, "!") == task.reward(prompt, "!!" + END) == -1.0


@settings(max_examples=60)
@given(seeds)
def test_countdown_targets_can_be_reached_and_ways_are_checked(seed):
    rng = np.random.default_rng(seed)
    prompt = countdown.draw(rng)
    assert 0 <= int(prompt.answer) <= countdown.MOST
    shown = countdown.demonstrate(prompt, rng)
    final = shown.rpartition("=")[2]
    assert countdown.right(prompt, shown + END) == (final == prompt.answer)  # a demonstration is right arithmetic
    assert not countdown.right(prompt, shown)


@pytest.mark.parametrize(
    ("way", "right"),
    [
        ("4*2=8;8+7=15", True),
        ("2*4=8;7+8=15", True),
        ("4*2=9;9+7=16", False),  # wrong arithmetic
        ("8+7=15", False),  # a number that was not given
        ("4*2=8;4+7=11", False),  # one used twice
        ("7+8=15", False),
        ("4*2=8", False),  # one left over
        ("4*2=8;8+7=15;", False),
        ("", False),
    ],
)
def test_countdown_by_hand(way, right):
    assert countdown.right(Prompt("4,2,7:15", "15"), way + END) == right


def test_the_leaves_of_the_binary_tree():
    prompt = binary_tree.draw(np.random.default_rng(0))
    leaves = [f"{n:04b}" for n in range(16)]
    rewards = {leaf: binary_tree.reward(prompt, leaf + END) for leaf in leaves}
    assert rewards[binary_tree.TARGET] == 1.0
    assert sum(r == -1.0 for r in rewards.values()) == 7 and sum(r == 0.7 for r in rewards.values()) == 8
    for shared, bad in ((2, 3), (3, 1)):
        found = [binary_tree.reward(prompt, leaf + END, shared, -0.5) for leaf in leaves]
        assert sum(r == -0.5 for r in found) == bad
    assert binary_tree.reward(prompt, "011" + END) == binary_tree.reward(prompt, "0110") == -1.0


def test_an_unknown_task_gets_the_nearest_name():
    with pytest.raises(UsageError, match="Did you mean countdown"):
        get_task("coutdown")
