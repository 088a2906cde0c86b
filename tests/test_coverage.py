"""The measurement of coverage: the true value, the draws and the count, by loops."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from grpo_prm.analysis.clusters import CLUSTER
from grpo_prm.analysis.ratios import Sums
from grpo_prm.analysis.statistics import OF_GROUPS, STATISTICS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
NAMES = ("reward", "identical_share")


@pytest.fixture(autouse=True, scope="module")
def on_the_path():
    """The benchmarks are scripts that import each other by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield


def invented(problems=400, seed=0):
    """A groups table with two groups of every problem, out of order."""
    rng = np.random.default_rng(seed)
    problem = rng.permutation(np.repeat(np.arange(problems), 2))
    tokens = rng.integers(1, 20, 2 * problems)
    return pl.DataFrame(
        {
            "run": ["a"] * len(problem),
            **{name: [f"p{n:04}" for n in problem] for name in CLUSTER if name != "run"},
            "reward_mean": rng.normal(size=problems)[problem] + 0.3 * rng.normal(size=len(problem)),
            "identical_tokens": rng.binomial(tokens, 0.4).astype(float),
            "intermediate_tokens": tokens.astype(float),
        }
    )


def test_the_true_value_is_that_of_all_groups():
    from coverage import truth

    table = invented()
    assert truth(table, NAMES) == {
        "reward": pytest.approx(table["reward_mean"].mean()),
        "identical_share": pytest.approx(table["identical_tokens"].sum() / table["intermediate_tokens"].sum()),
    }
    assert truth(table.with_columns(intermediate_tokens=0.0), NAMES)["identical_share"] is None


def test_each_log_has_all_groups_of_its_problems_and_nothing_else():
    from coverage import coverage, truth

    table, logs, clusters = invented(), 12, 25
    true, rng = truth(table, NAMES), np.random.default_rng([4, clusters])
    held = dict.fromkeys(NAMES, 0)
    for number in range(logs):
        drawn = [f"p{n:04}" for n in rng.choice(400, clusters, replace=False)]
        log = table.filter(pl.col(CLUSTER[-1]).is_in(drawn))
        assert len(log) == 2 * clusters
        for name, one in Sums(log, CLUSTER, NAMES).intervals(number % 8).items():
            held[name] += one.low <= true[name] <= one.high
    assert coverage(table, NAMES, clusters, logs, seed=4) == {name: (held[name] / logs, logs) for name in NAMES}


def test_intervals_of_a_mean_cover_about_as_often_as_they_say_and_wrong_ones_do_not(monkeypatch):
    import coverage

    table = invented()
    share, logs = coverage.coverage(table, ["reward"], 60, 300)["reward"]
    assert 0.9 < share < 0.98 and logs == 300
    # Groups of a problem are alike, so as clusters of their own they make intervals that are too narrow.
    table = table.with_columns(pl.int_range(pl.len()).cast(pl.String).alias("row"))
    monkeypatch.setattr(coverage, "truth", lambda *_: {"reward": table["reward_mean"].mean() + 0.3})
    share, _ = coverage.coverage(table, ["reward"], 60, 100)["reward"]
    assert share < 0.7


def test_too_few_problems_have_no_interval():
    from coverage import _cell, coverage

    assert coverage(invented(), NAMES, 19, 3) == dict.fromkeys(NAMES, (None, 0))
    assert [_cell(None, 0, 5), _cell(0.5, 5, 5), _cell(0.5, 4, 5)] == ["-", "0.500", "0.500 (4 logs)"]


@pytest.mark.slow
@pytest.mark.parametrize("rewards", ["binary", "graded"])
def test_the_page_has_every_statistic_that_the_population_has(rewards):
    from coverage import population, table_of, truth, with_interval

    table = population(rewards, 60)
    draws = table.group_by("prompt_key").len()["len"]
    assert len(draws) == 60 and set(draws) == {1, 2, 3}
    assert 0 < table["non_trivial"].mean() < 1 and table["duplicates"].sum() > 0
    assert (table["reward_mean"] * 8 % 1 == 0).all() == (rewards == "binary")
    missing = [name for name in OF_GROUPS if name not in with_interval(table)]
    # Its prompts have no token ids; all else that the registry asks for it must have.
    assert missing == ["tokens_per_unique_with_prompt"]
    assert truth(table, OF_GROUPS)["reward"] == pytest.approx(table["reward_mean"].mean())
    page = table_of("Title", table, 2, (20,))
    assert page.startswith("## Title\n\n| statistic | true value | 20 clusters |\n")
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in page.splitlines()[2:]} == {4}
    assert {"covariance", "effective_sample_size"} <= set(with_interval(table))
    assert "\n| effective sample size | " in page
    for name in set(with_interval(table)) & set(OF_GROUPS):
        title = STATISTICS[name].title.replace("|", r"\|")
        assert f"\n| {title} | " in page
