"""What the output of a command is called where the user does not say."""

from __future__ import annotations

import os
from glob import has_magic
from itertools import takewhile
from json import loads
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import typer


def default_folder(logs: list[str]) -> Path:
    """NAME.prm in the working directory; FIRST-LAST.prm of several logs, which is not the folder of one of them."""
    names = [_log_name(log) for log in logs]
    return Path(f"{names[0]}{f'-{names[-1]}' if names[1:] else ''}.prm")


def _log_name(log: str) -> str:
    """Its file without endings, its folder, or the folder of a glob."""
    from grpo_prm.logs.archives import ENDING
    from grpo_prm.logs.sources import INNER, stem

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
    return stem(Path(name)).strip("/") or "rollouts"


def say_what_is_replaced(out: Path, files: list[str]) -> None:
    """A folder that was not named by the user may hold the analysis of another log of the same name."""
    try:
        before = loads((out / "summary.json").read_bytes())["source"]["files"]
        others = [file for file in before if os.path.abspath(file) not in set(map(os.path.abspath, files))]
    except (OSError, ValueError, LookupError, TypeError):
        return
    if others:
        typer.echo(f"{out}: held the analysis of {others[0]}, and is replaced. Keep both with --out NAME.", err=True)
