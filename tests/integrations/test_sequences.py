"""λ weights of whole sequences against counting, and against those of completions alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm import Groups
from grpo_prm.integrations.rows import sequence_weights

PROMPTS = {"a": [1, 2], "b": [1, 2, 3], "c": [2]}
ROW = st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 3), max_size=6))


@given(
    st.lists(ROW, min_size=1, max_size=12), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(["process-set", "parent"])
)
def test_rows_in_any_order_have_the_weights_of_their_completions(rows, power, kind):
    names = [name for name, _ in rows]
    found = sequence_weights([np.array(PROMPTS[name] + ids, np.int64) for name, ids in rows], names, power, kind)
    for (name, ids), weights in zip(rows, found, strict=True):
        group = [other for key, other in rows if key == name]
        reach = [sum(other[: t + 1] == ids[: t + 1] for other in group) for t in range(len(ids))]
        sizes = [len(group), *reach][: len(ids)] if kind == "parent" else reach
        assert weights[len(PROMPTS[name]) :].tolist() == pytest.approx([size**-power for size in sizes])


def test_rows_of_one_group_that_read_different_prompts_share_nothing():
    (first, second) = sequence_weights([[1, 5, 5], [2, 5, 5]], [0, 0], 1.0, "process-set")
    assert first[1:].tolist() == second[1:].tolist() == [1.0, 1.0]


def test_it_is_what_groups_of_completions_say():
    tokens, groups = [[4, 5], [4, 6], [7]], [0, 0, 0]
    ours = sequence_weights([[9, *row] for row in tokens], groups, 1.0, "process-set")
    theirs = Groups.of(tokens, [0.0, 1.0, 0.0], groups).lambda_weights()
    assert [row[1:].tolist() for row in ours] == [row.tolist() for row in theirs]
