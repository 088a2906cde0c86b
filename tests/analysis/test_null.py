"""The null of a statistic is the same ratio, of the sums that each permutation gives."""

from __future__ import annotations

import numpy as np

from grpo_prm.analysis.null import FIXED, null_distributions
from grpo_prm.analysis.statistics import PERMUTED
from grpo_prm.core.permutations import PermutedSums

PERMUTED_SUMS = PermutedSums(
    informative_sum=np.array([2.0, 4.0]),
    good_tokens=np.array([4.0, 0.0]),
    suppressed_good_tokens=np.array([1.0, 0.0]),
    bad_tokens=np.array([1.0, 10.0]),
    boosted_bad_tokens=np.array([1.0, 1.0]),
    inherited_tokens=np.array([4.0, 2.0]),
    certain_wilson=np.array([3.0, 0.0]),
    certain_student=np.array([0.0, 6.0]),
    pairs_right=np.array([1.5, 0.0]),
    pairs=np.array([2.0, 0.0]),
)


def test_nulls_are_ratios_of_the_permuted_sums_to_each_other_or_to_those_that_stay():
    fixed = {"informative_tokens": 8, "intermediate_tokens": 12, "exchangeable": 1}
    null = null_distributions(PERMUTED_SUMS, fixed, binary=True)
    assert set(fixed) == set(FIXED) and list(null) == list(PERMUTED)
    np.testing.assert_array_equal(null["informativeness"], [0.25, 0.5])
    np.testing.assert_array_equal(null["suppressed_good"], [0.25, np.nan])
    np.testing.assert_array_equal(null["boosted_bad"], [1.0, 0.1])
    np.testing.assert_array_equal(null["certain_share"], [0.25, 0.0])
    np.testing.assert_array_equal(null["inherited"], [0.5, 0.25])
    np.testing.assert_array_equal(null["leave_pair_out_auc"], [0.75, np.nan])


def test_certain_share_is_of_the_interval_that_the_log_asks_for():
    null = null_distributions(PERMUTED_SUMS, dict.fromkeys(FIXED, 12.0), binary=False)
    np.testing.assert_array_equal(null["certain_share"], [0.0, 0.5])


def test_without_what_they_are_a_share_of_there_is_no_null():
    null = null_distributions(PERMUTED_SUMS, dict.fromkeys(FIXED, 0.0) | {"exchangeable": 1}, binary=True)
    none = [name for name in PERMUTED if np.isnan(null[name]).all()]
    assert none == ["informativeness", "inherited", "certain_share"]


def test_without_a_group_in_which_anything_can_be_exchanged_there_is_no_null():
    null = null_distributions(PERMUTED_SUMS, dict.fromkeys(FIXED, 12.0) | {"exchangeable": 0}, binary=True)
    assert list(null) == list(PERMUTED) and all(np.isnan(values).all() for values in null.values())
