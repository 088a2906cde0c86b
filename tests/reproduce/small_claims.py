"""Two claims of tiny jobs, to run in a process of its own and to kill: `main(OUT, WORKERS, [--resume])`.

Jobs are pickled by the name of their module, so it is imported, never run as a script.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from grpo_prm.reproduce import run
from grpo_prm.reproduce.claims import REPRODUCED, Claim, Evidence, Finding, Verdict
from grpo_prm.reproduce.jobs import Job
from grpo_prm.reproduce.paired import difference
from grpo_prm.reproduce.results import write_results

JOBS = 6  # of a round; each claim has two, and the second depends on what the first gave
TOTAL = 4 * JOBS
HALT, SIGNAL = "GRPO_PRM_TEST_HALT", "GRPO_PRM_TEST_SIGNAL"  # a job that never ends, and the pipe in which it says so


class Plan(NamedTuple):
    """How many jobs a round has."""

    jobs: int


def draw_record(number: int, level: float, seed: int) -> pl.DataFrame:
    """A row of random numbers around a level."""
    if os.environ.get(HALT) == str(number):
        with open(os.environ[SIGNAL], "w") as pipe:
            pipe.write("x")
        threading.Event().wait()
    if number % JOBS == 0:
        time.sleep(0.2)  # so that jobs of several workers do not end in the order in which they began
    return pl.DataFrame({"number": [number], "value": [level + np.random.default_rng([seed, number]).normal()]})


def small_claim(name: str, first: int) -> Claim:
    """A claim of two rounds of jobs, numbered from `first` on."""

    def rounds(plan: Plan, seed: int, run_jobs) -> Evidence:
        def one_round(begin: int, level: float) -> list[float]:
            arguments = [{"number": begin + n, "level": level, "seed": seed} for n in range(plan.jobs)]
            records = run_jobs([Job(f"{name}/{a['number']}", draw_record, a) for a in arguments])
            assert [record["number"][0] for record in records] == [a["number"] for a in arguments]
            return [record["value"][0] for record in records]

        before = one_round(first, 0.0)
        after = one_round(first + plan.jobs, float(np.mean(before)))
        table = pl.DataFrame({"k": [6, 36], "way": "a way", "seconds_per_token": [1e-8, 2e-8]})
        return Evidence([difference("", "all", "after - before", after, before)], {"overhead": table})

    def decide(findings: list[Finding]) -> Verdict:
        return Verdict(REPRODUCED, f"{findings[0].mean:.17g}")

    real = run.get_claim("overhead")
    return real._replace(
        name=name, plans={"quick": Plan(JOBS)}, cost=lambda plan: 2.0 * plan.jobs, run=rounds, decide=decide
    )


CLAIMS = {"defect": small_claim("defect", 0), "bias": small_claim("bias", 2 * JOBS)}


def main() -> None:
    """Run both claims as the command does."""
    out, workers, *more = sys.argv[1:]
    run.get_claim = CLAIMS.__getitem__
    options = run.Options(tuple(CLAIMS), workers=int(workers), out=Path(out), resume="--resume" in more)
    run.reproduce(options, lambda *_: None, lambda outcomes: write_results(outcomes, options))
