"""Memory that was freed, handed back to the system."""

from __future__ import annotations

import ctypes

OFTEN = 1 << 16  # rows between two times


def hand_back() -> None:
    """Hand back what is free: where threads take turns at large arrays, glibc keeps several hundred MB of it."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library, which has no such call
        return
