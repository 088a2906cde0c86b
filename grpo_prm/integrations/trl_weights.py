"""The λ weights of one generation of TRL: those of the method, as a tensor beside TRL's own."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
import trl
from numpy.typing import NDArray
from packaging.version import Version

from ..core.forest import Floats
from ..core.groups import Groups
from .trl_generation import WholeGroups, added

LambdaKind = Literal["process-set", "parent", "position", "scale-matched"]
PER_COMPLETION = ("grpo", "sapo")  # loss types that divide the terms of a completion by its length
INSTALLED = Version(trl.__version__)
LUSPO = Version("1.14")  # read in 1.14.2; in 1.8.0 `luspo` multiplies all terms of a completion with its length


def method_weights(
    whole: WholeGroups, groups: Groups, p: float, kind: LambdaKind, loss_type: str
) -> list[NDArray[np.float32]]:
    """Factor of each token's whole loss term (definitions: λ-GRPO; parent weights; Controls).

    Args:
        whole: The rows; `scale-matched` is a collective call, which all processes make.
        groups: Their groups, with the advantages of the loss (`loss_groups`).
        p: At least 0.
        kind: `scale-matched` is one factor for all: Σ w |λ|^-p |a| / Σ w |a| over the generation on all processes.
        loss_type: Of TRL, which says how much a completion weighs in the loss.

    Returns:
        The factors of each row of this process.
    """
    share = completion_share(whole.mask, loss_type)
    if kind == "scale-matched":
        top, bottom = added(np.array(groups.scale_sums(p, share)), alone=whole.complete)
        return [np.full(len(row), top / bottom if bottom > 0 else 1.0, np.float32) for row in whole.ids[whole.local]]
    return groups.lambda_weights(p, kind, share)[whole.local]


def completion_share(mask: list[NDArray[np.bool_]], loss_type: str) -> Floats:
    """w_i of each completion up to a constant, shape (rows,): what TRL's loss type multiplies its terms with.

    A normaliser of the whole batch is such a constant. That of `bnpo` is one of each micro-batch, which TRL draws by
    chance after this: it is left out.
    """
    if loss_type not in PER_COMPLETION:
        return np.ones(len(mask))
    return 1 / np.maximum([row.sum() for row in mask], 1.0)


def padded(rows: list[NDArray[np.float32]], like: torch.Tensor) -> torch.Tensor:
    """Values of tokens as a tensor in the shape of `like`, (rows, T), on its device, float32; 0 on padding."""
    values = torch.zeros(like.shape, dtype=torch.float32)
    lengths = torch.tensor([len(row) for row in rows])
    if len(rows):
        values[torch.arange(like.shape[1]) < lengths[:, None]] = torch.from_numpy(np.concatenate(rows))
    return values.to(like.device)


def refusal(args: Any) -> str | None:
    """Why λ weights cannot be put on a training with these settings; None where they can."""
    if args.lambda_kind not in get_args(LambdaKind):
        return f"lambda_kind={args.lambda_kind!r} is unknown. Give one of {', '.join(get_args(LambdaKind))}."
    if not 0 <= args.lambda_power < np.inf:
        return f"lambda_power={args.lambda_power!r} is not p of |λ|^-p. Give 0 (GRPO), 1 (λ-GRPO) or another p above 0."
    if args.lambda_kind in ("position", "scale-matched") and args.loss_type == "luspo" and INSTALLED < LUSPO:
        return (
            f"lambda_kind={args.lambda_kind!r} needs how much a completion weighs, and 'luspo' of TRL {INSTALLED} "
            "counts padding. Install TRL 1.14 or a newer one, or take another loss_type."
        )
    if args.lambda_power and args.importance_sampling_level != "token":
        return (
            f"importance_sampling_level={args.importance_sampling_level!r} makes one ratio for a whole completion, "
            "which has no token to weigh. Set it to 'token', or lambda_power=0 to train without weights."
        )
    return None
