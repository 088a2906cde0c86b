"""P-values of noise: as often small as they say, for every statistic that has a permutation null."""

from __future__ import annotations

from functools import partial

import numpy as np
import polars as pl
import pytest
from calibration import KINDS, LEVELS, calibration, faults, noise, one_by_one, p_values
from canonical import batch_of, table_of
from core import null_oracle
from core.reference_null import figures_of, group_sums, permuted
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import groups as made_groups

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.measure import measure
from grpo_prm.analysis.null import null_of_log
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.ratios import estimates, sums_of
from grpo_prm.analysis.running import _with_certain
from grpo_prm.analysis.running_sums import RunningSums
from grpo_prm.analysis.statistics import OF_GROUPS, PERMUTED

LOGS = 500  # of the null of the analysis
FEW = 200  # of the plain reference, which is slow
NAMES = null_oracle.STATISTICS

# ---------------------------------------------------------------- the harness


def test_p_by_hand():
    """Of 1, 2, 2, 3 against 2: one above, two ties. What is not there is left out, of logs and of permutations."""
    observed, null = np.array([2.0, np.nan, 5.0]), np.array([[1, 2, 2, 3], [1, 1, 1, 1], [0, 0, np.nan, 0]], float)
    p, uniform = p_values(observed, null, np.random.default_rng(0))
    assert p.tolist() == [4 / 5, 1 / 4]
    u = np.random.default_rng(0).random(2)
    np.testing.assert_allclose(uniform, [(1 + 3 * u[0]) / 5, u[1] / 4])


def test_a_right_null_passes_and_a_shifted_or_narrow_one_does_not():
    rng = np.random.default_rng(1)
    observed, null = rng.normal(size=2000), rng.normal(size=(2000, 199))
    found = calibration({"right": (observed, null)})
    assert faults(found) == [] and found["right"].logs == 2000
    assert found["right"].share[0.5] == pytest.approx(0.5, abs=0.04)
    for wrong in (null - 0.3, null / 1.5):
        (one,) = calibration({"wrong": (observed, wrong)}).values()
        assert 0.05 in one.too_often and one.ks < 1e-3
    (low,) = calibration({"low": (observed, null + 0.5)}).values()  # never too often, and yet not uniform
    assert low.too_often == [] and faults({"low": low}) == [f"low: not uniform, p = {low.ks:.2g} in 2000 logs"]


def test_ties_make_p_large_and_uniform_only_when_broken():
    rng = np.random.default_rng(2)
    found = calibration({"coins": (rng.binomial(2, 0.5, 2000), rng.binomial(2, 0.5, (2000, 99)).astype(float))})
    assert faults(found) == [] and found["coins"].share[0.05] == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_what_its_name_says(kind):
    log = [group for made in noise(kind, 50) for group in made]
    sizes = [len(rows) for group in log for rows in null_oracle.classes(group)]
    assert all(len(group) == 8 and len({row.reward for row in group}) <= 2 for group in log)
    assert (max(sizes) == 1) == (kind == "distinct")
    for group in log:
        assert all(len({group[i].reward for i in rows}) == 1 for rows in null_oracle.classes(group))
    rewards = {n: [g[rows[0]].reward for g in log for rows in null_oracle.classes(g) if (len(rows) > 1) == n]
               for n in (False, True)}  # fmt: skip
    if kind == "frequent":
        assert np.mean(rewards[True]) - np.mean(rewards[False]) == pytest.approx(0.8, abs=0.08)
    elif kind == "copies":
        assert np.mean(rewards[True]) - np.mean(rewards[False]) == pytest.approx(0.0, abs=0.08)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["binary", "fractional"]).flatmap(lambda kind: made_groups(2, 6, "none", kind)))
def test_the_reference_is_the_oracle(group):
    """Permutations of a small group, in numpy and in exact arithmetic."""
    binary = {row.reward for row in group} == {0.0, 1.0}
    every = list(null_oracle.permuted_rewards(group))
    every = every[:: 1 + len(every) // 8]
    found = group_sums(group, np.array(every, float), binary)
    for place, rewards in enumerate(every):
        for name, (top, bottom) in null_oracle.sums(group, rewards, (0.0, 1.0) if binary else None).items():
            np.testing.assert_allclose(found[name][:, place], (top, bottom), atol=1e-7, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(made_groups(min_k=2, max_k=5, rewards="fractional"))
def test_the_reference_draws_the_permutations_of_the_oracle(group):
    every = {tuple(np.round(np.array(r, float), 9)) for r in null_oracle.permuted_rewards(group)}
    drawn = permuted(group, "sizes", 20, np.random.default_rng(0))
    assert {tuple(row) for row in np.round(drawn, 9) + 0.0} <= every
    np.testing.assert_allclose(drawn[0], [row.reward for row in group], rtol=1e-12, atol=1e-12)


def of_reference(kind, within, logs, **options):
    return calibration(one_by_one(partial(figures_of, within=within, **options))(noise(kind, logs)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_definition_is_calibrated(kind):
    """The plain reference itself, so that a fault below is one of the code and not of the definition."""
    found = of_reference(kind, "sizes", FEW, permutations=59)
    assert set(found) == set(NAMES) and min(one.logs for one in found.values()) > 0.9 * FEW
    assert faults(found) == []


@pytest.mark.slow
def test_the_harness_sees_what_the_definition_avoids():
    """Row by row, copies look like information; across sizes, frequency does."""
    rows = of_reference("copies", "rows", 200, permutations=49)
    assert "informativeness" in "".join(faults(rows)) and rows["informativeness"].share[0.05] > 0.2
    sizes = of_reference("frequent", "classes", 200, permutations=49)
    assert "boosted_bad: P" in "".join(faults(sizes)) and "certain_share: not uniform" in "".join(faults(sizes))
    assert set(LEVELS) == set(sizes["certain_share"].share)


# ---------------------------------------------------------------- the null of the analysis


def of_analysis(logs):
    """Every statistic of the registry that has a permutation null: each log is a training step of one table."""
    table = table_of([("log", n, f"group {g}", group) for n, log in enumerate(logs) for g, group in enumerate(log)])
    tables, running = [], {n: RunningSums(rewards={0.0, 1.0}) for n in range(len(logs))}
    for measured in measure(table, Options("sample", "computed", 3)):
        tables.append(measured.groups)
        for place, (run, step) in enumerate(measured.steps):
            sums = type(measured.permuted)(*(values[place : place + 1] for values in measured.permuted))
            running[step].add_permuted([(run, step)], sums)
    groups = pl.concat(_with_certain([pl.concat(tables).lazy()], True)).collect()
    observed = {name: [] for name in PERMUTED}
    null = {name: [] for name in PERMUTED}
    for (step,), of_log in groups.group_by("step", maintain_order=True):
        numeric = {name: of_log[name].cast(float).fill_null(np.nan).to_numpy() for name in of_log.columns
                   if of_log[name].dtype.is_numeric() or of_log[name].dtype == pl.Boolean}  # fmt: skip
        values, ranges = estimates(sums_of(numeric, PERMUTED), PERMUTED), null_of_log(of_log, running[step])
        for name in PERMUTED:
            observed[name].append(np.nan if values[name] is None else values[name])
            null[name].append(ranges[name])
    return {name: (np.array(observed[name]), np.array(null[name])) for name in PERMUTED}


def test_the_registry_has_the_statistics_of_the_oracle():
    assert set(PERMUTED) <= set(OF_GROUPS) and set(PERMUTED) <= set(NAMES)


def test_the_observed_ones_are_those_of_the_reference():
    logs = noise("copies", 5)
    found = of_analysis(logs)
    for n, log in enumerate(logs):
        for name, (observed, _) in figures_of(log, permutations=1).items():
            if name in PERMUTED:
                assert found[name][0][n] == pytest.approx(observed, abs=1e-9), name


def test_the_p_of_a_summary_is_that_of_the_harness():
    for seed in range(3):
        (log,) = noise("copies", 1, seed=seed)
        batch = batch_of([("log", 0, f"group {g}", group) for g, group in enumerate(log)])
        summary = analyze([batch], Options("sample", "computed", 3)).summary
        figures = of_analysis([log])
        for name, of in (("informativeness", summary), ("leave_pair_out_auc", summary["credit"])):
            p, _ = p_values(*figures[name], np.random.default_rng(0))
            assert of[name]["p_value"] == pytest.approx(p[0]), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_p_values_of_noise_are_as_often_small_as_they_say(kind):
    found = calibration(of_analysis(noise(kind, LOGS, seed=1)))
    assert faults(found) == []
    assert set(found) == set(PERMUTED) and min(one.logs for one in found.values()) > 0.9 * LOGS
