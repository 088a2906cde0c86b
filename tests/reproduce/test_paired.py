"""Student's intervals against scipy, Holm against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from grpo_prm.reproduce.claims import Finding
from grpo_prm.reproduce.paired import difference, mean_finding, seeds_needed, with_holm


@given(st.integers(3, 12), st.integers(0, 99))
def test_a_difference_is_scipys_paired_test(n, seed):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=n), rng.normal(size=n)
    found = difference("part", "setting", "what", one, other)
    test = stats.ttest_rel(one, other)
    low, high = test.confidence_interval(0.95)
    assert np.allclose([found.mean, found.low, found.high, found.p], [(one - other).mean(), low, high, test.pvalue])
    assert (found.part, found.setting, found.what, found.n) == ("part", "setting", "what", n)


def test_seeds_that_agree_and_few_seeds_give_no_interval():
    assert difference("", "", "", [1, 2, 3], [0, 1, 2])[3:8] == (1.0, None, None, 3, None)
    assert difference("", "", "", [1, 2, 3], [1, 2, 3])[3:8] == (0.0, 0.0, 0.0, 3, 1.0)
    assert difference("", "", "", [1, 5], [0, 1])[3:8] == (2.5, None, None, 2, None)  # two seeds are too few
    alone = mean_finding("", "", "", [0.5])
    assert (alone.mean, alone.low, alone.high, alone.n, alone.p) == (0.5, None, None, 1, None)
    assert mean_finding("", "", "", [0.5, np.nan, 1.5]).mean == 1.0
    assert mean_finding("", "", "", [np.nan]).mean is None
    assert not alone.above and not alone.below


def test_what_is_only_shown_has_no_p():
    assert difference("", "", "", [1, 2, 4], [0, 0, 0], judged=False).p is None


def rejected(ps, level):
    """Holm's step-down procedure: from the smallest on, each against level / how many are left, until one fails."""
    out = set()
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda n: ps[n])):
        if ps[place] > level / (len(ps) - rank):
            break
        out.add(place)
    return out


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=8), st.floats(1e-3, 0.999))
def test_what_is_at_most_a_level_after_holm_is_what_his_procedure_rejects(raw, level):
    found = with_holm([Finding("", "", str(n), 0.0, p=p) for n, p in enumerate(raw)])
    assert [f.what for f in found] == [str(n) for n in range(len(raw))]
    assert all((f.p is None) == (f.p_holm is None) for f in found)
    known = [f for f in found if f.p is not None]
    if all(abs(f.p_holm - level) > 1e-9 for f in known):
        assert {n for n, f in enumerate(known) if f.p_holm <= level} == rejected([f.p for f in known], level)


@pytest.mark.parametrize(
    ("low", "p_holm", "above"), [(0.1, None, True), (0.1, 0.04, True), (0.1, 0.06, False), (-0.1, 0.01, False)]
)
def test_above_needs_the_interval_and_holm(low, p_holm, above):
    assert Finding("", "", "", 0.5, low, 0.9, 5, 0.01, p_holm).above == above
    assert Finding("", "", "", -0.5, -0.9, -low, 5, 0.01, p_holm).below == above


def test_seeds_needed_shrinks_the_interval_by_the_square_root():
    assert seeds_needed(Finding("", "", "", 0.0, -0.04, 0.04, 5), 0.01) == 80
    assert seeds_needed(Finding("", "", "", 0.0, -0.001, 0.001, 5), 0.01) == 5
