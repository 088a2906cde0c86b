"""Figures of a folder take the place of older ones when all of them are drawn, so that a full disk changes none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ..analysis.ownership import is_figure
from ..errors import UsageError
from ..files import folder_for
from ..scratch import scratch

DATA = (".csv", ".txt")  # beside figures, by which the next process knows them as ours: so they are moved last


@contextmanager
def all_at_once(out: Path) -> Generator[Path]:
    """Give a folder with copies of the figures in `out`; at the end of the block its files stand in their place.

    Files of others stay as they are, and on any error all do.

    Raises:
        UsageError: Nothing can be written there.
    """
    with folder_for(out / "figure"):
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{out}: cannot be written ({error.strerror}). Give --out another folder.") from error
        with scratch(out / "figures") as new:
            old = [file for file in out.iterdir() if file.is_file() and not file.is_symlink() and is_figure(file)]
            for file in old:
                shutil.copy2(file, new)
            yield new
            made = sorted(new.iterdir(), key=lambda file: (file.suffix in DATA, file.name))
            for file in made:
                os.replace(file, out / file.name)
            for name in {file.name for file in old} - {file.name for file in made}:  # of another format
                (out / name).unlink()
