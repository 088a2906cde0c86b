"""Models of the Hugging Face hub, in the cache of its own library."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError
from .wheel_file import sha256_of

FILES = ["*.json", "*.jinja", "*.safetensors", "*.txt", "tokenizer.model"]  # what transformers loads
WEIGHTS = ("*.safetensors", "*.bin")  # the second only where there are none of the first, as transformers has it


def from_hub(name: str) -> Path:
    """Load a model of the hub, or find it in the cache.

    Raises:
        InputError: The hub cannot be reached and the cache does not hold it, or there is no such model.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=FILES))
    except Exception as error:  # of requests, of the hub, of the system
        reason = (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")
        raise InputError(
            f"{name}: the hub does not give it, and the cache does not hold it ({reason}). See to the network."
        ) from None


def hub_snapshot(name: str) -> Path | None:
    """The folder of a model in the cache; None where it is not."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except Exception:  # not there, or no name of the hub
        return None


def hub_weights(folder: Path) -> dict[str, str]:
    """The sha256 of each file of weights in a folder, by its name.

    A file of the hub's cache is a link to one whose name is its sha256, and is not read.
    """
    files = next((found for pattern in WEIGHTS if (found := sorted(folder.glob(pattern)))), [])
    return {file.name: _sum(file) for file in files}


def _sum(file: Path) -> str:
    name = file.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else sha256_of(file)
