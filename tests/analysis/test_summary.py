"""Every figure of summary.json against the slow definitions, on invented logs."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import oracle
import pytest
from canonical import batch_of
from hypothesis import assume, example, given, settings
from oracle import Row
from polars.testing import assert_frame_equal
from strategies import logs

import grpo_prm
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.options import Options

SECTIONS = ("overlap", "prm", "defects", "credit")


def means(value):
    """The mean of every {mean, low, high, n}; everything else as it is."""
    if isinstance(value, dict) and {"mean", "low", "high", "n"} <= value.keys():
        return value["mean"]
    if isinstance(value, dict):
        return {name: means(part) for name, part in value.items()}
    return value


def same(found, expected, path=""):
    if isinstance(expected, dict):
        if found is None:
            assert all(part is None for part in expected.values()), path
            return
        for name, part in expected.items():
            same(found[name], part, f"{path}/{name}")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), path
    else:
        assert found == expected, path


def _rewarded(rows):
    return all(row.reward is not None for row in rows)


@pytest.mark.slow
@settings(max_examples=75)
@given(logs())
@example([("a", 0, "p", [Row([], reward=1.0), Row([], reward=0.0)])])  # nothing but empty completions
@example([("a", 0, "p", [Row([1], reward=1.0), Row([1], reward=0.0)])])  # all tokens are the root's
def test_all_figures_match_the_definitions(log):
    assume(any(len(rows) > 1 for _, _, _, rows in log))
    found, expected = means(analyze([batch_of(log)]).summary), oracle.summary(log)
    for section in SECTIONS:
        same(found[section], expected[section], section)
    rewards = [fmean(row.reward for row in rows) for _, _, _, rows in log if len(rows) > 1 and _rewarded(rows)]
    same(found["reward"], fmean(rewards) if rewards else None, "reward")
    observed = found["informativeness"] and found["informativeness"]["observed"]
    same(observed, expected["informativeness"]["observed"], "informativeness")
    same({name: found["counts"][name] for name in expected["counts"]}, expected["counts"], "counts")


@settings(max_examples=40)
@given(logs(advantages=True))
def test_logged_advantages_match_the_definitions(log):
    assume(any(len(rows) > 1 for _, _, _, rows in log))
    found = means(analyze([batch_of(log)], Options(advantage="logged")).summary)
    expected = oracle.summary(log, advantage="logged")
    for section in SECTIONS:
        same(found[section], expected[section], section)
    assert found["counts"]["advantage_mismatch"] == oracle.mismatches([e for e in log if len(e[3]) > 1], "sample")


@pytest.mark.slow
@pytest.mark.parametrize("std", ["population", "none", "batch"])
@settings(max_examples=25)
@given(log=logs())
def test_other_divisors_match_the_definitions(std, log):
    assume(any(len(rows) > 1 for _, _, _, rows in log))
    found = means(analyze([batch_of(log)], Options(std=std)).summary)
    for section in SECTIONS:
        same(found[section], oracle.summary(log, std=std)[section], section)


@pytest.mark.slow
@settings(max_examples=30)
@given(logs(max_groups=6))
def test_batches_may_be_cut_anywhere_between_steps(log):
    assume(any(len(rows) > 1 for _, _, _, rows in log))
    log = sorted(log, key=lambda entry: (entry[0], entry[1] or 0))
    batch = batch_of(log)
    whole = analyze([batch])
    cuts = [part for _, part in batch.table.group_by("run", "step", maintain_order=True)]
    parts = analyze([batch._replace(table=part, counts=type(batch.counts)()) for part in cuts])
    skip = {"counts", "source"}
    one = {name: value for name, value in whole.summary.items() if name not in skip}
    other = {name: value for name, value in parts.summary.items() if name not in skip}
    same(other, one)
    assert_frame_equal(whole.groups, parts.groups)
    assert_frame_equal(whole.samples, parts.samples)
    assert_frame_equal(whole.process_steps.collect(), parts.process_steps.collect())
    assert_frame_equal(whole.completions.collect(), parts.completions.collect())


@settings(max_examples=30)
@given(logs(max_groups=6))
def test_rewards_of_the_groups_table(log):
    several = [[row.reward for row in rows] for _, _, _, rows in log if len(rows) > 1]
    assume(several)
    table = analyze([batch_of(log)]).groups
    # Means that differ in the last bit must not change the order of the pairs.
    found = sorted(zip(table["reward_mean"].round(9), table["reward_std"], strict=True))
    expected = sorted((round(fmean(rewards), 9), stdev(rewards)) for rewards in several)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_without_anything_to_permute_null_and_p_are_null():
    """The text that comes twice is right, the one that comes once is wrong: every permutation is the log itself."""
    rows = [Row([1, 1], reward=1.0), Row([1, 1], reward=1.0), Row([1, 2], reward=0.0), Row([3, 3, 3], reward=0.0)]
    found = analyze([batch_of([("a", 0, f"p{n}", rows) for n in range(30)])])
    summary = found.summary
    for value in (summary["informativeness"], summary["credit"]["inherited"], summary["defects"]["boosted_bad"]):
        assert [value[f"null_{end}"] for end in ("mean", "low", "high")] == [None] * 3
    assert summary["informativeness"]["observed"] > 0 and summary["informativeness"]["p_value"] is None
    assert summary["notes"]["null"].startswith("nothing can be permuted")
    assert found.training["null_mean"].null_count() == len(found.training)
    rows[2] = Row([1, 2], reward=0.5)
    again = analyze([batch_of([("a", 0, f"p{n}", rows) for n in range(30)])]).summary
    assert again["informativeness"]["null_high"] > again["informativeness"]["null_low"] and "null" not in again["notes"]
    assert again["informativeness"]["p_value"] >= 1 / 200


def test_draws_of_one_prompt_are_dealt_apart():
    """Two groups of one run, step and key are two groups: alike in all, their null must vary less than one's."""
    rows = [Row([1, 1], reward=1.0), Row([1, 2], reward=0.0), Row([2, 1], reward=0.5), Row([2, 2], reward=0.0)]

    def width(keys):
        null = analyze([batch_of([("a", 0, key, rows) for key in keys])]).summary["informativeness"]
        return null["null_high"] - null["null_low"]

    assert width("p" * 40) < 0.5 * width("p")


def test_the_null_is_over_the_tokens_that_the_figure_is_over():
    """Its mean is that over all permutations; identical sets count for certainty and not for informativeness."""
    rewards = (1.0, 0.0, 0.0, 2.0, 0.5)
    rows = [Row(ids, reward=r) for ids, r in zip(([1, 1], [1, 2], [2, 2], [2, 2], [3]), rewards, strict=True)]
    found = analyze([batch_of([("a", 0, f"p{n}", rows) for n in range(60)])])
    a = oracle.group_advantages(rewards)
    # Of the three texts that come once two share a first token; the pair of copies keeps its reward.
    expected = fmean(abs(a[i] + a[j]) / 2 for i, j in ((0, 1), (0, 4), (1, 4)))
    assert found.summary["informativeness"]["null_mean"] == pytest.approx(expected, rel=0.02)
    draws = found.permutations["informativeness"]
    assert draws.mean() == pytest.approx(found.summary["informativeness"]["null_mean"]) and draws.std() > 0


@pytest.mark.slow
def test_the_example_log_through_the_command(tmp_path):
    """What `analyze --json` prints for the example, overlap, step rewards and defects, is what the definitions say."""
    path = Path(__file__).parents[2] / "examples" / "chain.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    log = []
    for (run, step, key, _), group in groupby(
        rows, lambda row: [row[n] for n in ("run", "step", "group_key", "group")]
    ):
        logged = [(row, np.float32(row["logprobs"]).tolist()) for row in group]
        log.append((run, step, key, [Row(r["tokens"], r["mask"], r["reward"], r["advantage"], x) for r, x in logged]))
    command = [sys.executable, "-m", "grpo_prm", "analyze", str(path), "--json", "--no-figures", "--out", "out.prm"]
    done = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    found, expected = means(json.loads(done.stdout)), oracle.summary(log)
    for section in SECTIONS:
        same(found[section], expected[section], section)
    same(found["informativeness"]["observed"], expected["informativeness"]["observed"])
    same({name: found["counts"][name] for name in expected["counts"]}, expected["counts"], "counts")


def test_rows_of_one_rollout_are_counted_so_that_rows_add_up(tmp_path):
    rows = [
        {"uid": g, "rollout_id": f"r{g}{k}", "turn": turn, "prompt": "p", "completion": f"say {k} {turn}", "reward": k}
        for g in range(2)
        for k in range(3)
        for turn in range(2)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    counts = grpo_prm.analyze(tmp_path / "log.jsonl").summary["counts"]
    assert counts["rows_read"] == 12 == counts["used"] + counts["rejected"] + counts["rows_joined"]
    assert "groups_joined" not in counts and "groups_merged" not in counts
