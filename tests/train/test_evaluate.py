"""Accuracy: one completion a prompt, whatever the batch."""

import numpy as np
import pytest
from train.test_data import tokenizer
from train_models import random_model

from grpo_prm.core.interval import Interval, wilson
from grpo_prm.train.data import PromptRow
from grpo_prm.train.evaluate import STREAM, evaluate
from grpo_prm.train.sample import sample

ROWS = [PromptRow("", [3 + n % 7, *range(n % 4)], None, {"n": n}) for n in range(11)]
SETTINGS = {"max_new_tokens": 4, "eos": frozenset({1})}


def judged(seen):
    def right(rows, texts):
        seen.update({row.row["n"]: text for row, text in zip(rows, texts, strict=True)})
        return np.array([row.row["n"] % 3 == 0 for row in rows])

    return right


@pytest.mark.parametrize(
    "sampling", [{}, {"temperature": 1.0, "seed": 4}, {"temperature": 1.0, "top_p": 0.5, "top_k": 3}]
)
@pytest.mark.parametrize("batch", [2, 64])
def test_one_completion_a_prompt(sampling, batch):
    model, seen, words = random_model("llama", vocabulary=40), {}, tokenizer()
    got = evaluate(model, words, ROWS, judged(seen), **SETTINGS, **sampling, batch=batch)
    low, high = wilson(4, 11)
    assert got == Interval(4 / 11, low, high, 11)
    how = {"temperature": 0.0, "seed": 0} | sampling
    want = sample(model, [row.ids for row in ROWS], 1, step=STREAM, names=range(11), **SETTINGS, **how)
    assert seen == dict(enumerate(words.batch_decode(want.completions, skip_special_tokens=True)))


def test_special_tokens_are_kept_if_asked():
    model, seen = random_model("llama", vocabulary=40), {}
    model.lm_head.weight.data[:] = 0  # the likeliest token of all alike is the first, the start token
    for plain, text in ((True, ""), (False, "^ ^ ^ ^")):
        evaluate(model, tokenizer(), ROWS[:1], judged(seen), plain=plain, **SETTINGS)
        assert seen[0] == text


@pytest.mark.parametrize("unknown", [3, 11])
def test_what_cannot_be_judged_is_not_counted(unknown):
    def right(rows, texts):
        return np.array([np.nan if int(row.answer) < unknown else float(int(row.answer) % 2) for row in rows])

    rows = [row._replace(answer=str(n)) for n, row in enumerate(ROWS)]
    got = evaluate(random_model("llama", vocabulary=40), tokenizer(), rows, right, **SETTINGS, batch=4)
    low, high = wilson(4, 8)  # 3, 5, 7, 9 of 3 to 10
    assert got == (Interval(0.5, low, high, 8) if unknown == 3 else Interval(None, None, None, 0))


def test_no_prompts():
    assert evaluate(random_model("gpt2"), tokenizer(), [], pytest.fail, **SETTINGS) == Interval(None, None, None, 0)
