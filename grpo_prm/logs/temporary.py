"""Folders for what is fetched or unpacked; they go when the process ends, by a signal that it catches too."""

from __future__ import annotations

import atexit
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp


def temporary_folder() -> Path:
    """A new, empty folder that lives as long as the process."""
    folder = Path(mkdtemp(prefix="grpo-prm-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, maker: int) -> None:
    if os.getpid() == maker:  # not when a worker of it ends
        shutil.rmtree(folder, ignore_errors=True)
