"""Measure the speed of grpo-prm and print Markdown: `python benchmarks/run.py [--quick] [PART ...]`.

Times are compared inside one run, since machines differ and are never quiet. A target that was missed is printed as
such; the exit code is 0 all the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from analyze_times import ids_table, many_table, text_table
from forest_times import speed_table, tail_table
from groups_times import groups_table
from start_times import start_table
from train_times import BESIDE, NAMED, overhead_table, packing_table, trl_table
from tree_times import trees_table

PARTS = ("start", "forest", "tail", "groups", "analyze", "text", "many", "trl", "overhead", "packing", "trees")
SHAPES = [(300, 6, 1750), (100, 36, 1750)]
QUICK_SHAPES = [(30, 6, 400), (10, 36, 400)]


def main() -> None:
    """Run the parts that were asked for, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs; ratios mean little")
    parser.add_argument("--long", action=argparse.BooleanOptionalAction, default=True, help="the log of 1 GB as well")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part is called {min(unknown)}; there are {', '.join(PARTS)}")
    if given.quick:
        print("Quick run: the sizes are too small for the targets, which are printed all the same.\n")
    with TemporaryDirectory(prefix="grpo-prm-bench-") as folder:
        for text in tables(given.parts or PARTS, Path(folder), given.quick, given.long):
            print(text, flush=True)


def tables(parts: list[str] | tuple[str, ...], folder: Path, quick: bool, long: bool) -> Iterator[str]:
    """Measure part by part.

    Args:
        parts: Names from `PARTS`.
        folder: Where the invented logs are written; each is removed after use.
        quick: Small sizes, no log of 1 GB.
        long: A log of 1 GB beside that of 256 MB.
    """
    shapes = QUICK_SHAPES if quick else SHAPES
    sizes = [(16, 2)] if quick else [(256, 5), (1024, 3)] if long else [(256, 5)]
    measured = {
        "start": lambda: start_table(3 if quick else 11),
        "forest": lambda: speed_table(shapes),
        "tail": lambda: tail_table(shapes),
        "groups": lambda: groups_table(20 if quick else 300),
        "analyze": lambda: ids_table(folder, sizes),
        "text": lambda: text_table(folder, 2 if quick else 32),
        "many": lambda: many_table(folder, 10 if quick else 400),
        "trl": lambda: trl_table([NAMED] if quick else BESIDE, 1 if quick else 5, 1 if quick else 3),
        "overhead": lambda: overhead_table(3 if quick else 30),
        "packing": lambda: packing_table([0.75] if quick else [0.0, 0.25, 0.5, 0.75, 0.95], 1 if quick else 3),
        "trees": lambda: trees_table(2, 5, 2) if quick else trees_table(20, 100, 10),
    }
    for number, part in enumerate(parts, 1):
        print(f"{number}/{len(parts)} {part}", file=sys.stderr)
        yield measured[part]()


if __name__ == "__main__":
    main()
