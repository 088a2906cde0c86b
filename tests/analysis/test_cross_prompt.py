"""The cross-prompt baseline of a log that comes step by step, against groups put together with dictionaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from canonical import table_of
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row, four_statistics
from polars.testing import assert_frame_equal
from strategies import groups, logs

from grpo_prm.analysis.cross_prompt import SCHEMA, PseudoGroups
from grpo_prm.core.baseline import pseudo_groups
from grpo_prm.core.seeds import group_seed

FOUR = ("path_depth", "intermediate_proportion", "shared_proportion", "non_trivial")


def one_group_a_prompt(pool):
    """The first group of the commonest size (of equals the largest, or one that divides it) of each key; that size."""
    sizes = Counter(len(rows) for _, _, rows in pool)
    commonest = [size for size in sizes if sizes[size] == max(sizes.values())]
    k = min(size for size in commonest if max(commonest) % size == 0)
    first = {}
    for step_of, key, rows in pool:
        if len(rows) == k:
            first.setdefault(key, (step_of, key, rows))
    return first, k


def by_definition(log, seed, value=()):
    """(run, first step, rows) of every pseudo-group, and how many pools span several steps; `value` seeds the draws.

    A step with as many prompts as a group has completions stands alone. The groups of the others wait until those of
    their run have as many together; each prompt has one group in a pool; groups of one are nothing.
    """
    found, spanning, waiting = [], 0, {}
    for run, step in dict.fromkeys((run, step) for run, step, _, _ in log):
        fresh = [(step, key, rows) for r, s, key, rows in log if (r, s) == (run, step) and len(rows) > 1]
        if not fresh:
            continue
        fresh.sort(key=lambda group: (len(group[1].encode()), group[1]))  # whatever the order of the log is
        first, k = one_group_a_prompt(fresh)
        if len(first) < k:
            first, k = one_group_a_prompt(waiting.pop(run, []) + fresh)
        if len(first) < k:
            waiting[run] = list(first.values())
            continue
        opens = next(iter(first.values()))[0]
        spanning += any(s != opens for s, _, _ in first.values())
        decks = list(first.values())
        rng = np.random.default_rng(group_seed(seed, "baseline", run, opens, *value))
        prompts, samples = np.repeat(np.arange(len(decks)), k), np.tile(np.arange(k), len(decks))
        dealt = pseudo_groups(prompts, samples, k, rng)
        for n in range(dealt.max() + 1):
            own = [decks[p][2][s] for p, s, d in zip(prompts, samples, dealt, strict=True) if d == n]
            found.append((run, opens, own))
    return found, spanning


def check(log, found, pooled, seed):
    expected, spanning = by_definition(log, seed)
    assert dict(found.schema) == SCHEMA and pooled == spanning
    assert found.select("run", "step").rows() == [(run, step) for run, step, _ in expected]
    for row, (_, _, rows) in zip(found.select(FOUR).iter_rows(named=True), expected, strict=True):
        assert row | {"non_trivial": float(row["non_trivial"])} == pytest.approx(four_statistics([rows]))


@st.composite
def steps(draw, **options):
    """A log whose prompts come back: steps of two runs, in order, with groups of two or three sizes."""
    keys, sizes = st.sampled_from("pqrstu"), draw(st.sampled_from([(2, 2), (2, 3), (3, 3), (1, 3)]))
    log = []
    for step in range(draw(st.integers(1, 3))):
        for run in draw(st.sampled_from(["a", "ab"])):
            rows = st.tuples(keys, groups(*sizes, rewards="equal", length=4, **options))
            log += [(run, step, key, group) for key, group in draw(st.lists(rows, max_size=5))]
    return log


def ordered(log):
    """Whole steps next to each other, as `PseudoGroups.add` wants them."""
    return sorted(log, key=lambda entry: (entry[0], entry[1] is None, entry[1] or 0))


@settings(max_examples=60)
@given(st.one_of(steps(), logs(min_k=2, max_k=3, max_groups=9).map(ordered)), st.integers(0, 3))
@example([], 0)
@example([("a", 0, "p", [Row([7])] * 2)], 0)  # one prompt for groups of two
@example([("a", 0, "p", [Row([7])]), ("a", 0, "q", [Row([7])])], 0)  # groups of one
@example([("a", n, key, [Row([7]), Row([n])]) for n, key in enumerate("pq")], 0)  # two steps of one prompt each
@example([("a", n, "p", [Row([7]), Row([n])]) for n in range(3)], 0)  # the same prompt in every step
@example([("a", 0, key, [Row([], None), Row([], None)]) for key in "pq"], 0)  # no proportion at all
def test_the_pseudo_groups_are_those_of_the_definition(log, seed):
    pool = PseudoGroups(seed)
    check(log, pool.add(table_of(log)), pool.pooled, seed)


@pytest.mark.slow
@settings(max_examples=60)
@given(steps(), st.data())
@example([(run, n, key, [Row([7]), Row([n])]) for n, key in enumerate("pqrs") for run in "ab"], None)
def test_whole_steps_may_come_in_any_batches(log, data):
    assume(log)
    table = table_of(log)
    parts = [part for _, part in table.group_by("run", "step", maintain_order=True)]
    whole, pool, found, at = PseudoGroups(0), PseudoGroups(0), [], 0
    expected = whole.add(table)
    while at < len(parts):
        take = 1 if data is None else data.draw(st.integers(1, len(parts) - at))
        found.append(pool.add(pl.concat(parts[at : at + take])))
        at += take
    assert pool.pooled == whole.pooled
    assert_frame_equal(pl.concat(found), expected)


def distinct(keys, k, step=0, run="a"):
    """A group of k different completions for every key, so that one pseudo-group differs from the next."""
    rng = np.random.default_rng([step, len(keys)])
    return [(run, step, key, [Row(rng.integers(0, 2, 5).tolist(), reward=0.0) for _ in range(k)]) for key in keys]


def test_the_draws_follow_seed_run_and_step():
    log = distinct("abcdefgh", 4)
    found = {(seed, run, step):
             PseudoGroups(seed).add(table_of([(run, step, *rest) for _, _, *rest in log])).select(FOUR)
             for seed in (0, 1) for run in "ab" for step in (0, 1, None)}  # fmt: skip
    assert len({tuple(frame.rows()) for frame in found.values()}) == len(found)
    assert found[0, "a", 0].rows() == PseudoGroups(0).add(table_of(log)).select(FOUR).rows()


def test_a_step_with_enough_prompts_stands_alone_and_the_rest_is_dropped():
    pool = PseudoGroups(0)
    assert len(pool.add(table_of(distinct("abcdefg", 3)))) == 3 * 2 and pool.pooled == 0


def test_small_steps_are_pooled_with_their_neighbours_and_only_with_those_of_their_run():
    steps = [
        distinct("ab", 4),
        distinct("xyz", 4, 1, "b"),
        distinct("ab", 4, 1),  # the same two prompts again
        distinct("cd", 4, 2),
        distinct("ab", 4, 3),  # the pool is empty again
    ]
    table, pool = table_of([entry for part in steps for entry in part]), PseudoGroups(0)
    found = [pool.add(part) for _, part in table.group_by("run", "step", maintain_order=True)]
    assert [len(part) for part in found] == [0, 0, 0, 4, 0] and pool.pooled == 1
    assert found[3].select("run", "step").rows() == [("a", 0)] * 4


def test_a_prompt_is_known_by_its_text_before_its_key():
    log = distinct("pqrs", 2)
    table = table_of(log).with_columns(prompt=pl.lit("the same question"))
    assert not len(PseudoGroups(0).add(table))
    keys = table_of([(run, step, "key", rows) for run, step, _, rows in log])
    assert not len(PseudoGroups(0).add(keys))
    assert len(PseudoGroups(0).add(keys.with_columns(prompt=pl.format("question {}", "group")))) == 4


def test_completions_that_share_a_preamble_across_prompts_overlap():
    rows = [("a", 0, key, [Row([7, 7, n]), Row([7, 8, n])]) for n, key in enumerate("pq", start=10)]
    found = PseudoGroups(0).add(table_of(rows))
    assert found["shared_proportion"].to_list() == pytest.approx([2 / 3, 2 / 3])
