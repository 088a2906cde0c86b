"""How long `grpo-prm --help` takes beside the imports that any such command line needs."""

from __future__ import annotations

import sys
from pathlib import Path
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
