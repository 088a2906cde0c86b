"""From the arguments of a command to the files of each run."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ...errors import InputError
from ..changing import Stamp, stamp
from ..gaps import MISSING, missing
from ..names import places
from ..plugins import asked, loaded
from ..sources import SUFFIXES, Source, kind_by_name, method_beside, natural, stem
from .layout import Layout
from .path_words import is_structure, split_of_path, step_of_path

# Each is a module beside this one with a `LAYOUT`; the walk below takes all other folders.
LAYOUTS = ("hf_disk",)
# What tells the runs of files in one folder apart: open-instruct names its shards by the run.
_SEED = re.compile(r"seed[_.-]?\d+", re.IGNORECASE)
_SHARD = re.compile(r"(.+)_rollouts_\d{6}\.jsonl")


class _Run(NamedTuple):
    """A run on its way: its name, that of the folder above, and its files."""

    name: str
    above: str
    files: list[Source]


@cache
def layouts() -> tuple[Layout, ...]:
    """All layouts: those of other packages first, so that they can be more special than ours."""
    return (*loaded("grpo_prm.layouts"), *(import_module(f".{name}", __package__).LAYOUT for name in LAYOUTS))


class NoLogs(InputError):
    """A folder without a file that may be a log."""


def find_sources(paths: Sequence[str | Path], run: str | None = None) -> list[Source]:
    """List the files behind the arguments of a command, those with the bytes of an earlier one marked.

    Arguments, order and errors are those of `list_sources`.
    """
    return mark_repeated(list_sources(paths, run))


def list_sources(paths: Sequence[str | Path], run: str | None = None) -> list[Source]:
    """List the files behind the arguments of a command, run by run.

    A folder is one run, named like it, with all folders below it that are steps, splits or part of a framework's
    layout (`completions` and `rollouts` are named like their parent); other folders below are runs of their own. A file
    is its own run, named by its stem, but files of one folder whose names differ only in digits are shards of one run,
    in numeric order.

    Args:
        paths: Files and folders; `-` is standard input.
        run: Overrules every name.

    Returns:
        Files in reading order.

    Raises:
        InputError: A path is missing, an analysis, or a folder without logs (`NoLogs`).
    """
    if not paths:
        raise InputError("No log was given. Name a file, a folder, or - for standard input.")
    runs: list[_Run] = []
    shards: dict[tuple[Path, str], int] = {}
    for path, given, pipe in (place for name in paths for place in places(str(name))):
        if pipe:
            if any(pipe is source.pipe for one in runs for source in one.files):
                raise InputError(f"{given}: named twice, but its rows come once. Name it once.")
            runs.append(_Run(stem(path), path.parent.name, [Source(path, given, named=True, pipe=pipe)]))
        elif path.is_dir():
            runs += _runs_of_folder(path, given)
        else:
            # Files of one folder that differ in digits only are shards; the first of them opens the run.
            parent = path.resolve().parent
            file = Source(path, given, step=step_of_path(parent.parts[-3:], stem(path)), named=True)
            pattern = (parent, re.sub(rf"({_SEED.pattern})|\d+", lambda found: found[1] or "#", path.name))
            if "#" in pattern[1] and pattern in shards:
                runs[shards[pattern]].files.append(file)
            else:
                shards[pattern] = len(runs)
                runs.append(_Run(stem(path), parent.name, [file]))
    for number in shards.values():
        runs[number].files.sort(key=lambda file: natural(file.path))
    return [source for one in _name_apart(runs) for source in _ready(one.files, run or one.name)]


def _runs_of_folder(path: Path, given: str) -> Iterator[_Run]:
    """The runs of a folder, which messages call `given`, and of all folders below it."""
    if _is_analysis(path):
        raise InputError(
            f"{given}: an analysis, not a log; it was made from {_made_from(path)}."
            f" Look into it with grpo-prm tree {shlex.quote(given)}, or name the log."
        )
    top = path.resolve()
    while is_structure(top.name) and top.parent != top:
        top = top.parent
    runs: dict[str, list[Source]] = {}
    passed: list[Path] = []
    below = list(_below(path, path, passed))
    folders = {source.path: parts for source, parts in below}
    found, arrived = _effective([source for source, _ in below])
    shards: dict[Path, set[str]] = defaultdict(set)
    for source in found:
        if named := _named_run(source.path):
            shards[source.path.parent].add(named)
    for source in found:
        parts = (*folders[source.path], _run_of_shard(source.path, shards))
        name = source.run or "/".join([top.name, *(part for part in parts if part and not is_structure(part))])
        if path != Path(given):  # unpacked or fetched
            source = source._replace(name=f"{given.rstrip('/')}/{source.path.relative_to(path)}")
        runs.setdefault(name, []).append(source)
    left_out = tuple(_left_out(arrived, passed, path))
    if not runs:
        raise NoLogs(
            f"{given}: no logs in this folder, nor below it. Logs end in {', '.join(SUFFIXES)}, packed or not."
        )
    for number, (name, files) in enumerate(runs.items()):
        if number == 0:
            files = [files[0]._replace(left_out=left_out), *files[1:]]
        yield _Run(name, top.parent.name, files)


def _below(path: Path, given: Path, passed: list[Path]) -> Iterator[tuple[Source, tuple[str, ...]]]:
    """Files with the ending of a log, in natural order, each with the folders that may name its run.

    Args:
        path: A folder.
        given: The folder that the user named: a word in a name above it says nothing of the split.
        passed: Gets what is left out: hidden files, links to folders, analyses, checkpoints, and what says which
            steps are missing.
    """
    layout = next((one for one in layouts() if asked(one.claims, one.name, path)), None)
    if layout:
        # Wherever in its folder they lie: only the layout knows which files are of another run.
        yield from ((source, path.relative_to(given).parts) for source in asked(layout.sources, layout.name, path))
        return
    folders = path.resolve().parts[-3:]  # step_12/train/effective
    # Any other folder is a run, and `test_run` no split of one.
    splits = [part for part in (given.resolve().name, *path.relative_to(given).parts)[-2:] if is_structure(part)]
    for entry in sorted(path.iterdir(), key=natural):
        if entry.name.startswith((".", "_")):
            if kind_by_name(entry) or (entry.name[0] == "_" and entry.is_dir()):
                passed.append(entry)
        elif entry.is_dir():
            # A link may lead round in a circle; a run may hold a hundred checkpoints of gigabytes.
            if entry.is_symlink() or _is_analysis(entry) or _is_checkpoint(entry):
                passed.append(entry)
            else:
                yield from _below(entry, given, passed)
        elif MISSING.fullmatch(entry.name):
            passed.append(entry)
        elif entry.is_file() and kind_by_name(entry):
            name = stem(entry)
            step, split = step_of_path(folders, name), split_of_path(splits, name)
            yield Source(entry, str(entry), step=step, split=split), path.relative_to(given).parts


def _run_of_shard(path: Path, shards: dict[Path, set[str]]) -> str:
    """The run that the name of a file tells, where files of several runs lie in its folder."""
    return _named_run(path) if len(shards[path.parent]) > 1 else ""


def _named_run(path: Path) -> str:
    if shard := _SHARD.match(path.name):
        return shard[1]
    seed = _SEED.search(path.name)
    return seed[0] if seed else ""


def _effective(files: list[Source]) -> tuple[list[Source], list[Source]]:
    """Of prime-rl's rollouts that arrived (`all`) and those trained on (`effective`) the latter; and the others."""
    trained = {file.path.parent.parent for file in files if file.path.parent.name == "effective"}
    arrived = [f for f in files if f.path.parent.name == "all" and f.path.parent.parent in trained]
    return [file for file in files if file not in arrived], arrived


def _left_out(arrived: Sequence[Source], passed: Sequence[Path], folder: Path) -> Iterator[str]:
    """Say which files of a folder are not read."""
    if arrived:
        names = _listed([source.path for source in arrived], folder)
        yield f"Left out, as the rollouts trained on (effective) lie beside: {names}."
    for gaps in dict.fromkeys(path.parent for path in passed if MISSING.fullmatch(path.name)):
        yield from missing(gaps)
    if others := [path for path in passed if not MISSING.fullmatch(path.name)]:
        yield f"Left out, as hidden, a link, an analysis or a checkpoint: {_listed(others, folder)}."


def _listed(paths: Sequence[Path], folder: Path) -> str:
    names = [str(path.relative_to(folder)) for path in paths]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def _is_analysis(path: Path) -> bool:
    return (path / "summary.json").is_file() and (path / "groups.parquet").is_file()


def _is_checkpoint(path: Path) -> bool:
    """Whether a trainer wrote the folder to go on from: TRL's (DeepSpeed has no `optimizer.pt` there), or ours.

    So is one that transformers loads, whose tokenizer is JSON as a log may be.
    """
    of_trl = path.name.startswith("checkpoint-") and (path / "trainer_state.json").is_file()
    model = (path / "config.json").is_file() and any(path.glob("*.safetensors"))
    adapter = (path / "adapter_config.json").is_file()
    return of_trl or model or adapter or (path / "optimizer.pt").is_file()


def _made_from(analysis: Path) -> str:
    """The log of an analysis, as its summary names it."""
    try:
        files = json.loads((analysis / "summary.json").read_text("utf-8"))["source"]["files"]
        return files[0] + (f" and {len(files) - 1} more" if files[1:] else "")
    except (ValueError, LookupError, TypeError, RecursionError):
        return "rollouts"


def _ready(files: list[Source], run: str) -> list[Source]:
    """The files with run, size, time and method; empty ones are no shards."""
    methods = {folder: method_beside(folder) for folder in {file.path.parent for file in files}}
    stamps = [Stamp(0, 0) if file.pipe else stamp(file.path) for file in files]
    sources = [
        file._replace(run=run, method=methods[file.path.parent], size=now.size, modified=now.modified)
        for file, now in zip(files, stamps, strict=True)
    ]
    return [source for source in sources if source.size or source.pipe] or sources


def _name_apart(runs: list[_Run]) -> list[_Run]:
    """Name runs apart: the folder above where two are called the same, then a number."""
    names = [one.name for one in runs]
    taken: dict[str, int] = defaultdict(int)
    unique = []
    for one in runs:
        name = f"{one.above}/{one.name}" if names.count(one.name) > 1 else one.name
        taken[name] += 1
        unique.append(one._replace(name=name if taken[name] == 1 else f"{name}~{taken[name]}"))
    return unique


def mark_repeated(sources: list[Source]) -> list[Source]:
    """Mark files with the bytes of an earlier one of their run, and runs that are copies of an earlier one.

    Two runs may begin alike, with the same seed and prompts: a file of theirs is kept in both. Only files of equal size
    are looked into.
    """
    sizes = Counter(source.size for source in sources)
    digests = {source.name: _digest(source) for source in sources if source.size and sizes[source.size] > 1}
    marked: list[Source] = []
    of_earlier: dict[bytes, str] = {}
    for _, files in groupby(sources, key=lambda source: source.run):
        run = list(files)
        mine = [digests.get(source.name) for source in run]
        copied = all(digest in of_earlier for digest in mine)
        first = dict(of_earlier) if copied else {}
        for source, digest in zip(run, mine, strict=True):
            marked.append(source._replace(repeats=first.get(digest)) if digest else source)
            if digest:
                first.setdefault(digest, source.name)
        of_earlier |= {digest: name for digest, name in first.items() if digest not in of_earlier}
    return marked


def _digest(source: Source) -> bytes:
    digest = hashlib.sha256()
    with source.open() as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.digest()
