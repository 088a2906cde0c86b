"""Rates: the best one inside the grid, the middle of a plateau, and a grid that grows toward a best one outside."""

from __future__ import annotations

import math

import pytest

from grpo_prm.reproduce.rates import PLATEAU, choose_rates

GRID = (1.0, 2.0, 4.0, 8.0)


def peak(at, asked=None):
    """Falls with the distance in octaves from a rate."""

    def score(pairs):
        if asked is not None:
            asked.append(pairs)
        return [-abs(math.log2(rate / at[key[0]])) for key, rate in pairs]

    return score


def test_the_best_rate_of_each():
    found = choose_rates(peak({"a": 2.0, "b": 4.0}), {("a",): GRID, ("b",): GRID}, 0)
    assert found["a",].rate == 2.0 and found["b",].rate == 4.0
    assert not found["a",].edge and found["a",].scores == {1.0: -1.0, 2.0: 0.0, 4.0: -1.0, 8.0: -2.0}


@pytest.mark.parametrize(("at", "widen", "rate", "edge"), [(8.0, 0, 8.0, True), (8.0, 1, 8.0, False),
                                                           (16.0, 1, 16.0, True), (16.0, 2, 16.0, False),
                                                           (0.25, 3, 0.25, False), (0.25, 1, 0.5, True)])  # fmt: skip
def test_a_best_rate_at_the_edge_widens_the_grid_there(at, widen, rate, edge):
    asked = []
    found = choose_rates(peak({"a": at, "b": 2.0}, asked), {("a",): GRID, ("b",): GRID}, widen)
    assert (found["a",].rate, found["a",].edge) == (rate, edge)
    assert all(key == ("a",) for pairs in asked[1:] for key, _ in pairs)
    assert len(asked) <= widen + 1 and all(len(pairs) == 1 for pairs in asked[1:])


def test_of_rates_that_are_as_good_the_one_in_the_middle_is_taken():
    flat = {1.0: 0.0, 2.0: 1.0, 4.0: 1.0 - 0.9 * PLATEAU, 8.0: 1.0}
    found = choose_rates(lambda pairs: [flat[rate] for _, rate in pairs], {("a",): GRID}, 0)["a",]
    assert found.rate == 2.0 and not found.edge
    flat[4.0] = flat[2.0] = 1.0 - 1.1 * PLATEAU
    found = choose_rates(lambda pairs: [flat[rate] for _, rate in pairs], {("a",): GRID}, 0)["a",]
    assert found.rate == 8.0 and found.edge
