"""The claim about Theorem 1: both forms against double loops, breaks that it must see, its rule on findings made up."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
import torch
from oracle_loss import aggregation_weights, loss_over_completions, prefix
from oracle_sets import Row
from reproduce.at_once import at_once

from grpo_prm.core.loss import policy_loss
from grpo_prm.reproduce import identity_gaps, identity_rollouts
from grpo_prm.reproduce.claims import NOT_REPRODUCED, REPRODUCED, Finding
from grpo_prm.reproduce.identity import (
    BREAKS,
    CLAIM,
    CONTROL,
    GRADIENT,
    HOLDS,
    LOSS,
    MODEL,
    TREES,
    Plan,
    decide,
    findings_of,
    tree_record,
)
from grpo_prm.reproduce.identity_gaps import AGGREGATIONS, BETA, BY_ROW, CLIP, CONTROLS, SEQUENCE_OFF, gaps, row_gap
from grpo_prm.reproduce.identity_outcome import Rollouts, outcome_form, sequence_outcome_form
from grpo_prm.reproduce.identity_trees import invented_rollouts, tabular_policy
from grpo_prm.train.batch import Batch


def batch_of(rollouts):
    """The groups as the oracles take them, with the rows of each."""
    ends = np.cumsum(rollouts.lengths)
    tokens = [rollouts.tokens[e - n : e].tolist() for e, n in zip(ends, rollouts.lengths, strict=True)]
    rows = [Row(t, [bool(kept)] * len(t)) for t, kept in zip(tokens, rollouts.kept, strict=True)]
    members = [np.flatnonzero(rollouts.groups == g).tolist() for g in range(rollouts.groups.max() + 1)]
    return [[rows[i] for i in some] for some in members], members


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_the_outcome_form_is_that_of_the_double_loop(seed, aggregation):
    rng = np.random.default_rng(seed)
    rollouts = invented_rollouts(rng)
    policy = tabular_policy(rollouts, rng)
    now, old, reference = (x.detach().numpy() for x in policy[:3])
    batch, members = batch_of(rollouts)
    w = rollouts.weights(aggregation)
    of_batch = aggregation_weights(batch, aggregation, rollouts.limit)
    np.testing.assert_allclose(np.concatenate(of_batch)[rollouts.kept], w[rollouts.kept])  # rows are group-major
    assert (w[~rollouts.kept] == 0).all()
    a, opens = rollouts.advantages, np.cumsum(rollouts.lengths) - rollouts.lengths
    for clip, ratio_in_kl in ((None, False), (CLIP, True)):
        loss = 0.0
        for group, some, weights in zip(batch, members, of_batch, strict=True):
            at = {prefix(group, j, t): opens[i] + t for j, i in enumerate(some) for t in range(len(group[j].tokens))}
            ratios = {u: math.exp(now[n] - old[n]) for u, n in at.items()}
            kl = {u: math.exp(reference[n] - now[n]) - (reference[n] - now[n]) - 1 for u, n in at.items()}
            loss += loss_over_completions(
                group, a[some], weights, ratios, kl, lambda i, t: 1.0, BETA, clip, ratio_in_kl
            )
        row = rollouts.row
        options = {"clip": clip, "beta": BETA, "ratio_in_kl": ratio_in_kl}
        form = outcome_form(now, old, reference, a[row], w[row], **options)
        assert form.loss == pytest.approx(loss, rel=1e-12, abs=1e-14) and form.size >= abs(form.loss)
        step = 1e-6
        for n in rng.choice(len(now), 8):
            ends = []
            for sign in (1, -1):
                moved = now.copy()
                moved[n] += sign * step
                ends.append(outcome_form(moved, old, reference, a[row], w[row], **options).loss)
            assert form.slope[n] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8)


def test_ratio_of_a_whole_sequence():
    rollouts = Rollouts(
        np.array([5, 6, 5, 7, 9]), np.array([2, 3, 0]), np.zeros(3, int), np.array([1.0, 0.0, 0.0]),
        np.array([True, True, True]), 4,
    )  # fmt: skip
    now, old = np.array([-1.0, -2.0, -1.0, -0.5, -0.1]), np.array([-1.5, -2.0, -1.5, -0.5, -0.4])
    a = rollouts.advantages
    s = [math.exp(0.5 / 2), math.exp(0.8 / 3)]
    form = sequence_outcome_form(now, old, rollouts)
    assert form.loss == pytest.approx(-(s[0] * a[0] + s[1] * a[1]) / 3)
    first, second = -s[0] * a[0] / 3 / 2, -s[1] * a[1] / 3 / 3
    np.testing.assert_allclose(form.slope, [first, first, second, second, second])


def test_invented_groups_have_every_corner():
    rng = np.random.default_rng(0)
    seen = dict.fromkeys(("empty", "twins", "strict prefix", "ties", "flat", "masked", "masked group"), 0)
    for _ in range(60):
        rollouts = invented_rollouts(rng)
        assert rollouts.telling
        batch, members = batch_of(rollouts)
        for group, some in zip(batch, members, strict=True):
            rows, rewards = [row.tokens for row in group], rollouts.rewards[some].tolist()
            seen["empty"] += [] in rows
            seen["twins"] += len(set(map(tuple, rows))) < len(rows)
            seen["strict prefix"] += any(x and x != y and y[: len(x)] == x for x in rows for y in rows)
            seen["ties"] += 1 < len(set(rewards)) < len(rewards)
            seen["flat"] += len(set(rewards)) == 1
            seen["masked"] += not rollouts.kept[some].all()
            seen["masked group"] += not rollouts.kept[some].any()
    assert min(seen.values()) >= 3, seen


def test_equal_prefixes_have_equal_probabilities():
    rng = np.random.default_rng(1)
    rollouts = invented_rollouts(rng)
    policy = tabular_policy(rollouts, rng)
    batch, _ = batch_of(rollouts)
    names = [
        (g, *prefix(group, i, t))
        for g, group in enumerate(batch)
        for i, r in enumerate(group)
        for t in range(len(r.tokens))
    ]
    for x in policy[:3]:
        of_name = {}
        for name, value in zip(names, x.tolist(), strict=True):
            assert of_name.setdefault(name, value) == value
    assert len(set(policy.now.tolist())) > 10


def gaps_of(seed):
    rng = np.random.default_rng(seed)
    rollouts = invented_rollouts(rng)
    return gaps(rollouts, tabular_policy(rollouts, rng), noise=rng.normal(size=len(rollouts.lengths)))


def test_forms_hold_and_controls_do_not():
    found = [gap for seed in range(40) for gap in gaps_of(seed)]
    for gap in found:
        if gap.form not in CONTROLS:
            assert gap.loss < 1e-13 and gap.gradient < 1e-12, gap
    for control in (SEQUENCE_OFF, BY_ROW):
        assert np.mean([gap.gradient for gap in found if gap.form == control]) > 0.01


def rollouts_of_rows(rows, rewards, kept=None):
    """One group."""
    lengths = np.array([len(row) for row in rows])
    kept = np.ones(len(rows), bool) if kept is None else np.array(kept)
    return Rollouts(np.concatenate(rows).astype(int), lengths, np.zeros(len(rows), int), np.array(rewards), kept, 9)


def test_controls_hold_where_they_should():
    """Off-policy ratios of sequences that share nothing, and old probabilities that all are off by the same."""
    rng = np.random.default_rng(0)
    apart = rollouts_of_rows([[0, 1, 2], [1, 1], [2, 3, 3, 1]], [1.0, 0.0, 0.3])
    found = gaps(apart, tabular_policy(apart, rng), noise=rng.normal(size=3))
    assert max(max(gap.loss, gap.gradient) for gap in found) < 1e-13
    shared = rollouts_of_rows([[0, 1, 2], [0, 1], [0, 3, 3, 1]], [1.0, 0.0, 0.3])
    policy = tabular_policy(shared, rng)
    same = row_gap(BY_ROW, shared, policy, policy.old.numpy() + 0.3)
    assert max(same.loss, same.gradient) < 1e-13
    found = {gap.form: gap.gradient for gap in gaps(shared, policy, noise=rng.normal(size=3))}
    assert min(found[SEQUENCE_OFF], found[BY_ROW]) > 1e-3


@pytest.mark.parametrize(
    ("rows", "kept", "telling"),
    [
        ([[0, 1], [0, 2]], [True, True], True),
        ([[0], [0, 2]], [True, True], True),
        ([[0, 1], [0, 2]], [True, False], False),  # no two in the loss share a step
        ([[0, 1], [0, 1]], [True, True], False),  # they never part
        ([[0, 1], [1, 1]], [True, True], False),  # nothing is shared
        ([[], [1, 1]], [True, True], False),
    ],
)
def test_batches_that_test_something(rows, kept, telling):
    assert rollouts_of_rows(rows, [1.0, 0.0], kept).telling is telling
    assert not rollouts_of_rows(rows, [1.0, 1.0], kept).telling


def test_a_wrong_step_form_is_seen(monkeypatch):
    true = {name: getattr(identity_gaps, name) for name in ("step_means", "sign_split_sums", "completion_weights")}
    swapped = {
        "step_means": (lambda forest, a, w=None: 1.01 * true["step_means"](forest, a, w), "weighted"),
        "sign_split_sums": (lambda *x: (s := true["sign_split_sums"](*x))._replace(minus=1.01 * s.minus), "clipped"),
        "completion_weights": (lambda kind, n, limit: true["completion_weights"](kind, n, limit + 1), "dr_grpo"),
    }
    for name, (wrong, form) in swapped.items():
        with monkeypatch.context() as patched:
            patched.setattr(identity_gaps, name, wrong)
            worst = {gap.form: max(gap.gradient, gap.loss) for gap in gaps_of(3)}
        assert max(value for key, value in worst.items() if form in key) > 1e-3, name
    with monkeypatch.context() as patched:
        patched.setattr(
            "grpo_prm.core.loss.policy_loss", lambda *x, **y: policy_loss(*x, **(y | {"ratio_in_kl": False}))
        )
        assert max(gap.gradient for gap in gaps_of(3) if gap.form not in CONTROLS) > 1e-3


@pytest.mark.slow
def test_a_small_plan(monkeypatch, tmp_path):
    monkeypatch.setattr(identity_rollouts, "WARM_STEPS", 30)
    evidence = CLAIM.run(Plan(12, 1), 0, at_once(tmp_path))
    assert CLAIM.decide(evidence.findings).word == REPRODUCED and CLAIM.always
    assert [f.n for f in evidence.findings if f.what == CONTROL] == [12, 12, 1, 1, 1]
    assert len(evidence.findings) == 2 * 2 * 10 + 5
    table = evidence.tables["identity_gaps"]
    assert table["source"].value_counts().sort("source")["count"].to_list() == [13, 12]
    CLAIM.figures["identity_gaps"](table).canvas.draw()


def test_blocks_of_trees_change_nothing():
    whole = tree_record(0, 4, 7)
    assert whole.equals(pl.concat([tree_record(0, 1, 7), tree_record(1, 3, 7)]))
    assert not whole.equals(tree_record(0, 4, 8))


@pytest.mark.slow
def test_a_model_whose_rollouts_test_something(monkeypatch):
    monkeypatch.setattr(identity_rollouts, "WARM_STEPS", 40)
    trained = identity_rollouts.train(1)
    rollouts = identity_rollouts.rollouts_of(trained.batch, np.random.default_rng(0))
    assert rollouts.telling and 0 < rollouts.kept.mean() < 1
    policy = identity_rollouts.policy_of(trained)
    assert {x.dtype for x in policy[:3]} == {torch.float64}
    ratio = (policy.now - policy.old).exp().detach().numpy()
    assert ((ratio < 1 - CLIP[0]) | (ratio > 1 + CLIP[1])).any() and np.abs(ratio - 1).mean() > 1e-3


def test_right_steps():
    assert identity_rollouts.right_steps("3+4=7;7*2=4;4-5=9<end>") == 1.0
    assert identity_rollouts.right_steps("3+4=7;7*2=5<end>") == 0.5
    assert identity_rollouts.right_steps("3+4=7;7*2") == 0.5
    for text in ("", "<end>", ";;", "3+4+7", "3=4=7", "a+4=7", "33+4=7"):
        assert identity_rollouts.right_steps(text) == 0.0


def made_up(**changed):
    """Findings that fulfil the rule but for those changed; the key is the setting and what."""
    found = []
    for source in (TREES, MODEL):
        found += [Finding("", f"{source}: clipped, grpo", what, HOLDS, n=1) for what in (LOSS, GRADIENT)]
        found += [Finding("", f"{source}: {c}", CONTROL, 1.01 * BREAKS) for c in CONTROLS]
    return [f._replace(mean=changed["mean"]) if (f.setting, f.what) == changed.get("of") else f for f in found]


def test_the_rule():
    assert decide(made_up()).word == REPRODUCED
    for source in (TREES, MODEL):
        for what in (LOSS, GRADIENT):
            for mean in (1.1 * HOLDS, None, 1e300, math.nan):
                verdict = decide(made_up(of=(f"{source}: clipped, grpo", what), mean=mean))
                assert verdict.word == NOT_REPRODUCED and source in verdict.why
        for control in CONTROLS:
            for mean in (BREAKS, 0.0, None):
                verdict = decide(made_up(of=(f"{source}: {control}", CONTROL), mean=mean))
                assert verdict.word == NOT_REPRODUCED and control in verdict.why
    assert decide([]).word == NOT_REPRODUCED
    assert decide([f for f in made_up() if f.what != CONTROL]).word == NOT_REPRODUCED


def test_a_gap_that_is_no_number_is_the_largest():
    rows = [(0, "f", 1e-16, 1e-16), (1, "f", math.nan, 2e-16)]
    table = pl.DataFrame(rows, schema=["batch", "form", "loss", "gradient"], orient="row")
    loss, gradient = findings_of(TREES, table)
    assert loss.mean is not None and loss.mean > 1 and gradient.mean == 2e-16 and gradient.n == 2


def test_truncated_completions_of_a_model_are_out_of_the_loss():
    batch = Batch([[1], [1]], [[3, 4], [3], [5], [6, 7]] * 25, 50, np.arange(100.0), np.array([True, False] * 50))
    kept = identity_rollouts.rollouts_of(batch, np.random.default_rng(0)).kept
    assert not kept[::2].any() and 0.7 < kept[1::2].mean() < 1
