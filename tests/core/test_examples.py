"""Which group is shown first: clarity by hand and against the definition."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from oracle_sets import Row
from strategies import column, flatten, forests

from grpo_prm.core import examples
from grpo_prm.core.examples import clarity
from grpo_prm.core.forest import build_forest
from grpo_prm.core.groups import Groups


def clarity_of(batch):
    tokens, lengths, groups, mask = flatten(batch)
    return clarity(
        Groups(build_forest(tokens, lengths, groups), tokens, lengths, groups, column(batch, "reward"), mask)
    )


def held(good, bad, shared=3):
    """So many good and bad completions after a shared prefix, and good ones beside it, as many as make a group of 8."""
    rows = [Row([*[1] * shared, 2, n], None, float(n < good)) for n in range(good + bad)]
    return [*rows, *(Row([3, n], None, 1.0) for n in range(8 - good - bad))]


def test_two_good_completions_held_back_by_three():
    rewards = np.array([1.0] * 2 + [0.0] * 3 + [1.0] * 3)
    a = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
    share = 2 * 4 / (2 * 5 + 3 * 2)  # of each two 1 1 1 2, of five; beside them three of two tokens
    assert clarity_of([held(2, 3)]) == pytest.approx(-a[:5].mean() * share, abs=1e-8)
    assert clarity_of([held(1, 3)]) == 0  # one alone
    assert clarity_of([held(2, 3, shared=199)])[0] > 0
    assert clarity_of([held(2, 3, shared=200), held(3, 0)]).tolist() == [0, 0]


def test_a_completion_that_is_out_of_the_loss_there_is_not_held_back():
    rows = held(2, 3)
    masked = Row(rows[0].tokens, [False] * 4 + [True], 1.0)
    assert clarity_of([rows])[0] > 0 and clarity_of([[masked, *rows[1:]]]) == 0


@given(forests(max_k=6))
@example([held(2, 3), held(2, 4)])
@example(
    [[Row([1, 1], [False, True], 1.0), Row([1, 2], [True, True], 1.0), Row([1, 3], None, 0.0), Row([1, 4], None, 0.0)]]
)
def test_clarity_is_what_the_definition_says(batch):
    log = [("a", 0, str(n), rows) for n, rows in enumerate(batch) if len(rows) > 1]
    found = clarity_of([rows for *_, rows in log])
    assert found.tolist() == pytest.approx([oracle.clarity(g) for g in oracle.analysed(log)], abs=2e-9)


def test_the_limits_are_those_of_the_page():
    assert (examples.READABLE, examples.SEVERAL) == (200, 2)
