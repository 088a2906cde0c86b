"""Figures as ratios of sums over groups, and their intervals, against loops over rows and over the same resamples."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import wilson

from grpo_prm.analysis import ratios as module
from grpo_prm.analysis.clusters import CLUSTER
from grpo_prm.analysis.ratios import Sums, estimates, percentiles, sums_of
from grpo_prm.analysis.statistics import OF_GROUPS, OVERLAP, STATISTICS
from grpo_prm.core.interval import FEW_CLUSTERS, RESAMPLES

UPDATES = tuple(f"update_{name}_{p}" for name in ("norm", "cosine") for p in ("0.5", "1"))
RATIOS = {n: (STATISTICS[n].numerator, STATISTICS[n].denominator) for n in OF_GROUPS if n not in UPDATES}
COLUMNS = sorted({name for pair in RATIOS.values() for name in pair} - {"groups"})
UPDATE_COLUMNS = ("norm_0", "norm_0.5", "dot_0.5", "norm_1", "dot_1")


def groups_table(rows, seed, nulls=0.2, prompts=None):
    """A groups table with invented sums; as many zeros as nulls."""
    rng = np.random.default_rng(seed)
    columns = {}
    for name in COLUMNS:
        values = np.round(rng.exponential(size=rows), 3)
        columns[name] = [None if rng.random() < nulls else float(x) for x in values * (rng.random(rows) >= nulls)]
    for name in {bottom for _, bottom in RATIOS.values()} - {"groups"}:
        columns[name] = [x or 0.0 for x in columns[name]]  # what is counted is counted
    columns["non_trivial"] = (rng.random(rows) < 0.7).tolist()
    base, ours = rng.exponential(size=(2, rows))
    columns |= {"norm_0": base, "norm_0.5": ours, "dot_0.5": 0.9 * np.sqrt(base * ours)}
    columns |= {"norm_1": ours / 2, "dot_1": 0.5 * np.sqrt(base * ours)}
    names = rng.integers(0, prompts or rows, rows)
    clusters = {"run": [f"run {n % 2}" for n in names], "prompt_key": [f"{n:04}" for n in names]}
    return pl.DataFrame(columns | clusters).with_columns(problem=pl.lit(None, pl.String))


def figures(rows):
    """Every figure of some rows (dictionaries), None for 0/0."""
    found = {}
    for name, (top, bottom) in RATIOS.items():
        said = [row for row in rows if row[top] is not None]
        below = math.fsum(1.0 if bottom == "groups" else row[bottom] for row in said)
        found[name] = math.fsum(float(row[top]) for row in said) / below if below else None
    base = math.fsum(row["norm_0"] for row in rows)
    for p in ("0.5", "1"):
        norm, dot = (math.fsum(row[f"{name}_{p}"] for row in rows) for name in ("norm", "dot"))
        found[f"update_norm_{p}"] = math.sqrt(norm / base) if base else None
        found[f"update_cosine_{p}"] = dot / math.sqrt(base * norm) if base * norm else None
    return found


def has(row, name):
    """Has a group a say in a figure?"""
    if name in UPDATES:
        return row["norm_0"] > 0
    top, bottom = RATIOS[name]
    return row[top] is not None and (bottom == "groups" or row[bottom] > 0)


def close(found, expected):
    """Equal to twelve digits, None for None."""
    return all(
        a is b if a is None or b is None else a == pytest.approx(b, rel=1e-12)
        for a, b in zip(found, expected, strict=True)
    )


def by_cluster(table):
    """Rows of each cluster, clusters in ascending order of their names."""
    found = {}
    for row in table.iter_rows(named=True):
        found.setdefault((row["run"], row["prompt_key"]), []).append(row)
    return [found[name] for name in sorted(found)]


@settings(max_examples=30)
@given(st.integers(0, 30), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]))
@example(1, 0, 1.0)
@example(0, 0, 0.0)
def test_means_are_ratios_of_sums(rows, seed, nulls):
    table = groups_table(rows, seed, nulls)
    found, expected = Sums(table, CLUSTER).intervals(0), figures(table.to_dicts())
    assert list(found) == list(OF_GROUPS)
    for name, value in found.items():
        assert close([value.mean], [expected[name]]), name
        assert value.n == sum(any(has(row, name) for row in part) for part in by_cluster(table)), name


def column_sums(rows):
    """Numerators and denominators of all figures over the rows of one cluster."""
    found = {name: math.fsum(row[name] for row in rows) for name in UPDATE_COLUMNS}
    for name, (top, bottom) in RATIOS.items():
        said = [row for row in rows if row[top] is not None]
        found[f"top {name}"] = math.fsum(float(row[top]) for row in said)
        found[f"bottom {name}"] = math.fsum(1.0 if bottom == "groups" else row[bottom] for row in said)
    return found


def from_sums(sums):
    """`figures` from such sums."""
    found = {name: sums[f"top {name}"] / sums[f"bottom {name}"] if sums[f"bottom {name}"] else None for name in RATIOS}
    for p in ("0.5", "1"):
        found[f"update_norm_{p}"] = math.sqrt(sums[f"norm_{p}"] / sums["norm_0"])
        found[f"update_cosine_{p}"] = sums[f"dot_{p}"] / math.sqrt(sums["norm_0"] * sums[f"norm_{p}"])
    return found


def resampled_figures(parts, seed):
    """Every figure of every resample of the clusters, drawn one resample after the other."""
    sums = [column_sums(part) for part in parts]
    table, rng = np.array([list(each.values()) for each in sums]), np.random.default_rng([seed, len(parts)])
    draws = (rng.integers(0, len(parts), len(parts)) for _ in range(RESAMPLES))
    return [from_sums(dict(zip(sums[0], table[draw].sum(axis=0).tolist(), strict=True))) for draw in draws]


@pytest.mark.parametrize(("rows", "prompts", "nulls"), [(90, 40, 0.2), (24, 500, 0.0), (36, 40, 0.6)])
def test_intervals_are_percentiles_over_resampled_clusters(rows, prompts, nulls):
    table = groups_table(rows, 1, nulls, prompts)
    parts = by_cluster(table)
    assert FEW_CLUSTERS <= len(parts) < rows or prompts == 500
    resampled, found = resampled_figures(parts, 7), Sums(table, CLUSTER).intervals(7)
    assert {value.n < FEW_CLUSTERS for value in found.values()} == ({True, False} if nulls == 0.6 else {False})
    for name, value in found.items():
        few = [one[name] for one in resampled if one[name] is not None]
        if name == "non_trivial":
            # As wide as if each problem had one group.
            expected = wilson(sum(table[name]) / rows * len(parts), len(parts))
            assert (value.low, value.high) == pytest.approx(expected, abs=1e-12) and value.n == len(parts)
        elif value.n < FEW_CLUSTERS:
            assert value.low is value.high is None
        else:
            assert (value.low, value.high) == pytest.approx(tuple(np.percentile(few, [2.5, 97.5])), rel=1e-9), name


def test_a_figure_that_some_resamples_lack_is_ranged_over_the_others():
    """A resample without any cluster that has a say is too rare to wait for: the draws are made by hand."""
    table = groups_table(20, 3, 0.0, 10**6)
    with pytest.MonkeyPatch.context() as patch:
        lacking = [np.ones((1, 20)), np.zeros((1, 20)), 2 * np.ones((1, 20)), np.eye(20)]
        patch.setattr(module, "resampled_sums", lambda sums, seed: np.concatenate(lacking) @ sums)
        found = Sums(table, CLUSTER, ("contest",)).intervals(0)["contest"]
    each = (table["contest_sum"] / table["contest_tokens"]).to_list()
    expected = np.percentile([found.mean, found.mean, *each], [2.5, 97.5])
    assert (found.low, found.high) == pytest.approx(tuple(expected)) and found.n == 20


def test_the_same_seed_gives_the_same_intervals():
    table = groups_table(40, 2)
    assert Sums(table, CLUSTER).intervals(7) == Sums(table, CLUSTER).intervals(7) != Sums(table, CLUSTER).intervals(8)


@pytest.mark.parametrize("clusters", [FEW_CLUSTERS - 1, FEW_CLUSTERS])
def test_fewer_than_twenty_clusters_have_no_interval(clusters):
    """However many groups they have; only the Wilson interval is there."""
    table = pl.concat([groups_table(clusters, n, 0.0) for n in range(3)]).with_columns(
        prompt_key=pl.Series([f"{n}" for n in range(clusters)] * 3), run=pl.lit("a")
    )
    for name, value in Sums(table, CLUSTER).intervals(0).items():
        assert value.mean is not None and value.n == clusters
        there = clusters == FEW_CLUSTERS or name == "non_trivial"
        assert (value.low is not None) == (value.high is not None) == there, name


@pytest.mark.parametrize(("ends", "expected"), [(0.0, (0.0, 1 - 0.025 ** (1 / 24))), (1.0, (0.025 ** (1 / 24), 1.0))])
def test_a_share_that_is_0_or_1_in_every_cluster_has_the_width_of_so_many_in_a_row(ends, expected):
    """No resample says otherwise; 24 clusters in a row show 0 in 2.5 % of cases if it is 1 - .025^(1/24)."""
    table = groups_table(24, 4, 0.0, 10**6).with_columns(inherited_tokens=ends * pl.col("informative_tokens"))
    value = Sums(table, CLUSTER).intervals(0)["inherited"]
    assert (value.mean, value.n) == (ends, 24) and (value.low, value.high) == pytest.approx(expected)
    # What is no share stays as it is: 0 in every cluster is 0, whatever it is a mean of.
    zero = table.with_columns(tokens=pl.lit(0.0), step_size=pl.lit(0.0))
    of_size = Sums(zero, CLUSTER).intervals(0)["mean_step_size"]
    assert (of_size.low, of_size.high) == (0.0, 0.0)
    few = Sums(table[:19], CLUSTER).intervals(0)["inherited"]
    assert few.low is few.high is None


def test_clusters_are_named_by_run_and_prompt():
    table = groups_table(40, 5, 0.0).with_columns(
        run=pl.Series(["a", "b"] * 20), prompt_key=pl.Series([f"{n // 2 % 10}" for n in range(40)])
    )
    assert Sums(table, CLUSTER).intervals(0)["path_depth"].n == 20
    assert Sums(table, ("prompt_key",)).intervals(0)["path_depth"].n == 10


@settings(max_examples=15)
@given(st.lists(st.integers(0, 39), unique=True), st.integers(0, 2**32 - 1))
@example([], 0)
def test_any_part_has_the_figures_that_it_has_alone(rows, seed):
    table = groups_table(40, seed, prompts=25)
    part = Sums(table, CLUSTER).intervals(1, rows)
    for name, value in Sums(table[rows], CLUSTER).intervals(1).items():
        assert close(part[name], value), name


def test_fewer_ratios_may_be_asked_for():
    table = groups_table(30, 0)
    some, every = Sums(table, CLUSTER, OVERLAP).intervals(3), Sums(table, CLUSTER).intervals(3)
    assert list(some) == list(OVERLAP)
    for name, value in some.items():
        assert close(value, every[name])


def test_the_interval_over_prompts_covers_where_one_over_groups_would_not():
    """Four groups of a prompt share its path depth: 200 logs of 120 prompts, mean 1."""
    rng = np.random.default_rng(6)
    covered = {"prompt_key": [], "group": []}
    for _ in range(200):
        depth = np.repeat(rng.exponential(size=120), 4)
        table = pl.DataFrame(
            {"path_depth": depth, "run": "a", "prompt_key": np.repeat(np.arange(120), 4), "group": np.arange(480)}
        )
        for by, hits in covered.items():
            found = Sums(table, (by,), ("path_depth",)).intervals(0)["path_depth"]
            hits.append(found.low <= 1.0 <= found.high)
    assert 0.88 < np.mean(covered["prompt_key"]) < 0.99 and np.mean(covered["group"]) < 0.8


@settings(max_examples=30)
@given(st.integers(0, 30), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]))
def test_point_estimates_are_the_means_of_the_intervals(rows, seed, nulls):
    table = groups_table(rows, seed, nulls)
    columns = {
        name: table[name].cast(pl.Float64).to_numpy() for name in table.columns if table[name].dtype != pl.String
    }
    found, expected = estimates(sums_of(columns, OF_GROUPS), OF_GROUPS), figures(table.to_dicts())
    assert list(found) == list(OF_GROUPS)
    assert all(close([found[name]], [expected[name]]) for name in found)


def test_a_statistic_that_a_log_lacks_changes_no_other_one():
    table = groups_table(40, 3, nulls=0)
    lacking = table.with_columns(pl.lit(None, pl.Float64).alias(RATIOS["surprisal_at_decisions"][0]))
    whole, rest = (Sums(one, CLUSTER).intervals(0) for one in (table, lacking))
    assert rest.pop("surprisal_at_decisions") == (None, None, None, 0)
    assert whole.pop("surprisal_at_decisions").mean > 0
    for name, one in rest.items():
        assert one == pytest.approx(whole[name], rel=1e-12), name


@pytest.mark.parametrize("rows", [1, 2, 21, 40, 2000])
def test_percentiles_are_those_of_numpy_column_by_column(rows):
    rng = np.random.default_rng(rows)
    columns = rng.standard_normal((rows, 6)) * [1, 1e-300, 1e300, 1, 1, 1]
    columns[:, 3] = rng.integers(0, 3, rows)  # ties
    columns[rng.random((rows, 6)) < 0.2] = np.nan
    columns[:, 4] = np.nan
    columns[:, 5] = 0.1
    for found, column in zip(percentiles(columns).T, columns.T, strict=True):
        some = column[~np.isnan(column)]
        expected = np.percentile(some, [2.5, 97.5]) if len(some) else [np.nan, np.nan]
        np.testing.assert_array_equal(found, expected)
