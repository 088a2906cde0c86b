"""The reward expression, and advantages made again the slow way, group by group."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.errors import UsageError
from grpo_prm.logs.rewards import SCALINGS, combine, explain, fit, parse, write

REAL = Path(__file__).parents[3] / "shared" / "real" / "trl_1.16_generated"


@pytest.mark.parametrize(
    ("expression", "weights"),
    [
        ("short", {"short": 1}),
        ("short+0.5*has_e", {"short": 1, "has_e": 0.5}),
        (" a - 2 * b.c +\t1e-3*d ", {"a": 1, "b.c": -2, "d": 1e-3}),
        ("-a*.5", {"a": -0.5}),
        ("`x-y z`*3 + 'in (it)'", {"x-y z": 3, "in (it)": 1}),
        ("a+2*a", {"a": 3}),
        ("rewards/é_1 + m@k:v", {"rewards/é_1": 1, "m@k:v": 1}),
    ],
)
def test_an_expression_is_a_weighted_sum_of_columns(expression, weights):
    assert parse(expression) == weights
    assert list(parse(expression)) == list(weights)


@pytest.mark.parametrize(
    "bad", ["", " ", "a+", "2", "a b", "a**2", "__import__('os')", "2*a*3", "(a)", "a+*b", "1e999*a", "a/b/`", "--a"]
)
def test_anything_else_is_refused_with_the_form_that_is_meant(bad):
    with pytest.raises(UsageError, match=r"--reward .*(Write it like|Give a smaller)"):
        parse(bad)


NAMES = st.text(st.characters(exclude_characters="`\"'", codec="utf-8"), min_size=1, max_size=6) | st.sampled_from(
    ["a", "b.c"]
)
WEIGHTS = st.dictionaries(NAMES, st.sampled_from([1.0, -1.0, 0.5, -2.0, 1e-5]), min_size=1, max_size=4)


@given(WEIGHTS)
def test_what_is_written_is_read_back(weights):
    assert parse(write(weights)) == weights


def test_a_weight_of_nothing_is_not_written():
    assert write({"a": 0.0, "b": 1.0, "c": 0.0}) == "b"


def test_a_missing_part_adds_nothing_and_a_row_without_parts_has_no_reward():
    table = pl.DataFrame(
        {"a": [1.0, None, float("nan"), None, 2.0], "b": [True, False, None, None, True], "c": [9] * 5}
    )
    assert combine(table, {"a": 2, "b": -0.5}).to_list() == [1.5, 0.0, None, None, 3.5]
    assert combine(table, {"b": 1, "c": 1}).dtype == pl.Float64


def slow(parts, weights, sizes, scaling):
    """TRL's four ways, one group after the other; one batch."""
    parts = np.asarray(parts, float)
    cuts = np.split(np.arange(len(parts)), np.cumsum(sizes)[:-1])
    if scaling == "normalize_then_sum":
        total = np.zeros(len(parts))
        for rows in cuts:
            for name, weight in enumerate(weights):
                column = parts[rows, name]
                there = column[~np.isnan(column)]
                if len(there):
                    spread = there.std(ddof=1) if len(there) > 1 else 0.0
                    total[rows] += weight * np.nan_to_num((column - there.mean()) / (spread + 1e-4))
        return (total - total.mean()) / (total.std(ddof=1) + 1e-4)
    total = np.nansum(parts * weights, axis=1)
    made = np.concatenate([total[rows] - total[rows].mean() for rows in cuts])
    if scaling == "batch":
        return made / (total.std(ddof=1) + 1e-4)
    spread = np.concatenate([np.full(len(rows), total[rows].std(ddof=1)) for rows in cuts])
    return made / (spread + 1e-4) if scaling == "group" else made


def drawn(seed, names=2, sizes=(4, 4, 3, 5)):
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(sum(sizes), names)) * 3 + np.arange(names)
    parts[rng.random(parts.shape) < 0.2] = np.nan
    return parts, np.repeat(np.arange(len(sizes)), sizes), sizes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scaling", SCALINGS)
def test_each_scaling_is_recognised_and_wrong_weights_are_not(scaling, seed):
    parts, groups, sizes = drawn(seed)
    batches = np.zeros(len(groups), int)
    advantages = slow(parts, [1, 0.5], sizes, scaling).astype(np.float32).astype(float)
    assert explain(parts, [1, 0.5], advantages, groups, batches) == scaling
    assert explain(parts, [1, 1], advantages, groups, batches) is None
    off = advantages.copy()
    off[3] += 1.5e-3 * max(1, abs(off[3]))
    assert explain(parts, [1, 0.5], off, groups, batches) is None
    off[3] = np.nan
    assert explain(parts, [1, 0.5], off, groups, batches) == scaling


def test_batches_are_scaled_apart():
    parts, groups, sizes = drawn(1)
    one, two = slow(parts[:8], [1, 2], sizes[:2], "batch"), slow(parts[8:], [1, 2], sizes[2:], "batch")
    both = np.concatenate([one, two])
    assert explain(parts, [1, 2], both, groups, (groups > 1).astype(int)) == "batch"
    assert explain(parts, [1, 2], both, groups, np.zeros_like(groups)) is None


def test_nothing_logged_explains_nothing():
    parts, groups, _ = drawn(0)
    assert explain(parts, [1, 1], np.full(len(groups), np.nan), groups, 0 * groups) is None
    assert explain(parts[:0], [1, 1], np.zeros(0), groups[:0], groups[:0]) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("scaling", "weights"),
    [("group", [1, 0.5, 0]), ("batch", [0.25, 1, 0]), ("none", [2, -0.5, 0]), ("group", [-1, 0, 0.125])],
)
def test_weights_are_found_from_the_advantages(scaling, weights, seed):
    parts, groups, sizes = drawn(seed, names=3)
    found = fit(parts, slow(parts, weights, sizes, scaling), groups, 0 * groups)
    assert found == pytest.approx(weights, abs=1e-3)


def test_no_weights_are_found_where_there_are_none():
    parts, groups, sizes = drawn(0)
    noise = slow(np.random.default_rng(9).normal(size=parts.shape), [1, 1], sizes, "group")
    batches = 0 * groups
    assert fit(parts, noise, groups, batches) is None
    assert fit(np.ones_like(parts), noise, groups, batches) is None
    assert fit(parts, np.full(len(groups), np.nan), groups, batches) is None


@pytest.mark.skipif(not REAL.exists(), reason="the shared logs are not beside the repository")
@pytest.mark.parametrize("name", ["str_plain", "conv_plain", "str_eval", "str_iter2"])
def test_the_advantages_of_real_trl_logs_come_from_the_weights_of_the_run_alone(name):
    files = sorted((REAL / name / "completions").iterdir())
    table = pl.concat([pl.read_parquet(f).with_columns(batch=pl.lit(i)) for i, f in enumerate(files)])
    groups, batches = np.arange(len(table)) // 4, table["batch"].to_numpy()
    parts, advantages = table.select("short", "has_e").to_numpy(), table["advantage"].to_numpy()
    assert explain(parts, [1, 1], advantages, groups, batches) is None
    assert explain(parts, list(parse("short+0.5*has_e").values()), advantages, groups, batches) == "group"
    assert fit(parts, advantages, groups, batches) == [1, 0.5]
    total = combine(table, parse("short+0.5*has_e")).to_numpy()
    spread = np.repeat([total[i : i + 4].std(ddof=1) for i in range(0, len(total), 4)], 4)
    mean = np.repeat([total[i : i + 4].mean() for i in range(0, len(total), 4)], 4)
    np.testing.assert_allclose((total - mean) / (spread + 1e-4), advantages, atol=1e-3)
