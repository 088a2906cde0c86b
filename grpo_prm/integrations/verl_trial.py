"""Two rows through verl's own loss, on the CPU: the gradient with λ weights over the one without is the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from verl.utils import tensordict_utils
from verl.workers.config import ActorConfig
from verl.workers.utils.losses import ppo_loss

from .verl_batch import Batch, Rows, token_weights
from .verl_loss import FIELD, lambda_ppo_loss

PROMPTS, RESPONSES = ([3, 4], [3, 4]), ([5, 6, 7], [5, 8])  # the first token is shared


def trial() -> str:
    """Try the weights out.

    Returns:
        A sentence with the number.

    Raises:
        RuntimeError: The gradient does not have the weights.
    """
    weights = token_weights(_batch(), 1.0, "process-set", "token-mean")
    with_weights, without = _gradient(lambda_ppo_loss, weights), _gradient(ppo_loss, weights)
    ratio = (with_weights / without)[torch.isfinite(with_weights / without)].numpy()
    apart = float(np.abs(ratio - np.concatenate(weights)).max())
    if len(ratio) != 5 or apart > 1e-6:
        raise RuntimeError(f"verl's gradient has the factors {ratio.tolist()}, not {np.concatenate(weights).tolist()}")
    return f"{apart:.1g} between λ weights and the factors that verl's own loss puts on the gradient of 5 tokens."


def _batch() -> Batch:
    prompts, responses = ([np.array(row) for row in rows] for rows in (PROMPTS, RESPONSES))
    masks: Rows = [np.ones(len(row), bool) for row in RESPONSES]
    advantages: Rows = [np.full(len(row), a, np.float32) for row, a in zip(RESPONSES, (1, -1), strict=True)]
    return Batch(["u_0_0", "u_1_0"], ["u", "u"], prompts, responses, masks, np.array([1.0, 0.0]), advantages)


def _gradient(loss: Callable[..., Any], weights: Rows) -> torch.Tensor:
    """At every log-probability of both rows, prompts and responses laid end to end."""
    lengths = [len(p) + len(r) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    values = torch.full((sum(lengths),), -1.0, requires_grad=True)
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    ones = [[1] * len(row) for row in RESPONSES]
    fields = {
        "prompts": _nested(PROMPTS),
        "responses": _nested(RESPONSES),
        "response_mask": _nested(ones),
        "old_log_probs": _nested([[-1.1] * len(row) for row in RESPONSES]),
        "advantages": _nested([[a] * len(row) for row, a in zip(RESPONSES, (1.0, -1.0), strict=True)]),
        FIELD: _nested([row.tolist() for row in weights]),
    }
    data = TensorDict(fields, batch_size=2)
    tensordict_utils.assign_non_tensor(data, dp_size=1, batch_num_tokens=5, global_batch_size=2)
    config = ActorConfig(strategy="fsdp", rollout_n=2, ppo_mini_batch_size=2, ppo_micro_batch_size_per_gpu=2)
    output = {"log_probs": torch.nested.nested_tensor_from_jagged(values, offsets)}
    loss(config=config, model_output=output, data=data)[0].backward()
    assert values.grad is not None
    return values.grad


def _nested(rows: Sequence[Sequence[float]]) -> torch.Tensor:
    return torch.nested.as_nested_tensor([torch.tensor(row) for row in rows], layout=torch.jagged)
