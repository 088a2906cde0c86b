"""The claim about true values: its rule on findings made up, and a small run that is whole."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once

import grpo_prm
from grpo_prm.reproduce import prm_quality, prm_quality_head
from grpo_prm.reproduce.claims import Finding, pick
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.prm_quality import CLAIM, GAP, POLICIES, POOLED, SIX, WEAK, Plan, decide
from grpo_prm.reproduce.prm_quality_policies import Policy

WARM, OTHER = "chain, warm", "countdown, warm"


def made_up(gap=0.1, sign=(0.85, 0.95), weak=(0.1, 0.2), strong=(0.6, 0.8), slopes=None, prompts=100, m=64, cells=6):
    """Findings that fulfil the rule, unless they are changed; `weak` and `strong` are reliability at k = 8 and 16."""
    slopes = {WARM: (0.6, 0.9), WEAK: (-0.1, 0.3), OTHER: (0.55, 0.8)} | (slopes or {})
    below = Finding("", SIX, "reliability below the true slope", 4.0, n=cells)
    findings = [Finding("", SIX, GAP, gap, n=cells), below, Finding("", POOLED, "sign of A", np.mean(sign), *sign, 90)]
    for name in POLICIES:
        low, high = slopes[name]
        for n, k in enumerate((4, 8, 16)):
            # That of k = 4 breaks every part of the rule, and is not read.
            estimate = (0.9 if name == WEAK else -0.9) if k == 4 else (weak if name == WEAK else strong)[n - 1]
            found = (0.0, 0.0) if k != 16 else (low, high)
            findings.append(Finding(name, f"k = {k}", "reliability", estimate))
            findings.append(Finding(name, f"k = {k}", "true slope", 0.5 * sum(found), *found, 90))
            findings.append(Finding(name, f"k = {k}", "sign of A", 0.1, 0.0, 0.2, 90))
        findings += [Finding(name, "", "prompts", prompts), Finding(name, "", "continuations", m)]
    return findings


def test_the_rule():
    verdict = decide(made_up())
    assert (verdict.word, set(verdict.parts.values())) == ("reproduced", {"reproduced"}), verdict.why
    assert "off the true slope by 0.100 on average (too low in 4 of 6 cells), and lower for the weak" in verdict.why
    assert "countdown, warm 0.68 [0.55, 0.80]" in verdict.why


@pytest.mark.parametrize(
    ("changed", "part", "of_part", "word"),
    [
        ({"gap": 0.15}, "honesty", "reproduced", "reproduced"),
        ({"gap": 0.151}, "honesty", "partly", "partly"),
        ({"gap": 0.25}, "honesty", "partly", "partly"),
        ({"gap": 0.251}, "honesty", "not reproduced", "not reproduced"),
        ({"weak": (0.1, 0.61)}, "honesty", "partly", "partly"),
        ({"weak": (0.61, 0.1)}, "honesty", "partly", "partly"),
        ({"weak": (0.1, 0.61), "gap": 0.26}, "honesty", "not reproduced", "not reproduced"),
        ({"slopes": {WARM: (0.5, 0.9)}}, "scope", "not reproduced", "partly"),
        ({"slopes": {OTHER: (0.4, 0.9)}}, "scope", "not reproduced", "partly"),
        ({"slopes": {WEAK: (0.1, 0.5)}}, "scope", "not reproduced", "partly"),
        ({"slopes": {WEAK: (None, None), WARM: (0.6, 0.9)}}, "scope", "not reproduced", "partly"),
        ({"sign": (0.8, 0.9)}, "sign", "not reproduced", "partly"),
        ({"sign": (0.81, 0.9)}, "sign", "reproduced", "reproduced"),
        ({"gap": 0.3, "sign": (0.5, 0.9)}, "sign", "not reproduced", "not reproduced"),
    ],
)
def test_each_bound_of_the_rule(changed, part, of_part, word):
    if None in changed.get("slopes", {}).get(WEAK, ()):
        findings = [
            f._replace(low=None, high=None) if (f.part, f.what) == (WEAK, "true slope") else f for f in made_up()
        ]
    else:
        findings = made_up(**changed)
    verdict = decide(findings)
    assert verdict.parts[part] == of_part and verdict.word == word, verdict


@pytest.mark.parametrize("changed", [{"prompts": 99}, {"m": 63}, {"cells": 5}, {"gap": None}])
def test_too_little_decides_nothing(changed):
    verdict = decide(made_up(**changed))
    assert verdict.word == "not testable here" and not verdict.parts


def test_a_policy_that_was_left_out_decides_nothing():
    assert decide([f for f in made_up() if f.part != WEAK]).word == "not testable here"


def test_plans_and_rule_say_the_same():
    for budget, decides in (("quick", False), ("standard", True), ("full", True)):
        plan = CLAIM.plans[budget]
        enough = plan.prompts >= 100 and plan.continuations >= 64 and set(plan.policies) == set(POLICIES)
        assert enough == decides and {8, 16} <= set(plan.ks) and not (decides and plan.warm_steps)
    for number in ("0.15", "0.25", "0.5", "0.8", "0.1", "100 prompts", "64 continuations", "k = 16"):
        assert number in CLAIM.rule
    assert CLAIM.cost(CLAIM.plans["quick"]) < 60


@pytest.mark.slow
def test_a_small_run_is_whole(tmp_path, monkeypatch):
    """On the synthetic tree, which even a few steps of a warm start know; the weak policy is trained for one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    small = {name: Policy("binary-tree", 3, int(name == WEAK)) for name in POLICIES}
    monkeypatch.setattr(prm_quality, "POLICIES", small)
    monkeypatch.setattr(prm_quality_head, "STEPS", 3)
    plan = Plan(tuple(POLICIES), 24, 8, (4, 8, 16), 2)
    evidence = CLAIM.run(plan, 0, at_once(tmp_path))
    findings = with_holm(evidence.findings)
    assert CLAIM.decide(findings).word == "not testable here"
    for name in POLICIES:
        for k in (4, 8, 16, 64):
            assert pick(findings, "steps", part=name, setting=f"k = {k}")[0].mean > 0
    cells = [
        [pick(findings, what, part=name, setting=f"k = {k}")[0].mean for what in ("reliability", "true slope")]
        for name in POLICIES
        for k in (8, 16)
    ]
    gap = pick(findings, GAP)[0]
    assert gap.mean == pytest.approx(np.mean([abs(a - b) for a, b in cells])) and gap.n == 6
    assert pick(findings, "reliability below the true slope")[0].mean == sum(a < b for a, b in cells)
    assert pick(findings, "sign of A", setting=POOLED)[0].n == 48  # prompts of the two warm policies
    # What the claim says of a log is what `analyze` says of it: the groups that the last small PRM learnt from.
    (log,) = (tmp_path / "prm-quality").glob("chain-warm.run/quality.parquet")
    assert pl.read_parquet(log)["group"].n_unique() == 2
    analysed = grpo_prm.analyze(log).summary["credit"]["reliability"]["mean"]
    assert pick(findings, "reliability", part=WARM, setting="k = 64")[0].mean == pytest.approx(analysed)
    json.dumps([f._asdict() for f in findings], allow_nan=False)
    for name, draw in CLAIM.figures.items():
        assert draw(evidence.tables[name]).axes
    again = CLAIM.run(plan._replace(policies=(WEAK,)), 0, at_once(tmp_path / "again")).findings
    assert [f for f in again if f.part == WEAK] == [f for f in evidence.findings if f.part == WEAK]


@pytest.mark.slow
def test_a_policy_without_a_group_of_mixed_reward_has_no_figures(tmp_path, monkeypatch):
    """Three steps of a warm start on countdown: nothing is right."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(prm_quality, "POLICIES", {name: Policy("countdown", 3) for name in POLICIES})
    plan = Plan((WARM,), 3, 2, (4,), 0)
    evidence = CLAIM.run(plan, 0, at_once(tmp_path))
    assert pick(evidence.findings, "steps")[0].mean == 0
    assert CLAIM.decide(evidence.findings).word == "not testable here"
    assert all(len(table) == 0 for table in evidence.tables.values())
