"""The inverse of the distribution, against a cumulative sum in float64 over the whole vocabulary."""

import numpy as np
import pytest
import torch
from rounding import EPS

from grpo_prm.train.sample_token import BLOCK, sample_token


def distribution(logits, temperature):
    scaled = logits.double().numpy() / temperature
    mass = np.exp(scaled - scaled.max(1, keepdims=True))
    return mass / mass.sum(1, keepdims=True)


@pytest.mark.parametrize("words", [7, BLOCK, 4 * BLOCK, 50_001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("temperature", [1.0, 0.75])
def test_draws_are_the_inverse_of_the_cumulative_sum(words, dtype, temperature):
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 3, (40, words))).to(dtype)
    logits[:, rng.integers(words, size=words // 2)] = -torch.inf
    logits[:, 0] = 1.0  # something is left
    numbers = rng.random(40)
    p = distribution(logits, temperature)
    drawn, logprobs = sample_token(logits, torch.from_numpy(numbers), temperature)
    rows, drawn = np.arange(40), drawn.numpy()
    through = p.cumsum(1)
    # A scaled logit, and its distance from the largest, are rounded, so a probability is off by that share of itself;
    # a block is added in float32.
    size = np.abs(np.where(p > 0, logits.double().numpy(), 0)).max() / temperature
    near = EPS * (2 * size + BLOCK + 8)
    assert (p[rows, drawn] > 0).all()
    assert (through[rows, drawn] - p[rows, drawn] <= numbers + near).all()
    assert (numbers <= through[rows, drawn] + near).all()
    # and no more than a few lie so near to a bound that they go to its other side
    plain = np.array([np.searchsorted(row, number, side="right") for row, number in zip(through, numbers, strict=True)])
    assert (plain == drawn).mean() >= 0.9
    np.testing.assert_allclose(logprobs.numpy(), np.log(p[rows, drawn]), rtol=0, atol=near)


def test_frequencies_over_a_large_vocabulary():
    """Evenly spaced numbers: each token is drawn as often as its probability says, but for one at each end."""
    words, count = 5 * BLOCK + 3, 20_000
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 2, words)).float()
    numbers = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    drawn, _ = sample_token(logits.expand(count, -1), numbers)
    assert (drawn.diff() >= 0).all()
    counts = np.bincount(drawn.numpy(), minlength=words)
    assert np.abs(counts - count * distribution(logits[None], 1.0)[0]).max() <= 1 + count * EPS * BLOCK


@pytest.mark.parametrize("words", [BLOCK, 3 * BLOCK, 3 * BLOCK + 1])
@pytest.mark.parametrize("only", [0, BLOCK - 1, None])
def test_words_without_probability_are_never_drawn(words, only):
    logits = torch.full((3, words), -torch.inf)
    place = words - 1 if only is None else only
    logits[:, place] = -40.0
    numbers = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    drawn, logprobs = sample_token(logits, numbers)
    assert drawn.tolist() == [place] * 3
    assert logprobs.tolist() == [0.0] * 3


def test_the_largest_number_stays_inside_the_last_block():
    rng = np.random.default_rng(2)
    logits = torch.from_numpy(rng.normal(0, 1, (2000, 2 * BLOCK))).float()
    logits[:, -40:] = -torch.inf
    drawn, _ = sample_token(logits, torch.full((2000,), 1 - 2**-53, dtype=torch.float64))
    assert (drawn == 2 * BLOCK - 41).all()


@pytest.mark.parametrize("cut", [{"top_k": 300}, {"top_p": 0.6}, {"top_p": 0.9, "top_k": 900}])
def test_a_cut_leaves_the_likeliest(cut):
    rng = np.random.default_rng(3)
    words, count = 4 * BLOCK, 500
    logits = torch.from_numpy(rng.normal(0, 2, words)).float()
    numbers = rng.random(count)
    drawn, logprobs = sample_token(logits.expand(count, -1), torch.from_numpy(numbers), **cut)
    p = distribution(logits[None], 1.0)[0]
    order = np.argsort(-p)[: cut.get("top_k", words)]
    before = p[order].cumsum() - p[order]
    kept = order[before < cut.get("top_p", 1.0) * p[order].sum()]
    mass = np.zeros(words)
    mass[kept] = p[kept] / p[kept].sum()
    want = np.searchsorted(mass.cumsum(), numbers, side="right")
    assert np.isin(drawn.numpy(), kept).all()
    assert (drawn.numpy() == want).mean() >= 0.9
    np.testing.assert_allclose(logprobs.numpy(), np.log(p[drawn.numpy()]), rtol=0, atol=EPS * BLOCK)
