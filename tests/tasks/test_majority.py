"""The majority answer against every answer tried on every prompt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm.tasks import TASKS, Prompt, Task, get_task
from grpo_prm.tasks.majority import MOST, best_constant, share_right

ANSWERS = st.lists(st.integers(0, 12), min_size=1, max_size=30)


def close(wide):
    """A task whose verifier takes what is near, so that the commonest answer need not be the best."""

    def right(prompt, completion):
        return abs(int(prompt.answer) - int(completion)) <= wide

    return Task(
        name="near", limit=1, draw=lambda _: Prompt("", "0"), reward=lambda p, c: float(right(p, c)), right=right,
        says=lambda prompt: prompt.answer,
    )  # fmt: skip


@settings(max_examples=100)
@given(ANSWERS, st.integers(0, 3))
def test_no_answer_does_better(answers, wide):
    prompts = [Prompt(str(n), str(answer)) for n, answer in enumerate(answers)]
    shares = {a: sum(abs(a - b) <= wide for b in answers) / len(answers) for a in answers}
    assert len(set(answers)) <= MOST
    said = best_constant(close(wide), prompts)
    assert share_right(close(wide), prompts, said) == shares[int(said)] == max(shares.values())


@pytest.mark.parametrize("name", TASKS)
def test_what_a_built_in_task_says_is_right(name):
    task, rng = get_task(name), np.random.default_rng(1)
    prompts = [task.draw(rng) for _ in range(60)]
    assert all(task.right(prompt, task.says(prompt)) for prompt in prompts)
    said = best_constant(task, prompts)
    by_hand = max(np.mean([task.right(other, task.says(one)) for other in prompts]) for one in prompts)
    assert share_right(task, prompts, said) == by_hand


def test_a_task_without_answers_has_none():
    silent = Task(
        name="silent", limit=1, draw=lambda _: Prompt("", ""), reward=lambda *_: 0.0, right=lambda *_: False,
        says=lambda _: None,
    )  # fmt: skip
    assert best_constant(silent, [Prompt("", "")]) is None
