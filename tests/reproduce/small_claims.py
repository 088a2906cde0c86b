"""Run claims at small plans from the command line: `python small_claims.py OUT WORKERS [--resume]`."""

from __future__ import annotations

import sys
from pathlib import Path

from grpo_prm.reproduce import binary_tree, defect, run
from grpo_prm.reproduce.results import write_results

SMALL = {
    "defect": defect.Plan(2_000),
    "binary-tree": binary_tree.Plan(3, 3, networks=1, hardest=3, elsewhere=2, steps=20),
}


def main(out: Path, workers: int, resume: bool) -> None:
    """Two claims, many runs."""
    options = run.Options(tuple(SMALL), workers=workers, out=out, resume=resume)
    for name, plan in SMALL.items():
        run.get_claim(name).plans["quick"] = plan
    run.reproduce(options, lambda *_: None, lambda outcomes: write_results(outcomes, options))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), "--resume" in sys.argv)
