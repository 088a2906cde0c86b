"""How far the drawing of figures is: each has its caption written last, whichever process draws it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from .progress import Move

EVERY = 0.5  # seconds


@contextmanager
def counted(folder: Path, move: Move) -> Generator[None]:
    """Tell `move` how many figures are in the folder, and how many there will be, until they are drawn."""
    from grpo_prm.figures import FIGURES

    ended = Event()

    def look() -> None:
        while not ended.wait(EVERY):
            if done := len(list(folder.glob("*.txt"))):
                move(done, len(FIGURES))

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
