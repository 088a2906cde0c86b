"""Files that are no logs, known by their first bytes: what each is, and what to give instead."""

from __future__ import annotations

import re

ROLLOUTS = "a log of rollouts (JSON lines, JSON, CSV, parquet or arrow)"
_MODEL = "the weights of a model, not rollouts", f"Give {ROLLOUTS} that the training run wrote"
_PICTURE = "a picture, not rollouts", f"Give {ROLLOUTS}"
_SHEET = "a spreadsheet or an Office document, not a log", "Save the sheet as CSV, and give that"
_ARRAYS = "arrays of numbers without names of columns", f"Give {ROLLOUTS}"
_ARCHIVE = "an archive of a kind that is not read", "Unpack it, and give the log that is in it"
_EVENTS = "curves of TensorBoard, not rollouts", f"Give {ROLLOUTS}; TensorBoard keeps only numbers of the whole step"
_WANDB = (
    "the event file of a W&B run, not rollouts",
    "Give the tables of the run, files/media/table/*.table.json beside it",
)
# First bytes to what the file is, and what to do.
_MAGIC: tuple[tuple[bytes, tuple[str, str]], ...] = (
    *((magic, _PICTURE) for magic in (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM6", b"II*\x00", b"MM\x00*")),
    (b"%PDF", ("a PDF, not rollouts", f"Give {ROLLOUTS}")),
    (b"SQLite format 3\x00", ("a SQLite database", "Export its table of completions as CSV, and give that")),
    (b"\x89HDF", _ARRAYS),
    (b"\x93NUMPY", _ARRAYS),
    (b"GGUF", _MODEL),
    (b"\xd0\xcf\x11\xe0", _SHEET),
    *((magic, _ARCHIVE) for magic in (b"7z\xbc\xaf", b"Rar!")),
    *((magic, ("a program, not a log", f"Give {ROLLOUTS}")) for magic in (b"\x7fELF", b"MZ\x90\x00")),
    (b":W&B", _WANDB),
    *(
        (magic, ("a table of a kind that is not read", "Write it as parquet"))
        for magic in (b"ORC", b"Obj\x01", b"FEA1")
    ),
    (
        b"version https://git-lfs",
        ("a pointer of Git LFS: the file itself was not fetched", "Run git lfs pull where it came from"),
    ),
)
_WEIGHT = re.compile(rb"([\x01-\xff])(?:\0\0\0)?([\w.]*(?:\.weight|param_groups))", re.DOTALL)  # length, text
_ZIPPED = ((b"[Content_Types].xml", _SHEET), (b"xl/", _SHEET), (b"word/", _SHEET), (b".npy", _ARRAYS))
# Bytes that a container knows (\x80: a pickle), or that say how the bytes after them are packed: never refused here.
_KNOWN = (
    b"\x80",
    b"PAR1",
    b"ARROW1",
    b"\xff\xff\xff\xff",
    b"PK",
    b"\x1f\x8b",
    b"\x28\xb5\x2f\xfd",
    b"BZh",
    b"\xfd7zXZ",
)
_ROWS = re.compile(rb"^[ \t]*[\[{]", re.MULTILINE)
_LINES = re.compile(r"\.(csv|tsv|jsonl|ndjson)(\.\w+)?$", re.IGNORECASE)  # text that is judged line by line
_PACKINGS = {"gz": "gzip", "tgz": "gzip", "zst": "zstd", "bz2": "bzip2", "xz": "xz"}
_TAR = slice(257, 262)


def refusal_of_bytes(start: bytes, name: str) -> str | None:
    """Why a file is no log, and what to give instead; None where it may be one.

    Args:
        start: Its first bytes, unpacked: a few hundred are enough, more tell more.
        name: What messages call it.
    """
    found = _binary(start, name) or _text(start, name)
    if found is None:
        return None
    what, instead = found
    packing = packing_of(name)
    return f"{name}: {f'inside the {packing}: ' if packing else ''}{what}. {instead}."


def packing_of(name: str) -> str | None:
    """What a file is packed with, as its name says: `gzip`; None where it says nothing."""
    return _PACKINGS.get(name.lower().rpartition(".")[2])


def _binary(start: bytes, name: str) -> tuple[str, str] | None:
    for magic, said in _MAGIC:
        if start.startswith(magic):
            return said
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _PICTURE
    if "tfevents" in name:
        return _EVENTS
    if start[8:10] == b'{"' and 0 < int.from_bytes(start[:8], "little") < 1 << 30:  # safetensors: length, header
        return _MODEL
    if start[:4] == b"PK\x03\x04":
        return _zipped(start)
    if start.startswith(_KNOWN) or start[:2] in (b"\xff\xfe", b"\xfe\xff") or start[_TAR] == b"ustar":
        return None
    if b"\x00" in start[:4096] and start.lstrip()[:1] not in (b"{", b"["):
        return "a binary file of a kind that is not known, not a log", f"Give {ROLLOUTS}"
    return None


def _zipped(start: bytes) -> tuple[str, str] | None:
    """A zip is read where it holds JSON or the samples of a torch file; other kinds are known by their first names."""
    length = int.from_bytes(start[26:28], "little")
    first = start[30 : 30 + length]
    for part, said in _ZIPPED:
        if part in first:
            return said
    # A file of torch: the names of weights end so, and those of rollouts, or a text about weights, do not.
    modules = b"OrderedDict" in start and b"\x09\0\0\0_metadata" in start  # the state of a module, whatever it holds
    weights = b"_rebuild_" in start and (
        modules or any(found[1][0] == len(found[2]) for found in _WEIGHT.finditer(start))
    )
    return _MODEL if first.endswith(b"data.pkl") and weights else None


def _text(start: bytes, name: str) -> tuple[str, str] | None:
    """A page, or text without a line that could be a record; a table and JSON lines are judged line by line."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    lower = text[:200].lower()
    if lower.startswith((b"<!doctype", b"<html", b"<head", b"<script")):
        what = "a web page (HTML), not a log, as a download that failed or a saved page leaves behind"
        return what, "Download the file itself, or give the log that the page was made from"
    if lower.startswith((b"<?xml", b"<svg")):
        return "XML, not a log", f"Give {ROLLOUTS}"
    if not text or text[:2] in (b"\xff\xfe", b"\xfe\xff") or _LINES.search(name) or _ROWS.search(text):
        return None
    if text.startswith(_KNOWN) or start[_TAR] == b"ustar" or b"\n" not in text.rstrip():
        return None  # of a single line its own fault is said: where it stops being JSON
    shown = text.partition(b"\n")[0][:40].decode("utf-8", "replace").strip()
    return f"text without a record in it (it begins with {shown!r}), not a log", f"Give {ROLLOUTS}"
