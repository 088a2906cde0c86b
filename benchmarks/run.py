"""Measure the speed of grpo-prm and print Markdown: `python benchmarks/run.py [--quick] [PART ...]`.

Times are compared inside one run, since machines differ and are never quiet. A target that was missed is printed as
such; the exit code is 0 all the same. A new benchmark is a function that returns `tables.table(...)`, and a line in
`BENCHMARKS`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from analyze_times import canonical_table, ids_table, many_table, text_table
from forest_times import speed_table, tail_table
from groups_times import groups_table
from many_groups import million_table
from nested_times import nested_table
from order_times import order_table, workers_table
from sampler_times import SETTINGS, sampler_table
from start_times import small_table, start_table
from train_times import BESIDE, NAMED, overhead_table, packing_table, trl_table
from tree_times import trees_table
from trl_overhead import trl_overhead_table

SHAPES = [(300, 6, 1750), (100, 36, 1750)]
QUICK_SHAPES = [(30, 6, 400), (10, 36, 400)]


class Run(NamedTuple):
    """What a benchmark is given.

    Attributes:
        folder: Where logs may be written; each is removed after use.
        quick: Small sizes, to see that it runs.
        long: A log of 1 GB beside that of 256 MB.
        beside: Another checkout of this project to compare with.
    """

    folder: Path
    quick: bool
    long: bool
    beside: Path | None = None

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """Groups, k and tokens of the logs in memory."""
        return QUICK_SHAPES if self.quick else SHAPES

    @property
    def sizes(self) -> list[tuple[float, int]]:
        """Megabytes of the logs on the disk, and rounds."""
        return [(16, 2)] if self.quick else [(256, 5), (1024, 3)] if self.long else [(256, 5)]


BENCHMARKS: dict[str, Callable[[Run], str]] = {
    "start": lambda run: start_table(3 if run.quick else 11),
    "small": lambda run: small_table(run.folder, 2 if run.quick else 9),
    "forest": lambda run: speed_table(run.shapes),
    "tail": lambda run: tail_table(run.shapes),
    "groups": lambda run: groups_table(20 if run.quick else 300),
    "analyze": lambda run: ids_table(run.folder, run.sizes),
    "canonical": lambda run: canonical_table(run.folder, *((16, 2) if run.quick else (256, 5))),
    "text": lambda run: text_table(run.folder, 2 if run.quick else 32),
    "nested": lambda run: nested_table(run.folder, *((8, 2) if run.quick else (256, 3))),
    "many": lambda run: many_table(run.folder, 10 if run.quick else 400),
    "million": lambda run: million_table(run.folder, [1000, 2000] if run.quick else [100_000, 1_000_000]),
    "order": lambda run: order_table(run.folder, *((16, 1) if run.quick else (4096, 1))),
    "workers": lambda run: workers_table(run.folder, *((16, 1) if run.quick else (1024, 2))),
    "sampler": lambda run: sampler_table(run.beside, *((4, 1, SETTINGS[:1]) if run.quick else (64, 3, SETTINGS))),
    "trl": lambda run: trl_table([NAMED] if run.quick else BESIDE, 1 if run.quick else 5, 1 if run.quick else 3),
    "overhead": lambda run: overhead_table(3 if run.quick else 30),
    "trl_overhead": lambda run: trl_overhead_table(1 if run.quick else 5),
    "packing": lambda run: packing_table([0.75] if run.quick else [0.0, 0.25, 0.5, 0.75, 0.95], 1 if run.quick else 3),
    "trees": lambda run: trees_table(2, 5, 2) if run.quick else trees_table(20, 100, 10),
}


def main() -> None:
    """Run the benchmarks that were asked for, all without a name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ", ".join(BENCHMARKS)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one or more of {names} (default: all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs; ratios mean little")
    parser.add_argument("--long", action=argparse.BooleanOptionalAction, default=True, help="the log of 1 GB as well")
    parser.add_argument("--beside", type=Path, metavar="DIR", help="another checkout, beside which `sampler` is timed")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(BENCHMARKS):
        parser.error(f"no part is called {min(unknown)}; there are {names}")
    if given.quick:
        print("Quick run: the sizes are too small for the targets, which are printed all the same.\n")
    # Each is printed when it is done: the whole takes long.
    chosen = given.parts or list(BENCHMARKS)
    with TemporaryDirectory(prefix="grpo-prm-bench-") as folder:
        run = Run(Path(folder), given.quick, given.long, given.beside)
        for number, name in enumerate(chosen, 1):
            print(f"{number}/{len(chosen)} {name}", file=sys.stderr)
            print(BENCHMARKS[name](run), flush=True)


if __name__ == "__main__":
    main()
