"""Rows of TRL as whole groups: awkward ones too, without any training."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip("trl")
from grpo_prm.analysis.group_sums import NAMES
from grpo_prm.errors import UsageError
from grpo_prm.integrations.trl_figures import Figures, measured_rows
from grpo_prm.integrations.trl_generation import (
    Generation,
    Rewarded,
    generation_of,
    group_names,
    loss_groups,
    whole_groups,
)
from grpo_prm.integrations.trl_rollouts import Rollouts
from grpo_prm.integrations.trl_weights import completion_share, method_weights, padded


def made_of(ids, k, rewards, prompts=None):
    number = len(ids)
    return Generation(
        prompts=["p"] * number,
        completions=["c"] * number,
        prompt_ids=prompts or [np.array([7])] * number,
        ids=ids,
        mask=[np.ones(len(row), bool) for row in ids],
        advantages=np.zeros(number),
        rewards=np.array(rewards, np.float64),
        parts={},
        first=0,
        k=k,
    )


@pytest.mark.parametrize("kind", ["process-set", "parent", "position", "scale-matched"])
@pytest.mark.parametrize(
    ("ids", "k"),
    [([[], [3], [3, 4], []], 2), ([[], [], []], 3), ([[5, 6], [5]], 1), ([], 4)],
    ids=["some empty", "all empty", "groups of one", "no row"],
)
def test_awkward_rows_have_weights_and_figures(ids, k, kind):
    generation = made_of(ids, k, np.arange(len(ids)))
    whole = whole_groups(generation)
    groups = loss_groups(whole)
    rows = method_weights(whole, groups, 1.0, kind, "grpo")
    assert [len(row) for row in rows] == [len(row) for row in ids]
    if k == 1 and kind != "scale-matched":
        assert all((row == 1).all() for row in rows)
    like = torch.zeros(len(ids), 3, dtype=torch.long)
    assert padded(rows, like).shape == like.shape
    figures = Figures()
    figures.add(generation, whole, groups, "sample")
    found = figures.take()
    assert ("overlap/path_depth" in found) == (k > 1 and len(ids) > 0)
    assert figures.take() == {}
    assert len(found) <= len(NAMES)


def test_only_groups_of_two_rewards_or_more_are_measured():
    nan = float("nan")
    whole = whole_groups(made_of([[1]] * 6, 3, [1.0, nan, nan, 0.0, nan, 1.0]))
    assert measured_rows(whole).tolist() == [3, 5]


def test_rows_that_read_another_prompt_are_another_group():
    read = [np.array([token]) for token in (1, 1, 2, 1, 2, 2)]
    assert group_names(read, 0, 3) == ["0", "0", "0.1", "1", "1.1", "1.1"]
    assert group_names(read[:2], 6, 2) == ["3", "3"]
    whole = whole_groups(made_of([[4, 5]] * 6, 3, range(6), read))
    assert [row[0] for row in loss_groups(whole).sizes] == [2, 2, 1, 1, 2, 2]


def test_a_completion_weighs_what_the_loss_type_gives_it():
    mask = [np.array([True, True, False, True]), np.zeros(2, bool), np.zeros(0, bool)]
    assert completion_share(mask, "grpo").tolist() == [1 / 3, 1.0, 1.0]
    assert completion_share(mask, "sapo").tolist() == [1 / 3, 1.0, 1.0]
    assert completion_share(mask, "luspo").tolist() == completion_share(mask, "dapo").tolist() == [1.0] * 3


def test_generations_of_a_step_are_numbered_and_their_groups_too():
    rollouts, generation = Rollouts(None, "run"), made_of([[3], [4]] * 2, 2, range(4))
    for step in (1, 1, 2):
        generation = replace(generation)
        rollouts.add(step, generation, ["0", "0", "1", "1"], [False] * 4, {}, torch.zeros(4, 1))
    done = rollouts.take()
    assert [(one.step, one.number) for one in done] == [(1, 0), (1, 1), (2, 0)]
    assert [one.table["group"].to_list() for one in done] == [[0, 0, 1, 1], [2, 2, 3, 3], [0, 0, 1, 1]]
    keys = [key for one in done for key in one.table["group_key"].unique()]
    assert len(set(keys)) == 6
    assert rollouts.take() == []


def test_a_generation_has_the_rows_of_its_process():
    """The second of two processes with three rows each; padding is the end token, 1."""
    nan = float("nan")
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(process_index=1),
        reward_func_names=["<lambda>", "right", "<lambda>"],
        reward_weights=torch.tensor([1.0, 2.0, 0.5]),
        reward_clip_range=(-1.0, 2.0),  # of RLOO
        num_generations=2,
    )
    per_function = torch.tensor([[0.0, 0, 0]] * 3 + [[1.0, nan, 4.0], [nan, nan, nan], [0.25, -9.0, 0.0]])
    made = {
        "prompt_ids": torch.tensor([[1, 1, 5], [1, 5, 1], [7, 8, 9]]),
        "prompt_mask": torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 1]]),
        "completion_ids": torch.tensor([[4, 3, 1], [1, 1, 1], [6, 6, 1]]),
        "completion_mask": torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]]),  # the third is truncated, out of the loss
        "tool_mask": torch.tensor([[1, 0, 1], [1, 1, 1], [1, 1, 1]]),
        "advantages": torch.tensor([0.5, 0.0, -0.5]),
    }
    ids = [[4, 3, 1], [1], [6, 6]]
    found = generation_of(trainer, Rewarded(["p"] * 3, ["c"] * 3, ids, per_function), made)
    assert (found.first, found.k, found.rows, found.straddles) == (3, 2, slice(3, 6), True)
    assert [row.tolist() for row in found.prompt_ids] == [[5], [5, 1], [7, 8, 9]]
    assert [row.tolist() for row in found.mask] == [[True, False, True], [True], [False, False]]
    assert found.rewards.tolist()[3:] == pytest.approx([2.0, nan, -1.0], nan_ok=True)
    assert list(found.parts) == ["<lambda>", "right", "<lambda> 2"]
    assert found.parts["<lambda> 2"].tolist() == pytest.approx([4.0, nan, 0.0], nan_ok=True)
    assert found.advantages.tolist() == [0.5, 0.0, -0.5]
    for other in ([[4, 3, 1], [1], [6, 7]], [[4, 3, 1], [1]], [[4, 3, 1], [1], [6, 6, 1, 1]]):
        with pytest.raises(UsageError, match="SimpleNamespace trains on other completions"):
            generation_of(trainer, Rewarded(["p"] * 3, ["c"] * 3, other, per_function), made)
    made["advantages"] = made["advantages"][:, None] * torch.ones(3, 3)
    assert np.isnan(generation_of(trainer, Rewarded(["p"] * 3, ["c"] * 3, ids, per_function), made).advantages).all()
