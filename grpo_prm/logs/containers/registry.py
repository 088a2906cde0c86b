"""The one table of containers, which of them a file is, and its first records."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from ...errors import InputError
from ..bounds import longest_line
from ..chunks import CUT_SHORT, read_up_to
from ..plugins import asked, loaded
from ..refusals import packing_of, refusal_of_bytes
from ..rows.values import Bad
from ..sources import Source, kind_by_name
from ..unpacking import unpacked, unpacks
from .container import Container

HEAD = 2 << 20  # bytes by which a log is known
HEAD_RECORDS = 1024
DEPTH = 100  # levels of a record of the head that are looked at: whoever walks through more needs a deeper stack
# Asked in this order; each is a module beside this one with a `CONTAINER`. The last takes what no other knows.
FROM_THE_END = ("parquet", "eval_zip", "torch_zip")  # of these only the packing that they have inside is read
CONTAINERS = ("parquet_file", "arrow", "eval_zip", "torch_zip", "table_json", "json_file", "csv_file", "jsonl")


@cache
def containers() -> dict[str, Container]:
    """All containers by name: those of other packages first, so that they can be more special than ours."""
    known = {c.name: c for c in loaded("grpo_prm.containers")}
    for name in CONTAINERS:
        module = import_module(f".{name}", __package__)
        known.setdefault(module.CONTAINER.name, module.CONTAINER)
    return known


def container_of(source: Source) -> Container:
    """The container of a file, by its content.

    Raises:
        InputError: A file of another kind than logs: a page, a picture, a model.
    """
    start = _start(source)
    if command := unpacks(start):
        raise InputError(f"{source.name}: packed twice. Unpack it once with {command}, and name what comes out.")
    chosen = next(
        container for container in containers().values() if asked(container.claims, container.name, source, start)
    )
    # What another package claims is its own to judge, and so is text that is a table by its header.
    ours = chosen.name in _ours() and (chosen.name != "csv" or kind_by_name(source.path) == "csv")
    if ours and (refused := refusal_of_bytes(start, source.name)):
        raise InputError(refused)
    if chosen.name in FROM_THE_END and (command := _packed(source)):
        raise InputError(
            f"{source.name}: a {chosen.name} file, which is read from its end, within a packed one."
            f" Unpack it with {command}, and name what comes out."
        )
    return chosen


def _packed(source: Source) -> str | None:
    """The command that unpacks a file; None of one that is not packed."""
    with source.open() as raw:
        return unpacks(raw.read(6))


@cache
def _ours() -> frozenset[str]:
    """Names of the containers of this package."""
    return frozenset(import_module(f".{name}", __package__).CONTAINER.name for name in CONTAINERS)


def head_records(source: Source) -> tuple[Container, list[Any]]:
    """Container of a file and its first records: those that are objects, where some are; none where it holds none.

    Raises:
        InputError: The file cannot be read.
    """
    container, values, size = container_of(source), [], 0
    for some in container.open(source, HEAD):
        values += [record.value for record in some.records if not isinstance(record.value, Bad)]
        size += some.size
        # Whole lines are a little less than what was asked for.
        if values and (2 * size >= HEAD or len(values) >= HEAD_RECORDS):
            break
    objects = [value for value in values if isinstance(value, dict)]
    return container, [shallow(value) for value in (objects or values)[:HEAD_RECORDS]]


def shallow(value: Any, depth: int = DEPTH) -> Any:
    """A JSON value with null in the place of what is nested deeper than that."""
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return None
    inner = value.values() if isinstance(value, dict) else value
    if {dict, list}.isdisjoint(map(type, inner)):
        return value
    made = [shallow(one, depth - 1) for one in inner]
    return dict(zip(value, made, strict=True)) if isinstance(value, dict) else made


def why_no_records(source: Source) -> InputError:
    """What is wrong with a file in which `head_records` finds none."""
    for some in container_of(source).open(source, HEAD):
        for record in some.records:
            if isinstance(record.value, Bad):
                if record.value.reason.startswith(CUT_SHORT):
                    return InputError(f"{source.name}: {record.value.reason}. Get the whole file.")
                where = f"{source.name}:{record.line}"
                packed = f" in what {packing} unpacks" if (packing := packing_of(source.name)) else ""
                return InputError(f"{where}: {record.value.reason}{packed}. A log holds one JSON object per line.")
    if not source.size:
        return InputError(f"{source.name}: the file is empty. Name a log with at least one row.")
    return InputError(f"{source.name}: no rows. Name a log with at least one row.")


def _start(source: Source) -> bytes:
    """The first bytes of a file, unpacked: a whole line, if it is not too long a one."""
    with source.open() as raw:
        file = unpacked(raw)
        start, fault = read_up_to(file, HEAD)
        longest = longest_line(source.memory)
        while fault is None and b"\n" not in start[-HEAD:] and len(start) < longest:
            more, fault = read_up_to(file, HEAD)
            if not more:
                break
            start += more
        return start
