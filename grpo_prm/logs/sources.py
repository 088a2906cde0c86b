"""One file of a log: what its path says of it, and what its ending promises."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ..errors import InputError
from .pipes import Pipe
from .spans import Span

SUFFIXES = {
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet",
    ".arrow": "arrow", ".eval": "eval_zip", ".pt": "torch_zip",
}  # fmt: skip
PACKED = (".gz", ".zst", ".bz2", ".xz")
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
        run: Name of its run; empty: that of the folder which it was found in.
        size: Bytes on disk; filled in when the file is found.
        repeats: Name of an earlier file with the same bytes, else None.
        method: What its run was trained with, as the run folder says; None where it says nothing.
        step: Training step that its path names; None where it names none.
        split: `train` or `eval`, where its path says which; else None.
        named: The user named the file itself, not a folder above it.
        pipe: What is read instead of the path, where it is a pipe, or a part of a file.
        memory: Bytes that reading may plan with, as the user grants them; None: as the machine does (`bounds`).
        left_out: Sentences on what lies beside the files of the run and is not read; the first file has them.
        until: Bytes of a file that grows which are read; None: all.
        since: Of these the bytes whose rows were read before (`growing_steps`), a whole file where it is `size`: they
            tell what the columns mean, and give no rows.
        modified: Time of its last change in ns, when its size was looked at; no more bytes than those are read. 0: any.
    """

    path: Path
    name: str
    run: str = ""
    size: int = 0
    repeats: str | None = None
    method: str | None = None
    step: int | None = None
    split: str | None = None
    named: bool = False
    pipe: Pipe | Span | None = None
    memory: int | None = None
    left_out: tuple[str, ...] = ()
    until: int | None = None
    since: int = 0
    modified: int = 0

    def open(self) -> BinaryIO:
        """The file from its first byte; a pipe too, as long as what was read of it is kept."""
        try:
            if self.pipe:
                return self.pipe.open()
            # Whatever is written behind that end meanwhile is not read: every pass sees the same bytes.
            end = self.size if self.until is None and self.modified else self.until
            return self.path.open("rb") if end is None else Span(self.path, 0, end).open()
        except OSError as error:
            raise InputError(f"{self.name}: cannot be read ({error.strerror}). Check who may read it.") from None


def rest_of(source: Source) -> Source | None:
    """What is to be read for rows: the file, or what is new of one that grows; None where nothing is."""
    if not source.since:
        return source
    rest = source.size - source.since
    return source._replace(pipe=Span(source.path, source.since, source.size), size=rest) if rest > 0 else None


def kind_by_name(path: Path) -> str | None:
    """Kind of container that a name promises (`jsonl`, `json`, `csv`, `parquet`), packed or not; None for others."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def family(source: Source) -> str:
    """What files of a run have in common whose names differ in numbers and hashes only: folder and name."""
    return re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", str(source.path))


def stem(path: Path) -> str:
    """The name without its endings, of which there may be two: log.jsonl.gz."""
    name = path.name
    while Path(name).suffix.lower() in {*SUFFIXES, *PACKED}:
        name = Path(name).stem
    return name or path.name


def natural(path: Path) -> tuple[tuple[int, str], ...]:
    """Sort key by which step2 comes before step10."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name))


def method_beside(folder: Path) -> str | None:
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
