"""Trees give the log-probabilities, entropies and gradients of rows, on three families of models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import of_model
from strategies import token_lists
from torch.nn.attention.flex_attention import flex_attention
from train_models import random_model, tiny

from grpo_prm.train import attention, packing
from grpo_prm.train.attention import NAME, attending
from grpo_prm.train.packing import (
    cheaper,
    micro_batches,
    padded_layout,
    reading,
    token_logprobs,
    tree_layout,
    trees_of,
)
from grpo_prm.train.tree_fits import fits_tree

CPU = torch.device("cpu")
PROMPTS = [[3, 4, 5, 6], [7, 8], [9]]
ROWS = [
    *([5, 6, 7, 1], [5, 6, 8, 9, 1], [5, 6, 7, 1], []),  # twins, and an empty one
    *([4, 4], [4, 4, 1], [5, 1], [4, 5, 6, 7]),  # a strict prefix
    *([1], [1], [2], [2, 1]),
]
TOKENS = sum(len(prompt) * 4 for prompt in PROMPTS) + sum(map(len, ROWS))


@pytest.fixture(scope="module", params=["gpt2", "gpt2 scaled by layer", "llama", "qwen2"])
def model(request):
    family, _, scaled = request.param.partition(" ")
    return random_model(family, **{"scale_attn_by_inverse_layer_idx": True} if scaled else {})


def of_tokens(model, layout, temperature=0.7):
    """Log-probability and entropy of every completion token, and the gradient of a sum over them."""
    model.zero_grad()
    pull = torch.linspace(-1, 1, len(layout.unit))
    with reading(model, layout):
        logprobs, entropies = token_logprobs(model, layout, temperature, entropy=True)
        (logprobs[layout.unit] * pull).sum().backward()
    slopes = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return logprobs.detach()[layout.unit], entropies[layout.unit], slopes


def one_by_one(model, prompts, rows, k, temperature=0.7):
    """Log-probability and entropy from a forward pass for every single token."""
    found = []
    for i, row in enumerate(rows):
        for t, token in enumerate(row):
            with torch.no_grad():
                logits = model(torch.tensor([[*prompts[i // k], *row[:t]]])).logits[0, -1] / temperature
            distribution = torch.distributions.Categorical(logits=logits)
            found.append([distribution.log_prob(torch.tensor(token)).item(), distribution.entropy().item()])
    return np.array(found).T


def test_both_layouts_are_a_forward_pass_for_every_token(model):
    expected = one_by_one(model, PROMPTS, ROWS, 4)
    for lay_out in (padded_layout, tree_layout):
        found = of_tokens(model, lay_out(PROMPTS, ROWS, 4, CPU))[:2]
        np.testing.assert_allclose(found, expected, rtol=of_model(model, TOKENS), atol=of_model(model, TOKENS))


def assert_same_slopes(model, slopes, expected):
    """Gradients of all parameters agree, measured by the largest number among them."""
    largest = max(slope.abs().max().item() for slope in expected.values())
    assert slopes.keys() == expected.keys() and largest > 1
    for name, slope in slopes.items():
        distance = (slope - expected[name]).abs().max().item()
        assert distance <= of_model(model, TOKENS, backward=True) * largest, name


@pytest.mark.parametrize("lay_out", [padded_layout, tree_layout])
def test_a_large_vocabulary_is_scored_in_blocks(model, lay_out, monkeypatch):
    layout, made = lay_out(PROMPTS, ROWS, 4, CPU), []
    whole = of_tokens(model, layout)
    monkeypatch.setitem(packing.BLOCK, "cpu", 4 * model.config.vocab_size)
    watch = model.get_output_embeddings().register_forward_hook(lambda _, __, logits: made.append(len(logits)))
    logprobs, entropies, slopes = of_tokens(model, layout)
    watch.remove()
    assert max(made) <= 4 and sum(made) == 2 * len(layout.target)  # once forward, once more in the backward pass
    near = of_model(model, TOKENS)
    torch.testing.assert_close((logprobs, entropies), whole[:2], rtol=near, atol=near)
    assert_same_slopes(model, slopes, whole[2])


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_of_all_parameters_agree(model, checkpointing):
    model.train()
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    padded, tree = (of_tokens(model, lay_out(PROMPTS, ROWS, 4, CPU)) for lay_out in (padded_layout, tree_layout))
    model.activation_checkpointing_disable()
    near = of_model(model, TOKENS)
    torch.testing.assert_close(padded[:2], tree[:2], rtol=near, atol=near)
    assert_same_slopes(model, tree[2], padded[2])


@settings(max_examples=25)
@given(st.integers(1, 3).flatmap(lambda k: st.tuples(st.just(k), st.lists(token_lists(k, 5), min_size=1, max_size=3))))
def test_any_trees(case):
    k, batch = case
    rows = [[token % 40 for token in row] for group in batch for row in group]
    prompts = [[group + 2] * (group + 1) for group in range(len(batch))]
    model = tiny("qwen2")[0]
    layouts = [lay_out(prompts, rows, k, CPU) for lay_out in (padded_layout, tree_layout)]
    with torch.no_grad():
        padded, tree = (token_logprobs(model, layout)[layout.unit] for layout in layouts)
    near = of_model(model, layouts[0].ids.numel())
    torch.testing.assert_close(padded, tree, rtol=near, atol=near)
    prefixes = {(i // k, tuple(row[: t + 1])) for i, row in enumerate(rows) for t in range(len(row))}
    assert len(layouts[1].target) == len(prefixes)  # every unique token once
    assert layouts[1].ids.numel() == len(prefixes) + sum(map(len, prompts))


def uncompiled(module, query, key, value, mask, scaling, **_):
    """What transformers compiles for a GPU, as torch runs it on a CPU."""
    return flex_attention(query, key, value, block_mask=mask, scale=scaling, enable_gqa=True).transpose(1, 2), None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_block_mask_of_a_gpu_is_the_same_attention(model, monkeypatch):
    """Forward only: torch's FlexAttention has no backward pass on a CPU."""
    found_last, last = packing._last, []
    monkeypatch.setattr(packing, "_last", lambda *args: last.append(found_last(*args)) or last[-1])
    monkeypatch.setattr(packing, "path_mask", lambda _: None)  # a meta tensor has no data to make a mask of
    monkeypatch.setattr(attention, "flex_attention_forward", uncompiled)
    tree_layout(PROMPTS, ROWS, 4, torch.device("meta"))  # any device but the CPU
    layout = tree_layout(PROMPTS, ROWS, 4, CPU)
    layout = layout._replace(attention={"tree": attention.path_mask(last[0])})
    with torch.no_grad():
        logprobs = token_logprobs(model, layout, 0.7)[layout.unit]
    expected = one_by_one(model, PROMPTS, ROWS, 4)[0]
    np.testing.assert_allclose(logprobs, expected, rtol=of_model(model, TOKENS), atol=of_model(model, TOKENS))


def test_an_adapter_is_trained_alike():
    peft = pytest.importorskip("peft")
    settings = peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    model = peft.get_peft_model(tiny("qwen2")[0], settings)
    padded, tree = (of_tokens(model, lay_out(PROMPTS, ROWS, 4, CPU)) for lay_out in (padded_layout, tree_layout))
    near = of_model(model, TOKENS)
    torch.testing.assert_close(padded[0], tree[0], rtol=near, atol=near)
    assert padded[2] and all("lora" in name for name in padded[2])
    assert_same_slopes(model, tree[2], padded[2])


def test_a_model_that_changes_its_logits_is_scored_by_them():
    model = tiny("llama")[0]
    plain = token_logprobs(model, padded_layout(PROMPTS, ROWS, 4, CPU)).detach()
    model.config.logits_scaling = 3.0  # read by other families; here it only means: do not go round the model's forward
    torch.testing.assert_close(token_logprobs(model, padded_layout(PROMPTS, ROWS, 4, CPU)).detach(), plain)


def test_models_that_do_not_fit_are_found_out():
    model = tiny("qwen2")[0]
    assert fits_tree(model) is None

    class Deaf(type(model.model.layers[0].self_attn)):
        def forward(self, hidden_states, *args, tree=None, **kwargs):
            return super().forward(hidden_states, *args, **kwargs)

    model.model.layers[0].self_attn.__class__ = Deaf
    assert "was not told the tree" in fits_tree(model)


def test_a_window_longer_than_the_trial_is_seen_in_the_configuration():
    from transformers import MistralConfig, MistralForCausalLM

    shape = {"vocab_size": 40, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    whole, windowed = (MistralForCausalLM(MistralConfig(**shape, **heads, sliding_window=w)) for w in (None, 64))
    assert fits_tree(whole) is None and "not all of its layers" in fits_tree(windowed)


def test_the_attention_is_what_it_was_afterwards():
    model = tiny("llama")[0]
    before = model.config._attn_implementation
    with attending(model, NAME):
        assert model.config._attn_implementation == NAME
    assert model.config._attn_implementation == before != NAME
    with pytest.raises(RuntimeError, match="stop"), attending(model, NAME):
        raise RuntimeError("stop")
    assert model.config._attn_implementation == before


@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=8),
    st.integers(1, 60),
    st.sampled_from(["padded", "tree"]),
    st.data(),
)
@settings(max_examples=40)
def test_micro_batches_keep_to_the_budget(lengths, budget, kind, data):
    k = 2
    prompts = [[1] * length for length in lengths]
    rows = [data.draw(st.lists(st.integers(0, 1), max_size=5)) for _ in range(k * len(lengths))]
    batches = micro_batches(prompts, rows, k, budget, trees_of(rows, k) if kind == "tree" else None)
    assert [group for batch in batches for group in batch] == list(range(len(lengths)))
    for batch in batches:
        some = [row for group in batch for row in rows[group * k : (group + 1) * k]]
        lay_out = padded_layout if kind == "padded" else tree_layout
        read = lay_out([prompts[group] for group in batch], some, k, CPU).ids.numel()
        assert len(batch) == 1 or read <= budget


def test_the_cheaper_layout_follows_what_is_shared():
    model = tiny("qwen2")[0]
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, 40, 50).tolist()]
    apart = [rng.integers(0, 40, 400).tolist() for _ in range(8)]
    together = [[*apart[0][:-1], n] for n in range(8)]
    model.config.num_hidden_layers, model.config.hidden_size = 24, 1024  # only the sizes are looked at
    assert cheaper(prompts, together, 8, model, 10_000) == "tree"
    assert cheaper(prompts, together, 8, model, 457) == "tree"
    assert cheaper(prompts, together, 8, model, 456) == "padded"  # a tree cannot be cut
    assert cheaper([[1]], [[n] for n in range(8)], 8, model, 10_000) == "padded"
    assert cheaper([[1]], apart, 8, model, 10_000) == "padded"
