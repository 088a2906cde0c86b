"""When a run is told that its groups teach it nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.train.equal_rewards import equal_rewards


@given(st.lists(st.sampled_from([None, 0.0, 0.5, 0.51, 0.9, 1.0]), max_size=40))
def test_a_sentence_comes_when_five_steps_in_a_row_had_mostly_equal_rewards(shares):
    state = {"step": 0}  # as that of a run from before there was such a sentence
    told = [equal_rewards(share, state) is not None for share in shares]
    mostly = [share is not None and share > 0.5 for share in shares]
    for step, sentence in enumerate(told):
        last = mostly[: step + 1]
        row = next((n for n, equal in enumerate(reversed(last)) if not equal), len(last))
        assert sentence == (row == 5)


def test_the_sentence_says_how_many():
    state = {"equal": 4}
    assert equal_rewards(0.75, state).startswith("75 % of the groups of this step have equal rewards")
