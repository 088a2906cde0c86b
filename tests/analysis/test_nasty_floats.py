"""Floats that are no values, or hardly: an analysis ends with a whole folder, strict JSON, clean groups as before."""

import json
import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from grpo_prm import Groups, Options, Rollouts, analyze
from grpo_prm.analysis.finite import finite
from grpo_prm.analysis.write import OURS
from grpo_prm.errors import InputError

LISTS = ("logprobs", "trainer_logprobs", "ref_logprobs")
NO_LOGPROBS = [-9999.0, -9984.0, -1e9, -1e30, -math.inf, math.inf, math.nan, 0.1, 50.0, 1e29, -746.0, 1e308, None]
LOGPROBS = st.one_of(st.sampled_from([*NO_LOGPROBS, -745.0, -700.0, 0.0]), st.floats(-30, 0), st.floats(width=32))
REWARDS = st.one_of(
    st.sampled_from([1e308, -1e308, 1e100, 9e99, -9e99, 1e-320, 5e-324, 1e17, 1e17 + 16, math.nan, math.inf, 0.0, 1.0]),
    st.floats(),
)


def row(key, sample, tokens, lists, reward, advantage=None):
    named = dict(zip(LISTS, lists, strict=True))
    return {"step": 1, "group": key, "sample": sample, "tokens": tokens, "reward": reward, **named} | (
        {} if advantage is None else {"advantage": advantage}
    )


@st.composite
def groups(draw, keys, logprobs, rewards, advantages=False):
    """Rows of groups, their floats from these strategies."""
    rows = []
    for key in keys:
        for sample in range(draw(st.integers(2, 4))):
            tokens = [*draw(st.lists(st.integers(1, 2), max_size=3)), 9 + sample]  # which nobody takes for padding
            lists = [[draw(logprobs) for _ in tokens] for _ in LISTS]
            rows.append(row(key, sample, tokens, lists, draw(rewards), draw(rewards) if advantages else None))
    return rows


def folder_of(analysis):
    """The summary as it was written, read as strict JSON, of a folder that lacks nothing."""

    def refuse(name):
        raise AssertionError(name)

    with TemporaryDirectory() as home:
        out = analysis.save(Path(home, "x.prm"), figures=False)
        written = {path.name for path in out.iterdir()}
        assert written == {name for name in OURS if "/" not in name} - {
            "chance.parquet",
            "states.parquet",
            "report.html",
        }
        return json.loads((out / "summary.json").read_text(), parse_constant=refuse)


def explained(summary):
    """What is null in the sections of log-probabilities has a reason."""
    for name in ("identity_gap", "logprob_spread"):
        assert (summary["prm"][name] is None) == (name in summary["notes"]), name
    left = summary["logprobs"]["left_out"]
    assert bool(left) == ("left_out" in summary["notes"])
    assert not left or summary["notes"]["left_out"].startswith(f"{left:,} of ")


CLEAN = [row("c", i, [1, 2, i], [[-0.5] * 3, [-0.25] * 3, [-1.0] * 3], float(i % 2)) for i in range(4)]


@pytest.mark.slow
@settings(max_examples=25)
@given(
    groups("cde", st.floats(-20, 0), st.sampled_from([0.0, 1.0])),
    groups("xy", LOGPROBS, st.sampled_from([0.0, 1.0])),
)
@example(CLEAN, [row("x", i, [1, 2], [[-9999.0, -1.0]] * 3, float(i)) for i in range(2)])
@example(CLEAN, [row("x", i, [1, 2], [[0.1, -math.inf], [math.nan, -1e9], [1e29] * 2], float(i)) for i in range(2)])
def test_clean_groups_are_as_they_are_without_the_others(clean, nasty):
    """By the groups table, whose sums all numbers are made of; the nasty rows keep their trees and rewards."""
    both, bare = (
        analyze([*clean, *nasty]),
        analyze([*clean, *({k: v for k, v in r.items() if k not in LISTS} for r in nasty)]),
    )
    keys, of_lists = pl.col("group_key").is_in(["c", "d", "e"]), columns_of_lists(both.groups)
    assert both.groups.filter(keys).equals(bare.groups.filter(keys))
    assert both.groups.drop(of_lists).equals(bare.groups.drop(of_lists))
    assert both.completions.collect().equals(bare.completions.collect())
    summary = folder_of(both)
    explained(summary)
    none = sum(x is None or not -745.0 <= x <= 1e-3 for r in nasty for x in r["logprobs"])
    assert summary["logprobs"]["left_out"] == none


def columns_of_lists(table):
    starts = ("logprob_", "decision_", "elsewhere_", "product_", "gap_", "weight_", "largest_gap", "left_out")
    return [name for name in table.columns if name.startswith((*starts, "advantage_sum"))]


@pytest.mark.slow
@settings(max_examples=25)
@given(groups("abc", LOGPROBS, REWARDS, advantages=True), st.sampled_from(["sample", "population", "none", "batch"]))
@example([row("a", i, [1, i], [[-1.0] * 2] * 3, [1e308, -1e308][i], 0.0) for i in range(2)], "sample")
@example([row("a", i, [1, i], [[-1.0] * 2] * 3, [9e99, -9e99][i], 9e99) for i in range(2)], "none")
@example([row("a", i, [1, i], [[-1.0] * 2] * 3, [1e17, 1e17 + 16][i], 0.0) for i in range(2)], "batch")
@example([row("a", i, [1, i], [[-1.0] * 2] * 3, [0.0, 1e-320][i], 0.0) for i in range(2)], "none")
def test_extreme_rewards_and_advantages_end_in_a_whole_folder(rows, std):
    """Rows whose reward cannot be computed with are rejected; the others are all in the numbers."""
    usable = [r for r in rows if abs(r["reward"]) < 1e100]
    assume(any(sum(r["group"] == key for r in usable) > 1 for key in "abc"))
    summary = folder_of(analyze(rows, Options(std=std)))
    explained(summary)
    assert summary["counts"]["used"] == len(usable) and summary["counts"]["rejected"] == len(rows) - len(usable)


def test_rewards_in_memory_meet_the_same_bound():
    tokens, rewards = [[1, 2], [1, 3], [1, 4]], [1e100, 0.0, 1.0]
    groups = Groups.of(tokens, rewards, 3)
    assert groups.advantages[0] == 0 and np.isfinite(groups.advantages).all() and groups.advantages[2] > 0
    assert math.isnan(groups.step_rewards[0][0]) and groups.step_rewards[1][1] == 0.0
    summary = analyze(groups).summary
    assert (summary["counts"]["rejected"], summary["counts"]["completions"]) == (1, 2)
    table = analyze(Groups.of(tokens, [0.0, 0.0, 1.0], 3)).samples.drop("kind")
    with pytest.raises(InputError, match="reward is too large a number to compute with"):
        analyze(Rollouts(table.with_columns(reward=pl.lit(1e100))))
    assert Groups.of(tokens, None, 3, advantages=[1e200, 1.0, -1.0]).advantages.tolist() == [0.0, 1.0, -1.0]


SCALARS = st.one_of(st.floats(), st.integers(), st.none(), st.text("ab", max_size=2))
NAMES = st.text("ab", min_size=1, max_size=2)


def nested(inner):
    return st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)


@given(st.recursive(SCALARS, nested, max_leaves=6))
def test_a_number_that_is_not_finite_is_null_and_its_place_is_named(value):
    notes, text = {}, json.dumps(value)
    found = finite({"top": value}, notes)["top"]
    assert json.dumps(found, allow_nan=False) == re.sub("-?Infinity|NaN", "null", text)
    assert bool(notes) == bool(re.search("Infinity|NaN", text))
    assert all(name.startswith("top") for name in notes)
