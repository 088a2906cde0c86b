"""Sampling against a loop of whole forward passes that takes the same uniform numbers, one row at a time."""

import numpy as np
import pytest
import torch
from rounding import of_model
from scipy.stats import chisquare
from torch.utils._python_dispatch import TorchDispatchMode
from train_models import WORDS, random_model

from grpo_prm.core.seeds import group_seed
from grpo_prm.errors import InputError, UsageError
from grpo_prm.train import sample as sampling
from grpo_prm.train import shared_prompts
from grpo_prm.train.growing_cache import ROOM
from grpo_prm.train.sample import sample
from grpo_prm.train.sample_token import sample_token, stream_keys, uniforms

PROMPTS = [[3, 4, 5, 6, 7], [8], [9, 3, 9], [8, 1, 2, 3, 4, 5, 6]]
NEAR = max(of_model(random_model(family), 7 + 12) for family in ("gpt2", "llama", "qwen2"))
SETTINGS = {"seed": 7, "step": 3, "max_new_tokens": 12, "eos": frozenset({1, 2})}


@pytest.fixture(autouse=True)
def shared(monkeypatch):
    """Share prompts in small models too; models that do not are in test_shared_prompts.py."""
    monkeypatch.setattr(shared_prompts, "EACH", 0)
    monkeypatch.setattr(shared_prompts, "ALL", 0)


def slowly(model, prompts, k, *, seed, step, names, max_new_tokens, temperature=1.0, top_p=1.0, top_k=0, eos=()):
    """Tokens, log-probabilities and whether the limit cut it, for each row."""
    rows = []
    for prompt, name in zip(prompts, names, strict=True):
        for j in range(k):
            key = np.array([group_seed(seed, step, str(name)), j], np.uint64)
            numbers = np.random.Generator(np.random.Philox(key=key)).random(max_new_tokens)
            ids, logprobs = list(prompt), []
            for number in numbers:
                with torch.no_grad():
                    logits = model(torch.tensor([ids])).logits[0, -1].double().numpy()
                p = np.exp(logits / (temperature or 1) - np.logaddexp.reduce(logits / (temperature or 1)))
                token = int(p.argmax()) if temperature == 0 else invert(left(p, top_p, top_k), number)
                ids.append(token)
                logprobs.append(np.log(p[token]))
                if token in eos:
                    break
            rows.append((ids[len(prompt) :], np.array(logprobs), ids[-1] not in eos))
    return rows


def left(p, top_p, top_k):
    """Probabilities with all but the likeliest taken out, token by token from the likeliest down."""
    ranked = sorted(range(len(p)), key=lambda v: -p[v])[: top_k or None]
    total, mass, kept = sum(p[v] for v in ranked), 0.0, []
    for v in ranked:
        if not kept or mass < top_p * total:
            kept.append(v)
        mass += p[v]
    return [p[v] if v in kept else 0.0 for v in range(len(p))]


def invert(p, number):
    mass = 0.0
    for v, share in enumerate(p):
        mass += share
        if number * sum(p) < mass:
            return v
    raise AssertionError("probabilities do not add up")


def same(sampled, rows):
    assert sampled.completions == [tokens for tokens, _, _ in rows]
    for got, (_, logprobs, _) in zip(sampled.logprobs, rows, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, logprobs, rtol=NEAR, atol=NEAR)
    assert sampled.truncated.tolist() == [cut for _, _, cut in rows]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen2"])
@pytest.mark.parametrize(
    "cut", [{}, {"temperature": 0.6}, {"temperature": 0}, {"top_p": 0.7, "top_k": 5, "temperature": 1.3}]
)
def test_equals_whole_forward_passes(family, cut):
    model, names = random_model(family), [0, 5, 2, 11]
    want = slowly(model, PROMPTS, 5, names=names, **SETTINGS, **cut)
    same(sample(model, PROMPTS, 5, names=names, **SETTINGS, **cut), want)
    if not cut:
        assert {cut for _, _, cut in want} == {True, False}  # both ends occur


def test_equal_prompts_of_one_length_take_no_mask_and_no_second_pass(monkeypatch):
    model, passes = random_model("qwen2"), []
    prompts = [[3, 4, 5], [6, 7, 8], [3, 4, 5]]
    model.register_forward_pre_hook(lambda _, __, kw: passes.append(tuple(kw["input_ids"].shape)), with_kwargs=True)
    got = sample(model, prompts, 4, names=range(3), **SETTINGS)
    assert passes[0] == (2, 3)
    assert all(width == 1 for _, width in passes[1:])
    assert got.completions[:4] != got.completions[8:]  # the same prompt, another name
    model._forward_pre_hooks.clear()
    same(got, slowly(model, prompts, 4, names=range(3), **SETTINGS))


def test_a_group_alone_draws_what_it_draws_in_company():
    model = random_model("llama")
    every = sample(model, PROMPTS, 4, names=range(4), **SETTINGS)
    for g, prompt in enumerate(PROMPTS):
        alone = sample(model, [prompt], 4, names=[g], **SETTINGS)
        assert alone.completions == every.completions[4 * g : 4 * g + 4]
        one = sample(model, [prompt], 1, names=[g], **SETTINGS)
        assert one.completions == every.completions[4 * g : 4 * g + 1]
    again = sample(model, PROMPTS, 4, names=range(4), **SETTINGS)
    assert again.completions == every.completions
    assert all(map(np.array_equal, again.logprobs, every.logprobs))


def test_seed_step_group_and_sample_each_give_other_draws():
    keys = [stream_keys(*of, 2) for of in [(0, 0, [0, 1]), (1, 0, [0, 1]), (0, 1, [0, 1])]]
    assert len({tuple(key) for some in keys for key in some}) == 12
    assert np.array_equal(stream_keys(0, np.int64(0), np.arange(2), 2), keys[0])


@pytest.mark.parametrize("dead_share", [1, 1000])
def test_when_ended_rows_are_dropped_changes_nothing(monkeypatch, dead_share):
    model, want = random_model("gpt2"), slowly(random_model("gpt2"), PROMPTS, 5, names=range(4), **SETTINGS)
    monkeypatch.setattr(sampling, "DEAD_SHARE", dead_share)
    same(sample(model, PROMPTS, 5, names=range(4), **SETTINGS), want)
    monkeypatch.setattr(sampling, "CHECK_EVERY", {"cpu": 5})
    same(sample(model, PROMPTS, 5, names=range(4), **SETTINGS), want)


def test_only_live_rows_go_on():
    model, rows = random_model("gpt2"), []
    model.register_forward_pre_hook(lambda _, __, kw: rows.append(len(kw["input_ids"])), with_kwargs=True)
    got = sample(model, PROMPTS[:2], 8, names=range(2), **SETTINGS | {"max_new_tokens": 40})
    lengths = np.array([len(c) for c in got.completions])
    for t, n in enumerate(rows[1:], start=1):
        alive = (lengths > t).sum()
        assert alive <= n <= alive * 8 / 7 + 1
    assert len(rows) == min(40, lengths.max())


def test_end_at_once():
    got = sample(random_model("llama"), PROMPTS, 3, names=range(4), **SETTINGS | {"eos": frozenset(range(WORDS))})
    assert [len(c) for c in got.completions] == [1] * 12
    assert not got.truncated.any()


def test_an_end_at_the_limit_is_no_truncation():
    model = random_model("llama")
    free = sample(model, PROMPTS, 1, names=range(4), **SETTINGS | {"eos": frozenset()})
    assert free.truncated.all()
    last = free.completions[0][-1]
    first = free.completions[0].index(last) + 1
    got = sample(model, PROMPTS, 1, names=range(4), **SETTINGS | {"eos": frozenset({last}), "max_new_tokens": first})
    assert got.completions[0] == free.completions[0][:first]
    assert not got.truncated[0]


def test_long_completions_outgrow_block_and_room(monkeypatch):
    monkeypatch.setattr(sampling, "BLOCK", 8)
    settings = SETTINGS | {"max_new_tokens": ROOM + 20, "eos": frozenset({1})}
    model = random_model("qwen2", context=128)
    got = sample(model, PROMPTS[:2], 3, names=range(2), **settings)
    assert max(map(len, got.completions)) > ROOM
    same(got, slowly(model, PROMPTS[:2], 3, names=range(2), **settings))


def test_stop_after_sees_the_tokens_so_far():
    model = random_model("gpt2")
    settings = SETTINGS | {"eos": frozenset()}
    free = sample(model, PROMPTS, 3, names=range(4), **settings)
    got = sample(model, PROMPTS, 3, names=range(4), stop_after=lambda so_far: so_far.sum(1) > 40, **settings)
    ends = [int(np.argmax(np.cumsum(c) > 40)) + 1 if sum(c) > 40 else len(c) for c in free.completions]
    assert len(set(ends)) > 2
    assert got.completions == [c[:end] for c, end in zip(free.completions, ends, strict=True)]
    assert got.truncated.tolist() == [sum(c) <= 40 for c in free.completions]


def test_frequencies_are_the_probabilities():
    model = random_model("gpt2", vocabulary=6)
    with torch.no_grad():
        p = torch.softmax(model(torch.tensor([[3, 4]])).logits[0, -1].double() / 0.8, 0).numpy()
    settings = {"seed": 0, "step": 0, "max_new_tokens": 1, "temperature": 0.8}
    drawn = sample(model, [[3, 4]] * 50, 80, names=range(50), **settings).completions
    counts = np.bincount(np.ravel(drawn), minlength=6)
    assert chisquare(counts, p * len(drawn)).pvalue > 0.01
    assert chisquare(counts, np.full(6, len(drawn) / 6)).pvalue < 1e-6  # not just anything passes


def test_streams_are_entered_anywhere():
    keys = stream_keys(3, 4, ["a", "b"], 3)
    whole = [np.random.Generator(np.random.Philox(key=key)).random(40) for key in keys]
    np.testing.assert_array_equal(uniforms(keys, 0, 40), whole)
    np.testing.assert_array_equal(uniforms(keys, 12, 9), np.array(whole)[:, 12:21])
    with pytest.raises(ValueError, match="multiples of 4"):
        uniforms(keys, 6, 1)


def test_draws_at_the_bounds_of_the_distribution():
    logits = torch.tensor([[-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf]]).expand(5, 5)
    numbers = torch.tensor([0.0, 0.5 - 2**-53, 0.5, 0.75, 1 - 2**-53], dtype=torch.float64)
    drawn, logprob = sample_token(logits, numbers)
    assert drawn.tolist() == [1, 1, 3, 3, 3]
    torch.testing.assert_close(logprob, torch.full((5,), 0.5, dtype=torch.float64).log())
    many = torch.randn(5000, 9, generator=torch.Generator().manual_seed(0))
    many[:, 7:] = -torch.inf
    assert (sample_token(many, torch.full((5000,), 1 - 2**-53, dtype=torch.float64))[0] == 6).all()


def test_ties_stay_in():
    logits = torch.tensor([[1.0, 1.0, 1.0, 0.0]]).expand(3, 4)
    numbers = torch.tensor([0.1, 0.5, 0.99], dtype=torch.float64)
    assert sample_token(logits, numbers, top_k=2)[0].tolist() == [0, 1, 2]
    assert sample_token(logits, numbers, top_p=0.1)[0].tolist() == [0, 1, 2]
    assert sample_token(logits, numbers, top_k=9, top_p=0.0)[0].tolist() == [0, 1, 2]


def test_modes_and_gradients_are_restored():
    model = random_model("gpt2", resid_pdrop=0.5, embd_pdrop=0.5)
    model.train()
    model.transformer.h[0].eval()
    before = [module.training for module in model.modules()]
    one, other = (sample(model, PROMPTS, 2, names=range(4), **SETTINGS) for _ in range(2))
    assert one.completions == other.completions  # no dropout
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled()
    with pytest.raises(RuntimeError, match="broken"):
        sample(model, PROMPTS, 2, names=range(4), stop_after=broken, **SETTINGS)
    assert [module.training for module in model.modules()] == before


def broken(_):
    raise RuntimeError("broken")


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # of the versions before
def test_gradient_checkpointing_leaves_the_cache_alone():
    model = random_model("llama")
    want = sample(model, PROMPTS, 2, names=range(4), **SETTINGS).completions
    model.gradient_checkpointing_enable()
    model.config.use_cache = False
    model.train()
    assert sample(model, PROMPTS, 2, names=range(4), **SETTINGS).completions == want


def test_weights_are_rounded_once_for_all_tokens():
    model = random_model("llama")
    model.compute_dtype = torch.bfloat16
    weights = {parameter.data_ptr() for parameter in model.parameters()}

    class Rounded(TorchDispatchMode):
        times = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.times += func is torch.ops.aten._to_copy.default and args[0].data_ptr() in weights
            return func(*args, **kwargs or {})

    times = []
    for tokens in (2, 9):
        with Rounded() as rounded:
            sample(model, PROMPTS, 2, names=range(4), **SETTINGS | {"max_new_tokens": tokens, "eos": frozenset()})
        times.append(rounded.times)
    assert times[0] == times[1] == 2 * 7 + 1  # the products of two layers, and the head


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing:FutureWarning")  # of peft
def test_adapters():
    import peft

    plain = random_model("llama")
    want = sample(plain, PROMPTS, 2, names=range(4), **SETTINGS).completions
    adapted = peft.get_peft_model(plain, peft.LoraConfig(target_modules=["q_proj"], r=2))  # starts as the identity
    assert sample(adapted, PROMPTS, 2, names=range(4), **SETTINGS).completions == want


def test_sliding_windows():
    import transformers

    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=WORDS, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, sliding_window=6, initializer_range=0.3,
    )  # fmt: skip
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    same(
        sample(model, PROMPTS, 4, names=range(4), **SETTINGS),
        slowly(model, PROMPTS, 4, names=range(4), **SETTINGS),
    )


def test_refusals():
    model = random_model("gpt2", context=16)
    with pytest.raises(UsageError, match=r"Prompt 9 has 7 tokens, with 12 new ones 19, but the context .* is 16\."):
        sample(model, PROMPTS[1:], 2, names=[7, 8, 9], **SETTINGS)
    sample(model, PROMPTS[:1], 2, names=[0], **SETTINGS | {"max_new_tokens": 11})  # 5 + 11 is the context
    with pytest.raises(UsageError, match="Prompt b has no tokens"):
        sample(model, [[1], []], 2, names=["a", "b"], **SETTINGS)
    with pytest.raises(UsageError, match="0 tokens cannot be sampled"):
        sample(model, [[1]], 2, names=[0], **SETTINGS | {"max_new_tokens": 0})
    with pytest.raises(ValueError, match="2 prompts have 1 names"):
        sample(model, [[1], [2]], 2, names=[0], **SETTINGS)


@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_not_finite(temperature):
    model = random_model("gpt2")
    model.lm_head.weight.data[4, 0] = torch.nan
    with pytest.raises(InputError, match=r"Step 3: .* not finite"):
        sample(model, PROMPTS, 2, names=range(4), temperature=temperature, **SETTINGS)


def test_no_prompts():
    got = sample(random_model("gpt2"), [], 2, names=[], **SETTINGS)
    assert (got.completions, got.logprobs, got.truncated.shape) == ([], [], (0,))
