"""Rounding of logged advantages is no sign: trainers' float32 arithmetic, imitated, against exact fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grpo_prm.core.forest import build_forest, members
from grpo_prm.core.groups import Groups
from grpo_prm.core.prm import EPS, float32_bound, zero_tolerance

torch.set_num_threads(1)  # tensors of a few numbers
ULP = 2.0**-23


def added_in_turn(values):
    """Sum in float32, one after the other: the worst order."""
    total = np.float32(0)
    for value in values:
        total = np.float32(total + value)
    return total


MEANS = {
    "in turn": lambda r: np.float32(added_in_turn(r) / np.float32(len(r))),
    "numpy": lambda r: r.mean(),
    "torch": lambda r: np.float32(torch.from_numpy(r).mean().item()),
}


def logged_by_a_trainer(rewards, mean="torch", std="sample", batch=None):
    """Advantages as TRL (sample), Dr. GRPO (none) and verl (batch) compute them, all in float32."""
    r = np.asarray(rewards, np.float32)
    centred = r - MEANS[mean](r)
    if std == "none":
        return centred
    spread = torch.from_numpy(r if batch is None else np.asarray(batch, np.float32)).std().numpy()
    return centred / (spread + np.float32(EPS))


def logged_groups(tokens, rewards, advantages):
    """One group of a log."""
    lengths, groups = np.array(list(map(len, tokens))), np.zeros(len(tokens), np.int64)
    flat = np.array([t for row in tokens for t in row])
    given = np.asarray(advantages, np.float64)
    forest = build_forest(flat, lengths, groups)
    return Groups(forest, flat, lengths, groups, np.asarray(rewards, np.float64), given=given, logged=True)


def exact_signs(groups):
    """Sign of R(λ) - mean(r) of every process step, and of r - mean(r) of every completion, as fractions."""
    r = [Fraction(float(value)) for value in groups.rewards]
    mean = sum(r) / len(r)
    step, row = members(groups.forest)
    sets = [row[step == n].tolist() for n in range(len(groups.forest.size))]
    of_sets = [sum(r[j] for j in own) / len(own) - mean for own in sets]
    return [(x > 0) - (x < 0) for x in of_sets], [(x > mean) - (x < mean) for x in r]


KINDS = {
    "grid": lambda rng, k: 1.07 + 0.01 * rng.integers(0, 10, k),  # what was called noise a sign
    "binary": lambda rng, k: rng.integers(0, 2, k).astype(float),
    "large": lambda rng, k: 1000 + rng.integers(0, 3, k) / 10,
    "normal": lambda rng, k: rng.normal(size=k),
    "small": lambda rng, k: 1e-3 * rng.integers(0, 4, k),
}


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(KINDS)),
    st.sampled_from(sorted(MEANS)),
    st.sampled_from(["sample", "none", "batch"]),
    st.integers(2, 128),
    st.integers(0, 2**32 - 1),
)
@example("grid", "torch", "sample", 8, 0)
@example("grid", "in turn", "none", 128, 1)
@example("large", "numpy", "batch", 3, 2)
def test_no_sign_is_made_of_rounding(kind, mean, std, k, seed):
    """A sign that is told is the true one, and the root, whose advantage is 0, has none."""
    rng = np.random.default_rng(seed)
    rewards = KINDS[kind](rng, k)
    batch = np.concatenate([rewards, KINDS[kind](rng, 64)]) if std == "batch" else None
    tokens = [[3, int(rng.integers(4, 7)), int(rng.integers(4, 7)), 10 + n] for n in range(k)]
    found = logged_groups(tokens, rewards, logged_by_a_trainer(rewards, mean, std, batch))
    assert found.centred.all()
    of_sets, of_rows = exact_signs(found)
    told = found.sign.raised.astype(int) - found.sign.lowered
    assert all(sign in (0, true) for sign, true in zip(told.tolist(), of_sets, strict=True))
    assert told[0] == 0 and found.set_advantages[0] == 0
    told = found.sign.good.astype(int) - found.sign.bad
    # A reward a hair from the mean, as fractions of decimals are, may be rounded onto it.
    assert all(sign in (0, true) for sign, true in zip(told.tolist(), of_rows, strict=True))


@pytest.mark.parametrize("k", [2, 3, 8, 64, 128])
@pytest.mark.parametrize("std", ["sample", "none"])
def test_true_signs_are_told(std, k):
    """The bound must not hide what there is: with two rewards every sign, however many completions."""
    rng = np.random.default_rng(k)
    for hits in sorted({1, k // 2, k - 1}):
        rewards = (rng.permutation(k) < hits).astype(float)
        tokens = [[3, int(rng.integers(4, 7)), int(rng.integers(4, 7)), 10 + n] for n in range(k)]
        found = logged_groups(tokens, rewards, logged_by_a_trainer(rewards, "torch", std))
        of_sets, of_rows = exact_signs(found)
        assert (found.sign.raised.astype(int) - found.sign.lowered).tolist() == of_sets
        assert (found.sign.good.astype(int) - found.sign.bad).tolist() == of_rows


def test_the_bound_holds_where_every_sum_is_rounded_up():
    """128 rewards added in turn, each made so that its sum is rounded up by nearly half of a last digit."""
    rewards, total = [0.0, 2.0], np.float32(2)
    for _ in range(126):
        ulp = float(np.spacing(np.float32(total + np.float32(1))))
        rewards.append(1 + ulp / 2 + ULP)
        total = np.float32(total + np.float32(rewards[-1]))
    a = logged_by_a_trainer(rewards, "in turn", "none")
    exact = sum(map(Fraction, rewards)) / 128
    off = abs(float(Fraction(float(MEANS["in turn"](np.float32(rewards)))) - exact))
    bound = zero_tolerance(a.astype(float), np.zeros(128, int), logged=True, rewards=np.array(rewards))
    assert 20 * ULP < off < bound[0] < 8 * off
    assert logged_groups([[1, n] for n in range(128)], rewards, a).set_advantages[0] == 0


def test_the_bound_by_hand():
    """C eps max|r| / d with C = (k + 7) / 2; d is seen as (S - N) / max|a|."""
    rewards, groups = np.array([0.0, 1.0, 1000.0, 1000.0 + 1e-3]), np.array([0, 0, 1, 1])
    noise = 4.5 * ULP
    expected = 3 * noise / (0.5 - noise)
    assert float32_bound(rewards, groups, np.array([3.0, 7.0])).tolist() == [pytest.approx(expected, rel=1e-12), 7.0]
    hole = float32_bound(np.array([0.0, 1.0, np.nan]), np.zeros(3, int), np.array([3.0]))
    assert hole.tolist() == [pytest.approx(expected, rel=1e-12)]


def test_advantages_that_are_not_centred_keep_their_root():
    """With a KL term or the baseline of a batch A(root) is not 0: a mean that rounding does not explain is one."""
    tokens, rewards = [[1, 2], [1, 3], [1, 4], [1, 5]], np.array([1.07, 1.1, 1.07, 1.16])
    a = logged_by_a_trainer(rewards).astype(float)
    for shift, root in ((0.0, 0), (1e-3, 1), (-1e-3, -1)):
        found = logged_groups(tokens, rewards, a + shift)
        assert found.centred.tolist() == [root == 0]
        assert (int(found.sign.raised[0]) - int(found.sign.lowered[0])) == root
        assert found.set_advantages[0] == (pytest.approx(a.mean() + shift) if root else 0)
    assert found.tolerance.tolist() == pytest.approx([1e-6 * max(1, np.abs(a - 1e-3).max())])
    # Without rewards nothing is known of the divisor.
    assert zero_tolerance(a, np.zeros(4, int), logged=True).tolist() == [1e-6 * np.abs(a).max()]


def test_the_root_of_a_centred_group_is_0_whatever_was_set_to_0():
    """Many advantages within the tolerance, one beyond it: set to 0 they would leave the root a mean."""
    k = 100
    rewards = np.array([0.0, 2.0] + [1.0] * (k - 2))
    bound = float(float32_bound(rewards, np.zeros(k, int), np.array([1.0]))[0])
    a = np.array([-1.0, 1.0] + [0.9 * bound] * (k - 2))
    a[0] -= a[2:].sum() + 0.5 * bound * k  # the mean is -bound / 2, without those within the bound it is -1.4 bound
    found = logged_groups([[1, n] for n in range(k)], rewards, a)
    assert found.advantages.mean() < -found.tolerance[0] and found.centred.all()
    assert found.set_advantages[0] == 0 and not (found.sign.raised | found.sign.lowered)[0]
