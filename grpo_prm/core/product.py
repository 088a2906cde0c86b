"""Matrix products in blocks that one thread computes: threads cost more than they save where products are many."""

from __future__ import annotations

import numpy as np

from .forest import Floats

SMALL = 1 << 18  # multiplications of one product: OpenBLAS gives larger ones to threads, which wait by spinning


def product(left: Floats, right: Floats) -> Floats:
    """`left @ right`, shapes (rows, n) and (n, columns), some rows at a time."""
    out = np.empty((len(left), right.shape[1]))
    block = max(1, SMALL // max(right.size, 1))
    for begin in range(0, len(left), block):
        np.matmul(left[begin : begin + block], right, out=out[begin : begin + block])
    return out
