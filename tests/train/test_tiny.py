"""The small model of a task: the same from the same seed, kept with a checksum, and taught what was shown."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from grpo_prm.tasks import Warm, get_task
from grpo_prm.train.tiny import tiny_model, word_tokenizer
from grpo_prm.user_cache import user_cache

TASK = dataclasses.replace(get_task("binary-tree"), warm=Warm(60, 64))


def state(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", ["chain", "abstain", "countdown", "binary-tree"])
def test_text_goes_there_and_back(name):
    task = get_task(name)
    tokenizer, rng = word_tokenizer(task), np.random.default_rng(0)
    for _ in range(20):
        prompt = task.draw(rng)
        text = prompt.text + task.demonstrate(prompt, rng) + tokenizer.eos_token
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.decode(ids) == text and tokenizer.pad_token_id not in ids
        assert ids[-1] == tokenizer.eos_token_id == 0


@pytest.mark.slow
def test_a_seed_makes_a_model_and_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, again, other = (tiny_model(TASK, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(state(one), state(again)) and not torch.equal(state(one), state(other))


def test_the_warm_start_teaches_leaves_and_nothing_else():
    model, tokenizer = tiny_model(TASK, 0)
    ids = torch.tensor([tokenizer(":")["input_ids"]])
    with torch.no_grad():
        first = model(ids).logits[0, -1].softmax(-1)
    zero, one = (first[tokenizer(word)["input_ids"][0]].item() for word in "01")
    assert zero + one > 0.97 and abs(zero - one) < 0.2


@pytest.mark.slow
def test_a_model_is_kept_and_made_again_when_it_was_tampered_with(tmp_path):
    calls: list[int] = []

    def count(done, _):
        calls.append(done)

    first = tiny_model(TASK, 0, tmp_path, count)[0]
    assert len(calls) == 60
    second = tiny_model(TASK, 0, tmp_path, count)[0]
    assert len(calls) == 60 and torch.equal(state(first), state(second))
    (folder,) = tmp_path.iterdir()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x7f")
    third = tiny_model(TASK, 0, tmp_path, count)[0]
    assert len(calls) == 120 and torch.equal(state(first), state(third))
    tiny_model(dataclasses.replace(TASK, warm=Warm(60, 32)), 0, tmp_path, count)
    assert len(calls) == 180 and len(list(tmp_path.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").touch()
    assert tiny_model(TASK, 0, tmp_path / "file" / "below")[0] is not None


def test_where_models_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache("warm") == tmp_path / "grpo-prm" / "warm"
