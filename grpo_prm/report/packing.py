"""Trees made small: compressed in blocks, of which the browser opens those alone that a reader asks for."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from .cut import fit

BLOCK = 1 << 16  # bytes of JSON in a block: opened in a few milliseconds, and large enough to be packed well
HEAD = 64  # bytes that naming a group takes in the page
TRIES = 8
AIM = 0.985  # of the room: how far a text can be packed is only known afterwards
ENOUGH = 0.92  # of the room: texts that take less are cut once more, less far

Tree = dict[str, Any]


class Block(NamedTuple):
    """Some trees, packed.

    Attributes:
        text: Base64 of a zlib stream of a JSON list in UTF-8.
        heads: `group` and `kinds` of each, in the order of the list.
        cut: Texts of them that are cut in the middle.
    """

    text: str
    heads: list[dict[str, Any]]
    cut: int

    @property
    def size(self) -> int:
        """Bytes that it takes in the page."""
        return len(self.text) + HEAD * len(self.heads)


def blocks(trees: Iterable[Tree]) -> Iterator[Block]:
    """Pack trees, in their order; a tree is never parted."""
    held: list[Tree] = []
    parts: list[bytes] = []
    for tree in trees:
        held.append(tree)
        parts.append(json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
        if sum(map(len, parts)) >= BLOCK:
            yield _block(held, parts)
            held, parts = [], []
    if held:
        yield _block(held, parts)


def _block(trees: Sequence[Tree], parts: Sequence[bytes]) -> Block:
    packed = base64.b64encode(zlib.compress(b"[" + b",".join(parts) + b"]", 9)).decode()
    cut = sum(1 for tree in trees for text in tree["texts"] if isinstance(text, list))
    return Block(packed, [{"group": tree["group"], "kinds": tree["kinds"]} for tree in trees], cut)


def parts(packed: Iterable[Block], first: int, others: int) -> Iterator[list[Block]]:
    """Blocks in lists, as many in each as there is room for: one at least.

    Args:
        packed: The blocks.
        first: Bytes of the first list.
        others: Bytes of each further one.
    """
    held: list[Block] = []
    room = first
    for block in packed:
        if held and block.size > room:
            yield held
            held, room = [], others
        held.append(block)
        room -= block.size
    if held:
        yield held


def within(trees: Sequence[Tree], budget: int) -> list[Block]:
    """`blocks` of trees whose longest texts are cut in the middle, as far as must be for all to take `budget` bytes."""
    packed, text = list(blocks(trees)), _bytes_of_text(trees)
    if (size := _size(packed)) <= budget or not text:
        return packed
    # What is packed grows with the text in it nearly along a line, which begins where there is none.
    bare = _size(blocks({**tree, "texts": []} for tree in trees))
    fits: list[Block] = []
    for attempt in range(1, TRIES + 1):
        room = (AIM ** max(1, attempt - 1) * budget - bare) * text / max(1, size - bare)
        fitting = _fitted(trees, max(0, int(room)))
        packed, text = list(blocks(fitting)), _bytes_of_text(fitting)
        size = _size(packed)
        if size <= budget:
            fits = max(fits, packed, key=_size)
        if fits and (attempt > 1 or size >= ENOUGH * budget):
            return fits
        if room <= 0:
            break  # no text can be cut further
    return packed


def _size(packed: Iterable[Block]) -> int:
    return sum(block.size for block in packed)


def _bytes_of_text(trees: Iterable[Tree]) -> int:
    texts = (text for tree in trees for text in tree["texts"] if text)
    return sum(len(part.encode()) for text in texts for part in ([text] if isinstance(text, str) else text[::2]))


def _fitted(trees: Sequence[Tree], budget: int) -> list[Tree]:
    texts = iter(fit([text for tree in trees for text in tree["texts"]], budget))
    return [{**tree, "texts": [next(texts) for _ in tree["texts"]]} for tree in trees]
