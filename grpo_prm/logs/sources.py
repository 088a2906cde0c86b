"""Which files make up which run."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import InputError
from .names import places
from .pipes import Pipe

SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
PACKED = (".gz", ".zst", ".bz2", ".xz")
INNER = ("completions", "rollouts")  # subfolders where TRL and our trainer keep them
# Folders that frameworks make inside one run.
_STRUCTURE = {
    *INNER, "rollout", "trajectories", "episodes", "token_exports", "dumped_evals", "media", "table", "files",
    "train", "training", "eval", "val", "validation", "test", "all", "effective",
}  # fmt: skip
_EVAL = ("eval", "evals", "val", "valid", "validation", "test")
_STEP = re.compile(r"(?:^|[_.-])(?:global_?|train_?|gen_?)?(?:step|iteration|iter)s?[_.-]?(\d+)(?!\d)", re.IGNORECASE)
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
        named: The user named the file itself, not a folder above it.
        pipe: What is read instead of the path, where it is a pipe.
    """

    path: Path
    name: str
    run: str
    size: int
    repeats: str | None = None
    method: str | None = None
    step: int | None = None
    split: str | None = None
    named: bool = False
    pipe: Pipe | None = None

    def open(self) -> BinaryIO:
        """The file from its first byte; a pipe too, as long as what was read of it is kept."""
        try:
            return self.pipe.open() if self.pipe else self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({error.strerror}). Check who may read it.") from None


class _File(NamedTuple):
    """A file on its way to a source."""

    path: Path
    name: str
    step: int | None = None
    split: str | None = None
    named: bool = False
    pipe: Pipe | None = None


def find_sources(paths: Sequence[str | Path], run: str | None = None) -> list[Source]:
    """List the files behind the arguments of a command, run by run.

    A folder is one run, named like it, with all folders below it that are steps, splits or part of a framework's
    layout (`completions` and `rollouts` are named like their parent); other folders below are runs of their own. A file
    is its own run, named by its stem, but files of one folder whose names differ only in digits are shards of one run,
    in numeric order.

    Args:
        paths: Files and folders; `-` is standard input.
        run: Overrules every name.

    Returns:
        Files in reading order, those with the bytes of an earlier one marked.

    Raises:
        InputError: A path is missing, an analysis, or a folder without logs.
    """
    if not paths:
        raise InputError("No log was given. Name a file, a folder, or - for standard input.")
    runs: list[tuple[str, str, list[_File]]] = []  # name, name of the folder above, files
    shards: dict[tuple[Path, str], int] = {}
    for path, given, pipe in (place for name in paths for place in places(str(name))):
        if pipe:
            runs.append((_stem(path), path.parent.name, [_File(path, given, named=True, pipe=pipe)]))
        elif path.is_dir():
            runs += _folder(path, given)
        else:
            # Files of one folder that differ in digits only are shards; the first of them opens the run.
            parent = path.resolve().parent
            file = _File(path, given, step_of_path(parent.parts[-2:], _stem(path)), None, named=True)
            pattern = (parent, re.sub(r"\d+", "#", path.name))
            if "#" in pattern[1] and pattern in shards:
                runs[shards[pattern]][2].append(file)
            else:
                shards[pattern] = len(runs)
                runs.append((_stem(path), parent.name, [file]))
    return _mark_repeated([s for name, files in _name_apart(runs) for s in _sorted(files, run or name)])


def kind_by_name(path: Path) -> str | None:
    """Kind of container that a name promises (`jsonl`, `json`, `csv`, `parquet`), packed or not; None for others."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def family(source: Source) -> str:
    """What files of a run have in common whose names differ in numbers and hashes only: folder and name."""
    return re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", str(source.path))


def step_of_path(folders: Sequence[str], name: str) -> int | None:
    """The training step that a path names: `step_12`, `iteration_000012`, `global_step_12`, or a bare number.

    The name of the file comes first, then the nearest folder. A bare number as name of a file is its step, unless its
    folder is one as well (docs/logs.md: Steps).
    """
    for part in (name, *reversed(folders)):
        if found := _STEP.findall(part):
            return int(found[-1])
    return next((int(part) for part in (*folders[-1:], name) if part.isdigit()), None)


def split_of_path(folders: Sequence[str], name: str) -> str | None:
    """`train` or `eval`, where the name of a file or of a folder above it begins with such a word."""
    for part in (name, *reversed(folders)):
        words = re.split(r"[^a-z]+", part.lower())
        if words[0] in _EVAL:
            return "eval"
        if words[0] in ("train", "training"):
            return "train"
    return None


def _folder(path: Path, given: str) -> Iterator[tuple[str, str, list[_File]]]:
    """The runs of a folder and of all folders below it: name, name of the folder above, files.

    Folders of steps (`step_12`, `12`), of splits and of one framework's layout (`completions`, `rollouts`) do not make
    runs of their own; others do.
    """
    if _is_analysis(path):
        raise InputError(
            f"{given}: an analysis, not a log; it was made from {_made_from(path)}."
            f" Look into it with grpo-prm tree {shlex.quote(given)}, or name the log."
        )
    runs: dict[tuple[str, ...], list[_File]] = {}
    for file in _files_below(path):
        folders = file.relative_to(path).parts[:-1]
        named = tuple(part for part in folders if not _is_structure(part))
        whole = (*path.resolve().parts[-2:], *folders)
        name = _stem(file)
        shown = str(file) if path == Path(given) else f"{given.rstrip('/')}/{file.relative_to(path)}"
        runs.setdefault(named, []).append(_File(file, shown, step_of_path(whole, name), split_of_path(whole, name)))
    if not runs:
        kinds = ", ".join(SUFFIXES)
        raise InputError(f"{given}: no logs in this folder, nor below it. Logs end in {kinds}, packed or not.")
    top = path.resolve()
    while _is_structure(top.name) and top.parent != top:
        top = top.parent
    for named, files in runs.items():
        yield "/".join((top.name, *named)), top.parent.name, _effective(files)


def _files_below(path: Path) -> Iterator[Path]:
    """Files with the ending of a log, in natural order; hidden ones and those of an analysis are left out."""
    for entry in sorted(path.iterdir(), key=_natural):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            if not entry.is_symlink() and not _is_analysis(entry):  # a link may lead round in a circle
                yield from _files_below(entry)
        elif entry.is_file() and kind_by_name(entry):
            yield entry


def _effective(files: list[_File]) -> list[_File]:
    """Of prime-rl's rollouts that arrived (`all`) and those trained on (`effective`) the latter."""
    trained = {file.path.parent.parent for file in files if file.path.parent.name == "effective"}
    return [f for f in files if not (f.path.parent.name == "all" and f.path.parent.parent in trained)]


def _is_structure(name: str) -> bool:
    return name in _STRUCTURE or name.isdigit() or _STEP.search(name) is not None


def _is_analysis(path: Path) -> bool:
    return (path / "summary.json").is_file() and (path / "groups.parquet").is_file()


def _made_from(analysis: Path) -> str:
    """The log of an analysis, as its summary names it."""
    try:
        files = json.loads((analysis / "summary.json").read_text("utf-8"))["source"]["files"]
        return files[0] + (f" and {len(files) - 1} more" if files[1:] else "")
    except (ValueError, LookupError, TypeError):
        return "rollouts"


def _sorted(files: Iterable[_File], run: str) -> list[Source]:
    """Shards in numeric order; empty files are no shards."""
    ordered = sorted(files, key=lambda file: [_natural(Path(part)) for part in file.path.parts])
    methods = {folder: _method(folder) for folder in {file.path.parent for file in ordered}}
    sources = [
        Source(f.path, f.name, run, 0 if f.pipe else f.path.stat().st_size, None, methods[f.path.parent], *f[2:])
        for f in ordered
    ]
    return [s for s in sources if s.size or s.pipe] or sources


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


def _name_apart(runs: list[tuple[str, str, list[_File]]]) -> list[tuple[str, list[_File]]]:
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
            with source.open() as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            source = source._replace(repeats=first.get(digest))
            first.setdefault(digest, source.name)
        marked.append(source)
    return marked
