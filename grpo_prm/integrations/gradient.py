"""λ-GRPO in a trainer of others: the weight is a factor on the gradient at each token's log-probability.

Policy and KL part of a loss reach the model through that one tensor, so both are weighted, whatever the aggregation,
the clipping and the normaliser are, and nothing of the loss is written a second time (definitions: λ-GRPO).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def weigh_gradient(logprobs: Tensor, weights: Tensor, on_gradient: Callable[[], None]) -> None:
    """Multiply the gradient that will reach the log-probabilities by the weights.

    Args:
        logprobs: Log-probability of each token under the policy, shape (B, T), with a gradient to come.
        weights: `Groups.lambda_weights` of each token, shape (B, T), any float dtype, on the same device.
        on_gradient: Is called when the gradient came through; if it never is, the loss was computed elsewhere.
    """
    factor = weights.to(logprobs.dtype)

    def weighed(gradient: Tensor) -> Tensor:
        on_gradient()
        return gradient * factor

    logprobs.register_hook(weighed)
