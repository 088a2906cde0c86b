"""Reliability with each distinct text once: that of the log without its copies, and too low where these are values."""

from __future__ import annotations

import numpy as np
import pytest

from grpo_prm.core.groups import Groups
from grpo_prm.core.reliability import reliability_sums, texts_once_sums


def ratios(groups, std="sample"):
    """Reliability as it is, and with each text once."""
    plain = reliability_sums(groups)
    once = texts_once_sums(groups, plain, std)
    pairs = ((plain, ""), (once, "texts_"))
    return [sums[f"{name}reliable_sum"].sum() / sums[f"{name}squared_sum"].sum() for sums, name in pairs]


def test_a_text_that_comes_three_times_counts_once():
    tokens = [[1, 2], [1, 3], [4, 5], [4, 6], [1, 2], [1, 2], [4, 7]]
    rewards = [1.0, 0.0, 0.0, 1.0, 0.5, 0.0, 0.0]
    texts, means = [[1, 2], [1, 3], [4, 5], [4, 6], [4, 7]], [0.5, 0.0, 0.0, 1.0, 0.0]
    for std in ("sample", "population"):
        found = ratios(Groups.of(tokens, rewards, [0] * 7, std=std), std)[1]
        without = Groups.of(texts, means, [0] * 5, std=std)
        assert (
            found == pytest.approx(ratios(without, std)[0]) != pytest.approx(ratios(Groups.of(tokens, rewards, 7))[0])
        )


def test_a_group_without_copies_keeps_its_sums_whatever_stands_beside_it():
    rng = np.random.default_rng(0)
    tokens, rewards = [[*rng.integers(0, 3, 4).tolist(), n] for n in range(12)], rng.normal(size=12)
    copied = [[1, 2], [1, 2], [1, 3], [4]] * 2
    both = Groups.of(tokens + copied, np.append(rewards, [1, 1, 0, 2, 3, 4, 5, 6]), [0] * 12 + [1] * 8)
    plain = reliability_sums(both)
    once = texts_once_sums(both, plain, "sample")
    assert all(once[f"texts_{name}"][0] == plain[name][0] for name in plain)
    assert once["texts_squared_sum"][1] != plain["squared_sum"][1]


def test_copies_alone_and_copies_that_differ_by_nothing_but_luck_leave_nothing():
    same = Groups.of([[1, 2], [1, 2], [1, 3], [1, 3]], [1.0, 0.0, 0.0, 1.0], 4)  # means are all a half
    once = texts_once_sums(same, reliability_sums(same), "sample")
    assert {name: values.item() for name, values in once.items()} == {
        "texts_squared_sum": 0.0,
        "texts_reliable_sum": 0.0,
    }


TOKENS, DEPTH, CHANCES = 3, 4, np.array([0.7, 0.2, 0.1])


def sampled(k, number, seed):
    """Groups of a policy whose texts are few: draws, rewards, and the value of every beginning of each prompt."""
    rng, place = np.random.default_rng(seed), TOKENS ** np.arange(DEPTH)[::-1]
    for _ in range(number):
        score = np.zeros(1)
        for level in range(DEPTH):
            score = np.repeat(score, TOKENS) + rng.normal(size=TOKENS ** (level + 1))
        values = [(score > 0).astype(float)]
        for _ in range(DEPTH):
            values.insert(0, values[0].reshape(-1, TOKENS) @ CHANCES)
        draws = rng.choice(TOKENS, (k, DEPTH), p=CHANCES)
        yield draws, values[-1][draws @ place], values


def test_it_lies_below_the_slope_that_reliability_estimates_where_texts_come_often():
    """Values of a prefix are known here, so the slope of the definition is too (definitions: Texts once)."""
    above = below = 0.0
    every = list(sampled(16, 600, seed=1))
    tokens = np.concatenate([draws for draws, *_ in every]) + 1
    groups = Groups.of(list(tokens), np.concatenate([rewards for _, rewards, _ in every]), 16, std="none")
    forest = groups.forest
    for step in np.flatnonzero(forest.intermediate & ~groups.zero[forest.group]):
        _, rewards, values = every[forest.group[step]]
        text = tokens[forest.order[forest.first[step]]] - 1

        def value(length, text=text, values=values):
            place = TOKENS ** np.arange(length)[::-1]
            return values[length][int(text[:length] @ place) if length else 0]

        true = (value(forest.start[step] + 1) + value(forest.end[step])) / 2 - value(0)
        off, weight = groups.set_rewards[step] - rewards.mean(), forest.size[step] * forest.length[step]
        above, below = above + weight * off * true, below + weight * off**2
    slope, (reliability, once) = above / below, ratios(groups, "none")
    assert 0.85 < slope < 0.93 and slope - 0.1 < reliability < slope
    assert once < reliability - 0.15
