"""The claim about a decision that does not matter: its gradient against the trainer's functions, its bias against sums
over every group there is, its rule on findings made up."""

from __future__ import annotations

from itertools import product
from math import comb

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reproduce.at_once import at_once
from weights_of import factors

from grpo_prm.core.loss import policy_loss, unit_terms
from grpo_prm.core.prm import group_advantages
from grpo_prm.reproduce.bias import (
    CLAIM,
    COMMON,
    GOOD,
    METHODS,
    WORTH,
    Plan,
    alternatives,
    bias_record,
    decide,
    draw_groups,
    gradient,
    share_of_size,
)
from grpo_prm.reproduce.claims import NOT_REPRODUCED, REPRODUCED, Finding
from grpo_prm.reproduce.paired import with_holm


def of_trainer(first, second, rewards, common, power, kind):
    """Ascent of the logit of the common token behind the good and the bad prefix; the loss is a plain sum."""
    k = len(first)
    ids = torch.tensor([[g, 2 + c] for g, c in zip(first, second, strict=True)])
    factor = factors(ids, k, power, kind)[:, 1]
    a = torch.from_numpy(group_advantages(np.array(rewards, float), np.zeros(k, int)))
    logits = torch.tensor([[np.log(1 - common), np.log(common)]] * 2, dtype=torch.float64, requires_grad=True)
    logprobs = logits.log_softmax(-1)[1 - torch.tensor(first), torch.tensor(second)]
    terms = unit_terms(torch.arange(k), k, a, torch.ones(k, dtype=torch.float64), factor)
    policy_loss(logprobs, logprobs.detach(), terms).backward()
    return -logits.grad[:, 1].numpy()


@given(st.data())
def test_the_gradient_is_that_of_the_trainer(data):
    k = data.draw(st.integers(2, 7))
    bits = st.lists(st.integers(0, 1), min_size=k, max_size=k)
    first, second, rewards = data.draw(bits), data.draw(bits), data.draw(bits)
    common = data.draw(st.sampled_from([0.5, 0.7, 0.9]))
    kinds = [(1 - g, 1 - c) for g, c in zip(first, second, strict=True)]
    counts = np.array([[sum(x == at for x in kinds)] for at in product((0, 1), (0, 1))])
    paid = np.array(
        [[sum(x == at and r for x, r in zip(kinds, rewards, strict=True))] for at in product((0, 1), (0, 1))]
    )
    for _, power, kind, _ in METHODS:
        found = [gradient(b, k, common, power, kind)[0] for b in alternatives(counts, paid, k)]
        np.testing.assert_allclose(found, of_trainer(first, second, rewards, common, power, kind), atol=2e-6)


def exact_bias(k, common, method):
    """Over all groups: counts of first tokens, alternatives and rewards, each with its probability."""
    _, power, kind, _ = METHODS[method]
    chance = [
        first * second * (WORTH[side] if paid else 1 - WORTH[side])
        for side, first in (("good", GOOD), ("bad", 1 - GOOD))
        for second in (common, 1 - common)
        for paid in (1, 0)
    ]
    rows, weights = [], []
    for counts in product(range(k + 1), repeat=8):
        if sum(counts) == k:
            ways, left = 1, k
            for n, p in zip(counts, chance, strict=True):
                ways *= comb(left, n) * p**n
                left -= n
            rows.append(counts)
            weights.append(ways)
    table = np.array(rows).T
    behind = alternatives(table[0::2] + table[1::2], table[0::2], k)
    made = [gradient(b, k, common, power, kind) for b in behind]
    assert sum(weights) == pytest.approx(1)
    return [100 * (g @ weights) / (np.abs(g) @ weights) for g in made]


@pytest.mark.parametrize("common", [0.5, 0.9])
def test_the_bias_is_the_expected_one(common):
    record = bias_record(3, 200_000, [common], 5)
    for method, (name, *_) in enumerate(METHODS):
        exact = exact_bias(3, common, method)
        if name in ("p = 0", "parent") or common == 0.5:
            assert np.abs(exact).max() < 1e-10
        elif name == "p = 1":
            assert exact[0] < -5 and exact[1] > 5
        for prefix, value in zip(("good", "bad"), exact, strict=True):
            row = record.filter(method=name, prefix=prefix).row(0, named=True)
            assert abs(row["bias"] - value) < 4 * row["error"] < 2.5


def test_spread_of_the_share():
    rng = np.random.default_rng(0)
    g = rng.normal(0.3, 1, (2_000, 500))
    sums = np.stack([g.sum(1), np.abs(g).sum(1), (g * g).sum(1), (g * np.abs(g)).sum(1)], 1)
    found = np.array([share_of_size(row, 500) for row in sums])
    np.testing.assert_allclose(found[:, 0], 100 * g.mean(1) / np.abs(g).mean(1))
    assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.05)


def test_what_is_drawn():
    completions, rewarded = draw_groups(np.random.default_rng(0), 50_000, 8, COMMON)
    assert (completions.sum(0) == 8).all() and (rewarded <= completions).all() and (rewarded >= 0).all()
    np.testing.assert_allclose(completions.mean(1) / 8, [0.45, 0.05, 0.45, 0.05], atol=0.004)
    np.testing.assert_allclose(rewarded.sum(1) / completions.sum(1), [0.75, 0.75, 0.25, 0.25], atol=0.015)


def test_a_small_plan(tmp_path):
    plan = Plan((4, 8), 500_000, 4_000)
    evidence = CLAIM.run(plan, 3, at_once(tmp_path))
    verdict = CLAIM.decide(with_holm(evidence.findings))
    assert verdict.word == REPRODUCED, verdict.why
    assert CLAIM.cost(plan) > 0 and CLAIM.always
    by_k = {(f.setting, f.what): f.mean for f in evidence.findings}
    assert by_k["k = 8, below good prefixes", "p = 1"] == pytest.approx(-30, abs=1.5)  # (definitions: parent weights)
    for row in evidence.tables["bias_by_k"].iter_rows(named=True):
        assert (row["high"] - row["bias"]) / row["error"] == pytest.approx(1.96)
        assert (row["bias"] - row["low"]) / row["error"] == pytest.approx(1.96)
    pull = evidence.tables["bias_pull"]
    assert set(pull["k"]) == {8, 16} and pull["common"].min() == 0.5 and (pull["method"] == "p = 1").all()
    for name, draw in CLAIM.figures.items():
        draw(evidence.tables[name]).canvas.draw()


def made_up(**changed):
    """Findings that fulfil the rule, with (low, high) of some changed; the name is method, prefix."""
    intervals = {
        ("p = 0", "good"): (-1.9, 1.9), ("p = 0", "bad"): (-1.0, 1.0),
        ("parent", "good"): (0.1, 0.4), ("parent", "bad"): (-0.4, -0.1),
        ("p = 1", "good"): (-31, -29), ("p = 1", "bad"): (29, 31),
        ("p = 2", "good"): (-1, 1), ("p = 2", "bad"): (-1, 1),
    } | changed.get("to", {})  # fmt: skip
    return [
        Finding("", f"k = {k}, below {prefix} prefixes", method, (low + high) / 2, low, high, 9, p)
        for k in (4, 8)
        for (method, prefix), (low, high) in intervals.items()
        for p in (changed.get("p", 1e-9) if method == "p = 1" else None,)
    ]


def test_the_rule():
    assert decide(with_holm(made_up())).word == REPRODUCED
    for key, interval in {
        ("p = 0", "good"): (-2.1, 1.0),
        ("p = 0", "bad"): (0.0, 2.0),
        ("parent", "good"): (1.0, 2.5),
        ("parent", "bad"): (-30.0, -29.0),
        ("p = 1", "good"): (-1.0, 0.1),
        ("p = 1", "bad"): (-31.0, -29.0),
    }.items():
        verdict = decide(with_holm(made_up(to={key: interval})))
        assert verdict.word == NOT_REPRODUCED and key[0] in verdict.why, key
    assert decide(with_holm(made_up(p=0.04))).word == NOT_REPRODUCED  # not after Holm's adjustment
