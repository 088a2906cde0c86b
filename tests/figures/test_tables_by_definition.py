"""The tables of the figures of steps on invented logs, counted token by token from the definition of a process set."""

import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import oracle
import polars as pl
import pytest
from canonical import batch_of
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from oracle import Row
from oracle_sets import intermediate_tokens, loss_tokens, parent, process_sets, unique_loss_tokens
from strategies import logs

from grpo_prm.analysis.analyze import analyze
from grpo_prm.figures import figure_tables
from grpo_prm.figures.contest_by_depth import DEEPEST, _pooled_from
from grpo_prm.figures.contest_by_depth import make_table as by_depth
from grpo_prm.figures.logs import join_logs
from grpo_prm.figures.update_by_size import EACH_UP_TO, POWERS
from grpo_prm.figures.update_by_size import make_table as by_size

NO_SIDE = [Row([1, 2], reward=0.5), Row([1, 3], reward=0.5), Row([4], reward=1.0), Row([5], reward=0.0)]
TWO_BRANCHES = [Row([1, 1, 2], reward=1.0), Row([1, 1, 3], reward=0.0), Row([1, 4], reward=1.0), Row([5], reward=0.0)]


def analysed(log):
    assume(any(len(rows) > 1 for _, _, _, rows in log))
    return analyze([batch_of(log)])


def depth_of(steps, step):
    above = parent(steps, step)
    return 0 if above is None else 1 + depth_of(steps, above)


@pytest.mark.slow
@settings(max_examples=75)
@given(logs(max_groups=3))
@example([("a", 0, "p", TWO_BRANCHES)])
def test_parts_of_a_size_are_counted_token_by_token(log):
    table = by_size(join_logs([analysed(log)]))
    groups = oracle.analysed(log)
    for run in {g.run for g in groups}:
        mine = [g for g in groups if g.run == run]
        every = [(len(m), abs(g.step_advantage(m))) for g in mine for _, _, m in loss_tokens(g.rows)]
        unique = math.fsum(abs(g.step_advantage(m)) for g in mine for m, _ in unique_loss_tokens(g.rows))
        expected = {}
        for p in POWERS:
            for size in range(1, max((size for size, _ in every), default=0) + 1):
                part = [a for other, a in every if other == size]
                if unique > 0:
                    expected["amplification", p, size] = size**-p * math.fsum(part) / unique
                expected["update_scale", p, size] = size**-p * len(part) / len(every)
        rows = table.filter(run=run).select("statistic", "p", "first", "value").rows()
        assert {row[:3]: row[3] for row in rows} == pytest.approx(expected, rel=1e-11, abs=1e-12)
        assert (table["first"] == table["last"]).all()


@pytest.mark.slow
@settings(max_examples=60)
@given(logs(max_groups=3, mask="none"))
def test_sizes_add_up_to_the_summary(log):
    analysis = analysed([("a", step, key, rows) for _, step, key, rows in log])
    sums = by_size(join_logs([analysis])).group_by("statistic", "p").agg(pl.col("value").sum()).rows()
    sums = {row[:2]: row[2] for row in sums}
    defects = analysis.summary["defects"]
    if defects["amplification"] is not None:
        assert sums["amplification", 0.0] == pytest.approx(defects["amplification"]["mean"])
        assert sums["amplification", 1.0] == pytest.approx(1.0)
    if sums:
        assert sums["update_scale", 0.0] == pytest.approx(1.0)
        for p in (0.5, 1.0):
            assert sums["update_scale", p] == pytest.approx(defects["update_scale"][f"{p:g}"]["mean"])


@pytest.mark.parametrize("k", [EACH_UP_TO, EACH_UP_TO + 1, 40])
def test_many_sizes_are_pooled_between_powers_of_two(k):
    """A comb: one completion leaves after the other, so that every size is there."""
    rows = [Row([9] + [0] * n + [1] * (n < k - 1), reward=float(n % 3)) for n in range(k)]
    table = by_size(join_logs([analyze([batch_of([("a", 0, "p", rows)])])])).filter(statistic="update_scale", p=1.0)
    bins = table.select("first", "last").rows()
    if k <= EACH_UP_TO:
        assert bins == [(size, size) for size in range(1, k + 1)]
    else:
        edges = [(1, 1), (2, 2), (3, 4), (5, 8), (9, 16), (17, min(32, k)), (33, k)]
        assert bins == [(a, b) for a, b in edges if a <= k]
    assert table["value"].sum() == pytest.approx(
        sum(1 / len(m) for _, _, m in loss_tokens(rows)) / len(loss_tokens(rows))
    )


@pytest.mark.slow
@settings(max_examples=75)
@given(logs(max_groups=4, min_k=3), st.data())
@example([("a", 0, "p", TWO_BRANCHES)], None)
@example([("a", 0, "p", NO_SIDE)], None)  # a step whose members all have advantage 0 has no contest
def test_contest_and_certainty_by_depth_are_those_of_each_token(log, data):
    assume(all(row.mask is None or len(set(row.mask)) < 2 for *_, rows in log for row in rows))
    analysis = analysed(log)
    table = by_depth(join_logs([analysis]))
    groups = oracle.analysed(log)
    binary = oracle.two_rewards(r for g in groups for r in g.rewards)
    expected = defaultdict(list)
    for g in groups:
        steps = process_sets(g.rows)
        depth = {step.members: depth_of(steps, step) for step in steps}
        for _, t, members in intermediate_tokens(g.rows):
            if not g.zero and (value := oracle.contest(g.rows, members, t, g.a)) is not None:
                expected[g.run, "contest", depth[members]].append(value)
            if not (binary and all(len(other.rows) <= 5 for other in groups)):
                expected[g.run, "certain_share", depth[members]].append(oracle.certain(g.rewards, members, binary))
    found = {(run, name, depth): (mean, tokens) for run, name, depth, mean, tokens in
             table.select("run", "statistic", "depth", "mean", "tokens").rows()}  # fmt: skip
    assert set(found) == set(expected)
    for key, values in expected.items():
        assert found[key] == (pytest.approx(np.mean(values)), len(values))
    assert (table["last"] == table["depth"]).all() and table["low"].null_count() == len(table)


def test_depths_pool_to_the_summary():
    rng = np.random.default_rng(0)
    log = [("a", 0, f"p{n}", [Row(rng.integers(0, 2, 6).tolist(), reward=float(rng.integers(0, 2))) for _ in range(8)])
           for n in range(60)]  # fmt: skip
    analysis = analyze([batch_of(log)])
    table = by_depth(join_logs([analysis]))
    for name in ("contest", "certain_share"):
        part = table.filter(statistic=name)
        pooled = (part["mean"] * part["tokens"]).sum() / part["tokens"].sum()
        assert pooled == pytest.approx(analysis.summary["prm"][name]["mean"], abs=1e-12)
    assert table["low"].count() > 4  # 60 prompts


def test_a_tail_of_depths_with_few_prompts_is_one_row():
    depth = np.repeat([1, 2, 3, 4, 5], [40, 30, 20, 19, 3])
    cluster = np.concatenate([np.arange(n) for n in (40, 30, 20, 19, 3)])
    assert _pooled_from(depth, cluster) == 4
    assert _pooled_from(np.append(depth, [5] * 20), np.append(cluster, range(20))) == 6  # a hole is no tail
    assert _pooled_from(np.array([1, 2, 7]), np.array([0, 0, 0])) == 7  # nowhere enough: as it is
    deep = np.repeat(np.arange(30), 25)
    assert _pooled_from(deep, np.tile(np.arange(25), 30)) == DEEPEST


def test_pooled_depths_are_means_over_all_their_tokens():
    """25 groups branch once, five of them twice more below."""
    log = []
    for n in range(25):
        rows = [Row([9, 1], reward=1.0), Row([9, 2], reward=0.0), Row([8], reward=0.0)]
        if n < 5:
            rows += [Row([9, 3, 3, 4], reward=1.0), Row([9, 3, 3, 5], reward=0.0), Row([9, 3, 6], reward=1.0)]
        log.append(("a", 0, f"p{n}", rows))
    table = by_depth(join_logs([analyze([batch_of(log)])])).filter(statistic="contest")
    assert table.select("depth", "last", "n").rows() == [(1, 1, 25), (2, 3, 5)]
    groups = oracle.analysed(log[:5])
    tokens = [(g, members, t) for g in groups for _, t, members in intermediate_tokens(g.rows) if t > 0]
    deep = [oracle.contest(g.rows, members, t, g.a) for g, members, t in tokens if len(members) <= 3]
    assert table["mean"][1] == pytest.approx(np.mean(deep)) and table["tokens"][1] == len(deep)


def test_the_histogram_holds_every_permutation_and_the_value_is_the_summarys():
    rng = np.random.default_rng(1)
    log = [("a", 0, f"p{n}", [Row(rng.integers(0, 2, 5).tolist(), reward=float(rng.random())) for _ in range(6)])
           for n in range(12)]  # fmt: skip
    analysis = analyze([batch_of(log)])
    table = figure_tables(analysis)["informativeness"]
    draws = analysis.permutations["informativeness"].to_numpy()
    bins = table.filter(series="permutations")
    assert bins["n"].sum() == 199 and bins["low"][0] == draws.min() and bins["high"][-1] == draws.max()
    assert bins["low"][1:].to_list() == bins["high"][:-1].to_list()
    for low, high, n in bins.select("low", "high", "n").rows()[:-1]:
        assert n == ((draws >= low) & (draws < high)).sum()
    (value,) = table.filter(series="value").rows(named=True)
    found = analysis.summary["informativeness"]
    assert (value["mean"], value["p_value"], value["run"]) == (found["observed"], found["p_value"], "a")
    (step,) = table.filter(series="observed").rows(named=True)
    assert step["mean"] == pytest.approx(found["observed"])


def test_permutations_that_differ_by_rounding_are_one_bin():
    rows = [Row([1, 1], reward=1.0), Row([1, 1, 2], reward=1.0), Row([2], reward=0.0), Row([3], reward=0.0)]
    analysis = analyze([batch_of([("a", 0, "p", rows)])])
    jitter = pl.Series("informativeness", 0.5 + np.arange(199) * 8e-17)
    changed = replace(analysis, permutations=analysis.permutations.with_columns(jitter))
    table = figure_tables(changed)["informativeness"]
    assert table.filter(series="permutations")["n"].to_list() == [199]
