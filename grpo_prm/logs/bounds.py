"""How much of a log may be in memory at once: what a user grants, or what the machine leaves."""

from __future__ import annotations

from functools import cache

from .. import machine

LINE = 64 << 20  # bytes of the longest line that is read, unless the user grants memory for longer ones
TEXT = 8 << 20  # bytes of the longest completion that is cut into units, which takes 75 times that
OF_LINE = 20  # times its length a malformed line takes
OF_VALUE = 16  # times its length a JSON value takes: its text, and 13 times that as objects of Python


@cache
def _of_machine() -> int:
    """Asked once: what is free becomes less while a log is read."""
    return machine.memory()


def granted(memory: int | None) -> int:
    """Bytes that reading may plan with; None: what the machine and its control groups leave."""
    return memory or _of_machine()


def longest_line(memory: int | None) -> int:
    """Bytes of the longest line that is read."""
    return memory // OF_LINE if memory else min(LINE, _of_machine() // OF_LINE)


def largest_value(memory: int | None) -> int:
    """Bytes of the largest JSON value, pickle or sample that is read, as it is written."""
    return granted(memory) // OF_VALUE
