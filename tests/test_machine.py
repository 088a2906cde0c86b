"""Cores and memory by the files of Linux, written as versions 1 and 2 of control groups have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from grpo_prm import machine
from grpo_prm.errors import UsageError


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    return tmp_path


def test_a_quota_of_half_a_core(root: Path) -> None:
    write(root, {"proc/self/cgroup": "0::/jobs/one\n", "sys/fs/cgroup/jobs/one/cpu.max": "50000 100000\n"})
    assert machine.cores() == 0.5
    assert machine.free_cores() == 1


def test_the_tightest_of_all_groups_holds(root: Path) -> None:
    write(
        root,
        {
            "proc/self/cgroup": "0::/jobs/one\n",
            "sys/fs/cgroup/jobs/one/cpu.max": "max 100000\n",
            "sys/fs/cgroup/jobs/cpu.max": "300000 100000\n",
        },
    )
    assert machine.cores() == 3


def test_version_1_and_a_path_of_the_host(root: Path) -> None:
    write(
        root,
        {
            "proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(8 << 30),
            "sys/fs/cgroup/memory/memory.usage_in_bytes": str(3 << 30),
            "sys/fs/cgroup/memory/memory.stat": f"cache 1\ninactive_file {1 << 30}\n",
            "proc/meminfo": f"MemTotal: {64 << 20} kB\nMemAvailable: {60 << 20} kB\n",
        },
    )
    assert machine.cores() == 2
    assert machine.memory() == machine.SHARE * (6 << 30)


def test_load_leaves_fewer_cores(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for load, free in ((0.0, 8), (4.0, 4), (40.0, 1)):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        assert machine.free_cores() == free


def test_without_limits_the_machine_counts(root: Path) -> None:
    write(root, {"proc/meminfo": f"MemAvailable: {10 << 20} kB\n"})
    assert machine.memory() == 5 << 30
    assert machine.cores() == 8


@pytest.mark.parametrize(("text", "size"), [("2G", 2 << 30), ("1.5GiB", 3 << 29), ("800 mb", 800 << 20)])
def test_sizes(text: str, size: int) -> None:
    assert machine.memory_of(text) == size


@pytest.mark.parametrize("text", ["much", "-1G", "1M", "0"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError):
        machine.memory_of(text)


def ticks(*cores: tuple[int, int]) -> str:
    """Lines of /proc/stat from busy and idle ticks of each core."""
    return "cpu 1 2 3\n" + "".join(f"cpu{n} {b} 0 0 {i} 0 0 0 0 0 0\n" for n, (b, i) in enumerate(cores))


@pytest.mark.parametrize(
    ("after", "free"),
    [
        (ticks((0, 20), (0, 20), (0, 20), (0, 20)), 2),  # the last two cores are not ours
        (ticks((0, 20), (20, 0), (0, 20), (0, 20)), 1),
        (ticks((20, 0), (20, 0), (0, 20), (0, 20)), 1),  # nothing is free, and one works all the same
    ],
)
def test_free_cores_are_those_that_idle_now(root: Path, monkeypatch: pytest.MonkeyPatch, after: str, free: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0) if free == 1 else (99.0, 0.0, 0.0))
    write(root, {"proc/stat": ticks(*[(0, 0)] * 4)})
    monkeypatch.setattr(machine.time, "sleep", lambda _: write(root, {"proc/stat": after}))
    assert machine.free_cores() == free
