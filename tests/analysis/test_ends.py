"""Where another seed may put the ends of a range: against the ends that many seeds do give."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from grpo_prm.analysis.clusters import CLUSTER
from grpo_prm.analysis.ratios import Sums
from grpo_prm.core.interval import RESAMPLES, SURE, Drawn, Interval, hangs, other_draws

SEEDS = 300


def log_of(kind, problems=40):
    """Numerators and denominators of problems: alike, with a long tail, or most of it in two of them."""
    rng = np.random.default_rng(5)
    below = rng.uniform(1, 2, problems)
    above = {
        "smooth": rng.normal(1, 1, problems),
        "tail": rng.pareto(2, problems),
        "lumps": np.where(np.arange(problems) < 2, 60.0, rng.normal(0, 0.5, problems)),
    }[kind]
    return pl.DataFrame(
        {"run": "a", "prompt_key": [f"{n:03}" for n in range(problems)], "reliable_sum": above, "squared_sum": below},
        schema_overrides={"problem": pl.String},
    ).with_columns(problem=pl.lit(None, pl.String))


@pytest.fixture(scope="module", params=["smooth", "tail", "lumps"])
def by_seed(request):
    sums = Sums(log_of(request.param), CLUSTER, ("reliability",))
    return request.param, [sums.drawn(seed)["reliability"] for seed in range(SEEDS)]


@pytest.mark.parametrize("end", ["low", "high"])
def test_other_seeds_put_an_end_where_it_is_said(by_seed, end):
    """95 of 100 other seeds have their end there."""
    kind, found = by_seed
    ends = np.array([getattr(one.interval, end) for one in found])
    between = np.array([getattr(one, end) for one in found])
    assert ((between[:, 0] <= ends) & (ends <= between[:, 1])).all()
    held = np.mean([(low <= ends) & (ends <= high) for low, high in between])
    assert 0.92 <= held < 0.985
    # And they are no wider than that takes: two standard errors of a difference to either side.
    width = np.median(between[:, 1] - between[:, 0])
    assert 0.75 < width / (2 * SURE * 2**0.5 * ends.std()) < (1.3 if kind != "lumps" else 4)  # which are apart


@pytest.mark.parametrize(("place", "close"), [(0, True), (1, True), (3, None), (8, False), (30, False)])
def test_an_answer_hangs_on_the_seed_where_seeds_differ_about_it(by_seed, place, close):
    """A limit so many standard errors above the high end of endless draws."""
    kind, found = by_seed
    ends = np.array([one.interval.high for one in found])
    limit = np.median(ends) + place * ends.std()
    said = np.mean([hangs(lambda _, high: high < limit, one) for one in found])
    differ = min(np.mean(ends < limit), np.mean(ends >= limit))
    if close:
        assert said > 0.9 and differ > 0.01
    elif close is None:
        assert 0.1 < said < (0.8 if kind != "lumps" else 1) and differ < 0.01
    else:  # between two lumps there are no ends, and a seed may put its end at either of them
        assert (said < 0.05 or (place, kind) == (8, "lumps")) and differ == 0


def test_the_shares_by_hand():
    """50 ± 2 sqrt(2 · 2000 · .025 · .975) = 50 ± 19.7 of the 2,000 draws."""
    low, high = other_draws(0.025)
    assert (RESAMPLES * low, RESAMPLES * high) == pytest.approx((50 - 19.748, 50 + 19.748), abs=1e-3)
    assert other_draws(0.975, 400) == pytest.approx((0.975 - 0.022079, 0.975 + 0.022079), abs=1e-5)


def test_what_is_not_drawn_hangs_on_no_seed():
    """Few problems, Wilson's range, and a share that is 1 in every problem."""
    few = Sums(log_of("smooth", 19), CLUSTER, ("reliability",)).drawn(0)["reliability"]
    assert few.interval.low is few.low is few.high is None
    table = log_of("smooth").with_columns(non_trivial=pl.col("squared_sum") > 1.5, inherited_tokens=1.0)
    table = table.with_columns(informative_tokens=1.0)
    found = Sums(table, CLUSTER, ("non_trivial", "inherited")).drawn(0)
    assert found["non_trivial"].interval.low is not None
    assert found["non_trivial"].low is found["non_trivial"].high is None
    assert found["inherited"].interval.low < 1 and found["inherited"].low is None
    assert found["inherited"].high == (1.0, 1.0)


def test_an_answer_is_asked_at_each_end_of_either_range():
    one = Drawn(Interval(0.5, 0.1, 0.9, 40), (0.0, 0.2), (0.8, 1.0))
    assert not hangs(lambda low, high: (low < 0.3, high > 0.7), one)
    assert hangs(lambda low, _: low > 0.0, one) and hangs(lambda low, _: low < 0.2, one)
    assert hangs(lambda _, high: high > 0.8, one) and hangs(lambda _, high: high < 1.0, one)
    assert not hangs(lambda low, high: (low, high) == (1, 2), one._replace(low=None, high=None))
