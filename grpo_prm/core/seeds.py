"""Seeds made of names: neither batches nor the order of a log change what is drawn for a group."""

from __future__ import annotations

from hashlib import blake2b


def group_seed(seed: int, *names: object) -> int:
    """A seed of 64 bits from the name of a group, so that neither batches nor their order change its draws."""
    return int.from_bytes(blake2b(repr((seed, *names)).encode(), digest_size=8).digest(), "little")
