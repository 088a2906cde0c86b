"""Two processes against one: groups that straddle them, weights, gradients, figures and records."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from integrations.trl_toy import K, saved_model, without_kernel
from polars.testing import assert_frame_equal

pytest.importorskip("trl")
from integrations.trl_rank_cases import CASES, run

from grpo_prm import analyze
from grpo_prm.analysis.alarms import LEAST
from grpo_prm.analysis.group_sums import metric_names

pytestmark = pytest.mark.slow

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"), torch.float64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """What two processes left; a hang ends here."""
    tests = Path(__file__).parents[1]
    known = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    known |= {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    for attempt in range(2):  # gloo loses a connection of its own once in many runs; a rank that fails does so twice
        folder = tmp_path_factory.mktemp(f"ranks{attempt}")
        command = [*TORCHRUN, str(Path(__file__).with_name("trl_rank_cases.py")), model, str(folder)]
        done = subprocess.run(command, env=known, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode == 0 or "gloo/transport" not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def found(folder):
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, model):
    """The same by one process."""
    out = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        without_kernel(patch)
        return out, {name: run(model, out, name) for name in CASES}


def table_of(folder):
    return pl.concat(pl.read_parquet(path) for path in sorted(folder.glob("*.parquet"))).sort("step", "group", "sample")


@pytest.mark.parametrize("name", CASES)
def test_the_weights_are_those_of_whole_groups(found, alone, name):
    one, other = (known[name]["kept"] for known in found)
    expected = alone[1][name]["kept"]
    assert found[0][name]["ranks"] == 2
    assert len(one) == len(other) == len(expected) / 2
    half = CASES[name]["rows"] // 2 * generation_batches(CASES[name])
    both = [row for n in range(0, len(one), half) for part in (one, other) for row in part[n : n + half]]
    for (ids, weights, padding), (same, whole, _) in zip(both, expected, strict=True):
        assert ids == same
        assert weights == pytest.approx(whole, rel=1e-6)
        assert not any(padding)
    if name in ("straddling", "whole"):
        for row, (ids, weights, _) in enumerate(both):
            group = [ids for ids, *_ in both[row // K * K : row // K * K + K]]
            sizes = [sum(other[: t + 1] == ids[: t + 1] for other in group) for t in range(len(ids))]
            assert weights == pytest.approx([1 / size for size in sizes], rel=1e-6)


def generation_batches(case):
    return case.get("steps_per_generation", case.get("gradient_accumulation_steps", 1))


def test_a_rank_may_have_longer_rows(found):
    one, other = (max(len(ids) for ids, *_ in known["straddling"]["kept"][:6]) for known in found)
    assert one != other


# Of a generation for several steps TRL shuffles the rows of each process: other rows make a step.
@pytest.mark.parametrize("name", [name for name in CASES if "several" not in name])
def test_both_train_as_one(found, alone, name):
    one, other = (known[name]["final"] for known in found)
    assert torch.equal(one, other)
    torch.testing.assert_close(one, alone[1][name]["final"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_both_log_the_figures_of_one(found, alone, name):
    one, other = (known[name]["figures"] for known in found)
    assert one == other
    for both, single in zip(one, alone[1][name]["figures"], strict=True):
        assert both == pytest.approx(single, rel=1e-12)
    assert "overlap/path_depth" in one[0]


@pytest.mark.parametrize("name", CASES)
def test_both_record_the_rows_of_one(folder, alone, name):
    ours, single = table_of(folder / name / "rollouts"), table_of(alone[0] / name / "rollouts")
    assert_frame_equal(ours, single, rel_tol=1e-6)
    assert len(list((folder / name / "rollouts").glob("*.rank1-of-2.parquet"))) >= 1


def test_analyze_pools_the_parts_of_both(folder, found):
    for name in CASES:
        training = analyze(folder / name / "rollouts").training
        for step, line in enumerate(found[0][name]["figures"], 1):
            means = dict(training.filter(pl.col("step") == step).select("statistic", "mean").iter_rows())
            means.pop("tokens_per_unique_with_prompt", None)
            logged = {own: line.get(metric) for own, metric in metric_names().items() if own in means}
            assert logged == pytest.approx({own: means[own] for own in logged}, rel=1e-12, abs=1e-12)


def test_an_alarm_stops_both_at_one_step(found):
    one, other = (known["halted"] for known in found)
    assert one == other
    assert one["step"] == math.ceil(LEAST / 3)  # of three groups each, until there is enough to judge
    assert "copies" in [code for code, *_ in one["alarms"]]
