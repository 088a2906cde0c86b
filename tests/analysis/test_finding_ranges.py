"""The ranges of the shares that findings are judged by, against resamples that are put together group by group."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from grpo_prm import analyze
from grpo_prm.analysis.clusters import CLUSTER, find_clusters
from grpo_prm.analysis.finding_ranges import SHARES, SPREAD, finding_ranges
from grpo_prm.analysis.whole_log import log_drawn
from grpo_prm.core.interval import RESAMPLES


def groups_of(problems=30, steps=25, seed=1):
    """Some groups a problem and step, which differ in size; log-probabilities in some of them."""
    rng = np.random.default_rng(seed)
    rows = []
    for step in range(steps):
        for problem in rng.permutation(problems)[: rng.integers(1, 6)].tolist():
            k = int(rng.integers(2, 9))
            known = rng.random() < 0.8
            rows.append(
                {"run": "a", "step": step, "prompt_key": f"{problem:03}", "problem": None, "k": k}
                | {"duplicates": int(rng.integers(0, k)), "tool_output": int(rng.integers(0, k + 1))}
                | {"zero_variance": bool(rng.random() < 0.4), "intermediate_proportion": float(rng.random())}
                | {"logprob_spread": float(rng.random()) if known else None, "logprob_shared": 3.0 if known else None}
            )
    return pl.DataFrame(rows, schema_overrides={"problem": pl.String}, infer_schema_length=None)


def baseline_of(groups, seed=2):
    rng = np.random.default_rng(seed)
    steps = groups.select("run", "step").unique(maintain_order=True)
    return steps.with_columns(intermediate_proportion=pl.Series(rng.random(len(steps))))


def ranges_of(groups, baseline=None, seed=7, parts=1):
    cut = len(groups) // parts + 1
    pieces = [groups[n : n + cut] for n in range(0, len(groups), cut)]
    return finding_ranges(pieces, baseline_of(groups) if baseline is None else baseline, find_clusters(pieces), seed)


def resamples(parts, seed):
    """The rows of all clusters of each resample; clusters in the order of their names."""
    rng = np.random.default_rng([seed, len(parts)])
    return [[row for n in rng.integers(0, len(parts), len(parts)) for row in parts[n]] for _ in range(RESAMPLES)]


def by(rows, *names):
    found = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return [found[name] for name in sorted(found)]


def share(rows, top, bottom):
    known = [row for row in rows if row[top] is not None]
    return sum(row[top] for row in known) / sum(1 if bottom == "groups" else row[bottom] for row in known)


def test_shares_are_resampled_by_problem():
    groups = groups_of()
    drawn = resamples(by(groups.to_dicts(), "run", "prompt_key"), 7)
    found = ranges_of(groups)
    for name, (top, bottom) in (SHARES | SPREAD).items():
        ends = np.percentile([share(rows, top, bottom) for rows in drawn], [2.5, 97.5])
        one = found[name]
        assert one.interval.mean == pytest.approx(share(groups.to_dicts(), top, bottom), rel=1e-12), name
        assert (one.interval.low, one.interval.high) == pytest.approx(tuple(ends), rel=1e-9), name
        assert one.interval.n == len({row["prompt_key"] for row in groups.to_dicts() if row[top] is not None}), name


def test_overlap_between_prompts_and_within_is_resampled_by_step():
    groups = groups_of()
    groups = groups.with_columns(intermediate_proportion=pl.when(pl.col("k") > 2).then("intermediate_proportion"))
    baseline = baseline_of(groups)[3:]  # some steps have no pseudo-group
    rows = [row | {"own": row["intermediate_proportion"]} for row in groups.to_dicts()]
    rows += [row | {"other": row["intermediate_proportion"]} for row in baseline.to_dicts()]

    def mean(some, name):
        return np.mean([row[name] for row in some if row.get(name) is not None])

    drawn = [mean(some, "other") / mean(some, "own") for some in resamples(by(rows, "run", "step"), 7)]
    one = ranges_of(groups, baseline)["boilerplate"]
    assert one.interval.mean == pytest.approx(mean(rows, "other") / mean(rows, "own"), rel=1e-12)
    assert (one.interval.low, one.interval.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), rel=1e-9)
    within = {row["step"] for row in rows if row.get("own") is not None}
    assert one.interval.n == min(len(within), 22) >= 20


def test_a_share_is_ranged_as_the_same_statistic_is():
    groups = groups_of()
    of_log = log_drawn([groups], find_clusters([groups], CLUSTER), 3, ("zero_variance",))["zero_variance"]
    assert ranges_of(groups, seed=3)["teaches_nothing"] == of_log


def test_parts_change_nothing():
    groups = groups_of()
    assert ranges_of(groups, parts=4) == ranges_of(groups)


def test_few_problems_have_no_range_and_few_steps_none_of_the_baseline():
    assert ranges_of(groups_of(problems=19)) == {}
    few = ranges_of(groups_of(steps=19))
    assert "boilerplate" not in few and few["copies"].interval.low is not None
    # The groups of some steps may have no proportion.
    groups = groups_of(steps=20)
    lacking = groups.with_columns(intermediate_proportion=pl.when(pl.col("step") > 0).then("intermediate_proportion"))
    ranged, one = (ranges_of(some, baseline_of(groups))["boilerplate"].interval for some in (groups, lacking))
    assert (ranged.n, one.n) == (20, 19) and one.low is one.high is None and one.mean and ranged.low
    assert "boilerplate" not in ranges_of(groups_of(), pl.DataFrame())


def test_what_all_or_no_completions_have_has_a_width_and_a_spread_of_none_has_no():
    groups = groups_of().with_columns(tool_output="k", duplicates=pl.lit(0), logprob_spread=pl.lit(0.0))
    found, n = ranges_of(groups), groups["prompt_key"].n_unique()
    tool, copies, spread = (found[name].interval for name in ("unmasked_tool_output", "copies", "logprob_spread"))
    assert (tool.mean, tool.low, tool.high) == (1.0, pytest.approx(0.025 ** (1 / n)), 1.0)
    assert (copies.mean, copies.low, copies.high) == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / n)))
    assert (spread.low, spread.high) == (0.0, 0.0)


def test_findings_of_a_log_have_the_ranges(tmp_path):
    """Of 40 problems a third teaches nothing and half hold copies; of a log of 10 no finding has a range."""
    rng = np.random.default_rng(0)
    for problems in (40, 10):
        rows = [
            {"step": 0, "uid": f"p{p}", "prompt": f"{p}?", "reward": float(p % 3 > 0 and i % 2)}
            | {"completion": f"{i if p % 2 else i // 2} {p} {rng.integers(9)}" if p % 2 else f"{i // 2} {p}"}
            for p in range(problems)
            for i in range(4)
        ]
        log = tmp_path / f"{problems}.jsonl"
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found = {one["code"]: one for one in analyze(log).summary["verdict"]["findings"]}
        assert {"teaches_nothing", "copies"} <= set(found)
        for code in ("teaches_nothing", "copies"):
            one = found[code]
            if problems == 40:
                assert one["low"] < one["value"] < one["high"]
            else:
                assert one["low"] is one["high"] is None
