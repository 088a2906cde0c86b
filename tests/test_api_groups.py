"""`grpo_prm.analyze` of `Groups` in memory: what a log with these rows says, under the names that their maker gave."""

from __future__ import annotations

import json

import numpy as np
import pytest
from polars.testing import assert_frame_equal
from test_api_inputs import written

import grpo_prm
from grpo_prm.errors import InputError


@pytest.mark.parametrize("masked", [False, True])
def test_groups_are_their_tokens_rewards_and_groups(masked, tmp_path):
    """Rows of a group that are not neighbours, with lengths that differ and names that are no numbers."""
    tokens, rewards = [[7, 1], [3], [7, 2, 2], [3, 3], [], [7, 1, 5]], [1.0, 0.0, 0.5, 1.0, 0.0, 0.0]
    names, mask = ["b", "a", "b", "a", "a", "b"], [[1, 0], [1], [1, 1, 1], [0, 1], [], [1, 1, 0]]
    groups = grpo_prm.Groups.of(tokens, rewards, names, mask if masked else None)
    rows = [
        {"uid": name, "completion_ids": ids, "reward": reward} | ({"mask": loss} if masked else {})
        for name, ids, reward, loss in zip(names, tokens, rewards, mask, strict=True)
    ]
    rows.sort(key=lambda row: row["uid"], reverse=True)
    mine, theirs = grpo_prm.analyze(groups), grpo_prm.analyze(written(rows, tmp_path))
    for section in ("counts", "overlap", "prm", "baseline"):
        assert mine.summary[section] == theirs.summary[section]
    assert mine.groups["group_key"].to_list() == ["b", "a"] and mine.summary["source"]["tokens_from"] == "log"
    columns = ["sample", "length", "loss_tokens", "reward", "advantage"]
    assert_frame_equal(mine.completions.select(columns).collect(), theirs.completions.select(columns).collect())
    assert [end["sample"] for step in mine.tree("-:a").groups[0]["steps"] for end in step["ends"]]


def test_padded_tensors_and_groups_of_one_length():
    torch = pytest.importorskip("torch")
    tokens = torch.tensor([[7, 1, 2], [7, 1, 3], [7, 4, 0], [5, 0, 0]])
    groups = grpo_prm.Groups.of(tokens, torch.tensor([1.0, 0.0, 0.0, 1.0]), 2, lengths=[3, 3, 2, 1])
    found = grpo_prm.analyze(groups)
    assert found.completions.collect()["length"].to_list() == [3, 3, 2, 1]
    whole = grpo_prm.Groups.of([[7, 1], [7, 2]], [1.0, 0.0], 2)
    assert grpo_prm.analyze(whole).summary["counts"]["tokens"] == 4


def test_groups_bring_their_divisor_and_their_advantages():
    tokens, rewards = [[7, 1], [7, 2], [7, 3]], [1.0, 0.0, 0.5]
    groups = grpo_prm.Groups.of(tokens, rewards, 3, std="none")
    found = grpo_prm.analyze(groups)
    assert found.completions.collect()["advantage"].to_list() == groups.advantages.tolist() == [0.5, -0.5, 0.0]
    assert found.summary["source"]["options"] == {"std": "none", "advantage": "computed", "seed": 0, "outcome": None}
    seeded = grpo_prm.analyze(groups, grpo_prm.Options(seed=np.int64(3))).summary["source"]["options"]
    assert (
        json.dumps(seeded) == '{"std": "none", "advantage": "computed", "seed": 3, "outcome": null}'
    )  # a seed is only a seed
    used = grpo_prm.analyze(groups, grpo_prm.Options(std="sample")).completions.collect()["advantage"][0]
    assert used == pytest.approx(0.5 / (0.5 + 1e-4))
    given = grpo_prm.Groups.of(tokens, None, 3, advantages=[2.0, -1.0, -1.0])
    for options in (None, grpo_prm.Options(seed=1)):
        found = grpo_prm.analyze(given, options)
        assert found.completions.collect()["advantage"].to_list() == [2.0, -1.0, -1.0]
    both = grpo_prm.Groups.of(tokens, rewards, 3, advantages=[2.0, -1.0, -1.0])
    found = grpo_prm.analyze(both, grpo_prm.Options(advantage="computed")).completions.collect()
    assert found["advantage"][0] == pytest.approx(0.5 / (0.5 + 1e-4))


def _renamed(worst):
    """The lists of groups, with the run's name that groups from memory have."""
    if isinstance(worst, list):
        return [group | {"run": "groups"} for group in worst]
    return {name: _renamed(part) for name, part in worst.items()}


def test_a_completion_whose_reward_is_no_number_is_rejected(tmp_path):
    """As a row of a file is; groups of sizes 3, 3 and 2 are left, of which one is uneven."""
    rewards = [1.0, 0.0, 0.5, 1.0, 0.0, 1.0, float("inf"), 0.0, 1.0, float("nan")]
    names = [3, 3, 3, 2, 2, 2, 1, 1, 1, 3]
    tokens = [[7, n % 3] for n in range(10)]
    mine = grpo_prm.analyze(grpo_prm.Groups.of(tokens, rewards, names))
    rows = [
        {"uid": name, "completion_ids": ids, "reward": reward}
        for name, ids, reward in zip(names, tokens, rewards, strict=True)
    ]
    theirs = grpo_prm.analyze(written(rows, tmp_path))
    for section in ("counts", "overlap", "prm", "baseline", "defects"):
        expected = theirs.summary[section]
        if section == "defects":
            expected = expected | {"worst_groups": _renamed(expected["worst_groups"])}
        assert mine.summary[section] == expected
    assert mine.summary["counts"]["groups_uneven"] == 1
    assert_frame_equal(*(a.rejected.select("line", "field", "reason").collect() for a in (mine, theirs)))
    assert mine.rejected.collect().rows()[0] == (
        "groups in memory", 7, "reward", "expected a finite number, got inf", ""
    )  # fmt: skip


def test_groups_without_a_usable_completion():
    nothing = grpo_prm.Groups.of([[1], [2]], [float("inf"), float("nan")], 2)
    with pytest.raises(InputError, match=r"No completion can be used\. Give Groups with finite rewards"):
        grpo_prm.analyze(nothing)
    alone = grpo_prm.Groups.of([[1], [2]], [1.0, 0.0], ["a", "b"])
    with pytest.raises(InputError, match=r"each alone in its group\)\. Give .* groups of Groups\.of"):
        grpo_prm.analyze(alone)


def test_groups_are_called_as_their_maker_calls_them():
    """Once a group had the number of its place, so that the tree of group 2 was that of another."""
    tokens, rewards = [[7, 1], [7, 2], [5], [5, 1], [9], [9, 1]], [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]
    mine = grpo_prm.analyze(grpo_prm.Groups.of(tokens, rewards, [3, 3, 2, 2, 1, 1]))
    assert mine.groups["group_key"].to_list() == ["3", "2", "1"]
    assert mine.tree("-:2").groups[0]["group_key"] == "2"
    assert mine.samples.filter(group_key="2")["tokens"].to_list() == [[5], [5, 1]]
    placed = grpo_prm.analyze(grpo_prm.Groups.of(tokens, rewards, 2))
    assert placed.groups["group_key"].to_list() == ["0", "1", "2"]
