"""The example log and the scripts beside it: the log is what they say, and they do what their text says."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import statistics
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import polars as pl
import pytest

import grpo_prm
from grpo_prm.logs.rollouts import ADDED, load

EXAMPLES = Path(__file__).parents[1] / "examples"
LOG = EXAMPLES / "chain.jsonl"
PRETRAINED = EXAMPLES / "smollm2.jsonl.gz"


def script(name):
    """A script of examples/ as a module; `import` would need the folder on the path of every test."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *arguments, cwd):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def rows():
    return [json.loads(line) for line in LOG.read_text().splitlines()]


@pytest.fixture(scope="module")
def groups(rows):
    return [list(group) for _, group in groupby(rows, key=lambda row: row["group"])]


@pytest.fixture(scope="module")
def task():
    return script("chain_task")


@pytest.fixture(scope="module")
def analysis():
    return grpo_prm.analyze(LOG)


def test_the_log_is_a_canonical_table(rows):
    table = load(LOG)
    missing = [name for name in ADDED if name not in rows[0]]  # null columns that the file need not have
    assert table.drop("tokens_from", *missing).columns == [name for name in rows[0] if name != "tokens_from"]
    assert table["tokens"].to_list() == [row["tokens"] for row in rows]
    assert table["reward"].to_list() == [row["reward"] for row in rows]


@pytest.fixture(scope="module")
def answers():
    """The rows of the pretrained model."""
    return [json.loads(line) for line in gzip.decompress(PRETRAINED.read_bytes()).splitlines()]


def test_the_answers_of_the_pretrained_model_are_a_canonical_table(answers):
    assert PRETRAINED.read_bytes()[4:8] == bytes(4)  # no time in the header: the same table gives the same bytes
    assert list(grpo_prm.inspect(PRETRAINED).formats) == ["canonical"]
    table = pl.concat([part.table for part in grpo_prm.read_rollouts(PRETRAINED)])
    assert list(answers[0]) == [name for name in table.columns if name in answers[0]]
    for name in ("task", "group_key", "sample", "tokens", "reward", "truncated"):
        assert table[name].to_list() == [row[name] for row in answers]
    for row in answers:
        assert len(row["logprobs"]) == len(row["tokens"]) <= 64 and max(row["logprobs"]) <= 0
        assert row["truncated"] <= (len(row["tokens"]) == 64)


def test_the_script_makes_the_log_of_the_records_of_the_claim(answers, tmp_path):
    """Two records, in the wrong order, with more completions of a prompt and another temperature beside."""
    whole = pl.DataFrame(answers, infer_schema_length=None).with_columns(mask=pl.lit(None, pl.List(pl.Boolean)))
    more = whole.with_columns(pl.col("sample") + 16, completion=pl.lit("another"))
    records = tmp_path / "a.claims" / "runs" / "overlap"
    records.mkdir(parents=True)
    for name, some in (("T0.75-0to23", pl.col("group") >= 24), ("T0.75-24to47", pl.col("group") < 24)):
        pl.concat([more, whole]).filter(some).write_parquet(records / f"smollm2-{name}.parquet")
    more.write_parquet(records / "smollm2-T1-0to47.parquet")
    printed = run("make_smollm2_log", tmp_path / "a.claims", tmp_path / "log.jsonl.gz", cwd=tmp_path).stdout
    assert gzip.decompress((tmp_path / "log.jsonl.gz").read_bytes()) == gzip.decompress(PRETRAINED.read_bytes())
    assert printed in (EXAMPLES / "README.md").read_text()


def test_readme_quotes_the_counts_of_the_pretrained_model(answers):
    text = (EXAMPLES / "README.md").read_text()
    for task in [*sorted({row["task"] for row in answers}), "all"]:
        rows = [row for row in answers if task in ("all", row["task"])]
        some = [list(group) for _, group in groupby(rows, key=lambda row: row["group_key"])]
        assert {len(group) for group in some} == {16}
        mixed = sum(len({row["reward"] for row in group}) > 1 for group in some)
        copies = sum(16 - len({tuple(row["tokens"]) for row in group}) for group in some)
        right, cut = statistics.fmean(row["reward"] for row in rows), sum(row["truncated"] for row in rows)
        assert f"| {task} | {len(some)} | {mixed} | {right:.3f} | {copies} | {cut} |" in text


@pytest.mark.slow
def test_the_two_logs_are_answered_differently_as_the_readme_says(analysis):
    text = " ".join((EXAMPLES / "README.md").read_text().split())
    codes = []
    for one in (analysis, grpo_prm.analyze(PRETRAINED)):
        knows = one.summary["verdict"]["knows"]
        codes.append(knows["code"])
        auc, reliability = knows["leave_pair_out_auc"], knows["reliability"]
        low, high = auc["null_low"], auc["null_high"]
        order = f"in {100 * auc['mean']:.1f} % of cases"
        luck = f"{100 * auc['null_mean']:.1f} % [{100 * low:.1f}, {100 * high:.1f}], p = {auc['p_value']:g})"
        assert order in text and luck in text
        assert f"{reliability['mean']:.3f} [{reliability['low']:.3f}, {reliability['high']:.3f}]" in text
    assert codes == ["whole_texts", "order_only"]


def test_the_log_has_enough_prompts_for_baseline_and_intervals(groups, analysis):
    for _, some in groupby(groups, key=lambda group: group[0]["step"]):
        assert len({group[0]["prompt"] for group in some}) >= 20
    assert len({group[0]["prompt"] for group in groups}) >= 100
    assert {len(group) for group in groups} == {8}
    assert analysis.training.filter(statistic="baseline_path_depth")["mean"].null_count() == 0
    assert analysis.training.filter(statistic="path_depth")["low"].null_count() == 0


def test_rewards_are_those_of_the_checker(rows, task):
    for row in rows:
        assert row["reward"] == task.reward_answer(row["prompt"], row["completion"])
        assert row["reward/steps"] == round(task.reward_steps(row["prompt"], row["completion"]), 4)
        assert row["truncated"] == (not row["completion"].endswith(task.END))


def test_tokens_decode_to_the_text(rows, task):
    vocabulary = [task.END, *task.DIGITS, *"+-*=;,"]
    for row in rows:
        assert "".join(vocabulary[token] for token in row["tokens"]) == row["completion"]
        assert row["tokens"].count(0) == (not row["truncated"])


def test_logprobs_are_equal_where_the_prefix_is(groups):
    """The sampler's own distribution: the same prefix and the same token have the same log-probability."""
    for group in groups:
        seen = {}
        for row in group:
            assert len(row["logprobs"]) == len(row["tokens"])
            assert max(row["logprobs"]) <= 0
            for t, logprob in enumerate(row["logprobs"]):
                assert seen.setdefault(tuple(row["tokens"][: t + 1]), logprob) == pytest.approx(logprob, abs=2e-5)


def test_advantages_follow_from_the_rewards(groups):
    for group in groups:
        rewards = [row["reward"] for row in group]
        mean, deviation = statistics.fmean(rewards), statistics.stdev(rewards)
        for row in group:
            assert row["advantage"] == pytest.approx((row["reward"] - mean) / (deviation + 1e-4), abs=1e-5)


def test_describe_agrees_with_analyze(groups, analysis):
    overlap = script("describe_chain_log").overlap
    depth, inner, same = zip(*map(overlap, groups), strict=True)
    assert analysis.groups["path_depth"].to_list() == pytest.approx(depth, abs=1e-9)
    assert analysis.groups["intermediate_proportion"].to_list() == pytest.approx(inner, abs=1e-9)
    assert analysis.summary["overlap"]["path_depth"]["mean"] == pytest.approx(statistics.fmean(depth), abs=1e-9)
    assert analysis.summary["overlap"]["intermediate_proportion"]["mean"] == pytest.approx(
        statistics.fmean(inner), abs=1e-9
    )
    alike = [len({tuple(row["tokens"]) for row in group}) for group in groups]
    assert analysis.summary["counts"]["duplicates"] == sum(map(len, groups)) - sum(alike)
    assert sum(same) > 0


def test_readme_quotes_the_table_of_describe(tmp_path):
    printed = run("describe_chain_log", LOG, cwd=tmp_path).stdout
    text = (EXAMPLES / "README.md").read_text()
    assert len(printed.splitlines()) == 11
    for line in printed.splitlines():
        assert line.strip() in text


@pytest.mark.parametrize(
    ("completion", "answer", "steps"),
    [
        ("3+4=7;7*2=4<end>", 1.0, 1.0),
        ("3+4=7,7*2=4<end>", 1.0, 1.0),
        ("3+4=8;8*2=6<end>", 0.0, 0.5),  # the second is right, given the first
        ("3+4=2;2*2=4<end>", 1.0, 0.5),  # right for a wrong reason: the way is not read
        ("3+4=7;7*2=4", 0.0, 1.0),  # does not end by itself
        ("3+4=7<end>", 0.0, 0.5),
        ("3+4=7;7*2=4;4*1=4<end>", 1.0, 2 / 3),
        ("<end>", 0.0, 0.0),
    ],
)
def test_the_checker(completion, answer, steps, task):
    assert task.reward_answer("3+4*2=", completion) == answer
    assert task.reward_steps("3+4*2=", completion) == pytest.approx(steps)


@pytest.mark.slow
def test_in_python_prints_and_draws(tmp_path):
    done = run("in_python", LOG, tmp_path / "figures", cwd=tmp_path)
    assert "path_depth {'mean': " in done.stdout
    assert (tmp_path / "figures" / "overlap_over_training.pdf").read_bytes().startswith(b"%PDF")
    assert len((EXAMPLES / "in_python.py").read_text().splitlines()) <= 25


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="training needs torch")
def test_training_gives_the_same_bytes_whatever_the_threads_outside(tmp_path, monkeypatch):
    few = ("--warm-steps", 4, "--steps", 3, "--every", 2)
    for name, threads in (("one", "1"), ("two", "2")):
        monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", threads)
        run("make_chain_log", "--out", tmp_path / name, *few, cwd=tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    make = script("make_chain_log")
    monkeypatch.setattr(make.torch, "use_deterministic_algorithms", lambda _: None)  # which would stay
    monkeypatch.setattr(
        sys, "argv", ["make_chain_log", "--out", str(tmp_path / "other"), "--seed", "1", *map(str, few)]
    )
    make.main()
    first = (tmp_path / "one").read_bytes()
    assert first == (tmp_path / "two").read_bytes()
    assert first != (tmp_path / "other").read_bytes()
    written = [json.loads(line) for line in first.splitlines()]
    assert {row["step"] for row in written} == {0, 2}
    assert list(written[0]) == list(json.loads(LOG.read_text().partition("\n")[0]))
    assert len(list(tmp_path.iterdir())) == 3
