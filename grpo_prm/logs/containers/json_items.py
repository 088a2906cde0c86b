"""The items of a JSON array that is too long to be in memory whole, one after the other."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from ...json_text import unicode_names
from ..chunks import BLANK

_BLOCK = 4 << 20  # bytes that are read at a time
_SLACK = 64  # characters before the end: what fails there may be whole with more
_DECODER = json.JSONDecoder(object_pairs_hook=unicode_names)
_ENDS = (",", "]", " ", "\t", "\n", "\r")  # what may stand behind an item
_SPACE = re.compile(r"[ \t\n\r]*")


def items(read: Callable[[int], bytes], longest: int) -> Iterator[tuple[Any, int]]:
    """Take an array apart.

    Args:
        read: Gives up to so many bytes of its text, UTF-8; none at the end.
        longest: Characters of the longest item.

    Yields:
        Each item, and the characters that it took.

    Raises:
        ValueError: It is not JSON, or an item is longer; the message says what is wrong.
        RecursionError: An item nests too deeply.
    """
    window = _Window(read)
    window.character()
    window.at += 1  # the bracket
    if window.character() == "]":
        window.at += 1
    else:
        more = True
        while more:
            yield window.value(longest)
            follows = window.character()
            window.at += 1
            if follows not in (",", "]"):
                raise ValueError("cut short" if not follows else f"{follows!r} stands between two items")
            more = follows == ","
            window.character()
    if window.character():
        raise ValueError("something follows the array")


class _Window:
    """A part of a text: `at` is the place in it up to which it is done with."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._decoder = read, codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._ended, self.at = "", False, 0

    def character(self) -> str:
        """The next one that is no space; empty at the end."""
        spaces = 0
        while True:
            space = _SPACE.match(self._text, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self._text) or self._ended:
                return self._text[self.at : self.at + 1]
            if (spaces := spaces + len(self._text)) > BLANK:
                raise ValueError(f"more than {BLANK >> 20:,} MB of spaces")
            self._extend(_BLOCK)

    def value(self, longest: int) -> tuple[Any, int]:
        """The value that begins here, and its characters."""
        while True:
            held = len(self._text) - self.at
            try:
                value, end = _DECODER.raw_decode(self._text, self.at)
                # Else a number may go on: 1 may be the start of 10, of 1.5 and of 1e9.
                whole = self._text[end : end + 1] in _ENDS or end < len(self._text) - _SLACK
                if self._ended or (whole and end < len(self._text)):
                    length, self.at = end - self.at, end
                    return value, length
            except json.JSONDecodeError as error:
                torn = error.msg.startswith("Unterminated") or error.pos > len(self._text) - _SLACK
                if self._ended or not torn:
                    where = f"{error.msg.removesuffix(' at')} at character {error.pos - self.at + 1}"
                    raise ValueError("cut short" if torn else where) from None
            if held > longest:
                raise ValueError(f"longer than {longest >> 20:,} MB: grant more with --memory")
            self._extend(max(_BLOCK, held))  # twice as much: it is tried in vain a few times at most

    def _extend(self, size: int) -> None:
        block = self._read(size)
        self._ended = not block
        self._text = self._text[self.at :] + self._decoder.decode(block, final=self._ended)
        self.at = 0
