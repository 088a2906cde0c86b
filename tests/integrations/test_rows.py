"""Weights of rows that hold prompt and completion, against every prefix compared with every other."""

import numpy as np
import pytest
from oracle_rows import made_rows, row_factors

from grpo_prm.errors import UsageError
from grpo_prm.integrations.rows import check_weights, completion_weights, only_value


@pytest.mark.parametrize("kind", ["process-set", "parent"])
@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_weights_of_rows_in_any_order(seed, power, kind):
    rows, starts, groups = made_rows(seed)
    weights = completion_weights(rows, starts, groups, power, kind)
    expected = row_factors(rows, starts, groups, power, kind)
    assert len(weights) == len(rows)
    for got, wanted in zip(weights, expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_the_same_prompt_of_two_groups_is_two_trees():
    rows = [[7, 1, 2], [7, 1, 2], [7, 1, 2]]
    weights = completion_weights(rows, [1, 1, 1], ["a", "a", "b"])
    assert [row.tolist() for row in weights] == [[0.5, 0.5], [0.5, 0.5], [1.0, 1.0]]


def test_another_prompt_of_one_group_is_another_tree():
    """A rollout's second row goes on from what the first one wrote: it shares nothing with the others' first rows."""
    rows = [[7, 1, 2], [7, 1, 3], [7, 1, 2, 9, 5]]
    weights = completion_weights(rows, [1, 1, 4], ["a", "a", "a"])
    assert [row.tolist() for row in weights] == [[0.5, 1.0], [0.5, 1.0], [1.0]]


def test_a_row_without_completion_is_a_member_of_nothing():
    assert [row.tolist() for row in completion_weights([[7], [7, 1]], [1, 1], [0, 0])] == [[], [1.0]]


@pytest.mark.parametrize(
    ("power", "kind"),
    [(-1.0, "process-set"), (float("nan"), "parent"), ("1", "parent"), (True, "parent"), (1.0, "position")],
)
def test_weights_that_cannot_be_meant(power, kind):
    with pytest.raises(UsageError):
        check_weights(power, kind)


@pytest.mark.parametrize(("values", "only"), [([0.5, 0.5], 0.5), ([0.5, 0.4], None), ([], None), ([-1.0], -1.0)])
def test_the_one_advantage_of_a_completion(values, only):
    assert only_value(np.array(values)) == only
