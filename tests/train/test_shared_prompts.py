"""Prompts that rows share, against a copy of the prompt for each row."""

import numpy as np
import pytest
import torch
from rounding import EPS, bound, of_model
from torch import nn
from train_models import random_model

from grpo_prm.train import decoder as decoding
from grpo_prm.train import shared_attention as attention
from grpo_prm.train import shared_prompts as sharing
from grpo_prm.train.decoder import Decoder
from grpo_prm.train.growing_cache import GrowingLayer, growing_cache
from grpo_prm.train.packing import padded_layout, token_logprobs
from grpo_prm.train.sample import sample
from grpo_prm.train.shared_prompts import SharedPrompts, can_share

PROMPTS = [[3, 4, 5, 6, 7], [8], [9, 3, 9]]
WHICH = torch.tensor([2, 0, 1, 0])  # two groups have one prompt
LEFT = torch.tensor([0, 1, 2, 8, 10, 11])  # of 4 groups of 3: all of the first, none of the second, some of the others


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Small models gain nothing by it."""
    monkeypatch.setattr(sharing, "EACH", 0)
    monkeypatch.setattr(sharing, "ALL", 0)


def course(model, kept):
    """Logits after every token, of rows that become fewer."""
    decoder = Decoder(model, PROMPTS, 6)
    decoder.branch(WHICH, 3)
    logits, tokens = [decoder.logits], torch.arange(12) % 7 + 3
    for t in range(6):
        if t == kept:
            decoder.keep(LEFT)
            tokens = tokens[LEFT]
        decoder.read(tokens)
        logits.append(decoder.logits)
        tokens = (tokens * 3 + t) % 37 + 1
    return decoder, logits


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2"])
@pytest.mark.parametrize("kept", [0, 3])
@torch.no_grad()
def test_equals_prompts_of_their_own(monkeypatch, family, kept):
    model = random_model(family)
    decoder, got = course(model, kept)
    assert decoder._proven
    assert [layer.prompt_keys.shape[0] for layer in decoder._shared.layers] == [3, 3]  # one group has no rows left
    assert model.config._attn_implementation == "sdpa"
    monkeypatch.setattr(decoding, "can_share", lambda *_: False)
    decoder, want = course(model, kept)
    assert decoder._shared is None
    near = of_model(model, 11)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=near, atol=near)


@pytest.mark.parametrize("kept", [0, 3])
@torch.no_grad()
def test_a_model_that_attends_in_another_way_gets_prompts_of_their_own(monkeypatch, kept):
    model = random_model("llama")
    _, want = course(model, kept)
    monkeypatch.setattr(attention, "HARMLESS", set())  # as if its layers had said more than positions
    decoder, got = course(model, kept)
    assert not decoder._proven
    assert decoder._shared is None
    near = of_model(model, 11)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=near, atol=near)


@torch.no_grad()
def test_a_layer_that_does_not_attend_by_the_interface_is_seen(monkeypatch):
    model, want = random_model("llama"), sample(random_model("llama"), PROMPTS, 2, **settings())
    by_name, calls = attention.shared_attention, []

    def once(module, *args, **kwargs):
        out = by_name(module, *args, **kwargs)
        calls.append(1)
        kwargs["shared"].attended = 1  # the second layer went another way
        return out

    attention.AttentionInterface.register(attention.NAME, once)
    try:
        got = sample(model, PROMPTS, 2, **settings())
    finally:
        attention.AttentionInterface.register(attention.NAME, by_name)
    assert len(calls) == 2  # the first token alone was tried
    assert got.completions == want.completions


@torch.no_grad()
def test_log_probabilities_in_bfloat16_are_as_near_to_training_as_its_rounding():
    model = random_model("qwen2")
    model.compute_dtype = torch.bfloat16
    sampled = sample(model, PROMPTS, 8, **settings())
    layout = padded_layout(PROMPTS, sampled.completions, 8, torch.device("cpu"))
    training = token_logprobs(model, layout)
    model.compute_dtype = torch.float32
    rounding = (token_logprobs(model, layout) - training).abs()
    gap = (torch.from_numpy(np.concatenate(sampled.logprobs)) - training).abs()
    assert 0 < gap.mean() <= rounding.mean()
    assert gap.max() <= 4 * rounding.max()


def settings():
    return {"seed": 1, "step": 2, "names": range(3), "max_new_tokens": 8, "eos": frozenset({1})}


def test_what_is_not_shared(monkeypatch):
    model = random_model("llama")
    with torch.no_grad():
        cache = Decoder(model, [[3, 4, 5]], 1)._cache
    assert can_share(model, cache, 2, 4)
    monkeypatch.setattr(sharing, "ALL", 2 * 4 * 5 * 8)  # rows, heads, tokens half way, size
    assert can_share(model, cache, 2, 4)
    assert not can_share(model, cache, 1, 4)
    monkeypatch.setattr(sharing, "EACH", 5 * 8 + 1)
    assert not can_share(model, cache, 2, 4)
    assert can_share(model, cache, 2, 6)
    model.config._attn_implementation = "eager"
    assert not can_share(model, cache, 2, 6)
    model.config._attn_implementation = "sdpa"
    with monkeypatch.context() as patch:
        patch.setattr(model, "forward", lambda input_ids, past_key_values: None)  # no further arguments
        assert not can_share(model, cache, 2, 6)
    assert can_share(model, cache, 2, 6)
    cache.layers[1] = type("Sliding", (GrowingLayer,), {})()
    assert not can_share(model, cache, 2, 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [range(12), LEFT.tolist()])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_equals_a_softmax_over_all_keys(dtype, rows, padded):
    rng = torch.Generator().manual_seed(0)
    heads, sharers, size, width, own = 2, 3, 8, 5, 4

    def normal(*shape):
        return torch.randn(*shape, generator=rng).to(dtype)

    prompts = growing_cache(random_model("llama"))
    for layer in prompts.layers:
        layer.update(normal(3, heads, width, size), normal(3, heads, width, size))
    shared = SharedPrompts(prompts, WHICH, 3)
    module = nn.Module()
    module.layer_idx = 1
    layer, keys, values = shared.layers[1], normal(12, heads, own, size), normal(12, heads, own, size)
    layer.update(keys[:, :, :-1], values[:, :, :-1])
    rows = torch.tensor(list(rows))
    shared.keep(rows)
    keys, values = keys[rows], values[rows]
    query = normal(len(rows), 1, heads * sharers, size).transpose(1, 2)
    mask = torch.ones(len(rows), 1, 1, width + own, dtype=torch.bool)
    mask[::2, ..., : 2 if padded else 0] = False
    layer.update(keys[:, :, -1:], values[:, :, -1:])
    # with a scale of 3 scores are tens: what rounds them as bfloat16 is seen
    got, _ = attention.shared_attention(
        module, query, layer.keys, layer.values, mask if padded else None, 3.0, shared=shared, position_ids=rows
    )
    assert got.dtype == dtype
    prompt = WHICH.repeat_interleave(3)[rows]
    half, apart = torch.finfo(dtype).eps / 2, []
    for n in range(len(rows)):
        for head in range(heads * sharers):
            k, v = (
                torch.cat([x[prompt[n], head // sharers], y[n, head // sharers]]).double().numpy()
                for x, y in ((prompts.layers[1].keys, keys), (prompts.layers[1].values, values))
            )
            scores = np.where(mask[n, 0, 0].numpy(), 3.0 * k @ query[n, head, 0].double().numpy(), -np.inf)
            weights = np.exp(scores - scores.max())
            rounded = torch.from_numpy(weights).to(dtype).double().numpy()
            want, result = rounded @ v / weights.sum(), got[n, 0, head].double().numpy()
            # scores are sums of `size` products, weights are off by as much as scores are, and the result is rounded
            near = bound(2 * size, 3 * size * np.abs(k).max() * query[n, head].abs().max().item()) + 20 * EPS
            largest = np.abs(v).max()
            apart.append(np.abs(result - want) > half * np.abs(want) + near * largest)
            np.testing.assert_allclose(result, want, rtol=half, atol=(near + half) * largest)
    # a weight half way between two numbers goes to either
    assert np.mean(apart) <= 0.02
