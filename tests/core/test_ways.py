"""The few ways in which the values of a group can stand: each that there is, once, and drawn as often as any other."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from core.null_oracle import permuted_rewards
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from scipy.stats import chisquare
from strategies import column, flatten, forests

from grpo_prm.core import ways as module
from grpo_prm.core.draws import drawn
from grpo_prm.core.exchange import classes_of
from grpo_prm.core.forest import build_forest
from grpo_prm.core.ways import values_of, ways_of

MIXED = [Row([1], reward=1.0), Row([2], reward=0.0), Row([3], reward=0.5), Row([4], reward=1.0)]
TORN = [Row([1, 1], reward=1.0), Row([1, 1], reward=0.0), *[Row([1, 2], reward=0.0)] * 2, Row([3], reward=1.0)]
EIGHT = [Row([n], reward=float(n < 4)) for n in range(8)]
NINE = [Row([n], reward=float(n)) for n in range(9)]


def of(batch):
    """The ways, the classes, and of each group its rows in tree order."""
    tokens, lengths, groups, _ = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    classes = classes_of(forest, column(batch, "reward")[None, forest.order])
    opens = np.cumsum([0, *map(len, batch)])
    rows = [np.arange(begin, begin + len(group)) for begin, group in zip(opens[:-1], batch, strict=True)]
    return ways_of(classes, len(batch)), classes, rows, forest.order - np.repeat(opens[:-1], np.diff(opens))


@settings(max_examples=40, deadline=None)
@given(forests(min_k=2, max_k=5, max_groups=3, rewards="fractional"))
@example([])
@example([MIXED, TORN, EIGHT[1:7], [Row([1], reward=1.0)] * 2])
@example([NINE[:5], NINE[:6]])
def test_the_ways_of_a_group_are_those_of_all_permutations(batch):
    ways, classes, rows, order = of(batch)
    for n, group in enumerate(batch):
        expected = {tuple(np.round(np.array(values, float), 9) + 0.0) for values in permuted_rewards(group)}
        assert ways.number[n] == (len(expected) if len(expected) <= module.MOST else 0)
        if not ways.number[n]:
            continue
        (found,) = values_of(ways, classes, np.array([n]), rows[n][None])
        assert found.shape == (1, len(group), len(expected))
        own = np.empty(found.shape[1:])
        own[order[rows[n]]] = found[0]  # from tree order to that of the log
        assert {tuple(np.round(way, 9) + 0.0) for way in own.T} == expected


def test_of_many_ways_none_are_written_out(monkeypatch):
    assert of([NINE, EIGHT, MIXED])[0].number.tolist() == [0, 70, 12]  # 9! of nine rewards that differ
    monkeypatch.setattr(module, "MOST", 69)
    assert of([NINE, EIGHT, MIXED])[0].number.tolist() == [0, 0, 12]


def test_groups_of_one_number_and_other_shapes_are_worked_out_together():
    """28 ways each: two of eight are good, or two are bad; another group stands between them."""
    good, bad = ([Row([n], reward=float((n < 2) == better)) for n in range(8)] for better in (True, False))
    ways, classes, rows, _ = of([good, TORN, bad])
    both = np.array([0, 2])
    (found,) = values_of(ways, classes, both, np.stack([rows[n] for n in both]))
    for n, own in zip(both, found, strict=True):
        np.testing.assert_array_equal(own, values_of(ways, classes, np.array([n]), rows[n][None])[0][0])
    assert (found[0].sum(axis=0) == 2).all() and (found[1].sum(axis=0) == 6).all()


def test_two_values_move_together():
    """Advantages and rewards of one group: pairs that are equal in both are one value, others are not."""
    tokens, lengths, groups, _ = flatten([MIXED])
    forest = build_forest(tokens, lengths, groups)
    values = np.array([[1.0, 0.0, 0.0, 1.0], [5.0, 6.0, 7.0, 5.0]])
    classes = classes_of(forest, values[:, forest.order])
    found = np.stack(values_of(ways_of(classes, 1), classes, np.array([0]), np.arange(4)[None]))[:, 0]
    expected = {tuple(map(tuple, values[:, list(order)].T)) for order in permutations(range(4))}
    assert {tuple(map(tuple, way.T)) for way in np.moveaxis(found, -1, 0)} == expected and len(expected) == 12


# ---------------------------------------------------------------- draws


def split_mix(seed, number):
    """SplitMix64 in whole numbers of Python."""
    for n in range(1, number + 1):
        z = (seed + n * 0x9E3779B97F4A7C15) % 2**64
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        yield z ^ (z >> 31)


def test_split_mix_is_the_published_one():
    """The first numbers from seed 1234567, as other implementations print them."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert list(split_mix(1234567, 4)) == expected


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=4), st.integers(1, 2**32), st.integers(0, 9))
def test_a_draw_is_the_upper_half_of_its_number(seeds, below, number):
    found = drawn(np.array(seeds, np.uint64), below, number)
    assert found.shape == (len(seeds), number)
    for seed, row in zip(seeds, found.tolist(), strict=True):
        assert row == [(z >> 32) * below >> 32 for z in split_mix(seed, number)]
        assert all(0 <= one < below for one in row)


@pytest.mark.parametrize("below", [2, 7, 56, 70])
def test_every_way_is_drawn_as_often(below):
    """Along a stream, and over neighbouring seeds at one place of it."""
    for found in (drawn(np.array([3], np.uint64), below, 20000), drawn(np.arange(20000, dtype=np.uint64), below, 1)):
        seen = Counter(found.ravel().tolist())
        assert len(seen) == below and chisquare(list(seen.values())).pvalue > 1e-3
    pairs = drawn(np.arange(200, dtype=np.uint64), below, 200) * below + drawn(
        np.arange(1, 201, dtype=np.uint64), below, 200
    )
    assert chisquare(np.bincount(pairs.ravel(), minlength=below**2)).pvalue > 1e-3
