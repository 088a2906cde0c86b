"""What a page that takes its time tells of how far it is, to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager

from .packing import Block

Move = Callable[[int, int], None]  # how much is done, of how much
Show = Callable[[str], AbstractContextManager[Move]]  # of a kind of work


@contextmanager
def unseen(what: str) -> Generator[Move]:  # noqa: ARG001 - as `Show` has it
    """Show nothing."""
    yield lambda *_: None


def counted(packed: Iterable[Block], groups: int, move: Move, room: float = float("inf")) -> Iterator[Block]:
    """The blocks as they are; `move` hears how many groups are in them, of how many.

    Args:
        packed: The blocks.
        groups: In all of them.
        move: Called after each block.
        room: Bytes of the page: where it is full before the groups end, they are as many as will have room, if the
            others are like those until now.
    """
    done = used = 0
    for block in packed:
        done, used = done + len(block.heads), used + block.size
        move(done, max(done, min(groups, round(done * min(room / used, groups)))))
        yield block
