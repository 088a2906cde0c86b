"""What a layout is: a name, the folders that it knows, and the files of a log in one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ..sources import Source


class Layout(NamedTuple):
    """A way of laying a log out in a folder.

    Attributes:
        name: Of the layout.
        claims: Whether a folder is laid out so.
        sources: The files of such a folder, in reading order, each with its path and, where the layout knows them, its
            run, step and split. An empty run is that of the folder.
    """

    name: str
    claims: Callable[[Path], bool]
    sources: Callable[[Path], list[Source]]
