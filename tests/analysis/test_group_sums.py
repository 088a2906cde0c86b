"""Sums of groups: what they give is what `analyze` says of the same rollouts, however they are cut into parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm import Groups, analyze
from grpo_prm.analysis.group_sums import NAMES, group_sums, metric_names, no_sums, statistics_of
from grpo_prm.analysis.statistics import STATISTICS


def batch(seed, groups=12, k=6):
    rng = np.random.default_rng(seed)
    tokens = [rng.integers(0, 2, rng.integers(1, 8)).tolist() for _ in range(groups * k)]
    rewards = rng.integers(0, 4, groups * k) / 4
    rewards[:k] = 0.5  # a group that teaches nothing
    return tokens, rewards, np.arange(groups * k) // k


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 12), max_size=3))
def test_sums_of_parts_are_the_sums_of_the_whole_and_give_what_analyze_says(seed, cuts):
    tokens, rewards, names = batch(seed)
    whole = statistics_of(group_sums(Groups.of(tokens, rewards, names)))
    sums = no_sums()
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), 12], strict=True):
        rows = np.flatnonzero((names >= first) & (names < last))
        if len(rows):
            sums += group_sums(Groups.of([tokens[n] for n in rows], rewards[rows], names[rows]))
    for name, value in statistics_of(sums).items():
        assert value == (pytest.approx(whole[name], rel=1e-11) if whole[name] is not None else None)
    summary = analyze(Groups.of(tokens, rewards, names)).summary
    for name in NAMES:
        one = STATISTICS[name]
        if one.section not in ("training", "informativeness"):
            said = summary[one.section][one.key]
            said = said[f"{one.power:g}"] if one.power is not None and said is not None else said
            assert whole[name] == (None if said is None else pytest.approx(said["mean"], rel=1e-12, abs=1e-15))


def test_prompts_count_where_their_length_is_known():
    tokens, rewards, names = batch(0, groups=2, k=2)
    groups = Groups.of(tokens, rewards, names)
    assert statistics_of(group_sums(groups))["tokens_per_unique_with_prompt"] is None
    found = statistics_of(group_sums(groups, np.array([10.0, 20.0])))["tokens_per_unique_with_prompt"]
    every = sum(map(len, tokens)) + 2 * 10 + 2 * 20
    once = sum(len({tuple(row[: t + 1]) for row in tokens[g : g + 2] for t in range(len(row))}) for g in (0, 2)) + 30
    assert found == pytest.approx(every / once)


def test_no_groups_have_no_statistics():
    assert set(statistics_of(no_sums()).values()) == {None}


def test_loggers_file_them_under_three_names():
    names = metric_names()
    assert names["path_depth"] == "overlap/path_depth" and names["suppressed_good"] == "prm/suppressed_good"
    assert names["tokens_per_unique"] == "sharing/tokens_per_unique" and list(names) == list(NAMES)
    assert len(set(names.values())) == len(names)
