"""A weight on the advantage is a weight on the term without KL, and is refused with one."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from grpo_prm import Groups
from grpo_prm.integrations.advantages import weighted_advantages

TOKENS = [[5, 6, 7], [5, 6, 8], [5, 9], [4]]
REWARDS = [1.0, 0.0, 1.0, 0.0]


def padded():
    """The rows as tensors: ids, mask, advantages, log-probabilities now and before."""
    ids = torch.zeros(4, 3, dtype=torch.int64)
    for n, row in enumerate(TOKENS):
        ids[n, : len(row)] = torch.tensor(row)
    generator = torch.Generator().manual_seed(0)
    now, old = (torch.randn(4, 3, dtype=torch.float64, generator=generator) for _ in range(2))
    return ids, ids > 0, torch.tensor([0.7, -0.4, 0.2, -1.3], dtype=torch.float64), now, old


def clipped(advantages, now, old, mask, dual):
    """The clipped loss of PPO term by term, with dual clipping or without."""
    ratio = (now - old).exp()
    term = torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages)
    if dual:
        term = torch.where(advantages < 0, torch.maximum(term, 1.5 * advantages), term)
    return -term * mask


@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("of_tokens", [False, True])
def test_a_clipped_loss_is_weighted_term_by_term(dual, of_tokens):
    ids, mask, advantages, now, old = padded()
    weights = Groups.of(ids, REWARDS, 4, mask).lambda_weights().double()
    leaves = [now.clone().requires_grad_() for _ in range(2)]
    given = advantages[:, None].expand(4, 3) if of_tokens else advantages
    clipped(weighted_advantages(given, weights, 0.0), leaves[0], old, mask, dual).sum().backward()
    (clipped(advantages[:, None], leaves[1], old, mask, dual) * weights).sum().backward()
    assert torch.allclose(leaves[0].grad, leaves[1].grad, rtol=1e-12, atol=0)
    assert leaves[0].grad.abs().sum() > 0


def test_ragged_rows():
    weights = Groups.of(TOKENS, REWARDS, 4).lambda_weights()
    found = weighted_advantages([6.0, -6.0, 3.0, 1.0], weights, 0.0)
    assert [row.tolist() for row in found] == [pytest.approx(row) for row in ([2, 3, 6], [-2, -3, -6], [1, 3], [1])]


def test_the_code_of_the_page_runs():
    page = (Path(__file__).parents[2] / "docs" / "trainers" / "others.md").read_text(encoding="utf-8")
    names = {}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1), names)  # noqa: S102 - our own text
    assert [row.tolist() for row in names["by_token"]] == [
        pytest.approx(row) for row in ([1 / 3, 1 / 2, 1], [-1 / 3, -1 / 2, -1], [1 / 3, 1], [-1])
    ]


def test_arrays():
    found = weighted_advantages(np.array([2.0, 4.0]), np.array([[0.5, 1.0], [0.5, 0.0]], np.float32), 0)
    assert found.tolist() == [[1.0, 2.0], [2.0, 0.0]]


@pytest.mark.parametrize("beta", [0.04, 1e-9, -1.0, float("nan")])
def test_a_kl_term_is_refused(beta):
    with pytest.raises(ValueError, match="leaves the KL term unweighted"):
        weighted_advantages([1.0], [np.ones(2)], beta)


@pytest.mark.parametrize("weights", [np.ones((3, 2)), [np.ones(2)] * 3])
def test_other_completions_are_refused(weights):
    with pytest.raises(ValueError, match=r"advantages|shorter|longer"):
        weighted_advantages(np.ones(2), weights, 0)
