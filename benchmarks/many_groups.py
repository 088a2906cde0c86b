"""Logs of very many groups of short completions: does time grow with the groups and no faster, and does memory stay?

As a script it writes such a log: `python benchmarks/many_groups.py FILE --groups 1000000 --k 8 --steps 4000`.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import NamedTuple

import numpy as np
import polars as pl
from analyze_times import COMMAND, analyze, plain
from processes import Usage
from tables import at_most, table

WORDS = 40  # of the vocabulary: completions of one prompt begin alike
LENGTH = 8  # tokens of a completion, at most
STEPS_AT_ONCE = 200
STEP = 250  # groups of a training step
TARGET = 60.0  # seconds of a million groups of eight beyond reading, on two cores
MEMORY = 1000  # MB
POINTS = 10  # of the memory curve


def write(file: Path, groups: int, k: int, steps: int, seed: int = 0) -> None:
    """Write a log of `groups` groups of `k`, each of a prompt of its own, spread evenly over `steps` steps."""
    rng = np.random.default_rng(seed)
    step_of = np.arange(groups) * steps // groups
    # Parts of whole steps, so that the memory of this script is bounded too.
    cuts = np.searchsorted(step_of, np.arange(0, steps + STEPS_AT_ONCE, STEPS_AT_ONCE))
    with file.open("wb") as out:
        for begin, end in pairwise(cuts):
            _rows(np.arange(begin, end), step_of[begin:end], k, rng).write_ndjson(out)


def _rows(group: np.ndarray, step: np.ndarray, k: int, rng: np.random.Generator) -> pl.DataFrame:
    rows = len(group) * k
    # Few words near the start, more later: trees branch, and some completions are copies.
    tokens = rng.integers(0, 2 + 2 * np.arange(LENGTH), (rows, LENGTH)) % WORDS
    better = rng.random(rows) < 0.3 + 0.3 * (tokens[:, 1] % 2)
    return pl.DataFrame(
        {
            "step": np.repeat(step, k),
            "prompt": [f"problem {n}: what is {n} times {n % 97}, and why?" for n in group.repeat(k).tolist()],
            "tokens": pl.Series(tokens).cast(pl.List(pl.Int64)),
            "reward": better.astype(np.float64),
            "length": rng.integers(3, LENGTH + 1, rows),
        }
    ).select("step", "prompt", pl.col("tokens").list.head("length"), "reward")


class _Run(NamedTuple):
    groups: int
    polars: Usage
    ours: Usage

    @property
    def beyond(self) -> float:
        """Microseconds a group beyond what polars needs to read the file."""
        return (self.ours.seconds - self.polars.seconds) / self.groups * 1e6

    @property
    def busy(self) -> float:
        """The same of CPU time, which other work on the machine lengthens less."""
        return (self.ours.cpu - self.polars.cpu) / self.groups * 1e6


def million_table(folder: Path, sizes: Sequence[int], k: int = 8) -> str:
    """Logs of some numbers of groups, each once beside a plain read, and the memory of the largest over time."""
    log, runs = folder / "groups.jsonl", []
    for groups in sizes:
        write(log, groups, k, max(1, groups // STEP))
        runs.append(_Run(groups, plain(log), analyze(log)))
    curve = memory_curve(log)
    log.unlink()
    rows = [
        [
            f"{run.groups:,}",
            f"{run.polars.seconds:.1f}",
            f"{run.ours.seconds:.1f}",
            f"{run.beyond:.0f}",
            at_most(run.beyond, TARGET),
            f"{run.busy:.0f}",
            f"{run.ours.megabytes:.0f}",
            at_most(run.ours.megabytes, MEMORY),
        ]
        for run in runs
    ]
    growth = runs[-1].busy / runs[0].busy
    note = (
        f"Groups of {k}, up to {LENGTH} tokens, {STEP} groups a step, each group a problem of its own. Whole processes "
        "without figures, each once; beyond: less the time of `polars.read_ndjson`, which a million groups may have "
        f"{TARGET:g} s of. A group of the largest log takes {growth:.2f} times the CPU time of one of the smallest "
        f"({at_most(growth, 1.3)}). Memory of the largest at each tenth of its time, MB: "
        f"{', '.join(f'{megabytes:.0f}' for megabytes in curve)}."
    )
    head = [
        "groups",
        "polars, s",
        "analyze, s",
        "beyond, µs a group",
        "target",
        "CPU, µs a group",
        "peak, MB",
        "target",
    ]
    return table("Groups by the million", note, head, rows)


def memory_curve(log: Path) -> list[float]:
    """Resident memory of `analyze` at each tenth of its time, MB; of the system that has /proc."""
    out = log.with_suffix(".curve.prm")
    process = Popen([COMMAND, "analyze", str(log), "--no-figures", "--out", str(out)], stdout=DEVNULL, stderr=DEVNULL)
    seen: list[float] = []
    watcher = threading.Thread(target=_watch, args=(process, seen))
    watcher.start()
    process.wait()
    watcher.join()
    return [seen[len(seen) * n // POINTS] for n in range(POINTS)] if seen else []


def _watch(process: Popen[bytes], seen: list[float]) -> None:
    status = Path(f"/proc/{process.pid}/statm")
    while process.poll() is None and status.exists():
        try:
            seen.append(int(status.read_text().split()[1]) * 4096 / 1e6)
        except (OSError, IndexError):  # it has just ended
            return
        time.sleep(0.1)


def main() -> None:
    """Write the log that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--groups", type=int, default=100_000)
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--steps", type=int, default=400)
    chosen = parser.parse_args()
    write(chosen.file, chosen.groups, chosen.k, chosen.steps)


if __name__ == "__main__":
    sys.exit(main())
