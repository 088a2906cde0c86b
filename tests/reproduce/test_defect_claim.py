"""The defect claim: every group counted once by its chance, sampled errors that are what they say, and the rule."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from reproduce.at_once import at_once

from grpo_prm.reproduce.claims import Finding
from grpo_prm.reproduce.defect import CLAIM, METHODS, SAMPLED, Plan, _changes, exact_change, sampled_change
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.tabular import paper_tree


@pytest.mark.parametrize("method", METHODS)
def test_exact_is_the_mean_over_all_sequences_of_leaves(method):
    """Four leaves, three completions: 64 sequences, each as likely."""
    tree = paper_tree(1, -1.0, depth=2, target=1)
    counts = np.array([np.bincount(leaves, minlength=4) for leaves in product(range(4), repeat=3)])
    found = exact_change(tree, 3, method.power, method.kind)
    expected = _changes(tree, counts, method.power, method.kind).mean(axis=0)
    np.testing.assert_allclose(found.decisions, expected, atol=1e-12)
    assert found.total == pytest.approx(expected.sum()) and found.error == 0


def test_drawn_groups_agree_with_all_of_them_and_their_error_is_their_scatter():
    tree = paper_tree(1, -1.0, depth=3, target=3)
    exact = exact_change(tree, 4, 1.0)
    runs = [sampled_change(tree, 4, 1.0, groups=400, seed=seed) for seed in range(80)]
    totals = np.array([run.total for run in runs])
    error = np.mean([run.error for run in runs])
    assert abs(totals.mean() - exact.total) < 4 * error / np.sqrt(80)
    assert totals.std(ddof=1) == pytest.approx(error, rel=0.3)
    counts = np.random.default_rng(7).multinomial(4, np.full(8, 1 / 8), 400)
    drawn = _changes(tree, counts, 1.0, "process-set").sum(axis=1)
    assert runs[7].total == pytest.approx(drawn.mean())
    assert runs[7].error == pytest.approx(drawn.std(ddof=1) / 20, rel=1e-9)


def test_the_changes_of_the_first_runs():
    """What was measured before this code was written, to its two digits (docs/results.md has more)."""
    tree = paper_tree(1, -1.0, depth=SAMPLED, target=6)
    first = {"p = 0": -0.048, "p = 0.5": -0.003, "p = 1": 0.010, "parent": 0.008, "position": 0.010}
    for name, power, kind, _ in METHODS:
        found = sampled_change(tree, 16, power, kind, groups=20_000, seed=1)
        assert found.total == pytest.approx(first[name], abs=4 * found.error + 6e-4)
        assert found.decisions[0] < 0  # all still lower the first decision


def planted(plain, ours):
    def ends(mean):
        return mean, mean - 0.01, mean + 0.01

    setting = f"depth {SAMPLED}"
    means = {"p = 0": plain, "p = 1": ours, "position": 0.0}
    return with_holm([Finding("", setting, name, *ends(mean), 100, 1e-6) for name, mean in means.items()])


@pytest.mark.parametrize(
    ("plain", "ours", "word"),
    [
        (-0.05, 0.05, "reproduced"),
        (0.05, 0.05, "not reproduced"),
        (-0.05, -0.05, "not reproduced"),
        (-0.005, 0.05, "not reproduced"),
        (-0.05, 0.005, "not reproduced"),
    ],
)
def test_the_rule(plain, ours, word):
    assert CLAIM.decide(planted(plain, ours)).word == word


@pytest.mark.slow
def test_a_small_run_is_whole(tmp_path):
    evidence = CLAIM.run(Plan(4_000), 0, at_once(tmp_path))
    assert {f.setting for f in evidence.findings} == {"depth 2", "depth 3", "depth 4", "depth 4, first decision"}
    assert CLAIM.decide(with_holm(evidence.findings)).word in ("reproduced", "not reproduced")
    assert CLAIM.figures["defect_one_step"](evidence.tables["defect_one_step"]).axes
