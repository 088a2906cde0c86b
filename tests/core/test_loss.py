"""The loss over units against double loops over completions and tree tokens; gradients by finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from oracle_loss import (
    aggregation_weights,
    loss_over_completions,
    loss_over_tree,
    parent_factor,
    position_factor,
    prefix,
    size_factor,
)
from oracle_sets import Row, in_loss
from rounding import bound
from strategies import groups

from grpo_prm.core.loss import kl_estimate, policy_loss, unit_terms

TWINS = {
    "group": [Row([1, 2]), Row([1, 3]), Row([1, 2])],
    "a": [1.0, -2.0, 1.0],
    "w": [1 / 6] * 3,
    "x": {(1,): [-1.0, -1.0, 0.0], (1, 2): [-0.5, -0.5, 0.0], (1, 3): [-2.0, -2.0, 0.0]},
    "clip": (0.2, 0.2),
    "beta": 0.0,
    "kl_ratio": True,
}
FACTORS = {"process-set": size_factor, "parent": parent_factor}


@st.composite
def cases(draw):
    """A group, its advantages, and for every prefix log-probabilities of policy, old policy and reference."""
    group = draw(groups(length=5))
    number = st.floats(-2, 2).map(lambda x: round(x, 3))
    prefixes = sorted({prefix(group, i, t) for i, row in enumerate(group) for t in range(len(row.tokens))})
    return {
        "group": group,
        "a": draw(st.lists(number, min_size=len(group), max_size=len(group))),
        "x": {u: [draw(number) for _ in range(3)] for u in prefixes},
        "w": aggregation_weights([group], draw(st.sampled_from(["dapo", "grpo", "dr_grpo"])), 9)[0],
        "clip": (draw(st.sampled_from([0.1, 0.3])), draw(st.sampled_from([0.2, 0.28]))),
        "beta": draw(st.sampled_from([0.0, 0.3])),
        "kl_ratio": draw(st.booleans()),
    }


def laid_out(case, factor, *, tree):
    """Loss and its gradient by prefix, from units that are tokens or prefixes; float64."""
    group = case["group"]
    tokens = [(i, t) for i, row in enumerate(group) for t in range(len(row.tokens))]
    names = sorted(case["x"]) if tree else tokens
    unit = torch.tensor([names.index(prefix(group, i, t)) if tree else n for n, (i, t) in enumerate(tokens)]).long()
    of = {name: name if tree else prefix(group, *name) for name in names}
    x, old, reference = (
        torch.tensor([case["x"][of[name]][c] for name in names], dtype=torch.float64) for c in range(3)
    )
    terms = unit_terms(
        unit,
        len(names),
        torch.tensor([case["a"][i] for i, _ in tokens], dtype=torch.float64),
        torch.tensor([case["w"][i] * in_loss(group[i], t) for i, t in tokens], dtype=torch.float64),
        torch.tensor([factor(i, t) for i, t in tokens], dtype=torch.float64),
    )
    x.requires_grad_()
    low, high = case["clip"]
    options = {"beta": case["beta"], "reference": reference, "ratio_in_kl": case["kl_ratio"]}
    loss = policy_loss(x, old, terms, clip_low=low, clip_high=high, **options)
    loss.backward()
    gradient = dict.fromkeys(case["x"], 0.0)
    for name, slope in zip(names, x.grad.tolist(), strict=True):
        gradient[of[name]] += slope
    return loss.item(), gradient


def by_definition(case, factor, loss=loss_over_completions, nudge=None, by=0.0):
    """The loss of the oracle; the log-probability of one prefix moved by a little."""
    x = {u: values[0] + (by if u == nudge else 0.0) for u, values in case["x"].items()}
    P = {u: math.exp(x[u] - case["x"][u][1]) for u in x}
    D = {u: math.exp(case["x"][u][2] - x[u]) - (case["x"][u][2] - x[u]) - 1 for u in x}
    names = ("group", "a", "w", "beta", "clip", "kl_ratio")
    return loss(P=P, D=D, factor=factor, **{name: case[name] for name in names})


def size_of(case, factor):
    """At least the sum of the absolute values that the loss adds up, and half of those of any of its derivatives."""
    total = 0.0
    for i, row in enumerate(case["group"]):
        for t in range(len(row.tokens)):
            x, old, reference = case["x"][prefix(case["group"], i, t)]
            ratio, q = math.exp(x - old), reference - x
            gain = abs(case["a"][i]) * max(ratio, 2) + case["beta"] * (math.exp(q) + abs(q) + 1) * max(ratio, 1)
            total += case["w"][i] * abs(factor(i, t)) * gain
    return total


def factor_of(case, kind, power):
    if kind == "position":
        return position_factor(case["group"], power, case["w"])
    return FACTORS[kind](case["group"], power)


@settings(max_examples=100)
@given(cases(), st.sampled_from(["process-set", "parent", "position"]), st.sampled_from([0, 0.5, 1, 2]))
def test_tokens_and_tree_tokens_give_the_loss_of_the_definition(case, kind, power):
    assume(case["x"])
    factor = factor_of(case, kind, power)
    expected = by_definition(case, factor)
    assert by_definition(case, factor, loss_over_tree) == pytest.approx(expected, abs=1e-12)
    near = bound(2, size_of(case, factor))  # the sums and the factors of the units are kept in float32
    for tree in (False, True):
        assert laid_out(case, factor, tree=tree)[0] == pytest.approx(expected, rel=0, abs=near)


@settings(max_examples=60)
@given(cases(), st.sampled_from(["process-set", "parent"]), st.sampled_from([0, 0.5, 1]))
def test_gradients_are_finite_differences_of_the_definition(case, kind, power):
    edges = [1 - case["clip"][0], 1 + case["clip"][1]]
    ratios = [math.exp(x - old) for x, old, _ in case["x"].values()]
    assume(ratios and min(abs(r - e) for r in ratios for e in edges) > 1e-3)  # the loss has corners there
    factor, step = factor_of(case, kind, power), 1e-5
    found = [laid_out(case, factor, tree=tree)[1] for tree in (False, True)]
    near = bound(4, size_of(case, factor))
    for u in case["x"]:
        up, down = (by_definition(case, factor, nudge=u, by=by) for by in (step, -step))
        for gradient in found:
            assert gradient[u] == pytest.approx((up - down) / (2 * step), rel=0, abs=near)


@settings(max_examples=40)
@given(cases())
@example(TWINS)
def test_with_p_1_every_tree_token_pulls_once_with_the_mean_advantage(case):
    """On-policy and token-level, no mask: the paper's λ-GRPO is a sum over unique tokens of A(λ)."""
    group = [Row(row.tokens) for row in case["group"]]
    assume(case["x"])
    number = sum(len(row.tokens) for row in group)
    x = {u: [values[1], values[1], 0.0] for u, values in case["x"].items()}
    case = {**case, "group": group, "w": [1 / number] * len(group), "x": x, "beta": 0.0}
    _, gradient = laid_out(case, size_factor(group, 1), tree=False)
    near = bound(4, size_of(case, size_factor(group, 1)))
    for u in x:
        members = [i for i, row in enumerate(group) if tuple(row.tokens[: len(u)]) == u]
        mean = sum(case["a"][i] for i in members) / len(members)
        assert gradient[u] == pytest.approx(-mean / number, rel=0, abs=near)


def test_equal_rewards_give_a_gradient_of_exactly_zero():
    unit = torch.tensor([0, 1, 0])
    terms = unit_terms(unit, 2, torch.zeros(3).double(), torch.full((3,), 1 / 3).double(), torch.ones(3))
    x = torch.tensor([-1.0, -2.0], requires_grad=True)
    policy_loss(x, x.detach() - 0.5, terms).backward()
    assert not x.grad.any()


def test_a_reference_is_needed_for_the_kl_term():
    x = torch.zeros(1)
    terms = unit_terms(torch.tensor([0]), 1, x.double(), x.double() + 1, x + 1)
    with pytest.raises(ValueError, match="reference"):
        policy_loss(x, x, terms, beta=0.1)


def test_the_estimate_of_the_kl_divergence_is_unbiased():
    p, q = torch.tensor([0.7, 0.2, 0.1]).double(), torch.tensor([0.3, 0.3, 0.4]).double()
    exact = (p * (p / q).log()).sum()
    torch.testing.assert_close((p * kl_estimate(p.log(), q.log())).sum(), exact)
