"""Long runs in windows: each is what its groups say together, and nothing of the log is lost or counted twice."""

import numpy as np
import polars as pl
import pytest
from figures.synthetic import log

from grpo_prm.figures import figure_tables
from grpo_prm.figures.logs import join_logs
from grpo_prm.figures.over_training import MANY_STEPS, WINDOWS, windows

RATIOS = {
    "suppressed_good": ("suppressed_good_tokens", "good_tokens"),
    "boosted_bad": ("boosted_bad_tokens", "bad_tokens"),
    "informativeness": ("informative_sum", "informative_tokens"),
}


def steps_of(*counts):
    rows = [(f"run {n}", 3 * step) for n, count in enumerate(counts) for step in range(count)]
    return pl.DataFrame(rows, {"run": pl.String, "step": pl.Int64}, orient="row").sample(
        fraction=1, shuffle=True, seed=0
    )


@pytest.mark.parametrize("count", [MANY_STEPS, MANY_STEPS + 1, 60, 61, 150, 1000])
def test_windows_part_the_steps_of_a_long_run(count):
    table = windows(steps_of(count))
    if count <= MANY_STEPS:
        assert table.is_empty()
        return
    assert table["step"].to_list() == [3 * step for step in range(count)]  # each once
    bounds = table.select("first", "last", "steps").unique(maintain_order=True).rows()
    each = -(-count // WINDOWS)
    assert len(bounds) == -(-count // each) <= WINDOWS and bounds[0][0] == 0 and bounds[-1][1] == 3 * (count - 1)
    assert all(last - first == 3 * (n - 1) for first, last, n in bounds)
    assert all(n == each for *_, n in bounds[:-1]) and 1 <= bounds[-1][2] <= each
    for first, middle, last in table.select("first", "middle", "last").unique().rows():
        assert middle % 3 == 0 and abs((first + last) / 2 - middle) <= 1.5
    assert all(first <= step <= last for first, step, last in table.select("first", "step", "last").rows())


def test_runs_are_parted_each_on_its_own():
    table = windows(steps_of(100, 7, 45))
    assert table["run"].unique().sort().to_list() == ["run 0", "run 2"]
    alone = windows(steps_of(100))
    assert table.filter(run="run 0").equals(alone)


def brute(rows, name, seed, clusters):
    """Ratio of sums, and percentiles of it over clusters drawn with the seed of the analysis."""
    top, bottom = RATIOS.get(name, (name, None))
    tops, bottoms = np.zeros(len(clusters)), np.zeros(len(clusters))
    for row in rows:
        at = clusters.index(row["prompt_key"])
        tops[at] += row[top]
        bottoms[at] += 1 if bottom is None else row[bottom]
    drawn = np.random.default_rng([seed, len(clusters)]).integers(0, len(clusters), (2000, len(clusters)))
    ratios = tops[drawn].sum(axis=1) / bottoms[drawn].sum(axis=1)
    return tops.sum() / bottoms.sum(), np.percentile(ratios, 2.5), np.percentile(ratios, 97.5)


@pytest.mark.parametrize("figure", ["defects_over_training", "overlap_over_training", "informativeness"])
def test_a_window_is_what_its_groups_say(figure):
    analysis = log(steps=tuple(range(0, 120, 2)), groups=1500)
    table = figure_tables(analysis)[figure]
    if figure == "informativeness":
        table = table.filter(~pl.col("series").is_in(["permutations", "value"])).with_columns(statistic=pl.lit(figure))
    groups = analysis.groups.rows(named=True)
    observed = table.filter(series="observed")
    assert len(observed) == 30 * observed["statistic"].n_unique()
    for row in observed.rows(named=True)[::7]:
        inside = [g for g in groups if row["first"] <= g["step"] <= row["last"]]
        clusters = sorted({g["prompt_key"] for g in inside})
        bottom = RATIOS.get(row["statistic"], (None, "group"))[1]
        assert row["steps"] == 2 and len(clusters) == 50
        assert row["n"] == len({g["prompt_key"] for g in inside if bottom == "group" or g[bottom] > 0})
        expected = brute(inside, row["statistic"], 0, clusters)
        assert (row["mean"], row["low"], row["high"]) == pytest.approx(expected)
    single = table.filter(series="each_step")
    for row in single.rows(named=True)[::9]:
        (source,) = analysis.training.filter(step=row["step"], statistic=row["statistic"]).rows(named=True)
        assert row["mean"] == source["mean"] and row["steps"] == 1
    assert len(single) == 60 * single["statistic"].n_unique()


def test_the_null_of_a_window_is_the_weighted_mean_of_its_steps():
    analysis = log(steps=tuple(range(60)), groups=600)
    null = figure_tables(analysis)["defects_over_training"].filter(series="null")
    assert null["low"].null_count() == len(null) == 60
    for row in null.rows(named=True)[::11]:
        _, bottom = RATIOS[row["statistic"]]
        top = below = 0.0
        for step in range(row["first"], row["last"] + 1):
            (source,) = analysis.training.filter(step=step, statistic=row["statistic"]).rows(named=True)
            weight = analysis.groups.filter(step=step)[bottom].sum()
            top, below = top + weight * source["null_mean"], below + weight
        assert row["mean"] == pytest.approx(top / below)


def test_the_baseline_in_a_window_is_the_mean_of_its_pseudo_groups():
    analysis = log(steps=tuple(range(60)), groups=600)
    beside = figure_tables(analysis)["overlap_over_training"].filter(series="baseline")
    for row in beside.rows(named=True)[::13]:
        inside = analysis.baseline.filter(pl.col("step").is_between(row["first"], row["last"]))
        assert row["mean"] == pytest.approx(inside[row["statistic"]].mean())
        assert row["low"] is None  # two steps are two clusters


def test_a_short_run_beside_a_long_one_keeps_its_steps():
    long, short = log(runs=("long",), steps=tuple(range(100))), log(runs=("short",), steps=(0, 5, 9))
    table = figure_tables(long, short)["defects_over_training"]
    assert table.filter(run="short", series="observed", statistic="boosted_bad")["step"].to_list() == [0, 5, 9]
    assert table.filter(run="short", series="null")["low"].null_count() == 0
    assert table.filter(run="long", series="observed")["steps"].max() == 4
    assert set(table.filter(series="each_step")["run"]) == {"long"}


def test_steps_without_a_figure_have_no_say():
    """A step of which nothing is known leaves its window to the others."""
    analysis = log(steps=tuple(range(60)), groups=600)
    none = (pl.col("step") == 0) & (pl.col("statistic") == "boosted_bad")
    analysis.training = analysis.training.with_columns(pl.when(~none).then("null_mean").alias("null_mean"))
    logs = join_logs([analysis])
    table = figure_tables(analysis)["defects_over_training"]
    row = table.filter(series="null", statistic="boosted_bad", first=0).row(0, named=True)
    (other,) = logs.training.filter(step=1, statistic="boosted_bad").collect()["null_mean"]
    assert row["mean"] == pytest.approx(other) and row["n"] == 1
