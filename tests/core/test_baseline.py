"""Pseudo-groups: who may stand beside whom, and that the draws are those of the generator."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from grpo_prm.core.baseline import pseudo_groups


def step(number, k):
    """Prompts and samples of a training step of `number` groups of k."""
    return np.repeat(np.arange(number), k), np.tile(np.arange(k), number)


def by_definition(prompts, samples, k, rng):
    """For each sample index permute the prompts and cut into pseudo-groups of k; the rest is dropped."""
    number, found, made = len(set(prompts)), {}, 0
    for sample in range(k):
        deck = rng.permutation(number).tolist()
        while len(deck) >= k:
            for prompt in deck[:k]:
                found[prompt, sample] = made
            made, deck = made + 1, deck[k:]
    return [found.get(who, -1) for who in zip(prompts.tolist(), samples.tolist(), strict=True)]


@given(st.integers(0, 13), st.integers(1, 6), st.integers(0, 2**32 - 1), st.booleans())
@example(6, 6, 0, False)  # one pseudo-group for each sample index
@example(5, 6, 0, False)  # one prompt too few
@example(0, 0, 0, False)
def test_completions_are_dealt_as_the_definition_says(number, k, seed, shuffled):
    prompts, samples = step(number, k)
    if shuffled:  # rows in any order
        at = np.random.default_rng(seed + 1).permutation(len(prompts))
        prompts, samples = prompts[at], samples[at]
    pseudo = pseudo_groups(prompts, samples, k, np.random.default_rng(seed))
    assert pseudo.tolist() == by_definition(prompts, samples, k, np.random.default_rng(seed))


@given(st.integers(1, 13), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_a_pseudo_group_has_k_prompts_and_one_sample_index(number, k, seed):
    prompts, samples = step(number, k)
    pseudo = pseudo_groups(prompts, samples, k, np.random.default_rng(seed))
    assert len(pseudo) == number * k and (pseudo == -1).sum() == k * (number % k)
    assert set(pseudo[pseudo >= 0]) == set(range(k * (number // k)))
    for n in range(k * (number // k)):
        assert len(set(prompts[pseudo == n])) == (pseudo == n).sum() == k
        assert len(set(samples[pseudo == n])) == 1


def test_every_sample_index_has_its_own_permutation():
    prompts, samples = step(12, 3)
    pseudo = pseudo_groups(prompts, samples, 3, np.random.default_rng(0))
    cuts = [frozenset(frozenset(prompts[pseudo == 4 * sample + n]) for n in range(4)) for sample in range(3)]
    assert len(set(cuts)) == 3


def test_every_pairing_is_equally_likely():
    prompts, samples = step(4, 2)
    rng, partner = np.random.default_rng(0), Counter()
    for _ in range(1500):
        pseudo = pseudo_groups(prompts, samples, 2, rng)
        first = pseudo[samples == 0]
        partner[prompts[samples == 0][first == first[0]][1]] += 1
    assert set(partner) == {1, 2, 3} and chisquare(list(partner.values())).pvalue > 1e-3
