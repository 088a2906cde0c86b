"""Whole numbers as text to arrays, a block of text at once: the digits of a number are the bytes of one word.

numpy and polars go some forty times through a block, which is faster than a parser that goes once through it: the block
stays in the cache, and a pass takes many numbers with one instruction. (Words are little-endian, as on all machines
that polars is built for.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

DIGITS = 8  # of the longest number: the bytes of a word
# A number that is dropped stands before the others, so that a whole word ends at every separator; digits stand behind
# them, so that both aligned words are there that such a word lies in.
_BEFORE, _BEHIND = b"0" * (DIGITS - 1), b"0" * (2 * DIGITS)
AROUND = 4 * DIGITS  # bytes at most that are put around the texts of a block
_COMMA, _SPACE, _ZERO, _NINE = (np.uint8(ord(sign)) for sign in (",", " ", "0", "\t"))  # 9 is the code of a tab
_ZEROS = np.uint64(0x3030303030303030)  # eight times the digit 0
# Neighbours become one number: first digits, then pairs, then fours. The factor adds the left one, times 10, 100 or
# 10,000, to the right one; then the sums are moved to where the left ones were, and what lies between them goes.
_JOINS = (
    (np.uint64(1 + (10 << 8)), np.uint64(8), np.uint64(0x00FF00FF00FF00FF)),
    (np.uint64(1 + (100 << 16)), np.uint64(16), np.uint64(0x0000FFFF0000FFFF)),
    (np.uint64(1 + (10_000 << 32)), np.uint64(32), np.uint64(0xFFFFFFFF)),
)
_1, _BITS, _63, _BYTE = (np.uint64(number) for number in (1, 3, 63, 0xFF))  # a byte has 1 << 3 bits


class Room(NamedTuple):
    """Memory for one thread to work in: a pass that writes to fresh pages takes longer to get them than to fill them.

    Attributes:
        places: 0, 1, 2, ... for each byte of a block, uint32.
        bytes: For each byte, uint8.
        flags: For each byte, bool.
        ends: Places of the separators, int64, shape (numbers + 1,).
        at: A place for each number, int64.
        words, others, shifts: A word for each number, uint64.
    """

    places: pl.Series
    bytes: NDArray[np.uint8]
    flags: NDArray[np.bool_]
    ends: NDArray[np.int64]
    at: NDArray[np.int64]
    words: NDArray[np.uint64]
    others: NDArray[np.uint64]
    shifts: NDArray[np.uint64]


def room(size: int) -> Room:
    """Memory for texts of `size` bytes together, separators included."""
    size += AROUND
    most = size // 2 + 1  # numbers have a digit and a separator at least
    ends, at = (np.empty(most, np.int64) for _ in range(2))
    words, others, shifts = (np.empty(most, np.uint64) for _ in range(3))
    places = pl.Series(np.arange(size, dtype=np.uint32))
    return Room(places, np.empty(size, np.uint8), np.empty(size, bool), ends, at, words, others, shifts)


def numbers(
    texts: Sequence[bytes | memoryview], separator: bytes, given: Room
) -> tuple[NDArray[np.uint64], NDArray[np.int64]] | None:
    """The numbers of some texts, one text behind the other.

    Args:
        texts: Numbers with separators between them, none of them empty.
        separator: A comma, or a comma and a space.
        given: For the size of the texts with a separator behind each.

    Returns:
        The numbers, and the place behind each of them in the texts when they are joined by separators; both shape
        (numbers,) and in `given`. None if they do not fit in `given`, or hold anything but such numbers and
        separators, a number of more than `DIGITS` digits, or a needless zero before one.
    """
    block = separator.join([_BEFORE, *texts, _BEHIND])
    if len(block) > len(given.bytes):
        return None
    ends = _ends(block, separator, given)
    if ends is None:
        return None
    words = _words_before(block, ends[1:], given)
    shifts = given.shifts[: len(words)]
    missing = shifts.view(np.int64)  # digits that a number has less than a word has bytes
    np.subtract(ends[:-1], ends[1:], out=missing)
    missing += len(separator) + DIGITS
    if len(words) and shifts.max() >= DIGITS:  # less than 0 is very large there
        return None
    shifts <<= _BITS
    words ^= _ZEROS
    words >>= shifts  # what stands before the number goes, and its first digit is the lowest byte
    zero = np.bitwise_and(words, _BYTE, out=given.others[: len(words)]) == 0
    if zero.any() and (missing[zero] < (DIGITS - 1) << 3).any():
        return None
    words <<= shifts
    for factor, bits, kept in _JOINS:
        words *= factor
        words >>= bits
        words &= kept
    ends -= len(_BEFORE) + len(separator)
    return words, ends[1:]


def _ends(block: bytes, separator: bytes, given: Room) -> NDArray[np.int64] | None:
    """Places of the separators; None where anything stands between them that is no digit."""
    data = np.frombuffer(block, np.uint8)
    found = given.places.head(len(block)).filter(pl.Series(data) == _COMMA).to_numpy()
    ends = given.ends[: len(found)]
    ends[:] = found
    above = np.subtract(data, _ZERO, out=given.bytes[: len(block)])
    others = np.count_nonzero(np.greater(above, _NINE, out=given.flags[: len(block)]))
    if others != len(separator) * len(ends) or (len(separator) > 1 and (data[ends + 1] != _SPACE).any()):
        return None
    return ends


def _words_before(block: bytes, ends: NDArray[np.int64], given: Room) -> NDArray[np.uint64]:
    """The eight bytes before each place, the last one the highest: of two aligned words an upper and a lower part."""
    aligned = np.frombuffer(block, np.uint64, len(block) // DIGITS)
    at, lower = given.at[: len(ends)], given.shifts[: len(ends)]
    words, others = given.words[: len(ends)], given.others[: len(ends)]
    bits = lower.view(np.int64)
    np.subtract(ends, DIGITS, out=bits)
    np.right_shift(bits, 3, out=at)
    aligned.take(at, out=words, mode="clip")
    bits &= DIGITS - 1
    bits <<= 3
    words >>= lower
    at += 1
    aligned.take(at, out=others, mode="clip")
    others <<= _1  # to shift by all 64 bits at once is not defined
    np.subtract(_63, lower, out=lower)
    others <<= lower
    words |= others
    return words
