"""What λ weights do to a decision that does not matter for the reward (definitions: parent weights).

The first token decides the reward. The second, behind the good first one, is drawn 0.8 to 0.2 and changes nothing, so
its expected gradient is 0 for GRPO. |λ|^-1 counts each of the two alternatives once, however often it was drawn, and
then the rarer one gains wherever the step above is better than the group. Counting who reached the decision does not.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from weights_of import factors

from grpo_prm.core.loss import policy_loss, unit_terms
from grpo_prm.core.prm import group_advantages

GROUPS, K = 20_000, 6
GOOD, COMMON = 0.5, 0.8


def gradients(kind, power):
    """Ascent direction of the logit of the common token, one for each of many sampled groups."""
    rng = np.random.default_rng(11)
    good, common = rng.random((GROUPS, K)) < GOOD, rng.random((GROUPS, K)) < COMMON
    ids = torch.from_numpy(np.stack([good, np.where(good, 2 + common, 4)], axis=2)).long().flatten(0, 1)
    advantages = group_advantages(good.ravel().astype(float), np.repeat(np.arange(GROUPS), K))
    factor = factors(ids, K, power, kind)[:, 1]
    logits = torch.tensor([np.log(1 - COMMON), np.log(COMMON)]).repeat(GROUPS, 1).requires_grad_()
    of_row = logits.log_softmax(-1).repeat_interleave(K, 0)
    logprobs = of_row.gather(1, torch.from_numpy(common.ravel()).long()[:, None])[:, 0]
    behind = torch.from_numpy(good.ravel()).double()  # only these took the decision
    terms = unit_terms(torch.arange(len(ids)), len(ids), torch.from_numpy(advantages), behind, factor)
    policy_loss(logprobs, logprobs.detach(), terms).backward()
    return -logits.grad[:, 1].double().numpy()


def mean_and_error(values):
    return values.mean(), values.std(ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize(("kind", "power"), [("none", 0.0), ("process-set", 0.0), ("parent", 1.0), ("parent", 0.5)])
def test_it_is_left_alone(kind, power):
    values = gradients(kind, power)
    mean, error = mean_and_error(values)
    assert abs(mean) < 1.96 * error < 0.01  # no wider than a tenth of the pull below


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_process_set_sizes_pull_it_to_the_rarer_alternative(power):
    mean, error = mean_and_error(gradients("process-set", power))
    assert mean < -20 * error
