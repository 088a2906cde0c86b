"""One missing advantage or log-probability takes a check from its group alone."""

from __future__ import annotations

from dataclasses import replace

import oracle
import pytest
from canonical import batch_of
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from strategies import logs

from grpo_prm.analysis.analyze import analyze

OFF = [Row([1, 2], reward=1.0, advantage=3.0), Row([1, 3], reward=0.0, advantage=-5.0)]
RIGHT = [Row([1, 2], reward=1.0, advantage=0.707007), Row([1, 3], reward=0.0, advantage=-0.707007)]


@st.composite
def with_holes(draw):
    """A log of advantages and log-probabilities in which some completions lack one or both."""
    log = draw(logs(advantages=True, logprobs=True))
    gone = st.sampled_from([{}, {}, {}, {"advantage": None}, {"logprobs": None}])
    return [(run, step, key, [replace(row, **draw(gone)) for row in rows]) for run, step, key, rows in log]


@pytest.mark.slow
@settings(max_examples=60)
@given(with_holes())
@example([("a", 0, "p", OFF), ("a", 0, "q", [OFF[0], replace(OFF[1], advantage=None)]), ("a", 0, "r", RIGHT)])
@example([("a", 0, "p", [Row([], reward=1.0), Row([1], reward=0.0, logprobs=[-1.0])])])  # nothing is missing
def test_a_check_goes_on_for_the_groups_that_have_all_their_values(log):
    several = [entry for entry in log if len(entry[3]) > 1]
    assume(several)
    found, expected = analyze([batch_of(log)]), oracle.summary(log)["prm"]
    whole = [all(row.advantage is not None for row in rows) for _, _, _, rows in several]
    assert found.groups["advantage_mismatch"].is_not_null().to_list() == whole
    mismatch = found.summary["counts"]["advantage_mismatch"]
    assert mismatch == (oracle.mismatches(several, "sample") if any(whole) else None)
    spread = found.summary["prm"]["logprob_spread"]
    assert (spread or {"mean": None, "max": None}) == pytest.approx(expected["logprob_spread"])
    assert found.summary["prm"]["identity_gap"] == pytest.approx(expected["identity_gap"], abs=1e-9)


def test_a_null_advantage_hides_no_other_group():
    hole = [OFF[0], replace(OFF[1], advantage=None)]
    log = [("a", 0, key, rows) for key, rows in (("p", OFF), ("q", hole), ("r", RIGHT), ("s", OFF))]
    found = analyze([batch_of(log)])
    assert found.groups["advantage_mismatch"].to_list() == [True, None, False, True]
    assert found.summary["counts"]["advantage_mismatch"] == 2
    # A value that is there and off says nothing of a group that lacks another.
    assert analyze([batch_of(log[1:2])]).summary["counts"]["advantage_mismatch"] is None
