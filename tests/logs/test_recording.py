"""A trainer's completions as the canonical table: what is not known is null, and no odd value costs a row."""

from __future__ import annotations

import numpy as np
import pytest

from grpo_prm.errors import UsageError
from grpo_prm.logs.recording import recorded_table
from grpo_prm.logs.rollouts import SCHEMA, validate


def test_everything_that_a_trainer_has():
    chat = [{"role": "user", "content": "hi"}]
    table = recorded_table(
        run="r",
        step=4,
        group_keys=["b", "a", "b", "a"],
        samples=[0, 0, 1, 1],
        prompts=[chat, "q", chat, "q"],
        completions=[[{"role": "assistant", "content": "x"}], "y", 7, None],
        tokens=[[1, 2], np.array([], np.int64), [3], [1]],
        rewards=[1.0, 0.5, 0.0, float("nan")],
        parts={"exact": [1.0, float("nan"), 0.0, 1.0]},
        masks=[[True, False], None, [True], [True]],
        logprobs=[np.array([-1, -2], np.float32), [], [-0.5], [-1.0]],
        ref_logprobs=[[-1.0, -1.0], [], [-3.0], [-1.0]],
        advantages=[1.0, 0.0, -1.0, 0.0],
        truncated=[False, True, None, False],
    )
    assert validate(table) is table and list(table.columns) == [*SCHEMA, "reward/exact"]
    # rows of a group are neighbours, in the order in which groups come; one without a reward is left out
    assert table["group_key"].to_list() == ["b", "b", "a"] and table["group"].to_list() == [0, 0, 1]
    assert table["tokens"].to_list() == [[1, 2], [3], []]
    assert table["mask"].to_list() == [[True, False], [True], None]
    assert table["logprobs"].to_list() == [[-1, -2], [-0.5], []]
    assert table["reward/exact"].to_list() == [1.0, 0.0, None]
    assert table["truncated"].to_list() == [False, None, True]
    assert "hi" in table["prompt"][0] and "x" in table["completion"][0] and table["completion"][1] is None
    assert table["trainer_logprobs"].null_count() == 3


def test_no_completions_are_a_table_without_rows():
    table = recorded_table(
        run="r", step=1, group_keys=[], samples=[], prompts=[], completions=[], tokens=[], rewards=[], parts={"a": []}
    )
    assert table.is_empty() and validate(table).columns == [*SCHEMA, "reward/a"]


def made(**changed):
    given = {
        "run": "r",
        "step": 1,
        "group_keys": ["a", "a"],
        "samples": [0, 1],
        "prompts": ["q", "q"],
        "completions": ["x", "y"],
        "tokens": [[1, 2], [3]],
        "rewards": [1.0, 0.0],
    }
    return recorded_table(**(given | changed))


@pytest.mark.parametrize("name", ["mask", "logprobs", "trainer_logprobs", "ref_logprobs"])
def test_values_of_tokens_that_are_not_as_many_are_refused(name):
    argument = "masks" if name == "mask" else name
    assert made(**{argument: [None, [1.0]]})[name].to_list() == [None, [1.0]]
    with pytest.raises(UsageError, match=rf"{name} of completion 1: 2 values for 1 tokens\. Give one a token"):
        made(**{argument: [[1.0, 1.0], [1.0, 1.0]]})


@pytest.mark.parametrize(
    ("changed", "name"),
    [({"rewards": [1.0]}, "reward"), ({"group_keys": ["a"]}, "group"), ({"parts": {"f": [1.0]}}, "reward/f")],
)
def test_entries_that_are_not_one_a_completion_are_refused(changed, name):
    with pytest.raises(UsageError, match=rf"{name}: 1 for 2 completions"):
        made(**changed)
