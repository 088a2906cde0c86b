"""The records of a claim of days that the repository keeps: they are of its jobs, and the docs tell what is in them."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from grpo_prm.reproduce.jobs import done
from grpo_prm.reproduce.training_crossed import crossed_jobs
from grpo_prm.reproduce.training_pretrained import PRETRAINED
from grpo_prm.reproduce.training_runs import value

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "training-runs" / "runs"
PAGE = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
JOBS = crossed_jobs(PRETRAINED, 0)
ROUNDED = 5.1e-4  # to three digits
STARTS = [pl.read_parquet(path) for path in sorted(KEPT.rglob("warm-*.parquet"))]


def rows():
    """Method to the numbers of its row on the page."""
    table = PAGE.partition("| method | held out")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
    return {name: [float(number) for number in numbers if number] for name, *numbers in cells}


def record(method):
    """Of the first seed at the middle rate, which comes first."""
    name = next(job.name for run, job in JOBS.items() if run.method == method)
    return pl.read_parquet(KEPT / f"{name}.parquet")


def test_they_are_records_of_the_claim_and_the_page_says_how_many():
    kept = done(list(JOBS.values()), KEPT)
    assert kept == len(list(KEPT.rglob("*seed*.parquet"))) > 0, "a record that the claim would make again"
    assert f"running: {kept} of {len(JOBS)}" in PAGE


@pytest.mark.parametrize("method", PRETRAINED.methods)
def test_the_page_has_the_numbers_of_each_record(method):
    own = record(method)
    by_step = own.filter(statistic="accuracy").sort("step")["value"]
    assert len(by_step) == PRETRAINED.sizes["smollm2-products"].steps
    ends = [value(own, f"final_{name}") for name in ("accuracy", "greedy", "passed")]
    assert rows()[method] == pytest.approx([*ends, by_step.mean(), by_step[-10:].mean()], abs=ROUNDED)


def test_the_page_has_the_mean_of_the_starts():
    starts = pl.concat(STARTS)
    assert len(starts) == PRETRAINED.seeds
    assert rows()["before training"] == pytest.approx(
        [starts[name].mean() for name in ("accuracy", "greedy", "passed")], abs=ROUNDED
    )
    assert re.search(r"always saying \"0\" gets \.(\d+)", PAGE)[1] == f"{starts['majority'].mean():.3f}"[2:]
