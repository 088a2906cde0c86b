"""What a container makes of a file."""

from grpo_prm.logs.containers.registry import container_of
from grpo_prm.logs.sources import Source


def source_of(path):
    return Source(path, str(path), "run", path.stat().st_size)


def records_of(path, container, size=1 << 20):
    """All records of a file, whose container must be that one."""
    source = source_of(path)
    assert container_of(source).name == container
    return [record for some in container_of(source).open(source, size) for record in some.records]


def values_of(path, container, size=1 << 20):
    return [record.value for record in records_of(path, container, size)]
