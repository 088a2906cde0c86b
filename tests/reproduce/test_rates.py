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


@pytest.mark.parametrize(
    ("scores", "rate", "edge"),
    [
        ([0.0, 1.0, 1.0 - 0.9 * PLATEAU, 0.0], 2.0, False),  # of two inside the lower one
        ([0.0, 0.9, 0.9, 1.0, 0.9], 8.0, False),
        ([1.0 - 0.9 * PLATEAU, 1.0, 0.5, 0.5], 2.0, False),  # not the edge, where the middle lies between two
        ([0.5, 0.5, 1.0 - 0.9 * PLATEAU, 1.0], 4.0, False),
        ([0.5, 0.5, 1.0 - 1.1 * PLATEAU, 1.0], 8.0, True),
        ([1.0, 1.0, 1.0, 1.0, 1.0], 4.0, False),
        ([0.896, 0.897, 0.3, 0.9, 0.2], 8.0, False),  # good ones beyond a worse one are no neighbours
    ],
)
def test_of_neighbours_that_are_as_good_the_middle_one_is_taken(scores, rate, edge):
    grid = [2.0**n for n in range(len(scores))]
    found = choose_rates(lambda pairs: [scores[grid.index(r)] for _, r in pairs], {("a",): grid}, 0)["a",]
    assert (found.rate, found.edge) == (rate, edge)


def test_a_plateau_at_the_edge_is_looked_beyond():
    scores = {1.0: 0.1, 2.0: 0.2, 4.0: 0.3, 8.0: 0.304, 16.0: 0.9, 32.0: 0.1}
    found = choose_rates(lambda pairs: [scores[r] for _, r in pairs], {("a",): GRID}, 2)["a",]
    assert (found.rate, found.edge) == (16.0, False)
