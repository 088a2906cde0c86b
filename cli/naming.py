"""What the output of a command is called where the user does not say."""

from __future__ import annotations

import os
from glob import has_magic
from itertools import takewhile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit


def default_folder(logs: list[str]) -> Path:
    """NAME.prm in the working directory; FIRST-LAST.prm of several logs, which is not the folder of one of them."""
    names = [_log_name(log) for log in logs]
    return Path(f"{names[0]}{f'-{names[-1]}' if names[1:] else ''}.prm")


def _log_name(log: str) -> str:
    """Its file without endings, its folder, or the folder of a glob."""
    from grpo_prm.logs.archives import ENDING
    from grpo_prm.logs.sources import INNER

    if log == "-" or log.startswith("/dev/"):
        return "stdin"
    if "://" in log:
        parts = PurePosixPath(unquote("".join(urlsplit(log)[1:3]))).parts
    else:
        parts = Path(log).expanduser().resolve().parts
    if not os.path.lexists(log):
        parts = list(takewhile(lambda part: not has_magic(part), parts))
    name = ENDING.sub("", parts[-1])
    name = parts[-2] if name in INNER and parts[1:] else name  # a framework calls them so in every run
    return _without_ending(name).strip("/") or "rollouts"


def _without_ending(name: str) -> str:
    """Without a packing, and without one ending of a log: lr0.1.jsonl.gz is lr0.1."""
    from grpo_prm.logs.sources import PACKED, SUFFIXES

    path = Path(name)
    while path.suffix.lower() in PACKED:
        path = path.with_suffix("")
    return path.stem if path.suffix.lower() in SUFFIXES else path.name
