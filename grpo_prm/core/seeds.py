"""Seeds made of names: neither batches nor the order of a log change what is drawn for a group."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


def group_seed(seed: int, *names: object) -> int:
    """A seed of 64 bits from the name of a group, so that neither batches nor their order change its draws."""
    return int.from_bytes(blake2b(repr((seed, *names)).encode(), digest_size=8).digest(), "little")


def group_seeds(seed: int, *columns: Iterable[object]) -> NDArray[np.uint64]:
    """`group_seed` of each row of names, given as columns of one length: shape (rows,)."""
    rows = zip(*columns, strict=True)
    digests = [blake2b(f"({seed}, {', '.join(map(repr, row))})".encode(), digest_size=8).digest() for row in rows]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)
