"""Whose a folder is that an output would replace: ours, of the same input, or somebody's who would lose it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatch
from glob import has_magic
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..kept_files import ours_in
from ..logs.memory import NAME as IN_MEMORY

MARK = ".grpo-prm.json"  # says what an analysis was made from
_PAGE = (b"grpo-prm report</title>",)  # of a page of `report`, in its head
_HEAD = 4096  # bytes of a file within which it says whose it is
_CREATOR = {  # of figures
    ".pdf": b"/Creator (grpo-prm)",
    ".png": b"Software\0grpo-prm",
    ".svg": b"<dc:title>grpo-prm",
    ".pgf": b"%% Creator: Matplotlib, PGF backend",
    ".tex": b"% Written by grpo-prm.",
}


def is_analysis(folder: Path) -> bool:
    """Did `analyze` write this folder, this version or an older one?"""
    return "schema_version" in _json(folder / "summary.json") and (folder / "groups.parquet").is_file()


def is_comparison(folder: Path) -> bool:
    """Did `compare` write this folder?"""
    return {"schema_version", "runs", "statistics"} <= _json(folder / "comparison.json").keys()


def is_page(file: Path) -> bool:
    """Did `report` write this page?"""
    return any(sign in _start(file) for sign in _PAGE)


def pages_in(folder: Path) -> set[str]:
    """Names that pages of `report --pages` have in a folder: the first, and those of others that are there."""
    return {"index.html", *(file.name for file in folder.glob("*.html") if file.stem.isdigit())}


def are_pages(folder: Path) -> bool:
    """Did `report` write all files of these names?"""
    return all(is_page(folder / name) for name in pages_in(folder) if (folder / name).exists())


def is_figure(file: Path) -> bool:
    """Is it a figure of ours, or its data or caption: a figure of the same name lies beside it?"""
    if file.suffix in _CREATOR:
        return _CREATOR[file.suffix] in _all_of(file)
    return any(is_figure(file.with_suffix(suffix)) for suffix in _CREATOR if suffix != ".tex")


def refuse_strangers(out: Path, ours: Collection[str], is_ours: Callable[[Path], bool]) -> None:
    """Refuse to write into a folder that has names of ours which others gave.

    Raises:
        UsageError: There are such names.
    """
    if not is_ours(out) and (name := ours_in(out, ours)) is not None:
        raise UsageError(
            f"{out}: has a {name} that grpo-prm did not write, and it would be lost. Give --out another folder."
        )


def refuse_other_page(page: Path) -> None:
    """Refuse to write a page over what is none of ours.

    Raises:
        UsageError: There is such a file, or a folder.
    """
    if page.is_dir():
        raise UsageError(f"{page}: is a folder. Give --out the name of a file.")
    if page.exists() and not is_page(page):
        raise UsageError(f"{page}: is no page of grpo-prm, and would be lost. Give --out another name.")


def mark(folder: Path, logs: Sequence[str]) -> None:
    """Leave in a folder of `analyze` what it was made from; as hashes, since it may be given away."""
    text = json.dumps({"made_by": "grpo-prm analyze", "input": _fingerprint(logs)})
    (folder / MARK).write_text(text + "\n", encoding="utf-8")


def refuse_another_input(out: Path, logs: Sequence[str]) -> None:
    """Refuse to replace an analysis of another input.

    Args:
        out: The folder.
        logs: What is analysed now, as it was named: files, folders, globs, addresses. What comes through a pipe may be
            another log each time.

    Raises:
        UsageError: There is one.
    """
    if not is_analysis(out):
        return
    source = _json(out / "summary.json").get("source", {})
    files = source.get("files", []) if isinstance(source, dict) else []
    # A folder of before there were marks: its files must be what is named now, or lie in it.
    known = _json(out / MARK).get("input")
    same = known == _fingerprint(logs) if known else all(any(_covers(log, file) for log in logs) for file in files)
    if not same or any(map(_is_pipe, logs)):
        what = "what came through a pipe" if all(map(_is_pipe, files)) and files else str(next(iter(files), "others"))
        raise UsageError(
            f"{out}: holds the analysis of {what}. Give --out another folder, or --overwrite to replace that one."
        )


def _fingerprint(logs: Sequence[str]) -> list[str]:
    names = sorted(map(_absolute, logs))
    return [hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()[:16] for name in names]


def _covers(log: str, file: str) -> bool:
    """Is a file what was named, in it, or one of a glob?"""
    place, file = _absolute(log), _absolute(file)
    return place == file or file.startswith(place.rstrip("/") + "/") or (has_magic(place) and fnmatch(file, place))


def _absolute(name: str) -> str:
    return name if "://" in name or name == IN_MEMORY else os.path.abspath(os.path.expanduser(name))


def _is_pipe(name: str) -> bool:
    return name == "-" or name.startswith(("/dev/", "/proc/"))


def _json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD)
    except OSError:
        return b""


def _all_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
