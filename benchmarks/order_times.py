"""What the order of a log costs, and what workers gain: `grpo-prm analyze` as whole commands without figures."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree

import numpy as np
from analyze_times import COMMAND
from invented import id_rows, write_log
from processes import Usage, measure
from tables import at_least, at_most, table

SHUFFLED, MEMORY = 2.5, 1000  # times a log in order; MB
FASTER, RAY = 1.6, 1.4  # two workers against one; Ray against processes


def order_table(folder: Path, megabytes: float, rounds: int) -> str:
    """One log in the order of its steps, and its rows wholly shuffled."""
    ordered, mixed = folder / "ids.jsonl", folder / "shuffled.jsonl"
    write_log(ordered, id_rows(0, 64, 8, 800), megabytes)
    shuffle(ordered, mixed)
    pairs = [(_analyze(ordered), _analyze(mixed)) for _ in range(rounds)]
    ordered.unlink()
    mixed.unlink()
    one, other = (min(pair[i].seconds for pair in pairs) for i in (0, 1))
    most = [max(pair[i].megabytes for pair in pairs) for i in (0, 1)]
    note = "JSON lines with step, group, token ids and reward; 64 groups of 8 a step. In turn; the least of all rounds."
    head = ["log", "in order, s", "shuffled, s", "ratio", "target", "in order, MB", "shuffled, MB", "target"]
    cells = [f"{megabytes:g} MB", f"{one:.1f}", f"{other:.1f}", f"{other / one:.2f}", at_most(other / one, SHUFFLED)]
    return table(
        "A log in order and shuffled", note, head, [[*cells, *(f"{m:.0f}" for m in most), at_most(most[1], MEMORY)]]
    )


def workers_table(folder: Path, megabytes: float, rounds: int) -> str:
    """One log by no, one and two workers, and by two of Ray where that is installed."""
    log = folder / "ids.jsonl"
    write_log(log, id_rows(0, 64, 8, 800), megabytes)
    ways = {"one process": [], "1 worker": ["--workers", "1"], "2 workers": ["--workers", "2"]}
    if importlib.util.find_spec("ray"):
        ways["2 of Ray"] = ["--workers", "2", "--engine", "ray"]
    every = [{name: _analyze(log, more) for name, more in ways.items()} for _ in range(rounds)]
    log.unlink()
    seconds = {name: min(one[name].seconds for one in every) for name in ways}
    cpu = {name: min(one[name].cpu for one in every) for name in ways}
    rows = []
    for name in ways:
        times, target = "", ""
        if name == "2 workers":
            ratio = seconds["1 worker"] / seconds[name]
            times, target = f"{ratio:.2f} times as fast as 1", at_least(ratio, FASTER)
        if name == "2 of Ray":
            ratio = seconds[name] / seconds["2 workers"]
            times, target = f"{ratio:.2f} times as long as 2 processes", at_most(ratio, RAY)
        mb = megabytes / cpu[name] if name != "2 of Ray" else None  # whose workers are not children of the command
        rows.append([name, f"{seconds[name]:.1f}", times, target, "" if mb is None else f"{mb:.0f}"])
    note = f"{megabytes:g} MB of JSON lines as above. In turn; the least of all rounds."
    return table("Workers", note, ["", "s", "", "target", "MB a core-second"], rows)


def shuffle(log: Path, out: Path, seed: int = 0) -> None:
    """Write the lines of a log in random order."""
    data = np.memmap(log, np.uint8, "r")
    ends = np.concatenate([
        begin + np.flatnonzero(data[begin : begin + (64 << 20)] == ord("\n")) for begin in range(0, len(data), 64 << 20)
    ])  # fmt: skip
    starts = np.append(0, ends[:-1] + 1)
    with out.open("wb") as file:
        for line in np.random.default_rng(seed).permutation(len(ends)).tolist():
            file.write(data[starts[line] : ends[line] + 1].tobytes())


def _analyze(log: Path, more: Sequence[str] = ()) -> Usage:
    out = log.with_suffix(".prm")
    used = measure([COMMAND, "analyze", str(log), "--no-figures", "--out", str(out), *more])
    rmtree(out)
    return used
