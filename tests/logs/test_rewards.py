"""The reward expression, and advantages made again the slow way, group by group."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.errors import UsageError
from grpo_prm.logs.rewards import parse_weights, reward_of_parts, write_weights
from grpo_prm.logs.scaling import SCALINGS, matching_scaling
from grpo_prm.logs.weights import _direction, fit_weights

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
    assert parse_weights(expression) == weights
    assert list(parse_weights(expression)) == list(weights)


@pytest.mark.parametrize(
    "bad", ["", " ", "a+", "2", "a b", "a**2", "__import__('os')", "2*a*3", "(a)", "a+*b", "1e999*a", "a/b/`", "--a"]
)
def test_anything_else_is_refused_with_the_form_that_is_meant(bad):
    with pytest.raises(UsageError, match=r"--reward .*(Write it like|Give a smaller)"):
        parse_weights(bad)


NAMES = st.text(st.characters(exclude_characters="`\"'", codec="utf-8"), min_size=1, max_size=6) | st.sampled_from(
    ["a", "b.c"]
)
WEIGHTS = st.dictionaries(NAMES, st.sampled_from([1.0, -1.0, 0.5, -2.0, 1e-5]), min_size=1, max_size=4)


@given(WEIGHTS)
def test_what_is_written_is_read_back(weights):
    assert parse_weights(write_weights(weights)) == weights


def test_a_weight_of_nothing_is_not_written():
    assert write_weights({"a": 0.0, "b": 1.0, "c": 0.0}) == "b"


def slow(rewards, weights, sizes, scaling, eps=1e-4):
    """TRL's four ways and the population's deviation, one group after the other; one batch."""
    rewards = np.asarray(rewards, float)
    cuts = np.split(np.arange(len(rewards)), np.cumsum(sizes)[:-1])
    if scaling == "normalize_then_sum":
        total = np.zeros(len(rewards))
        for rows in cuts:
            for name, weight in enumerate(weights):
                column = rewards[rows, name]
                there = column[~np.isnan(column)]
                if len(there):
                    spread = there.std(ddof=1) if len(there) > 1 else 0.0
                    total[rows] += weight * np.nan_to_num((column - there.mean()) / (spread + 1e-4))
        return (total - total.mean()) / (total.std(ddof=1) + 1e-4)
    total = np.nansum(rewards * weights, axis=1)
    made = np.concatenate([total[rows] - total[rows].mean() for rows in cuts])
    if scaling == "batch":
        return made / (total.std(ddof=1) + eps)
    ddof = 0 if scaling == "population" else 1
    spread = np.concatenate([np.full(len(rows), total[rows].std(ddof=ddof)) for rows in cuts])
    return made if scaling == "none" else made / (spread + eps)


def drawn(seed, names=2, sizes=(4, 4, 3, 5)):
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(sum(sizes), names)) * 3 + np.arange(names)
    rewards[rng.random(rewards.shape) < 0.2] = np.nan
    return rewards, np.repeat(np.arange(len(sizes)), sizes), sizes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("scaling", SCALINGS)
def test_each_scaling_is_recognised_and_wrong_weights_are_not(scaling, seed):
    rewards, groups, sizes = drawn(seed)
    batches = np.zeros(len(groups), int)
    advantages = slow(rewards, [1, 0.5], sizes, scaling).astype(np.float32).astype(float)
    assert matching_scaling(rewards, [1, 0.5], advantages, groups, batches) == scaling
    assert matching_scaling(rewards, [1, 1], advantages, groups, batches) is None
    off = advantages.copy()
    off[3] += 1.5e-3 * max(1, abs(off[3]))
    assert matching_scaling(rewards, [1, 0.5], off, groups, batches) is None
    off[3] = np.nan
    assert matching_scaling(rewards, [1, 0.5], off, groups, batches) == scaling


def test_batches_are_scaled_apart():
    rewards, groups, sizes = drawn(1)
    one, two = slow(rewards[:8], [1, 2], sizes[:2], "batch"), slow(rewards[8:], [1, 2], sizes[2:], "batch")
    both = np.concatenate([one, two])
    assert matching_scaling(rewards, [1, 2], both, groups, (groups > 1).astype(int)) == "batch"
    assert matching_scaling(rewards, [1, 2], both, groups, np.zeros_like(groups)) is None


def test_nothing_logged_explains_nothing():
    rewards, groups, _ = drawn(0)
    assert matching_scaling(rewards, [1, 1], np.full(len(groups), np.nan), groups, 0 * groups) is None
    assert matching_scaling(rewards[:0], [1, 1], np.zeros(0), groups[:0], groups[:0]) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("scaling", "weights"),
    [("group", [1, 0.5, 0]), ("batch", [0.25, 1, 0]), ("none", [2, -0.5, 0]), ("group", [-1, 0, 0.125])],
)
def test_weights_are_found_from_the_advantages(scaling, weights, seed):
    rewards, groups, sizes = drawn(seed, names=3)
    fitted = fit_weights(rewards, slow(rewards, weights, sizes, scaling), groups, 0 * groups)
    assert fitted.weights == pytest.approx(weights, abs=1e-3) and fitted.unknown == []


def test_a_function_that_is_null_once_in_every_group_tells_no_weight():
    """Seen in a log of TRL: normalised it is 0 throughout, which ended in a traceback."""
    null = float("nan")
    rewards = np.array([[1, null], [0, null], [1, null], [0, 0.5], [0, null], [0, null], [1, null], [1, null]])
    groups = np.repeat([0, 1], 4)
    advantages = np.array([0.84871, -1.091199, 0.84871, -0.606221, -0.865875, -0.865875, 0.865875, 0.865875])
    found, note = reward_of_parts(rewards, ["a", "b"], advantages, groups, 0 * groups)
    assert found is None and note


def test_no_weights_are_found_where_there_are_none():
    rewards, groups, sizes = drawn(0)
    noise = slow(np.random.default_rng(9).normal(size=rewards.shape), [1, 1], sizes, "group")
    batches = 0 * groups
    assert fit_weights(rewards, noise, groups, batches) is None
    assert fit_weights(np.ones_like(rewards), noise, groups, batches) is None
    assert fit_weights(rewards, np.full(len(groups), np.nan), groups, batches) is None


def binary_and_float(seed, groups=16, k=4):
    """Two verdicts and one score with two decimals; k completions in each group."""
    rng = np.random.default_rng(seed)
    rewards = rng.integers(0, 2, (groups * k, 3)).astype(float)
    rewards[:, 2] = rng.random(groups * k).round(2)
    return rewards, np.repeat(np.arange(groups), k), (k,) * groups


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("eps", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 0.5, 0.25), (0.2, 0.1, 0), (0, 2, -1), (0, 0, 1)])
def test_the_reward_of_parts_is_the_one_that_the_advantages_were_made_of(weights, scaling, eps, seed):
    """But for a factor, which a divisor hides: the centred sums are parallel, and equal where nothing divides."""
    rewards, groups, sizes = binary_and_float(seed)
    advantages = slow(rewards, weights, sizes, scaling, eps).astype(np.float32).astype(float)
    found, note = reward_of_parts(rewards, ["a", "b", "c"], advantages, groups, 0 * groups)
    assert found is not None, note
    ours, theirs = (
        made - (np.bincount(groups, made) / 4)[groups]
        for made in (rewards @ [found.get(name, 0) for name in "abc"], rewards @ weights)
    )
    assert ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs) > 1 - 1e-6
    if scaling == "none":
        np.testing.assert_allclose(ours, theirs, atol=2e-3)
    said = re.search(r"\(scaling: (\w+)", note)
    assert said
    assert said[1] == scaling or (said[1] == "none" and np.allclose(ours, advantages, atol=2e-3))


@pytest.mark.parametrize("k", [2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(20))
def test_noise_is_no_reward(seed, k):
    rng = np.random.default_rng([seed, k])
    rewards, groups, sizes = binary_and_float(seed, 12, k)
    noise = rng.normal(size=len(groups))
    for advantages in (noise, slow(noise[:, None], [1], sizes, "group"), slow(noise[:, None], [1], sizes, "none")):
        for names in ("a", "ab", "abc"):
            found, note = reward_of_parts(rewards[:, : len(names)], list(names), advantages, groups, 0 * groups)
            assert found is None and "Name the reward" in note


def test_few_rows_that_any_weights_would_fit_decide_nothing():
    """Two functions and three rows: noise is a sum of the two."""
    rewards, advantages = np.array([[0.0, 1], [1, 0.3], [0.2, 0]]), np.array([-0.9, 1.1, -0.2])
    groups = np.zeros(3, int)
    assert fit_weights(rewards, advantages, groups, groups) is None


def test_weights_that_the_advantages_do_not_tell_apart_are_not_chosen_for_the_user():
    """Each function varies in groups of its own, each with its own divisor: any weights will do."""
    rewards, groups, sizes = binary_and_float(0)
    rewards[groups % 2 == 0, 0] = rewards[groups % 2 == 1, 1] = 0.0
    advantages = slow(rewards[:, :2], [1, -3], sizes, "group")
    found, note = reward_of_parts(rewards[:, :2], ["a", "b"], advantages, groups, 0 * groups)
    assert found is None and '--reward "a+b"' in note
    rewards[:, :2] *= rewards[:, 2:]  # with more values than two, still in groups of their own
    advantages = slow(rewards[:, :2], [1, -3], sizes, "group")
    centred = rewards[:, :2] - np.stack([np.bincount(groups, c)[groups] / 4 for c in rewards[:, :2].T], axis=1)
    assert _direction(centred / np.linalg.norm(centred, axis=0), advantages, groups) is None
    assert reward_of_parts(rewards[:, :2], ["a", "b"], advantages, groups, 0 * groups)[0] is None
    advantages = slow(rewards[:, :2], [1, -3], sizes, "none")  # undivided ones do tell
    found, _ = reward_of_parts(rewards[:, :2], ["a", "b"], advantages, groups, 0 * groups)
    assert found == {"a": 1, "b": -3}


def test_what_is_constant_in_every_group_has_a_weight_that_nothing_tells():
    rewards, groups, sizes = binary_and_float(1)
    rewards[:, 1] = groups % 3
    names = ["a", "b", "c"]
    for weights, taken, expected in (
        ((1, 1, 1), 1, {"a": 1, "b": 1, "c": 1}),
        ((1, 1, 0.5), 0, {"a": 1, "c": 0.5}),
    ):
        advantages = slow(rewards, weights, sizes, "group")
        found, note = reward_of_parts(rewards, names, advantages, groups, 0 * groups)
        assert found == expected
        assert note.endswith(f"The advantages do not tell the weight of b, taken as {taken}.")
    rewards[:, 1] = 2 * rewards[:, 0] + groups  # nor has one that goes with another
    fit = fit_weights(rewards, slow(rewards, (1, 0, 0.5), sizes, "none"), groups, 0 * groups)
    assert fit is not None and fit.weights == [1, 0, 0.5] and fit.unknown == [1]


def test_a_group_without_some_advantage_is_left_out_of_the_fit():
    rewards, groups, sizes = binary_and_float(2)
    advantages = slow(rewards, (1, 0.5, 0.25), sizes, "group")
    advantages[5], advantages[40] = np.nan, np.nan
    fit = fit_weights(rewards, advantages, groups, 0 * groups)
    assert fit is not None and fit.weights == [1, 0.5, 0.25]


def test_parts_without_advantages_are_named_and_nothing_is_guessed():
    rewards, groups, _ = binary_and_float(0)
    found, note = reward_of_parts(rewards, ["a", "b-c", "d"], np.full(len(groups), np.nan), groups, groups)
    assert found is None
    assert note == (
        "The log has reward parts a, b-c, d and no total. Name the reward, --reward 'a+`b-c`+d', with the weights of"
        " the run if it has some, --reward 'a+0.5*`b-c`'."
    )
    assert reward_of_parts(rewards[:, :0], [], np.zeros(len(groups)), groups, groups)[1].startswith(
        "No reward is logged"
    )


@pytest.mark.skipif(not REAL.exists(), reason="the shared logs are not beside the repository")
@pytest.mark.parametrize("name", ["str_plain", "conv_plain", "str_eval", "str_iter2"])
def test_the_advantages_of_real_trl_logs_come_from_the_weights_of_the_run_alone(name):
    files = sorted((REAL / name / "completions").iterdir())
    table = pl.concat([pl.read_parquet(f).with_columns(batch=pl.lit(i)) for i, f in enumerate(files)])
    groups, batches = np.arange(len(table)) // 4, table["batch"].to_numpy()
    rewards, advantages = table.select("short", "has_e").to_numpy(), table["advantage"].to_numpy()
    assert matching_scaling(rewards, [1, 1], advantages, groups, batches) is None
    assert (
        matching_scaling(rewards, list(parse_weights("short+0.5*has_e").values()), advantages, groups, batches)
        == "group"
    )
    assert fit_weights(rewards, advantages, groups, batches) == ([1, 0.5], "group", [])
    total = np.nan_to_num(rewards) @ [1, 0.5]  # a function that gave nothing adds nothing
    spread = np.repeat([total[i : i + 4].std(ddof=1) for i in range(0, len(total), 4)], 4)
    mean = np.repeat([total[i : i + 4].mean() for i in range(0, len(total), 4)], 4)
    np.testing.assert_allclose((total - mean) / (spread + 1e-4), advantages, atol=1e-3)
