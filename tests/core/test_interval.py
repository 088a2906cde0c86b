"""Intervals against scipy, and resamples against the same draws summed one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, norm
from scipy.stats import t as student

from grpo_prm.core import interval as module
from grpo_prm.core.interval import (
    RESAMPLES,
    Z,
    cluster_sums,
    resampled_sums,
    student_half_width,
    wilson,
    wilson_bound,
)

# ---------------------------------------------------------------- closed forms


@given(st.integers(1, 400), st.data())
@example(1, None)
@example(7, None)
def test_wilson_is_that_of_scipy(trials, data):
    hits = range(trials + 1) if data is None else [data.draw(st.integers(0, trials))]
    low, high = wilson(list(hits), trials, norm.ppf(0.975))
    for n, a, b in zip(hits, low, high, strict=True):
        expected = binomtest(n, trials).proportion_ci(method="wilson")
        assert (a, b) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_default_takes_1_96_and_arrays_of_any_shape():
    assert Z == 1.96
    low, high = wilson(np.array([[0, 1], [2, 4]]), np.array([4, 4]))
    assert low.shape == high.shape == (2, 2)
    for p, at in ((low, [[0, 1], [2, 4]]), (high, [[0, 1], [2, 4]])):  # ends: the score test is exactly at its bound
        hits = np.array(at)
        np.testing.assert_allclose((hits / 4 - p) ** 2, 1.96**2 * p * (1 - p) / 4, atol=1e-15)
    assert low[0, 0] == pytest.approx(0, abs=1e-15) and high[1, 1] == pytest.approx(1)


def test_wilson_keeps_to_proportions():
    trials = np.arange(1, 500)
    none, every = wilson(np.zeros(499), trials)[0], wilson(trials, trials)[1]
    assert (none == 0).all() and not np.signbit(none).any() and (every == 1).all()


@given(st.integers(1, 60), st.data())
def test_the_bound_says_when_a_wilson_interval_leaves_the_mean_out(size, data):
    hits = data.draw(st.integers(0, size))
    mean = data.draw(st.floats(0.001, 0.999))
    low, high = (float(end) for end in wilson(hits, size))
    distance, bound = abs(hits / size - mean), float(wilson_bound(np.array(mean), np.array(size)))
    if min(abs(mean - low), abs(mean - high)) > 1e-9:
        assert (distance > bound) == (mean < low or mean > high)


def test_the_bound_by_hand():
    np.testing.assert_allclose(wilson_bound(np.array([0.5, 0.5, 0.1, 0.0, 1.0]), np.array([4, 16, 9, 3, 3])),
                               [0.49, 0.245, 0.196, 0.0, 0.0], atol=1e-15)  # fmt: skip
    assert wilson_bound(np.array([0.5]), np.array([4]), 2.0)[0] == 0.5


@given(st.floats(1e-9, 1e3), st.integers(1, 64), st.integers(2, 64))
@example(1.0, 1, 2)  # one degree of freedom: 12.7
def test_student_half_width_is_that_of_scipy(std, size, k):
    found = student_half_width(np.array([std]), np.array([size]), np.array([k]))
    assert found[0] == pytest.approx(student.ppf(0.975, k - 1) * std / math.sqrt(size), rel=1e-9)


def test_a_group_of_one_has_no_student_interval():
    found = student_half_width(np.array([1.0, 1.0]), np.array([1, 4]), np.array([1, 4]))
    assert np.isnan(found[0]) and found[1] == pytest.approx(3.182446305284263 / 2)


# ---------------------------------------------------------------- resamples


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-9, 9), st.integers(0, 9)), max_size=12))
@example([])
@example([(3, 1, 1), (0, 2, 1), (3, 4, 1)])
def test_cluster_sums_add_up_by_name(rows):
    by_name: dict[int, list[int]] = {}
    for name, *values in rows:
        by_name[name] = [a + b for a, b in zip(by_name.get(name, [0, 0]), values, strict=True)]
    sums = np.array([values for _, *values in rows], float).reshape(-1, 2)
    names = np.array([name for name, *_ in rows], int)
    assert cluster_sums(sums, names).tolist() == [by_name[name] for name in sorted(by_name)]


def drawn_one_by_one(sums, seed):
    """Every resample by itself: draw as many clusters as there are, add them up."""
    rng = np.random.default_rng([seed, len(sums)])
    return np.array([sums[rng.integers(0, len(sums), len(sums))].sum(axis=0) for _ in range(RESAMPLES)])


@pytest.mark.parametrize("clusters", [1, 3, 20, module.FEW_TO_KEEP, module.FEW_TO_KEEP + 1, 700])
def test_resamples_are_sums_of_clusters_drawn_with_replacement(clusters):
    """512 and fewer are kept and more are not; 700 take two blocks."""
    rng = np.random.default_rng(clusters)
    sums = np.stack([rng.exponential(size=clusters), np.ones(clusters)], axis=1)
    found = resampled_sums(sums, 11)
    assert found.shape == (RESAMPLES, 2)
    np.testing.assert_allclose(found, drawn_one_by_one(sums, 11), rtol=1e-12)
    assert (found[:, 1] == clusters).all()


def test_the_draws_depend_on_the_seed_and_the_number_of_clusters_alone():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(30, 1)), rng.normal(size=(30, 1))
    again = resampled_sums(one, 5)
    assert (resampled_sums(one, 5) == again).all()
    assert not (resampled_sums(one, 6) == again).all()
    np.testing.assert_allclose(resampled_sums(np.hstack([one, other]), 5)[:, :1], again, rtol=1e-12)


def test_blocks_change_no_draw(monkeypatch):
    sums = np.arange(8.0).reshape(4, 2)
    whole = resampled_sums(sums, 3)
    monkeypatch.setattr(module, "FEW_TO_KEEP", 0)
    assert (resampled_sums(sums, 3) == whole).all()


def test_percentiles_of_a_ratio_are_those_of_scipy():
    rng = np.random.default_rng(2)
    size = rng.integers(1, 9, 60)
    sums = np.stack([rng.binomial(size, 0.3), size], axis=1).astype(float)
    found = resampled_sums(sums, 0)
    ours = np.percentile(found[:, 0] / found[:, 1], [2.5, 97.5])
    theirs = bootstrap(
        (sums[:, 0], sums[:, 1]), lambda top, bottom: top.sum() / bottom.sum(), paired=True, vectorized=False,
        n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(1),
    )  # fmt: skip
    error = theirs.standard_error  # of the figure; a percentile of 2,000 draws is itself uncertain by a twentieth of it
    assert np.abs(ours - theirs.confidence_interval).max() < 0.25 * error
    assert found.std(axis=0)[0] == pytest.approx(math.sqrt(60) * sums[:, 0].std(), rel=0.1)


def test_the_interval_of_a_mean_covers_about_as_often_as_it_says():
    """1,000 samples of 256 skewed values at once: the coverage that the page claims, .93 or more."""
    values = np.random.default_rng(4).exponential(size=(256, 1000))
    low, high = np.percentile(resampled_sums(values, 0) / 256, [2.5, 97.5], axis=0)
    coverage = np.mean((low <= 1.0) & (high >= 1.0))
    assert 0.92 < coverage < 0.97
