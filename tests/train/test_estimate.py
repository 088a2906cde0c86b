"""What a run says before it begins: memory and time, from trials."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from train_models import random_model, tiny

from grpo_prm.train.config import TrainConfig, make_config
from grpo_prm.train.estimate import (
    Rates,
    Step,
    _kept,
    _rows,
    full_step,
    measure,
    memory,
    memory_in_words,
    seconds,
    sentence,
    time_in_words,
)
from grpo_prm.train.packing import block_of
from grpo_prm.train.policy import prepare

PROMPTS = [[3, 4, 5], [6, 7, 8, 9]]


def policy_of(**settings):
    config = TrainConfig(**({"device": "cpu", "prompts": 2, "group_size": 4, "max_new_tokens": 5} | settings))
    return prepare(random_model("qwen2"), tiny("qwen2")[1], config), config


@pytest.mark.parametrize("settings", [{}, {"lora": 2, "dtype": "bfloat16"}, {"gradient_checkpointing": True}])
def test_what_a_forward_pass_keeps_grows_by_the_token_as_two_small_ones_say(settings):
    policy, config = policy_of(**settings)
    rates = measure(policy, PROMPTS, config)
    larger = _rows(policy.model, 7)
    assert rates.fixed + rates.kept * larger.ids.numel() == pytest.approx(_kept(policy.model, larger), rel=0.05)
    assert rates.update > 0 and rates.prefill >= 0 and rates.position >= 0
    assert all(parameter.grad is None for parameter in policy.model.parameters()) and policy.model.training


@pytest.mark.parametrize(
    ("settings", "read"),
    [({"packing": "padded"}, 2 * 4 * (4 + 5)), ({}, 3 + 4 + 2 * 4 * 5), ({"backend": "trl"}, 2 * 4 * (4 + 5))],
)
def test_a_full_step_has_every_completion_at_its_limit(settings, read):
    policy, config = policy_of(**settings)
    assert full_step(PROMPTS, policy, config) == Step(read, 5)
    assert full_step(PROMPTS, policy._replace(packs=False), config) == Step(2 * 4 * (4 + 5), 5)


def test_memory_counts_what_is_kept_for_the_tokens_that_are_read_at_a_time():
    policy, config = policy_of(token_budget=16)
    weights = sum(p.numel() * 4 for p in policy.model.parameters())
    words = policy.model.config.vocab_size
    found = memory(policy, Rates(1000, 1e6, 0, 0, 0), Step(47, 5), config)
    assert found["gradients"] == weights and found["optimizer"] == 2 * weights
    assert found["activations"] == 1000 + 16_000_000 and found["logits"] == 20 * 16 * words < 20 * block_of(
        torch.device("cpu")
    )
    row = 2 * policy.model.config.num_hidden_layers * policy.model.config.num_key_value_heads * 4
    row *= policy.model.config.hidden_size // policy.model.config.num_attention_heads
    found = memory(policy, Rates(0, 0, 0, 0, 0), Step(47, 10**6), config)
    assert found["keys and values of the sampler"] == row * 2 * 4 * 10**6 and "activations" not in found


def test_time_counts_every_pass_and_every_evaluation():
    rates = Rates(0, 0, 0.5, 2.0, 0.25)
    _, config = policy_of(updates_per_batch=3, steps=10, eval_every=4, temperature=1.0)
    assert seconds(rates, Step(8, 5), config) == (2.0 + 1.25, 12.0)
    # 8 rows a step: a held-out prompt takes half of the two prompts' time and 5 times an eighth of a position's
    whole = 10 * 15.25 + 4 * 16 * (1.0 + 5 * 0.25 / 8)
    words = time_in_words(rates, Step(8, 5), 2, 16, config)
    minutes, rest = divmod(round(whole), 60)
    assert words == (
        f"15 s a step (sampling 3.2, update 12), 0:0{minutes}:{rest:02} for 10 steps and 4 evaluations of 16 prompts"
    )
    assert time_in_words(rates, Step(8, 5), 2, 0, config).endswith("0:02:32 for 10 steps")


def test_words_for_memory_name_what_is_worth_naming():
    assert memory_in_words({"in use now": 800_000_000, "gradients": 1000}) == "0.80 GB of memory (in use now 0.80)"
    assert memory_in_words({"gradients": 1000}) == "0.00 GB of memory"


def test_the_sentence_of_a_run_and_that_the_trial_draws_nothing_from_the_generators():
    policy, config = policy_of()
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - reward functions use it
    told = sentence(policy, PROMPTS, 0, config)
    assert told.startswith("up to ") and told.endswith(", where every completion runs to 5 tokens")
    assert torch.equal(before[0], torch.get_rng_state()) and (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_a_model_of_ones_own_reads_few_tokens_at_a_time_on_a_cpu(tmp_path):
    given = {"model": "m", "data": "d", "reward": ["exact"], "out": str(tmp_path)}
    assert make_config(given | {"device": "cpu"}).token_budget == 1024
    assert make_config(given | {"device": "cuda"}).token_budget == 16_384
    assert make_config(given | {"device": "cpu", "token_budget": 7}).token_budget == 7
    assert make_config({"out": str(tmp_path), "device": "cpu"}).token_budget == 16_384
