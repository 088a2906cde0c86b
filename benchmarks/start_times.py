"""How long `grpo-prm --help` and `analyze` of a small log take, beside the imports that any such command needs."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from shutil import rmtree
from statistics import median

from processes import measure
from tables import at_most, table


def start_table(rounds: int) -> str:
    """Compare the medians of whole processes that take turns."""
    bare = [sys.executable, "-c", "import typer, rich.console"]
    ours = [str(Path(sys.executable).with_name("grpo-prm")), "--help"]
    # In turn, so that the disk cache and other load are the same for both.
    pairs = [(measure(bare).seconds, measure(ours).seconds) for _ in range(rounds)]
    theirs, mine = (median(pair[i] for pair in pairs) for i in (0, 1))
    ratio = mine / theirs
    cells = [str(rounds), f"{theirs:.3f}", f"{mine:.3f}", f"{ratio:.2f}", at_most(ratio, 3)]
    head = ["rounds", "import typer, rich.console, s", "grpo-prm --help, s", "ratio", "target"]
    return table("Start", "Whole processes in turn, medians.", head, [cells])


def small_table(folder: Path, rounds: int) -> str:
    """Analyse a log of 32 rows, with figures and without, in turn with the imports of polars and numpy.

    Args:
        folder: Where log and analyses are written; they are removed.
        rounds: How often each is timed; the least counts.
    """
    log, out = folder / "small.jsonl", folder / "small.prm"
    rows = ({"step": s, "group": g, "tokens": [1, i % 3, i, g], "reward": i % 2} for s, g, i in _places())
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [str(Path(sys.executable).with_name("grpo-prm")), "analyze", str(log), "--out", str(out)]
    ways = {
        "import polars, numpy": [sys.executable, "-c", "import polars, numpy"],
        "analyze --no-figures": [*command, "--no-figures"],
        "analyze": command,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(measure(way).seconds)
    log.unlink()
    rmtree(out)
    bare, targets = min(times["import polars, numpy"]), {"analyze --no-figures": 1.0, "analyze": 2.5}
    cells = [
        [name, f"{min(t):.2f}", f"{median(t):.2f}", f"{min(t) / bare:.1f}", at_most(min(t), targets.get(name, 99))]
        for name, t in times.items()
    ]
    cells[0][-1] = ""
    load = f"Load of the machine at the end: {os.getloadavg()[0]:.1f}."
    head = ["process", "least, s", "median, s", "least / imports", "target, s"]
    return table("A small log", f"32 rows in 8 groups; whole processes in turn, {rounds} rounds. {load}", head, cells)


def _places() -> list[tuple[int, int, int]]:
    """Step, group and number of each row."""
    return [(step, group, number) for step in range(2) for group in range(4) for number in range(4)]
