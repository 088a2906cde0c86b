"""Models of the Hugging Face hub, in the cache of its own library."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import InputError, UsageError
from .wheel_file import sha256_of

FILES = ["*.json", "*.jinja", "*.safetensors", "*.txt", "tokenizer.model"]  # what transformers loads
TIMEOUT = 10.0  # seconds for the hub's first answer
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


def ask(name: str, remedy: str) -> None:
    """Ask the hub whether it gives a model, before a library tries: that asks again and again, with a page of reasons.

    Nothing is asked where the cache holds something of the model.

    Args:
        name: OWNER/NAME, or anything that was given in its place.
        remedy: What to do, beside asking for another name.

    Raises:
        UsageError: It is no name of the hub; the hub has no such model, or not for everybody; it cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, RepositoryNotFoundError

    if hub_snapshot(name) is not None:
        return
    api = HfApi()
    try:
        api.model_info(name, timeout=TIMEOUT)
        api.auth_check(name)
    except HFValidationError:
        fault = f"{name}: no file or folder is called so, and no model of the hub can be (OWNER/NAME)"
    except GatedRepoError:  # one of RepositoryNotFoundError
        fault = f"{name}: its owner gives it to those who ask (a gated model)"
        remedy = f"Ask on {api.endpoint}/{name}, then log in with: hf auth login."
    except RepositoryNotFoundError:
        fault = f"{name}: no file or folder is called so, and no model of the hub that everybody may load"
        remedy = f"Check the name; for a private model log in with: hf auth login. {remedy}"
    except HfHubHTTPError:  # a mirror knows these questions not, perhaps: the library may fare better
        return
    except Exception as error:  # of requests or httpx, of the system; HF_HUB_OFFLINE
        reason = (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")
        fault = f"{name}: no file or folder is called so, and the hub cannot be reached ({reason})"
        remedy = f"See to the network. {remedy}"
    else:
        return
    raise UsageError(f"{fault}. {remedy}")


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
