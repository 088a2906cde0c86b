"""The one table of containers, which of them a file is, and its first records."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from ...errors import InputError
from ..chunks import CUT_SHORT, LINE, read_up_to, unpacked
from ..rows.values import Bad
from ..sources import Source
from .container import Container

HEAD = 2 << 20  # bytes by which a log is known
HEAD_RECORDS = 1024
# Asked in this order; each is a module beside this one with a `CONTAINER`. The last takes what no other knows.
CONTAINERS = ("parquet_file", "arrow", "eval_zip", "torch_zip", "table_json", "json_file", "csv_file", "jsonl")


@cache
def containers() -> dict[str, Container]:
    """All containers by name: those of other packages first, so that they can be more special than ours."""
    known = {c.name: c for c in (point.load() for point in entry_points(group="grpo_prm.containers"))}
    for name in CONTAINERS:
        module = import_module(f".{name}", __package__)
        known.setdefault(module.CONTAINER.name, module.CONTAINER)
    return known


def container_of(source: Source) -> Container:
    """The container of a file, by its content."""
    start = _start(source)
    return next(container for container in containers().values() if container.claims(source, start))


def head_records(source: Source) -> tuple[Container, list[Any]]:
    """Container of a file and its first records: those that are objects, where some are; none where it holds none.

    Raises:
        InputError: The file cannot be read.
    """
    container = container_of(source)
    for some in container.open(source, HEAD):
        if values := [record.value for record in some.records if not isinstance(record.value, Bad)]:
            objects = [value for value in values if isinstance(value, dict)]
            return container, (objects or values)[:HEAD_RECORDS]
    return container, []


def why_no_records(source: Source) -> InputError:
    """What is wrong with a file in which `head_records` finds none."""
    for some in container_of(source).open(source, HEAD):
        for record in some.records:
            if isinstance(record.value, Bad):
                if record.value.reason.startswith(CUT_SHORT):
                    return InputError(f"{source.name}: {record.value.reason}. Get the whole file.")
                where = f"{source.name}:{record.line}"
                return InputError(f"{where}: {record.value.reason}. A log holds one JSON object per line.")
    if not source.size:
        return InputError(f"{source.name}: the file is empty. Name a log with at least one row.")
    return InputError(f"{source.name}: no rows. Name a log with at least one row.")


def _start(source: Source) -> bytes:
    """The first bytes of a file, unpacked: a whole line, if it is not too long a one."""
    with source.open() as raw:
        file = unpacked(raw)
        start, fault = read_up_to(file, HEAD)
        while fault is None and b"\n" not in start[-HEAD:] and len(start) < LINE:
            more, fault = read_up_to(file, HEAD)
            if not more:
                break
            start += more
        return start
