"""A log of many groups of short completions, as ids: for the times of docs/benchmarks.md.

python benchmarks/many_groups.py FILE --groups 1000000 --k 8 --steps 4000
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

WORDS = 40  # of the vocabulary: completions of one prompt begin alike
LENGTH = 8  # tokens of a completion, at most
STEPS_AT_ONCE = 200


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
    main()
