"""End commands at random moments by every signal: no output is lost, nothing is left, and what goes on ends equal.

usage: python tests/killing/run.py [N] [ONLY]     (`make kills N=20 ONLY=analyze`)

N moments a command and signal. Exit 1 if anything failed.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import zlib
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from killing.cases import CASES
from killing.moments import attempt, ready

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
LATEST = 1.05  # of the time of a whole run: some end before the signal comes


say = partial(print, flush=True)


def main(number: int, only: str = "") -> int:
    """Try them all; how many failed."""
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, case in CASES.items():
            if only and name not in only.split(","):
                continue
            prepared = ready(case, Path(folder, name))
            draw = np.random.default_rng(zlib.crc32(name.encode()))
            for one in SIGNALS:
                shares = [(n + draw.random()) * LATEST / number for n in range(number)]
                tried = [attempt(prepared, one, share) for share in shares]
                faults = [(share, fault) for share, of in zip(shares, tried, strict=True) for fault in of.faults]
                over = sum(of.over for of in tried)
                wrong = sum(bool(of.faults) for of in tried)
                failed += wrong
                say(f"{name:<10}{one.name:<9}{number:>4} moments, {over:>3} were over before, {wrong:>3} wrong")
                for share, fault in faults:
                    say(f"    at {share:.3f} of {prepared.seconds:.1f} s: {fault}")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]) if sys.argv[1:] else 20, *sys.argv[2:3])))
