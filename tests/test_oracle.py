"""The oracle against numbers worked out by hand, and its two ways to write each loss against each other."""

import math

import oracle
import oracle_loss as losses
import pytest
import strategies
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import analysed, summary
from oracle_sets import Row, Step, parent, process_set, process_sets

#        0   1   2        sets: {0,1,2,3} is empty, {0,1,2} at 0, {0,1} at 1, {1} at 2, {2} at 1, {3} at 0
HAND = [
    Row([5, 7], reward=1.0),
    Row([5, 7, 9], reward=0.0),
    Row([5, 8], reward=1.0),
    Row([4], reward=0.0),
]
A = 0.5 / (math.sqrt(1 / 3) + 1e-4)  # a = (A, -A, A, -A)


def log_of(*groups):
    return [("run", 0, f"g{n}", group) for n, group in enumerate(groups)]


def with_masks(group, *masks):
    return [
        Row(row.tokens, mask, row.reward, row.advantage, row.logprobs) for row, mask in zip(group, masks, strict=True)
    ]


def rows(tokens, rewards):
    return [Row(list(t), reward=r) for t, r in zip(tokens, rewards, strict=True)]


def test_process_sets_by_hand():
    root = Step(frozenset({0, 1, 2, 3}), 0, 0)
    three, two = Step(frozenset({0, 1, 2}), 0, 1), Step(frozenset({0, 1}), 1, 2)
    single = [Step(frozenset({3}), 0, 1), Step(frozenset({2}), 1, 2), Step(frozenset({1}), 2, 3)]
    steps = process_sets(HAND)
    assert steps == [root, three, two, *single]
    assert [parent(steps, step) for step in steps] == [None, root, three, root, three, two]
    assert process_set(HAND, 1, 1) == {0, 1}
    assert process_sets([Row([1, 2])]) == [Step(frozenset({0}), 0, 2)]
    assert process_sets([Row([]), Row([])]) == [Step(frozenset({0, 1}), 0, 0)]


def test_overlap_by_hand():
    overlap = summary(log_of(HAND))["overlap"]
    assert overlap["path_depth"] == (2 + 2 + 1 + 0) / 4
    assert overlap["intermediate_proportion"] == pytest.approx((1 + 2 / 3 + 1 / 2 + 0) / 4)
    assert overlap["shared_proportion"] == overlap["intermediate_proportion"]
    assert overlap["non_trivial"] == 1
    assert overlap["identical_share"] == 0


def test_prm_by_hand():
    prm = summary(log_of(HAND))["prm"]
    assert (prm["process_steps"], prm["intermediate_steps"]) == (5, 2)
    assert prm["mean_step_size"] == (3 + 2 + 1 + 1 + 1) / 5
    assert prm["contest"] == pytest.approx((3 * (2 / 3) + 2 * 1) / 5)  # S = (2A, -A) on three tokens, (A, -A) on two
    assert prm["certain_share"] is None  # binary, k = 4
    assert prm["identity_gap"] is None
    assert prm["logprob_spread"] == {"mean": None, "max": None}


def test_defects_by_hand():
    defects = summary(log_of(HAND))["defects"]
    assert defects["suppressed_good"] == 0  # {0,1,2} has A/3, {0,1} has 0, {2} has A
    assert defects["boosted_bad"] == 1 / 4  # the first token of completion 1, of 3 + 1
    assert defects["amplification"] == pytest.approx(4 / (1 / 3 + 0 + 3))
    assert defects["update_scale"]["1"] == pytest.approx(5 / 8)  # each tree token once
    assert defects["update_scale"]["0.5"] == pytest.approx((3 / math.sqrt(3) + 2 / math.sqrt(2) + 3) / 8)
    # |λ|A is (1, 0, 1, 1, 1) A in GRPO, (1/3, 0, 1, 1, 1) A with p = 1
    assert defects["update_norm"]["1"] == pytest.approx(math.sqrt(1 / 9 + 3) / 2)
    assert defects["update_cosine"]["1"] == pytest.approx((1 / 3 + 3) / (2 * math.sqrt(1 / 9 + 3)))
    nothing = {"by_count": [], "by_share": []}
    assert defects["worst_groups"]["suppressed_good"] == nothing and defects["worst_groups"]["examples"] == []
    named = {"run": "run", "step": 0, "group_key": "g0", "boosted_bad_tokens": 1, "bad_tokens": 4, "share": 1 / 4}
    assert defects["worst_groups"]["boosted_bad"] == {"by_count": [named], "by_share": [named]}
    assert summary(log_of(HAND))["informativeness"]["observed"] == pytest.approx(3 * (A / 3) / 5)


def test_the_mirror_image_swaps_good_and_bad():
    mirror = rows([row.tokens for row in HAND], [0, 1, 0, 1])
    defects = summary(log_of(mirror, HAND))["defects"]
    assert defects["suppressed_good"] == 1 / 8
    named = {"run": "run", "step": 0, "group_key": "g0", "suppressed_good_tokens": 1, "good_tokens": 4, "share": 1 / 4}
    worst = defects["worst_groups"]
    assert worst["suppressed_good"] == {"by_count": [named], "by_share": [named]} and worst["examples"] == [named]


def test_counts_by_hand():
    flat = rows([[1], [1], [1]], [0.5, 0.5, 0.5])
    counts = summary(log_of(HAND, flat, [HAND[0]], rows([[], []], [0, 1])))["counts"]
    assert counts == {
        "completions": 9,
        "tokens": 11,
        "groups": 3,
        "groups_of_one": 1,
        "groups_zero_variance": 1,
        "groups_k3": 2,
        "duplicates": 3,
        "group_size": {"min": 2, "mode": 2, "max": 4},
    }


def test_a_masked_token_parts_completions_but_is_not_counted():
    masked = with_masks(HAND, [True, False], [True, False, True], [True, True], [True])  # id 7 is out of the loss
    result = summary(log_of(masked))
    assert result["overlap"]["path_depth"] == (1 + 1 + 1 + 0) / 4  # {0,1} counts nowhere
    assert result["overlap"]["intermediate_proportion"] == pytest.approx((1 + 1 / 2 + 1 / 2 + 0) / 4)
    assert (result["prm"]["process_steps"], result["prm"]["intermediate_steps"]) == (4, 1)
    assert result["defects"]["update_scale"]["1"] == pytest.approx((1 + 1 + 1 + 1) / 6)


def test_a_set_counts_if_any_member_has_it_in_the_loss():
    half = with_masks(HAND, [True, False], None, None, None)
    overlap = summary(log_of(half))["overlap"]
    assert overlap["path_depth"] == (2 + 2 + 1 + 0) / 4
    assert overlap["intermediate_proportion"] == pytest.approx((1 + 2 / 3 + 1 / 2 + 0) / 4)
    alone = with_masks(HAND, [False, False], None, None, None)
    overlap = summary(log_of(alone))["overlap"]
    assert overlap["path_depth"] == (0 + 2 + 1 + 0) / 4  # no loss token: depth 0, no proportion
    assert overlap["intermediate_proportion"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert summary(log_of(alone))["prm"]["contest"] == pytest.approx((2 * 1 + 1 * 0) / 3)  # S = (A, -A), then (0, -A)


def test_zero_over_zero_is_none():
    empty = summary([], pseudo=[])
    assert set(empty["overlap"].values()) == set(empty["baseline"].values()) == {None}
    assert empty["defects"]["suppressed_good"] is empty["prm"]["mean_step_size"] is None
    same = summary(log_of(rows([[1, 2], [1, 2]], [0, 1])))  # only the root has tokens, and its A is 0
    assert same["defects"]["amplification"] is same["defects"]["update_norm"]["1"] is None
    assert same["defects"]["suppressed_good"] == 0
    assert same["overlap"] == {
        "path_depth": 0,
        "intermediate_proportion": 0,
        "shared_proportion": 1,
        "non_trivial": 0,
        "identical_share": None,
    }


def test_identical_sets_say_nothing():
    group = rows([[1, 2], [1, 2], [3]], [1, 0, 1])
    result = summary(log_of(group))
    assert result["overlap"]["identical_share"] == 1
    assert result["informativeness"]["observed"] is None
    assert result["overlap"]["path_depth"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("std", "expected"),
    [
        ("sample", 0.5 / (math.sqrt(1 / 3) + 1e-4)),
        ("population", 0.5 / (0.5 + 1e-4)),
        ("none", 0.5),
        ("batch", 0.5 / (math.sqrt(((1 - 0.5) ** 2 * 2 + 0.25 * 2 + 0.25 * 2) / 5) + 1e-4)),
    ],
)
def test_advantages_by_hand(std, expected):
    other = rows([[1], [1]], [0.0, 1.0])
    (group, _) = analysed(log_of(HAND, other), std)
    assert group.a == pytest.approx([expected, -expected, expected, -expected])


def test_corner_cases_of_advantages():
    assert oracle.group_advantages([0.7, 0.7 + 1e-7, 0.7]) == [0, 0, 0]
    assert oracle.group_advantages([1e6, 1e6 + 0.5]) == [0, 0]
    assert oracle.group_advantages([0.0, 2e-6])[1] > 0
    assert oracle.group_advantages([math.nan, 0.0, 1.0], "none") == [0, -0.5, 0.5]
    assert oracle.group_advantages([math.nan, 1.0]) == [0, 0]
    assert oracle.tolerance([-2.0, 1.0]) == 2e-12
    assert oracle.tolerance([-0.5, 0.1], logged=True) == 1e-6
    assert oracle.tolerance([-20.0, 0.1], logged=True) == pytest.approx(2e-5)


def test_logged_advantages_are_used_as_they_are_and_checked_otherwise():
    group = [Row(row.tokens, None, row.reward, a) for row, a in zip(HAND, [1.0, -3.0, 1.0, 1.0], strict=True)]
    defects = summary(log_of(group), advantage="logged")["defects"]
    assert defects["suppressed_good"] == 3 / 5  # {0,1,2} has -1/3, {0,1} has -1; {2} and {3} have 1
    assert defects["worst_groups"]["examples"][0]["suppressed_good_tokens"] == 3
    assert oracle.mismatches(log_of(group), "sample") == 1
    right = [Row(row.tokens, None, row.reward, a) for row, a in zip(HAND, [A, -A, A, -A + 9e-4], strict=True)]
    assert oracle.mismatches(log_of(right), "sample") == 0


def test_wilson_by_hand():
    assert oracle.wilson(2, 2) == pytest.approx((2 / (2 + 1.96**2), 1))
    assert oracle.wilson(0, 2) == pytest.approx((0, 1.96**2 / (2 + 1.96**2)))
    assert oracle.wilson(5, 10) == pytest.approx((0.5 - 0.98 / math.sqrt(13.8416), 0.5 + 0.98 / math.sqrt(13.8416)))


def test_certain_share_by_hand():
    tokens = [[1, 2], [1, 3], [4], [5], [6], [7]]
    assert summary(log_of(rows(tokens, [1, 1, 0, 0, 0, 0])))["prm"]["certain_share"] == 1  # .342 > 1/3
    assert summary(log_of(rows(tokens, [1, 0, 0, 0, 0, 0])))["prm"]["certain_share"] == 0
    assert summary(log_of(rows(tokens, [3, 3, -1, -1, -1, -1])))["prm"]["certain_share"] == 1  # any two values
    assert summary(log_of(rows(tokens[:5], [1, 1, 0, 0, 0])))["prm"]["certain_share"] is None
    # not binary: R = 1, t(.975, 5) = 2.5706, std = .5077 over √2 = .9229, mean .35
    assert summary(log_of(rows(tokens, [1, 1, 0.1, 0, 0, 0])))["prm"]["certain_share"] == 0
    wide = [[1, n] for n in range(8)] + [[n] for n in range(2, 10)]
    assert summary(log_of(rows(wide, [1.0] * 8 + [0.1] + [0.0] * 7)))["prm"]["certain_share"] == 1
    assert summary(log_of(rows(tokens, [1, 1, 1, 1, 1, 1])))["prm"]["certain_share"] == 0


def test_logprob_spread_and_gap_by_hand():
    def row(tokens, logprobs, reward):
        return Row(tokens, None, reward, None, logprobs)

    group = [row([1, 2], [-1.0, -2.0], 1.0), row([1, 3], [-1.5, -9.0], 0.0)]
    prm = summary(log_of(group), std="none")["prm"]
    assert prm["logprob_spread"] == {"mean": 0.5, "max": 0.5}
    up, down = math.exp(0.25), math.exp(-0.25)
    assert prm["identity_gap"] == pytest.approx(0.5 * (up - down) / (0.5 * (up + down + 2)))


def test_aggregation_weights_by_hand():
    group = with_masks(HAND, [True, True], [False] * 3, None, None)
    assert losses.aggregation_weights([group], "dapo") == [[1 / 5] * 4]
    assert losses.aggregation_weights([group], "grpo") == [[1 / 8, 1 / 4, 1 / 8, 1 / 4]]
    assert losses.aggregation_weights([group], "dr_grpo", 10) == [[1 / 40] * 4]


def test_factors_by_hand():
    size, up = losses.size_factor(HAND, 1), losses.parent_factor(HAND, 1)
    place = losses.position_factor(HAND, 1, [1.0] * 4)
    assert [size(1, t) for t in range(3)] == [1 / 3, 1 / 2, 1]
    assert [up(1, t) for t in range(3)] == [1 / 4, 1 / 3, 1 / 2]
    assert [place(0, t) for t in range(3)] == pytest.approx([(3 / 3 + 1) / 4, (2 / 2 + 1) / 3, 1])


@st.composite
def terms(draw, mask=None):
    group = draw(strategies.groups(mask=mask, length=5))
    number = st.floats(-2, 2).map(lambda x: round(x, 3))
    prefixes = {losses.prefix(group, i, t) for i, row in enumerate(group) for t in range(len(row.tokens))}
    return {
        "group": group,
        "a": draw(st.lists(number, min_size=len(group), max_size=len(group))),
        "P": {u: math.exp(draw(number)) for u in sorted(prefixes)},
        "D": {u: abs(draw(number)) for u in sorted(prefixes)},
    }


@given(terms(mask="none"), st.sampled_from([0.0, 0.04]))
@settings(max_examples=50)
def test_theorem_one(case, beta):
    left, right = losses.theorem_one(**case, beta=beta)
    assert left == pytest.approx(right, abs=1e-12)


@given(
    terms(),
    st.sampled_from(["dapo", "grpo", "dr_grpo"]),
    st.sampled_from([0, 0.5, 1, 2]),
    st.sampled_from(["size", "parent", "position"]),
    st.sampled_from([None, (0.2, 0.28)]),
    st.booleans(),
)
@settings(max_examples=100)
def test_the_loss_is_a_sum_over_tree_tokens(case, loss_type, p, name, clip, kl_ratio):
    group = case["group"]
    (w,) = losses.aggregation_weights([group], loss_type, 9)
    factor = {
        "size": losses.size_factor(group, p),
        "parent": losses.parent_factor(group, p),
        "position": losses.position_factor(group, p, w),
    }[name]
    options = {**case, "w": w, "factor": factor, "beta": 0.3, "clip": clip, "kl_ratio": kl_ratio}
    assert losses.loss_over_completions(**options) == pytest.approx(losses.loss_over_tree(**options), abs=1e-12)


@given(strategies.logs(logprobs=True))
@settings(max_examples=30)
def test_a_gap_needs_a_spread_and_shares_are_shares(log):
    prm, overlap = summary(log)["prm"], summary(log)["overlap"]
    if not prm["logprob_spread"]["max"]:
        assert prm["identity_gap"] in (None, pytest.approx(0, abs=1e-12))
    for value in [*list(overlap.values())[1:], prm["contest"], prm["certain_share"]]:
        assert value is None or -1e-12 <= value <= 1 + 1e-12


def test_the_tolerance_of_logged_advantages_by_hand():
    noise = 4.5 * 2.0**-23
    assert oracle.tolerance([-1.0, 1.0], True, [0.0, 1.0]) == pytest.approx(noise / (0.5 - noise))
    assert oracle.tolerance([-1.0, 1.0], True, [1e3, 1e3 + 1e-3]) == 1.0
    assert oracle.tolerance([-2.0, 1.0], True, [0.0, 1.0]) == 2e-6  # not centred
