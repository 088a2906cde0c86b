"""Memory that was freed, handed back to the system."""

from __future__ import annotations

import ctypes

OFTEN = 1 << 16  # rows between two times
FEW = 2  # heaps
_ARENAS = -8  # M_ARENA_MAX of malloc.h


def hand_back() -> None:
    """Hand back what is free: where threads take turns at large arrays, glibc keeps several hundred MB of it."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):  # another C library, which has no such call
        return


def share() -> None:
    """Let threads share their heaps: glibc gives each one of its own, up to eight a core, which are never free at once.

    For a process that is ours, before it has threads.
    """
    try:
        ctypes.CDLL(None).mallopt(_ARENAS, FEW)
    except (AttributeError, OSError, TypeError):
        return
