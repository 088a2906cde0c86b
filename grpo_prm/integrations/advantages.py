"""λ-GRPO by the advantages, for a trainer that lets nobody touch its loss: exact without a KL term, refused with one.

A loss of the GRPO family is a sum over tokens of terms in which the advantage is a factor, and clipping picks the same
branch whatever positive number the advantage is multiplied with. So a weight on the advantage is a weight on the term.
A KL part has no advantage in it and would stay unweighted, which is another method than the paper's.
"""

from __future__ import annotations

from typing import Any


def weighted_advantages(advantages: Any, weights: Any, beta: float) -> Any:
    """Advantage of each token times its λ weight (definitions: λ-GRPO).

    Args:
        advantages: A of each completion, shape (B,), or of each token, shape (B, T): array or tensor. Of ragged rows a
            sequence with one number or array a row.
        weights: `Groups.lambda_weights` in the form that it gave: an array or tensor of shape (B, T), on the device of
            the advantages, or a list with one array a row.
        beta: Coefficient of the trainer's KL term, in the loss or in the reward.

    Returns:
        Advantages of tokens, in the form of the weights; 0 on padding.

    Raises:
        ValueError: beta is not 0, or the shapes do not fit.
    """
    if beta != 0:
        raise ValueError(
            f"beta is {beta}, but a weight on the advantage leaves the KL term unweighted, which is not λ-GRPO. "
            "Train with beta 0, or in a trainer that weighs the log-probabilities, such as TRL or verl."
        )
    if isinstance(weights, list):
        return [one * row for one, row in zip(advantages, weights, strict=True)]
    if len(advantages) != len(weights):
        raise ValueError(f"there are {len(advantages)} advantages, but weights of {len(weights)} completions.")
    # A column broadcasts over the tokens of its row; (B,) against (B, T) would be added up along the wrong axis.
    return (advantages[:, None] if advantages.ndim == 1 else advantages) * weights
