"""Groups of one's own completions, in every form, against the definitions written out over sets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import forests

from grpo_prm.core.groups import Groups

SIX = [[5, 6, 7], [5, 6, 8], [5, 9], [4], [5, 6, 7], []]
REWARDS = [1.0, 0.0, 1.0, 0.0, 0.5, 0.25]


def by_definition(rows, rewards, names):
    """|λ|, R, A of every token of every completion, by comparing prefixes."""
    sizes, means, advantages = [], [], []
    for i, row in enumerate(rows):
        group = [j for j, name in enumerate(names) if name == names[i]]
        own = [rewards[j] for j in group]
        centre, std = np.mean(own), np.std(own, ddof=1) if len(own) > 1 else 0.0
        flat = max(own) - min(own) <= 1e-6 * max(1.0, *map(abs, own))
        sets = [[j for j in group if rows[j][: t + 1] == row[: t + 1]] for t in range(len(row))]
        sizes.append([len(s) for s in sets])
        means.append([np.mean([rewards[j] for j in s]) for s in sets])
        advantages.append([0.0 if flat else (m - centre) / (std + 1e-4) for m in means[-1]])
    return sizes, means, advantages


def parents(rows, names):
    """How many completions reached each token: those with the same tokens before it."""
    return [
        [sum(n == names[i] and other[:t] == row[:t] and len(other) >= t for other, n in zip(rows, names, strict=True))
         for t in range(len(row))]
        for i, row in enumerate(rows)
    ]  # fmt: skip


@given(forests(), st.permutations(range(12)))
@example([], list(range(12)))
def test_every_token_has_the_numbers_of_its_process_set(batch, order):
    """Rows of the groups shuffled: the answers come in the order of the rows."""
    entries = [(list(row.tokens), row.reward, f"group {n}") for n, group in enumerate(batch) for row in group]
    entries = [entries[i] for i in order if i < len(entries)] + entries[12:]
    if not entries:
        return
    rows, rewards, names = (list(column) for column in zip(*entries, strict=True))
    found = Groups.of(rows, rewards, names)
    sizes, means, advantages = by_definition(rows, rewards, names)
    for one, other in ((found.sizes, sizes), (found.step_rewards, means), (found.step_advantages, advantages)):
        assert [row.tolist() for row in one] == [pytest.approx(row, rel=1e-9, abs=1e-9) for row in other]
    for p in (0.0, 0.5, 2.0):
        weights = found.lambda_weights(p)
        assert [row.tolist() for row in weights] == [pytest.approx([n**-p for n in row], rel=1e-6) for row in sizes]
        reached = found.lambda_weights(p, "parent")
        above = parents(rows, names)
        assert [row.tolist() for row in reached] == [pytest.approx([n**-p for n in row], rel=1e-6) for row in above]


def padded(rows, width=5, fill=0):
    ids, mask = np.full((len(rows), width), fill), np.zeros((len(rows), width), bool)
    for n, row in enumerate(rows):
        ids[n, : len(row)], mask[n, : len(row)] = row, True
    return ids, mask


@pytest.mark.parametrize("fill", [0, 7, -1])
@pytest.mark.parametrize("form", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_a_padded_batch_gives_what_its_rows_give_and_0_on_padding(form, fill):
    ids, mask = padded(SIX, fill=fill)
    lengths = list(map(len, SIX))  # the last one is empty, so the mask alone does not tell
    rows = Groups.of(SIX, REWARDS, 6)
    batch = Groups.of(form(ids), form(np.array(REWARDS)), 6, form(mask), lengths=lengths)
    for name in ("sizes", "step_rewards", "step_advantages"):
        one, other = getattr(rows, name), getattr(batch, name)
        assert isinstance(other, type(form(ids))) and tuple(other.shape) == ids.shape
        values = np.asarray(other)
        assert [values[n, : len(row)].tolist() for n, row in enumerate(SIX)] == [row.tolist() for row in one]
        assert not values[~mask].any()
    by_length = Groups.of(form(ids), REWARDS, 6, lengths=lengths)
    by_mask = Groups.of(form(ids[:5]), REWARDS[:5], 5, form(mask[:5]))
    assert np.array_equal(by_length.sizes, batch.sizes)
    assert np.array_equal(by_mask.sizes, Groups.of(form(ids[:5]), REWARDS[:5], 5, lengths=lengths[:5]).sizes)


def test_a_tensor_gets_tensors_of_the_usual_types():
    ids, mask = (torch.from_numpy(array) for array in padded(SIX[:5]))
    found = Groups.of(ids, torch.tensor(REWARDS[:5], dtype=torch.bfloat16), torch.zeros(5, dtype=torch.int64), mask)
    assert found.sizes.dtype == torch.int64 and found.lambda_weights().dtype == torch.float32
    assert found.step_rewards.dtype == found.step_advantages.dtype == torch.float64


def test_masked_tokens_part_completions_but_are_out_of_the_loss():
    rows = [[1, 8, 3], [1, 9, 3], [2, 8, 3], [2, 8, 4]]
    mask = [[True, False, True]] * 4
    found = Groups.of(rows, [1, 0, 1, 1], 4, mask)
    assert [row.tolist() for row in found.sizes] == [[2, 1, 1], [2, 1, 1], [2, 2, 1], [2, 2, 1]]
    assert found.seen.completion.tolist() == [2, 2, 2, 2]
    ids, inside = np.array(rows), np.array(mask)
    assert np.array_equal(Groups.of(ids, [1, 0, 1, 1], 4, inside).sizes, found.sizes)


def test_a_reward_that_is_not_finite_gives_advantage_0_and_stays_a_member():
    found = Groups.of([[1, 2], [1, 3], [1, 4], [5]], [1.0, 0.0, np.nan, 0.5], 4)
    assert found.advantages[2] == 0 and found.sizes[0].tolist() == [3, 1]
    expected = (1.0 - 0.5) / (0.5 + 1e-4)
    assert found.advantages.tolist() == pytest.approx([expected, -expected, 0, 0])


def test_advantages_may_be_given_and_std_may_change_on_the_same_trees():
    found = Groups.of([[1, 2], [1, 3], [4]], None, 3, advantages=[1.0, -2.0, 1.0])
    assert found.step_advantages[0].tolist() == [-0.5, 1.0] and np.isnan(found.step_rewards[0]).all()
    sample = Groups.of([[1], [1], [2]], [0, 1, 2], 3)
    assert replace(sample, std="none").forest is sample.forest
    assert replace(sample, std="none").advantages.tolist() == [-1, 0, 1]


def test_the_root_has_advantage_exactly_0():
    """Rounding must not make it a sign (definitions: Tolerance)."""
    rng = np.random.default_rng(0)
    found = Groups.of([[1, n] for n in range(7)] * 300, rng.normal(size=2100), 7)
    root = found.forest.parent < 0
    assert (found.set_advantages[root] == 0).all() and not (found.sign.raised | found.sign.lowered)[root].any()


def test_advantages_of_equal_rewards_and_rounding_are_exactly_0():
    logged = Groups.of([[1], [2], [1]], [0.5, 0.5, 0.5], 3, advantages=[1e-3, 0.0, -1e-3])
    assert logged.zero.tolist() == [True] and not logged.advantages.any()
    middle = Groups.of([[1], [2], [3]], [0.1, 0.2, 0.3], 3)  # in floats 0.2 is not the mean of the three
    assert middle.advantages[1] == 0 and middle.advantages[0] < 0 < middle.advantages[2]
    rounded = replace(logged, rewards=np.array([0.0, 1.0, 0.5]), given=np.array([-1.0, 1.0, 1e-7]), logged=True)
    assert rounded.advantages.tolist() == [-1, 1, 0]  # as float32 has it


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": [[1, -100]], "rewards": [0.0], "groups": 1}, "ids from -100 to 1"),
        ({"tokens": [[1.5]], "rewards": [0.0], "groups": 1}, r"tokens\[0\] is float64"),
        ({"tokens": np.array([[1, 2]]), "rewards": [0.0], "groups": 1}, "padded array"),
        ({"tokens": [[1], [2]], "rewards": [0.0], "groups": 2}, r"rewards has shape \(1,\)"),
        ({"tokens": [[1], [2]], "rewards": [0.0, 1.0], "groups": [1]}, "groups are 1, but there are 2"),
        ({"tokens": [[1], [2]], "rewards": [0.0, 1.0], "groups": [1, None]}, r"groups\[1\] is None"),
        ({"tokens": [[1], [2]], "rewards": [0.0, 1.0], "groups": np.array([np.nan, 1])}, r"groups\[0\] is nan"),
        ({"tokens": [[1], [2]], "rewards": [0.0, 1.0], "groups": True}, "groups are True"),
        ({"tokens": [[1], [2]], "rewards": [0.0, 1.0], "groups": [[1], [2]]}, "no names"),
        ({"tokens": [[1], [2]], "rewards": [0.0, None], "groups": 2}, "rewards holds other values than numbers"),
        ({"tokens": [[1], [2]], "rewards": [0.0, 1.0], "groups": 2, "std": "bogus"}, "one of sample, population"),
        ({"tokens": [[1], [2]], "rewards": [0, 1], "groups": 2, "mask": [[1], [-100]]}, "other values than 0 and 1"),
        ({"tokens": np.ones((1, 2), int), "rewards": [0], "groups": 1, "lengths": [1.5]}, "whole numbers from 0 to 2"),
        (
            {
                "tokens": np.ones((1, 2), int),
                "rewards": [0],
                "groups": 1,
                "lengths": [1],
                "mask": np.ones((1, 2), bool),
            },
            "do not fit",
        ),
        (
            {"tokens": np.ones((2, 2), int), "rewards": [0, 1], "groups": 2, "mask": np.array([[1, 1], [0, 0]])},
            "first token of row 1",
        ),
        ({"tokens": [[1], [2], [3]], "rewards": [0.0, 1.0, 2.0], "groups": 2}, "not groups of that many"),
        ({"tokens": [[1], [2]], "rewards": None, "groups": 2}, "neither rewards nor advantages"),
        ({"tokens": [[1], [2]], "rewards": [0, 1], "groups": 2, "mask": [[True], [True, True]]}, "other lengths"),
        ({"tokens": [[1], [2]], "rewards": [0, 1], "groups": 2, "lengths": [1, 1]}, "lengths belong to a padded array"),
        ({"tokens": np.array([[1, 2]]), "rewards": [0], "groups": 1, "lengths": [3]}, "whole numbers from 0 to 2"),
        ({"tokens": np.array([[1, 2]]), "rewards": [0], "groups": 1, "mask": np.array([[False, True]])}, "first token"),
        ({"tokens": np.array([[1, 2]]), "rewards": [0], "groups": 1, "mask": np.array([[True]])}, "mask has shape"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        Groups.of(**change)


def test_groups_are_numbered_in_the_order_in_which_they_come():
    assert Groups.of([[1]] * 5, [0] * 5, ["z", "a", "z", "m", "a"]).groups.tolist() == [0, 1, 0, 2, 1]


def test_a_completion_out_of_the_loss_stays_a_member():
    """As TRL's mask_truncated_completions makes them: all of a row masked."""
    ids, mask = padded([[1, 2, 3], [1, 2, 4], [1, 5], [1, 5]])
    mask[1] = False
    found = Groups.of(ids, [1, 0, 1, 0], 4, mask, lengths=[3, 3, 2, 2])
    assert found.sizes[:, :3].tolist() == [[4, 2, 1], [4, 2, 1], [4, 2, 0], [4, 2, 0]]
    assert found.seen.completion.tolist() == [3, 0, 2, 2]


def test_names_of_groups_are_kept_apart_and_known():
    found = Groups.of([[1]] * 6, [0] * 6, [1, "1", 2**63 + 1, 2**63 + 2, -5, 1])
    assert found.groups.tolist() == [0, 1, 2, 3, 4, 0] and found.names == (
        "1",
        "1",
        str(2**63 + 1),
        str(2**63 + 2),
        "-5",
    )
    assert Groups.of([[1], [1]], [torch.tensor(1.0, requires_grad=True), 0.0], 2).names is None


def test_an_advantage_that_is_not_finite_counts_as_0():
    found = Groups.of([[1], [1], [2], [2]], None, 4, advantages=[1, -1, np.nan, 1])
    assert found.advantages.tolist() == [1, -1, 0, 1]


def test_it_says_what_it_holds():
    found = Groups.of([[1], [1]], [0, 1], 2)
    assert repr(found) == "Groups(2 completions in 1 group, 2 tokens)"
