"""A data set of Hugging Face `datasets` on disk (`save_to_disk`): Arrow shards with their state, or splits of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..sources import Source
from .layout import Layout
from .path_words import split_of_path, step_of_path

_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"


def _claims(folder: Path) -> bool:
    return (folder / _SPLITS).is_file() or all((folder / name).is_file() for name in (_STATE, _INFO))


def _sources(folder: Path) -> list[Source]:
    """The shards in the order of the state, which need not be that of their names.

    Raises:
        InputError: The state cannot be read, or a shard that it names is missing.
    """
    if (folder / _SPLITS).is_file():
        splits = _json(folder / _SPLITS).get("splits")
        return [one for name in _names(splits, folder / _SPLITS) for one in _shards(folder / name, name)]
    return _shards(folder, "")


def _shards(folder: Path, split: str) -> list[Source]:
    state = folder / _STATE
    listed = _json(state).get("_data_files")
    names = [one.get("filename") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else None
    files = [folder / name for name in _names(names, state)]
    if missing := next((file for file in files if not file.is_file()), None):
        raise InputError(f"{missing}: no such file, but {state.name} beside it names it. Get the whole data set.")
    folders = (*folder.resolve().parts[-2:],)
    return [
        Source(file, str(file), step=step_of_path(folders, ""), split=split_of_path((split,), "") if split else None)
        for file in files
    ]


def _names(names: Any, file: Path) -> list[str]:
    """Names inside the folder; a name that leads out of it is none."""
    if isinstance(names, list) and all(isinstance(name, str) and _is_name(name) for name in names):
        return names
    raise InputError(f"{file}: it does not list the files of a data set. Save it again with save_to_disk.")


def _is_name(name: str) -> bool:
    return Path(name).name == name and name.isprintable() and len(name.encode()) < 256


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}. Save the data set again with save_to_disk.") from None
    return value if isinstance(value, dict) else {}


LAYOUT = Layout("hf_disk", _claims, _sources)
