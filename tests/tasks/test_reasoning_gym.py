"""Tasks of reasoning-gym: its prompts and verifiers as tasks of ours. Skipped where it is not installed."""

from __future__ import annotations

import inspect
import re
import sys

import numpy as np
import pytest

from grpo_prm.errors import UsageError
from grpo_prm.tasks import get_task
from grpo_prm.tasks import reasoning_gym as ours

pytest.importorskip("reasoning_gym")
GYM = "reasoning-gym:"
# Quick to make and to draw from, of every shape of answer.
QUICK = (
    *("products?max_digits=2", "gcd?max_value=30", "chain_sum", "letter_counting", "base_conversion", "leg_counting"),
    *(
        "syllogism",
        "calendar_arithmetic",
        "number_sorting",
        "number_filtering",
        "spell_backward",
        "palindrome_generation",
    ),
    *("rotate_matrix", "mini_sudoku", "sentence_reordering", "caesar_cipher", "dice", "time_intervals", "graph_color"),
    *(
        "needle_haystack",
        "family_relationships",
        "word_sorting",
        "prime_factorization",
        "shortest_path",
        "largest_island",
    ),
)


def drawn(task, number, seed=0):
    rng = np.random.default_rng(seed)
    return [task.draw(rng) for _ in range(number)]


@pytest.mark.parametrize("name", QUICK)
def test_the_right_answer_is_right_and_another_is_not(name):
    task = get_task(GYM + name)
    prompts = [prompt for prompt in drawn(task, 12) if prompt.answer]
    assert bool(prompts) == (name != "graph_color")
    for prompt in prompts:
        for text in (prompt.answer, f"<answer>{prompt.answer}</answer>", f"Let me see.\n{prompt.answer}"):
            assert task.right(prompt, text) and task.reward(prompt, text) == task.partial(prompt, text) == 1.0
        for text in ("", "I do not know what to say here", "<think>" + prompt.answer):
            assert task.reward(prompt, text) == 0.0 and task.partial(prompt, text) < 1.0


def test_the_answer_is_taken_from_the_text_before_it_is_verified():
    from reasoning_gym import get_score_answer_fn

    task = get_task(GYM + "products?max_digits=1")
    prompt = drawn(task, 1)[0]
    text = f"The answer is {prompt.answer}"
    assert get_score_answer_fn("products")(text, prompt.entry) < 0.2  # as it is: marks for a lucky substring
    assert task.reward(prompt, text) == 1.0


def test_partial_credit_is_what_the_verifier_gives_and_no_reward():
    task = get_task(GYM + "base_conversion")
    prompt = drawn(task, 1)[0]
    wrong = "0" + prompt.answer
    marks = task.partial(prompt, wrong)
    assert 0.0 < marks < 1.0 and task.reward(prompt, wrong) == 0.0 and not task.right(prompt, wrong)


def test_prompts_are_those_of_the_package_and_the_same_for_a_seed():
    from reasoning_gym import create_dataset

    task, made = get_task(GYM + "gcd?max_value=30"), create_dataset("gcd", seed=0, size=ours.SIZE, max_value=30)
    rng = np.random.default_rng(5)
    places = [int(rng.integers(ours.SIZE)) for _ in range(20)]
    assert [prompt.text for prompt in drawn(task, 20, 5)] == [made[place]["question"] for place in places]


def test_a_fifth_is_held_out_by_its_text_alone():
    task = get_task(GYM + "chain_sum")
    texts = {prompt.text: prompt for prompt in drawn(task, 1500)}
    share = np.mean([task.held_out(prompt) for prompt in texts.values()])
    assert abs(share - 1 / 5) < 4 * (0.16 / len(texts)) ** 0.5
    some = next(iter(texts.values()))
    assert task.held_out(some) == task.held_out(some._replace(text=some.text.replace(" ", "\n "), answer="0"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("prodcts", "reasoning-gym has no task prodcts. Did you mean products"),
        ("???", "'??' is no parameter"),
        ("qqqqqqqq", "There are ab, acre, "),
        ("products?max_digit=2", "no parameter is called max_digit; there are .*Did you mean max_digits"),
        ("products?seed=2", "seed is not yours to set"),
        ("products?min_digits=0", "reasoning-gym refuses it .min_digits must be positive.*Change its parameters"),
        ("products?max_digits=two", "reasoning-gym refuses it"),
        ("products?max_digits=2.5", "reasoning-gym refuses it"),
        ("n_queens", "its verifier runs what a model writes as code"),
        ("composite", "reasoning-gym refuses it .Must specify at least one dataset"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(name, said):
    with pytest.raises(UsageError, match=said):
        get_task(GYM + name)


def test_a_package_that_is_missing_or_lacks_one(monkeypatch):
    monkeypatch.setitem(sys.modules, "reasoning_gym.factory", None)
    ours.open_task.cache_clear()
    with pytest.raises(UsageError, match=r"needs the package reasoning-gym.*: pip install 'grpo-prm\[tasks\]'"):
        get_task(GYM + "products")


def test_prompts_that_differ_by_process_are_refused():
    if not sys.flags.hash_randomization:
        pytest.skip("the hash of texts is fixed here")
    with pytest.raises(UsageError, match="Set PYTHONHASHSEED=0"):
        get_task(GYM + "word_ladder")


def test_every_verifier_that_runs_code_is_known():
    """What a model writes must not be run: a verifier of a new version that does so must be added."""
    from reasoning_gym.factory import DATASETS

    runs = re.compile(r"\b(eval|exec|parse_expr|sympify)\((?!entry)")
    found = {name for name, (kind, _) in DATASETS.items() if runs.search(inspect.getsource(kind.score_answer))}
    assert found == set(ours.RUN_CODE)


def test_a_verifier_that_stumbles_gives_nothing(monkeypatch):
    from reasoning_gym.factory import DATASETS

    task = get_task(GYM + "products")
    prompt = drawn(task, 1)[0]
    for broken in (lambda *_: 1 / 0, lambda *_: float("nan"), lambda *_: "much"):
        monkeypatch.setattr(DATASETS["products"][0], "score_answer", broken)
        assert task.reward(prompt, prompt.answer) == task.partial(prompt, prompt.answer) == 0.0
