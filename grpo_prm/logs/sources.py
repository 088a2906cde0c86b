"""Which files make up which run."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple, TextIO

from ..errors import InputError

SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
PACKED = (".gz", ".zst")
INNER = ("completions", "rollouts")  # subfolders where TRL and our trainer keep them
METHOD = "method.txt"  # beside such a subfolder: one line that says what the run was trained with
# The texts of `train.method.method_of`; any other file of that name is not of a trainer and says nothing.
METHODS = re.compile(
    r"GRPO|λ-GRPO, p = {p}|GRPO with (parent|position) weights, p = {p}"
    r"|GRPO, (loss as small|gradient as long) as that of λ-GRPO with p = {p}".replace("{p}", r"\d[\d.]*(e[+-]\d+)?")
)


class Source(NamedTuple):
    """One file of a log.

    Attributes:
        path: The file.
        name: What messages call it: the path as given, `-` for standard input.
        run: Name of its run.
        size: Bytes on disk.
        repeats: Name of an earlier file with the same bytes, else None.
        method: What its run was trained with, as the run folder says; None where it says nothing.
        step: Training step that its path names; None where it names none.
        split: `train` or `eval`, where its path says which; else None.
    """

    path: Path
    name: str
    run: str
    size: int
    repeats: str | None = None
    method: str | None = None
    step: int | None = None
    split: str | None = None


def find_sources(paths: Sequence[str | Path], run: str | None = None) -> list[Source]:
    """List the files behind the arguments of a command, run by run.

    A folder is one run, named like it (`completions` and `rollouts` like their parent). A file is its own run, named by
    its stem, but files of one folder whose names differ only in digits are shards of one run, in numeric order.

    Args:
        paths: Files and folders; `-` is standard input, kept in a temporary file while the process runs.
        run: Overrules every name.

    Returns:
        Files in reading order, those with the bytes of an earlier one marked.

    Raises:
        InputError: A path is missing, empty, an analysis, or a folder without logs or with logs of two kinds.
    """
    if not paths:
        raise InputError("No log was given. Name a file, a folder, or - for standard input.")
    runs: list[tuple[str, str, list[tuple[Path, str]]]] = []  # name, name of the folder above, files
    shards: dict[tuple[Path, str], int] = {}
    for given in map(str, paths):
        path = Path(given)
        if given == "-":
            runs.append(("stdin", "stdin", [(_spooled(sys.stdin), "-")]))
        elif path.is_dir():
            folder, files = _folder(path)
            named = folder.resolve()
            named = named.parent if named.name in INNER else named
            runs.append((named.name, named.parent.name, files))
        elif not path.exists():
            raise InputError(f"{given}: no such file. Check the path.")
        else:
            # Files of one folder that differ in digits only are shards; the first of them opens the run.
            pattern = (path.resolve().parent, re.sub(r"\d+", "#", path.name))
            if "#" in pattern[1] and pattern in shards:
                runs[shards[pattern]][2].append((path, given))
            else:
                shards[pattern] = len(runs)
                runs.append((_stem(path), path.resolve().parent.name, [(path, given)]))
    return _mark_repeated([s for name, files in _name_apart(runs) for s in _sorted(files, run or name)])


def kind_by_name(path: Path) -> str | None:
    """Kind of container that a name promises (`jsonl`, `json`, `csv`, `parquet`), packed or not; None for others."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def _folder(path: Path) -> tuple[Path, list[tuple[Path, str]]]:
    """The logs of a folder; of its subfolder where it is a run of our trainer, or has none of its own."""
    if (path / "summary.json").is_file() and (path / "groups.parquet").is_file():
        raise InputError(
            f"{path}: an analysis, not a log; it was made from {_made_from(path)}."
            f" Look into it with grpo-prm tree {shlex.quote(str(path))}, or name the log."
        )
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith((".", "_")) and kind_by_name(p))
    # A folder of our trainer holds metrics beside the subfolder with the rollouts.
    if [file.name for file in files] == ["metrics.jsonl"] or not files:
        for inner in (path / name for name in INNER):
            if inner.is_dir():
                return _folder(inner)
    if not files:
        deeper = (p for depth in ("*/*", "*/*/*") for p in sorted(path.glob(depth)))
        below = list(dict.fromkeys(p.parent for p in deeper if p.is_file() and kind_by_name(p)))
        hint = f" Some lie below: try {shlex.quote(str(below[0]))}" if below else ""
        hint += f" (1 of {len(below)} folders)." if below[1:] else "." if below else ""
        raise InputError(f"{path}: no logs in this folder. Logs end in {', '.join(SUFFIXES)}, .gz or .zst.{hint}")
    by_kind: dict[str, Path] = {}
    for file in files:
        by_kind.setdefault(kind_by_name(file) or "", file)
    if len(by_kind) > 1 and "json" in by_kind and by_kind["json"].read_bytes()[:64].lstrip()[:1] != b"[":
        by_kind.pop("json")  # metadata.json, config.json: about the log, not the log
        files = [f for f in files if kind_by_name(f) != "json"]
    if len(by_kind) > 1:
        one, other = [f"{file.name} ({what})" for what, file in by_kind.items()][:2]
        raise InputError(
            f"{path}: logs of different formats in one folder, {one} and {other}. Name the files you mean."
        )
    return path, [(file, str(file)) for file in files]


def _made_from(analysis: Path) -> str:
    """The log of an analysis, as its summary names it."""
    try:
        files = json.loads((analysis / "summary.json").read_text("utf-8"))["source"]["files"]
        return files[0] + (f" and {len(files) - 1} more" if files[1:] else "")
    except (ValueError, LookupError, TypeError):
        return "rollouts"


def _sorted(files: Iterable[tuple[Path, str]], run: str) -> list[Source]:
    """Shards in numeric order; empty files are no shards."""
    ordered = sorted(files, key=lambda f: _natural(f[0]))
    methods = {folder: _method(folder) for folder in {path.parent for path, _ in ordered}}
    sources = [Source(path, name, run, path.stat().st_size, method=methods[path.parent]) for path, name in ordered]
    return [s for s in sources if s.size] or sources


def _method(folder: Path) -> str | None:
    """What a run folder says it was trained with, for the subfolder that holds its rollouts."""
    folder = folder.resolve()
    path = folder.parent / METHOD
    try:
        if folder.name not in INNER or not path.is_file():  # a pipe would be waited for
            return None
        with path.open(encoding="utf-8") as file:
            line = file.readline(201).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return line if len(line) <= 200 and METHODS.fullmatch(line) else None


def _natural(path: Path) -> tuple[tuple[int, str], ...]:
    """Sort key by which step2 comes before step10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name))


def _stem(path: Path) -> str:
    """The name without its endings, of which there may be two: log.jsonl.gz."""
    name = path.name
    while Path(name).suffix.lower() in {*SUFFIXES, *PACKED}:
        name = Path(name).stem
    return name or path.name


def _name_apart(runs: list[tuple[str, str, list[tuple[Path, str]]]]) -> list[tuple[str, list[tuple[Path, str]]]]:
    """Name runs apart: the folder above where two are called the same, then a number."""
    names = [name for name, _, _ in runs]
    named = [f"{above}/{name}" if names.count(name) > 1 else name for name, above, _ in runs]
    taken: dict[str, int] = defaultdict(int)
    unique = []
    for name, (_, _, files) in zip(named, runs, strict=True):
        taken[name] += 1
        unique.append((name if taken[name] == 1 else f"{name}~{taken[name]}", files))
    return unique


def _mark_repeated(sources: list[Source]) -> list[Source]:
    """Mark files with the bytes of an earlier one; only files of equal size are looked into."""
    sizes: dict[int, list[Source]] = defaultdict(list)
    for source in sources:
        sizes[source.size].append(source)
    first: dict[bytes, str] = {}
    marked = []
    for source in sources:
        if source.size and len(sizes[source.size]) > 1:
            with source.path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            source = source._replace(repeats=first.get(digest))
            first.setdefault(digest, source.name)
        marked.append(source)
    return marked


@cache
def _spooled(stdin: TextIO) -> Path:
    """Standard input as a file that vanishes with the process; it can be read once, but is asked for twice."""
    file = tempfile.NamedTemporaryFile(prefix="grpo-prm-")  # noqa: SIM115 - it lives as long as the process
    if hasattr(signal, "siginterrupt"):  # polars has a waiting read go on after Ctrl-C
        signal.siginterrupt(signal.SIGINT, True)
    shutil.copyfileobj(stdin.buffer, file)
    file.flush()
    _SPOOLED.append(file)
    return Path(file.name)


_SPOOLED: list = []  # keeps the temporary files from being removed
