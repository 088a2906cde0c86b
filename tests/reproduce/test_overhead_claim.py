"""The claim about cost: the recursion against the definition, the rule on times made up, a small run."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle_sets import Row, process_set
from reproduce.at_once import at_once
from strategies import token_lists

from grpo_prm.core import groups as groups_module
from grpo_prm.reproduce import overhead_times
from grpo_prm.reproduce.claims import NOT_REPRODUCED, REPRODUCED
from grpo_prm.reproduce.overhead import CLAIM, Plan, decide, evidence_of
from grpo_prm.reproduce.overhead_times import (
    NUMPY,
    REFERENCE,
    STEP,
    TORCH,
    invented,
    recursive_weights,
    time_step,
    time_weights,
)

PLAN = Plan(rounds=2, length=40, completions=36, steps=1)


@given(st.integers(1, 6).flatmap(token_lists))
def test_the_recursion_weighs_as_defined(lists):
    group = [Row(tokens) for tokens in lists]
    found = recursive_weights([torch.tensor(tokens, dtype=torch.int64) for tokens in lists])
    assert [len(row) for row in found] == [len(tokens) for tokens in lists]
    for i, row in enumerate(found):
        for t, weight in enumerate(row.tolist()):
            assert weight == pytest.approx(1 / len(process_set(group, i, t)))


def test_invented_completions_share_as_much_as_said():
    tokens = invented(np.random.default_rng(0), 200, 6, 400)
    common = (tokens[:, 1:] == tokens[:, :-1]).cumprod(-1).sum(-1)
    assert tokens.shape == (200, 6, 400) and common.mean() == pytest.approx(50, abs=4)


def test_ways_that_disagree_are_not_timed(monkeypatch):
    tokens = invented(np.random.default_rng(0), 2, 3, 30)
    assert set(time_weights(tokens, 1)) == {NUMPY, TORCH, REFERENCE}
    monkeypatch.setattr(groups_module.Groups, "lambda_weights", lambda groups: torch.ones(tokens.size))
    with pytest.raises(AssertionError, match=re.escape(TORCH)):
        time_weights(tokens, 1)


def test_a_batch_that_is_timed_is_new_each_time(monkeypatch):
    """The forest of a batch is kept, so that a second call would time nothing."""
    for name, value in {"PROMPT": 6, "NEW": 4, "PROMPTS": 2, "K": 4}.items():
        monkeypatch.setattr(overhead_times, name, value)
    built, build = [], groups_module.build_forest
    monkeypatch.setattr(groups_module, "build_forest", lambda *given: built.append(1) or build(*given))
    assert set(time_step(3)) == {"step", "weights", "weights and figures"}
    assert len(built) == 1 + 3 * 3  # the step that warms up; each of the three, three times


def seconds(**changed):
    """Times that fulfil the rule, some to the last bit."""
    times = {
        ("k = 6", NUMPY): 1e-8, ("k = 6", TORCH): 5e-8, ("k = 6", REFERENCE): 5e-8,
        ("k = 36", NUMPY): 1e-8, ("k = 36", TORCH): 4e-8, ("k = 36", REFERENCE): 5e-8,
        (STEP, "step"): 1.0, (STEP, "weights"): 0.01, (STEP, "weights and figures"): 0.51,
    }  # fmt: skip
    return times | changed.get("to", {})


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        (("k = 6", NUMPY), 6e-8, "k = 6"),
        (("k = 6", TORCH), 5.1e-8, "k = 6"),
        (("k = 36", NUMPY), 6e-8, "k = 36"),
        (("k = 36", TORCH), 6e-8, "k = 36"),
        ((STEP, "weights"), 0.0101, STEP),
    ],
)
def test_the_rule(key, value, named):
    kept = evidence_of(seconds(), PLAN)
    assert decide(kept.findings).word == REPRODUCED
    missed = evidence_of(seconds(to={key: value}), PLAN)
    verdict = decide(missed.findings)
    assert verdict.word == NOT_REPRODUCED and f"({named})" in verdict.why
    assert sum(f.mean != g.mean for f, g in zip(kept.findings, missed.findings, strict=True)) == 1


def test_findings_do_not_depend_on_the_moment():
    one, other = evidence_of(seconds(), PLAN), evidence_of({k: v * 1.37 for k, v in seconds().items()}, PLAN)
    assert one.findings == other.findings and one.notes == other.notes and one.timings != other.timings
    assert all(f.mean in (0.0, 1.0) and f.low is None for f in one.findings)
    assert json.loads(json.dumps(dict(one.timings)))["weights_percent_of_step"] == 1.0
    assert one.timings["weights_and_figures_percent_of_step"] == 51.0


def test_a_small_plan(monkeypatch, tmp_path):
    for name, value in {"PROMPT": 6, "NEW": 4, "PROMPTS": 2, "K": 4}.items():
        monkeypatch.setattr(overhead_times, name, value)
    evidence = CLAIM.run(PLAN, 0, at_once(tmp_path))
    assert len(evidence.findings) == 5 and CLAIM.decide(evidence.findings).word in (REPRODUCED, NOT_REPRODUCED)
    assert evidence.timings["step_seconds"] > 0 and len(evidence.timings["seconds_per_token"]) == 6
    CLAIM.figures["overhead"](evidence.tables["overhead"]).canvas.draw()
