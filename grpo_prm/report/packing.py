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


def within(trees: Sequence[Tree], budget: int) -> list[Tree]:
    """The same trees with their longest texts cut in the middle, as far as must be for all to take `budget` bytes."""
    fitting, room = list(trees), float(_weight(trees))
    for _ in range(TRIES):
        size = sum(block.size for block in blocks(fitting))
        if size <= budget:
            break
        # How far a text can be packed is only known afterwards.
        room *= 0.95 * budget / size
        fitting = _fitted(trees, int(room))
    return fitting


def _weight(trees: Iterable[Tree]) -> int:
    return sum(len(text.encode()) for tree in trees for text in tree["texts"] if text)


def _fitted(trees: Sequence[Tree], budget: int) -> list[Tree]:
    texts = iter(fit([text for tree in trees for text in tree["texts"]], budget))
    return [{**tree, "texts": [next(texts) for _ in tree["texts"]]} for tree in trees]
