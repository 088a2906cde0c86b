"""A claim whose runs go on over days says how many have their records, until all have."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from grpo_prm.reproduce import run
from grpo_prm.reproduce.claims import REPRODUCED, Evidence, Finding, Verdict
from grpo_prm.reproduce.jobs import Job
from grpo_prm.reproduce.results import write_results
from grpo_prm.reproduce.run import Options, get_claim, reproduce, running

pytestmark = pytest.mark.slow
RUNS = 4


def one(number: int, gate: str) -> pl.DataFrame:
    """A record; that of the second run waits for a gate to open."""
    while number == 1 and not Path(gate).exists():
        time.sleep(0.02)
    return pl.DataFrame({"number": [number]})


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Of a claim with `RUNS` runs, in the place of bias."""
    jobs = [Job(f"long/{n}", one, {"number": n, "gate": str(tmp_path / "gate")}) for n in range(RUNS)]

    def long_run(plan, seed, run_jobs):
        return Evidence([Finding("", "", "sum", float(sum(r["number"][0] for r in run_jobs(jobs))))], {})

    def decide(findings):
        return Verdict(REPRODUCED, f"{findings[0].mean:g}")

    claim = get_claim("bias")._replace(
        run=long_run, runs=lambda *_: jobs, decide=decide, figures={}, captions={}, always=False
    )
    monkeypatch.setattr(run, "get_claim", lambda _: claim)
    return Options(("bias",), workers=1, out=tmp_path / "out")


def word(options):
    return json.loads((options.out / "claims.json").read_text())["claims"]["bias"]["verdict"]


def test_it_counts_until_all_runs_are_there(options, tmp_path):
    written = []

    def stop(name, *_):
        if name == "long/0":
            raise KeyboardInterrupt

    def write(outcomes):
        write_results(outcomes, options)
        written.append(word(options))

    assert running(options) == ["bias: running: 0 of 4"]
    with pytest.raises(KeyboardInterrupt):
        reproduce(options, stop, write)
    assert written == ["running: 0 of 4", "running: 1 of 4"]
    page = (options.out / "results.md").read_text()
    assert "- Verdict: **running: 1 of 4**. No verdict before all runs have their records" in page
    again = Options(**{**vars(options), "resume": True})
    assert running(again) == ["bias: running: 1 of 4"]
    (tmp_path / "gate").touch()
    (outcome,) = reproduce(again, lambda *_: None, write)
    assert (outcome.verdict.word, outcome.verdict.why) == (REPRODUCED, "6") and word(options) == REPRODUCED
    assert running(again) == []
    del written[:]
    reproduce(again, lambda *_: None, write)
    assert written == [REPRODUCED]  # a folder that is whole is never said to be running


def test_a_part_of_several_machines_leaves_the_count(options):
    half = Options(**{**vars(options), "part": (1, 2)})  # the gate is in the other half
    assert reproduce(half, lambda *_: None, lambda outcomes: write_results(outcomes, options)) == []
    assert word(options) == "running: 2 of 4" and running(half) == ["bias: running: 2 of 4"]


def test_the_other_claims_and_plans_are_never_running(tmp_path):
    for budget in ("quick", "standard"):
        assert running(Options(("training", "overlap", "bias"), budget=budget, out=tmp_path)) == []


def test_the_command_says_the_cost_first_and_what_is_done_when_it_is_interrupted(options, monkeypatch, capsys):
    from grpo_prm_cli import progress
    from grpo_prm_cli.reproduce import reproduce as command

    @contextmanager
    def bar():
        begun.append(capsys.readouterr().err.splitlines())
        yield stop

    def stop(name, *_):
        if name == "long/0":
            raise KeyboardInterrupt

    begun = []
    monkeypatch.setattr(progress, "cost_bar", bar)
    with pytest.raises(KeyboardInterrupt):
        command(["bias"], budget="full", workers=1, out=options.out)
    cost = get_claim("bias").cost(get_claim("bias").plans["full"]) / 60
    assert begun == [[f"bias: about {cost:,.1f} minutes of one core.", "bias: running: 0 of 4"]]
    assert capsys.readouterr().err.splitlines() == ["bias: running: 1 of 4", "go on with the same command and --resume"]
    command(["bias"], budget="full", out=options.out, resume=True, dry_run=True)
    assert capsys.readouterr().out.splitlines()[-1] == "bias: running: 1 of 4"
