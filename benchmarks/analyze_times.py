"""How long `grpo-prm analyze` takes and how much memory, as a whole process without figures."""

from __future__ import annotations

import re
import sys
from itertools import islice
from pathlib import Path
from shutil import rmtree

from invented import id_rows, text_rows, write_log
from processes import Usage, measure
from tables import at_least, at_most, table

MEMORY = 600  # MB
PLAIN = {".jsonl": "read_ndjson", ".parquet": "read_parquet"}
COMMAND = str(Path(sys.executable).with_name("grpo-prm"))


def analyze(log: Path, environment: dict[str, str] | None = None) -> Usage:
    """Run the command on a log; its folder is written beside the log."""
    out = log.with_suffix(".prm")
    used = measure([COMMAND, "analyze", str(log), "--no-figures", "--out", str(out)], environment)
    rmtree(out)  # the next one must not find it
    return used


def plain(log: Path) -> Usage:
    """Do nothing but read the log with polars."""
    return measure([sys.executable, "-c", f"import sys, polars; polars.{PLAIN[log.suffix]}(sys.argv[1])", str(log)])


def ids_table(folder: Path, sizes: list[tuple[float, int]]) -> str:
    """Logs of token ids of some megabytes, each with its number of rounds, beside `polars.read_ndjson`."""
    rows = [_ids_row(folder, megabytes, rounds) for megabytes, rounds in sizes]
    note = (
        "JSON lines with step, group, token ids (800 on average, ids of up to six digits) and reward; 64 groups of 8 a "
        "step, steps in order. Both as whole processes in turn; seconds are the least, memory the most of all rounds."
    )
    head = ["log", "rounds", "polars, s", "analyze, s", "ratio", "target", "polars, MB", "analyze, MB", "target"]
    return table("analyze beside a plain read of the same file", note, head, rows)


def _ids_row(folder: Path, megabytes: float, rounds: int) -> list[str]:
    log = folder / "ids.jsonl"
    write_log(log, id_rows(0, 64, 8, 800), megabytes)
    pairs = [(plain(log), analyze(log)) for _ in range(rounds)]  # in turn: whatever else the machine does hits both
    log.unlink()
    theirs, ours = (min(pair[i].seconds for pair in pairs) for i in (0, 1))
    them, us = (max(pair[i].megabytes for pair in pairs) for i in (0, 1))
    cells = [f"{megabytes:g} MB", str(rounds), f"{theirs:.2f}", f"{ours:.2f}"]
    cells += [f"{ours / theirs:.2f}", at_most(ours / theirs, 1.2)]
    return [*cells, f"{them:.0f}", f"{us:.0f}", at_most(us, MEMORY)]


def canonical_table(folder: Path, megabytes: float, rounds: int) -> str:
    """One log as any trainer's JSON lines and as the canonical table that `convert` makes of it, as both kinds."""
    log = folder / "ids.jsonl"
    write_log(log, id_rows(0, 64, 8, 800), megabytes)
    made = [folder / f"canonical{suffix}" for suffix in (".parquet", ".jsonl")]
    for path in made:
        measure([COMMAND, "convert", str(log), str(path)])
    logs = {"JSON lines, ids": log, "canonical parquet": made[0], "canonical JSON lines": made[1]}
    runs = [[(plain(path), analyze(path)) for path in logs.values()] for _ in range(rounds)]  # in turn, as above
    best = [[min(run[i][which].seconds for run in runs) for which in (0, 1)] for i in range(len(logs))]
    rows = []
    for (name, path), (theirs, ours) in zip(logs.items(), best, strict=True):
        beside = ours / best[0][1]
        target = at_most(beside, 1) if path.suffix == ".parquet" else ""
        size = f"{path.stat().st_size / 1e6:.0f} MB"
        rows.append([name, size, f"{theirs:.2f}", f"{ours:.2f}", f"{ours / theirs:.2f}", f"{beside:.2f}", target])
        path.unlink()
    note = f"The same rows three times; whole processes in turn, the least of {rounds} rounds."
    head = ["log", "size", "polars, s", "analyze, s", "ratio", "beside JSON lines", "target"]
    return table("analyze on canonical logs", note, head, rows)


def text_table(folder: Path, megabytes: float) -> str:
    """A log of text without ids, which is cut into pieces; the progress bar is drawn as on a terminal."""
    log = folder / "text.jsonl"
    write_log(log, text_rows(0, 64, 8, 400), megabytes)
    size = log.stat().st_size / 1e6
    runs = [analyze(log, {"FORCE_COLOR": "1"}) for _ in range(3)]
    log.unlink()
    speed = size / min(run.seconds for run in runs)
    percentages = len(set(re.findall(r"\d+%", runs[-1].stderr)))
    cells = [
        f"{size:.0f} MB",
        f"{speed:.1f}",
        at_least(speed, 5),
        str(percentages),
        f"{max(r.megabytes for r in runs):.0f}",
    ]
    note = "Prompt, completion (400 words on average) and reward; whole processes, the fastest of three."
    return table(
        "analyze on text, in pieces", note, ["log", "MB/s", "target", "percentages shown", "peak, MB"], [cells]
    )


def many_table(folder: Path, steps: int, groups: int = 50, k: int = 8, length: int = 300) -> str:
    """A log of many groups, once."""
    log = folder / "many.jsonl"
    write_log(log, islice(id_rows(0, groups, k, length), steps), float("inf"))
    size = log.stat().st_size / 1e6
    run = analyze(log)
    log.unlink()
    name = f"{steps * groups:,} groups x {k} x {length} tokens, {size:.0f} MB"
    note = f"{steps} training steps of {groups} groups, run once to the end."
    return table("Many groups", note, ["log", "s", "peak, MB"], [[name, f"{run.seconds:.1f}", f"{run.megabytes:.0f}"]])
