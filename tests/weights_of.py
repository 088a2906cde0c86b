"""λ weights of rows of one length in tests of other things, by the one function that makes them."""

from __future__ import annotations

import numpy as np
import torch

from grpo_prm.core.groups import Groups


def factors(ids, k, power, kind="process-set"):
    """Factor of each token, float64, in the shape of `ids`, whose rows have no padding and equal weights."""
    lengths = [ids.shape[1]] * len(ids)
    groups = Groups.of(ids, np.zeros(len(ids)), k, lengths=lengths)
    return torch.as_tensor(groups.lambda_weights(power, kind)).double()
