"""Folders for what is fetched or unpacked; they go when the process ends, and if it is killed with the next one."""

from __future__ import annotations

import atexit
import os
import re
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..scratch import new_scratch


def temporary_place(name: str) -> Path:
    """A path in a new folder that lives as long as the process; nothing is there yet.

    Args:
        name: Path or address of what will be there: a copy is called like it, and its folder like that of the original,
            as runs are named after both.
    """
    folder = new_scratch()
    atexit.register(_remove, folder, os.getpid())
    path = "".join(urlsplit(name)[1:3]) if "://" in name else os.path.abspath(name)
    above, last = (["", "", *filter(None, map(_file_name, path.split("/")))])[-2:]
    folder /= above or "log"
    folder.mkdir()
    return folder / (last or "log")


def _remove(folder: Path, maker: int) -> None:
    if os.getpid() == maker:  # not when a worker of it ends
        shutil.rmtree(folder, ignore_errors=True)


def _file_name(part: str) -> str:
    return re.sub(r"[/\\\0:*?\[\]]", "_", unquote(part)).lstrip(".-")
