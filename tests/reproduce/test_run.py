"""The same bytes whatever the number of workers, after kill -9 too; a claim that must hold and does not is an error."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import get_args

import polars as pl
import pytest
from reproduce.small_claims import HALT, JOBS, SIGNAL, TOTAL

from grpo_prm.errors import GrpoPrmError, UsageError
from grpo_prm.reproduce import binary_tree, defect, run
from grpo_prm.reproduce.claims import REPRODUCED, Claim, Evidence, Finding, Verdict
from grpo_prm.reproduce.jobs import Job
from grpo_prm.reproduce.results import write_results
from grpo_prm.reproduce.run import CLAIMS, Budget, Options, get_claim, reproduce

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}


def command(out, workers, *more):
    """A process of its own that runs the claims of `small_claims`."""
    return [sys.executable, "-c", "from reproduce.small_claims import main; main()", str(out), str(workers), *more]


def small(out, workers, *more):
    subprocess.run(command(out, workers, *more), check=True, env=ENVIRONMENT, timeout=300)
    return (out / "claims.json").read_bytes()


def records(out):
    """Those that are whole: a worker that is killed while it writes leaves a hidden file."""
    return sorted(path for path in (out / "runs").rglob("*.parquet") if not path.name.startswith("."))


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "one"
    return out, small(out, 1)


def test_two_workers_write_what_one_writes(by_one, tmp_path):
    out, expected = by_one
    assert small(tmp_path / "two", 2) == expected
    names = [path.relative_to(out) for path in records(out)]
    assert len(names) == TOTAL and names == [path.relative_to(tmp_path / "two") for path in records(tmp_path / "two")]
    assert all(pl.read_parquet(out / n).equals(pl.read_parquet(tmp_path / "two" / n)) for n in names)


def test_after_three_kills_it_writes_what_it_would_have_written(by_one, tmp_path):
    """Each time a job that never ends says that it has begun, and the parent is killed."""
    place, more, pipe = tmp_path / "killed", [], tmp_path / "pipe"
    os.mkfifo(pipe)
    for halt in (JOBS // 2, 2 * JOBS - 1, 3 * JOBS + 1):  # in the first round, in the second, in the second claim
        environment = ENVIRONMENT | {HALT: str(halt), SIGNAL: str(pipe)}
        process = subprocess.Popen(command(place, 2, *more), env=environment, process_group=0)
        begun = os.open(pipe, os.O_RDWR)  # the job's open waits for a reader
        assert select.select([begun], [], [], 120)[0], "the job never began"
        os.close(begun)
        assert process.poll() is None
        process.kill()  # the parent alone: its workers have to see it
        process.wait()
        more = ["--resume"]
        assert _gone(process.pid), "workers outlived their parent"
        assert halt - 2 < len(records(place)) < TOTAL  # the other worker had the job before it or after it
    done = {path: path.stat().st_mtime_ns for path in records(place)}
    assert small(place, 1, "--resume") == by_one[1]
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
    assert len(records(place)) == TOTAL


def _gone(group):
    """Whether a process group is empty, soon."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Two real claims on the smallest plans that draw every figure."""
    out = tmp_path_factory.mktemp("whole")
    plans = {"defect": defect.Plan(2_000), "binary-tree": binary_tree.Plan(3, 3, steps=20)}
    options = Options(tuple(plans), workers=1, out=out)
    with pytest.MonkeyPatch.context() as patch:
        real = get_claim
        patch.setattr(run, "get_claim", lambda name: real(name)._replace(plans={"quick": plans[name]}))
        reproduce(options, lambda *_: None, lambda outcomes: write_results(outcomes, options))
    return out


def test_every_result_is_there(whole):
    out = whole
    written = json.loads((out / "claims.json").read_text())
    assert list(written["claims"]) == ["defect", "binary-tree"] and written["budget"] == "quick"
    tree = written["claims"]["binary-tree"]
    counted = tree["intervals"]
    assert counted["judged"] + counted["undecided"] == sum(f["p"] is not None for f in tree["findings"])
    assert counted["judged"] > 0
    for name in (*tree["figures"], *written["claims"]["defect"]["figures"]):
        for suffix in ("pdf", "png", "csv"):
            assert (out / "figures" / f"{name}.{suffix}").stat().st_size > 0
    machine = json.loads((out / "machine.json").read_text())
    assert machine["claims"]["defect"]["seconds"] > 0 and machine["versions"]["numpy"]
    page = (out / "results.md").read_text()
    assert "## What we could not confirm" in page and tree["why"].replace("|", "\\|") in page
    assert machine["date"] in page and "figures/binary_tree.png" in page
    assert "| policy | setting | paper, GRPO |" in page and len(tree["overview"]["rows"]) == 18
    assert written["claims"]["defect"]["overview"] is None and f"2 of {len(CLAIMS)} claims" in page
    latex = (out / "claims.tex").read_text()
    assert latex.count(r"\\") >= 4 and r"\toprule" in latex and "r\\_neg" in latex


def constant(mean, name="defect", always=True):
    """A claim that runs nothing and holds where the mean is above 0."""
    base = get_claim(name)
    return Claim(
        **base._asdict() | {
            "run": lambda *_: Evidence([Finding("", "", "it", mean)], {}),
            "decide": lambda fs: Verdict(REPRODUCED if fs[0].mean > 0 else "not reproduced", "so"),
            "always": always,
        }
    )  # fmt: skip


@pytest.mark.parametrize(("mean", "always", "code"), [(1.0, True, 0), (-1.0, True, 5), (-1.0, False, 0)])
def test_the_exit_code_says_that_a_claim_that_must_hold_did_not(monkeypatch, tmp_path, mean, always, code):
    from grpo_prm_cli.main import app
    from typer.testing import CliRunner

    monkeypatch.setattr(run, "get_claim", lambda name: constant(mean, name, always))
    out = str(tmp_path / "out")
    result = CliRunner().invoke(app, ["reproduce", "defect", "--out", out, "--workers", "1"], catch_exceptions=False)
    assert result.exit_code == code
    assert "defect" in result.stdout and "results.md" in result.stdout
    assert [claim["verdict"] for claim in json.loads(Path(out, "claims.json").read_text())["claims"].values()]


def test_parts_of_the_runs_on_several_machines(monkeypatch, tmp_path):
    """Each part makes its own runs and judges nothing; what comes after them judges, and makes none again."""
    from grpo_prm_cli.main import app
    from typer.testing import CliRunner

    def four_jobs(plan, seed, run_jobs):
        jobs = [Job(f"a/{n}", defect.change_record, {"depth": 4, "groups": 5, "seed": n}) for n in range(4)]
        return Evidence([Finding("", "", "it", float(len(run_jobs(jobs))))], {})

    monkeypatch.setattr(run, "get_claim", lambda name: constant(1.0, name)._replace(run=four_jobs))
    out = tmp_path / "out"

    def command(*more):
        arguments = ["reproduce", "defect", "--out", str(out), "--workers", "1", "--resume", *more]
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    assert "defect: " in command("--dry-run").stdout and not out.exists()
    assert "other parts are still to come" in command("--part", "2/2").stdout
    assert [path.stem for path in sorted((out / "runs" / "a").iterdir())] == ["1", "3"]
    assert not (out / "claims.json").exists()
    before = (out / "runs" / "a" / "1.parquet").stat().st_mtime_ns
    assert "results.md" in command("--part", "1/2").stdout  # the last part finds all the others
    assert json.loads((out / "claims.json").read_text())["claims"]["defect"]["findings"][0]["mean"] == 4
    assert (out / "runs" / "a" / "1.parquet").stat().st_mtime_ns == before
    result = CliRunner().invoke(app, ["reproduce", "--part", "2"])
    assert result.exit_code and "must be like 2/4" in str(result.exception)


def test_the_bar_moves_by_the_costs_of_the_jobs_and_not_beyond_those_of_the_claim(monkeypatch, tmp_path):
    def two_jobs(plan, seed, run_jobs):
        arguments = {"depth": 4, "groups": 5, "seed": 0}
        run_jobs([Job(f"a/{cost}", defect.change_record, arguments, cost) for cost in (2.0, 3.0)])
        return Evidence([Finding("", "", "it", 1.0)], {})

    monkeypatch.setattr(run, "get_claim", lambda name: constant(1.0, name)._replace(run=two_jobs, cost=lambda _: 4.0))
    seen = []
    options = Options(("defect", "bias"), out=tmp_path / "out", workers=1)
    reproduce(options, lambda *at: seen.append(at), lambda _: None)
    assert seen[0] == ("defect", 0.0, 8.0) and seen[3] == ("bias", 4.0, 8.0)
    assert [(done, total) for _, done, total in seen[1:3]] in ([(2.0, 8.0), (4.0, 8.0)], [(3.0, 8.0), (4.0, 8.0)])
    assert seen[4:] == [("a/2.0", 6.0, 8.0), ("a/3.0", 8.0, 8.0)]  # the same jobs, which have records


def test_claims_of_an_earlier_call_stay_on_the_page(monkeypatch, tmp_path):
    monkeypatch.setattr(run, "get_claim", lambda name: constant(1.0, name))
    for name, resume, seed in (("defect", False, 0), ("bias", True, 0)):
        options = Options((name,), out=tmp_path / "out", resume=resume, workers=1, seed=seed)
        reproduce(options, lambda *_: None, lambda outcomes, o=options: write_results(outcomes, o))
    assert list(json.loads((tmp_path / "out/claims.json").read_text())["claims"]) == ["defect", "bias"]
    kept = (tmp_path / "out/claims.json").read_bytes()
    for other in ({"seed": 1}, {"budget": "standard"}, {"seeds": 5}):
        options = Options(("binary-tree",), **{"out": tmp_path / "out", "resume": True, "workers": 1, **other})
        with pytest.raises(UsageError, match=f"was begun with {next(iter(other))}"):
            reproduce(options, lambda *_: None, lambda outcomes, o=options: write_results(outcomes, o))
    assert (tmp_path / "out/claims.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(("defekt",)), "No claim is called defekt.*Did you mean defect"),
        (Options(("defect",), claim_options=(("model", "m"),)), "--model has no place in defect"),
        (Options(("overlap",), claim_options=(("eval_data", ("m",)),)), "--eval-data has no place in overlap"),
        (Options(("openrs-training",), claim_options=(("model", "m"),)), "--model, --data and --eval-data together"),
        (Options(("openrs-training",), claim_options=(("eval_data", ("m",)),)), "--model, --data and --eval-data to"),
        (Options(("openrs",), claim_options=(("model", "m"),)), "--model has no place in openrs"),
        (Options(("overlap",), claim_options=(("logs", ("README.md", "./README.md")),)), "the same log twice"),
        (Options(("defect",), seed=-1), "--seed is -1"),
        (Options(("overlap",), claim_options=(("logs", ("/not/there.jsonl",)),)), "/not/there.jsonl"),
        (Options(("overlap",), claim_options=(("logs", ("-",)),)), "standard input"),
        (Options(("defect",), seeds=5), "--seeds has no place in defect"),
        (Options(("binary-tree",), seeds=2), "--seeds is 2, but must be at least 3"),
        (Options(("defect",), workers=0), "--workers is 0"),
        (Options(("defect",), part=(3, 2)), "--part is 3/2. Give 1/4"),
        (Options(("defect",), claim_options=(("backend", "trl"),)), "--backend has no place in defect"),
        (Options(("openrs-training",), claim_options=(("vllm", True),)), "--vllm is TRL's. Give --backend trl too"),
    ],
)
def test_wrong_usage(options, message, tmp_path):
    with pytest.raises(GrpoPrmError, match=message):
        reproduce(Options(**{**vars(options), "out": tmp_path / "new"}), lambda *_: None, lambda _: None)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("claims", "missing", "message"),
    [
        (["identity"], ["torch"], "identity needs torch. Install it: "),
        (["defect", "openrs-training"], ["peft", "math_verify"], "openrs-training needs math_verify and peft. Inst"),
        (["overlap", "bias"], ["torch", "yaml"], "overlap needs torch and yaml. Install them: "),
        (["overlap", "training"], ["torch"], "overlap, training need torch. Install it: "),
    ],
)
def test_a_missing_extra_is_named_before_anything_runs(monkeypatch, tmp_path, claims, missing, message):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError) as error:
        reproduce(Options(tuple(claims), out=tmp_path / "new"), lambda *_: None, lambda _: None)
    assert str(error.value).startswith(message)
    assert "pip install 'grpo-prm[reproduce]' (in a checkout: pip install '.[reproduce]')" in str(error.value)
    assert str(error.value).endswith(
        "grpo-prm reproduce defect binary-tree bias openrs"
        if "torch" in missing
        else "training bias prm-quality overhead openrs"
    )
    assert not (tmp_path / "new").exists()


def test_the_extra_brings_what_the_claims_need():
    extras = tomllib.loads((TESTS.parent / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["reproduce"] == ["grpo-prm[train]"]
    modules = {"pyyaml": "yaml", "math-verify": "math_verify"}
    names = [requirement.split(">=")[0] for requirement in extras["train"]]
    openrs = get_claim("openrs-training")
    assert sorted(modules.get(name, name) for name in names) == sorted(openrs.needs(openrs.plans["quick"]))
    tree = get_claim("binary-tree")
    assert tree.needs(tree.plans["standard"]) and not tree.needs(tree.plans["quick"])


def test_claims_that_need_no_extra_run_without_it(tmp_path):
    """In a process that has no torch."""
    code = """
import sys
from pathlib import Path
for name in ("torch", "transformers", "accelerate", "safetensors", "yaml", "peft", "math_verify"):
    sys.modules[name] = None
from grpo_prm.reproduce import bias, binary_tree_runs, defect, openrs, run
from reproduce.at_once import at_once
plans = {
    "defect": defect.Plan(500),
    "binary-tree": binary_tree_runs.Plan(2, 3, steps=4),
    "bias": bias.Plan((4,), 500, 50),
    "openrs": openrs.Plan(),
}
for name in run.CLAIMS:
    claim = run.get_claim(name)
    if not claim.needs(claim.plans["quick"]):
        evidence = claim.run(plans.pop(name), 0, at_once(Path(sys.argv[1])))
        for figure, draw in claim.figures.items():
            draw(evidence.tables[figure])
assert not plans, plans
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=ENVIRONMENT, timeout=300)


def test_a_folder_that_cannot_be_made_is_told():
    with pytest.raises(UsageError, match=r"/proc/xx/\S*: cannot be written"):
        reproduce(Options(("defect",), out=Path("/proc/xx")), lambda *_: None, lambda _: None)


def test_a_folder_with_results_is_gone_on_with_only_when_asked(tmp_path):
    (tmp_path / "claims.json").write_text("{}")
    with pytest.raises(UsageError, match="is not empty"):
        reproduce(Options(("defect",), out=tmp_path), lambda *_: None, lambda _: None)
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UsageError, match="is a file"):
        reproduce(Options(("defect",), out=file), lambda *_: None, lambda _: None)


def test_the_help_names_every_claim_in_their_order():
    """It is written out: the command's help must not import what the claims do."""
    from grpo_prm_cli.reproduce import Names

    assert f"Any of {', '.join(CLAIMS)}. " in get_args(Names)[1].help


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_says_what_it_is(name):
    claim = get_claim(name)
    assert claim.name == name and set(claim.plans) == set(get_args(Budget))
    assert claim.says.endswith(".") and claim.rule.endswith(".") and claim.paper.endswith(".")
    costs = [claim.cost(claim.plans[budget]) for budget in get_args(Budget)]
    assert 0 < costs[0] <= costs[1] <= costs[2]
