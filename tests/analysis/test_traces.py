"""Sharing, groups that teach nothing and log-probabilities in summary.json, against the slow definitions."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import oracle
import polars as pl
import pytest
from analysis.test_summary import means, same
from canonical import batch_of
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from made_tokenizers import byte_level
from oracle_sets import Row
from strategies import logs

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.clusters import CLUSTER
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.prompts import PromptLengths
from grpo_prm.core.interval import cluster_sums, resampled_sums
from grpo_prm.errors import UsageError

MADE = ["log", "log", "tokenizer", "tokenizer"]
SECTIONS = ("sharing", "teaching", "logprobs")
NONE = [-math.inf, math.nan, -9999.0, -9984.0, -1e30, 0.1]
VALUES = st.sampled_from([-0.125, -0.5, -2.25, -0.125, -1.0, -740.0, 0.0, *NONE])


def by_name(section):
    """The rows of `by_size` as a dictionary, so that they are compared to rounding."""
    return {**section, "by_size": {row["size"]: row for row in section["by_size"]}} if "by_size" in section else section


@st.composite
def traced(draw):
    """Logs in which some, none or all have log-probabilities of two kinds, with sentinels, and an outcome."""
    log = draw(logs())
    rates = [draw(st.sampled_from([0, 1, 1, 3])) for _ in range(3)]

    def values(row, rate):
        if draw(st.integers(0, 5)) >= 2 * rate:
            return None
        return [float(np.float32(draw(VALUES))) for _ in row.tokens]

    def traces(row):
        outcome = draw(st.sampled_from([0.0, 1.0, 1.0 + 1e-7])) if draw(st.integers(0, 5)) < 2 * rates[2] else None
        parts = {"outcome": outcome, "format": 0.5}
        return replace(row, logprobs=values(row, rates[0]), trainer_logprobs=values(row, rates[1]), parts=parts)

    return [(run, step, key, [traces(row) for row in rows]) for run, step, key, rows in log]


def traced_row(tokens, x, y=None, reward=0.0, mask=None):
    return Row(tokens, mask, reward, None, x, y)


END = [traced_row([1, 2], [-1.0, -2.0], [-1.5, -2.0], 1.0), traced_row([1], [-1.5], [-1.5]), traced_row([], [], [])]
SENTINELS = [
    traced_row([1], [-math.inf], [-1.0], 1.0),
    traced_row([1], [-9999.0], [-1.0]),
    traced_row([2], [-1.0], [-740.0]),
    traced_row([2], [0.1], [-1.0]),
]


@pytest.mark.slow
@settings(max_examples=70)
@given(traced())
@example([("a", 0, "p", END)])
@example([("a", 0, "p", SENTINELS)])
@example([("a", 0, "p", [traced_row([], None), traced_row([], None)])])  # nothing to log is not the same as logged
@example(
    [
        (
            "a",
            0,
            "p",
            [traced_row([1, 2], [-1.0, -1.0], [-700.0, -1.0]), traced_row([1, 3], [-700.0, -1.0], [0.0, -1.0], 1.0)],
        )
    ]
)
def test_all_figures_match_the_definitions(log):
    assume(any(len(rows) > 1 for _, _, _, rows in log))
    outcome = "outcome" if any(row.parts for _, _, _, rows in log for row in rows) else None
    found = analyze([batch_of(log)], Options(outcome=outcome))
    summary, expected = means(found.summary), oracle.summary(log, outcome=outcome)
    for section in SECTIONS:
        same(by_name(summary[section]), by_name(expected[section]), section)
        assert [row["size"] for row in summary["logprobs"]["by_size"]] == list(by_name(expected["logprobs"])["by_size"])
        assert set(summary[section]) == set(expected[section])
        for name, value in summary[section].items():
            plain = name in ("left_out", "gap_left_out")  # counts of what is not there
            assert plain or (value is None) == (name in found.summary["notes"]), name
    same(summary["prm"]["logprob_spread"], expected["prm"]["logprob_spread"])
    json.dumps(found.summary, allow_nan=False)


@pytest.mark.slow
@settings(max_examples=30)
@given(traced())
def test_batches_may_be_cut_between_steps(log):
    assume(any(len(rows) > 1 for _, _, _, rows in log))
    log = sorted(log, key=lambda entry: (entry[0], entry[1] or 0))
    batch = batch_of(log)
    whole = analyze([batch])
    cuts = [part for _, part in batch.table.group_by("run", "step", maintain_order=True)]
    parts = analyze([batch._replace(table=part) for part in cuts])
    for section in SECTIONS:
        same(by_name(parts.summary[section]), by_name(whole.summary[section]), section)


def test_a_log_by_hand():
    """1 is shared by two, then they part: 2 or the end. The third is empty, so the empty root is a decision."""
    found = means(analyze([batch_of([("a", 0, "p", END)])], Options(std="none")).summary)
    assert found["sharing"]["tokens_per_unique"] == 3 / 2
    of = found["logprobs"]
    assert of["surprisal_at_decisions"] == (1 + 1.5 + 2) / 3 and of["surprisal_elsewhere"] is None
    # A of the set of two is 1/6, of the first alone 2/3.
    x, a = np.array([-1.0, -1.5, -2.0]), np.array([1 / 6, 1 / 6, 2 / 3])
    assert of["covariance"] == of["covariance_at_decisions"] == pytest.approx(np.mean((x - x.mean()) * (a - a.mean())))
    assert of["covariance_share_at_decisions"] == pytest.approx(1)
    w = np.exp([-0.5, 0, 0])
    assert of["effective_sample_size"] == pytest.approx(w.sum() ** 2 / (3 * (w**2).sum()))
    assert of["largest_gap"] == 0.5 and [row["size"] for row in of["by_size"]] == ["1", "2"]


def many(groups=40, seed=0):
    rng = np.random.default_rng(seed)
    return [
        ("a", n, f"p{n}", [
            traced_row(rng.integers(0, 2, 6).tolist(), x, y, rng.integers(0, 2))
            for x, y in (-rng.random((6, 2, 6))).tolist()
        ])
        for n in range(groups)
    ]  # fmt: skip


def test_intervals_are_percentiles_of_resampled_prompts():
    """The effective sample size and the covariance of each resample, from the sums of its groups."""
    found = analyze([batch_of(many())], Options(seed=3))
    groups = found.groups
    cluster = groups.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy()

    def resampled(*names):
        return resampled_sums(cluster_sums(groups.select(names).to_numpy().astype(float), cluster), 3).T

    n, w, squares = resampled("gap_tokens", "weight_sum", "weight_squares")
    of = found.summary["logprobs"]
    for name, draws in (
        ("effective_sample_size", w**2 / (n * squares)),
        ("covariance", (lambda n, x, a, xa: xa / n - x / n * a / n)(
            *resampled("logprob_tokens", "logprob_sum", "advantage_sum", "product_sum"))),
    ):  # fmt: skip
        assert (of[name]["low"], of[name]["high"]) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5]))), name
        assert of[name]["low"] < of[name]["mean"] < of[name]["high"] and of[name]["n"] == 40
    few = analyze([batch_of(many(19))]).summary["logprobs"]["covariance"]
    assert (few["low"], few["high"], few["n"]) == (None, None, 19)


def rows_of(rewards, outcome=None):
    return [Row([n], reward=r, parts=None if outcome is None else {"right": o}) for n, (r, o) in
            enumerate(zip(rewards, outcome or rewards, strict=True))]  # fmt: skip


def test_groups_that_teach_nothing_are_told_apart():
    right, wrong, mixed = rows_of([1.0, 1.0]), rows_of([0.0, 0.0]), rows_of([0.0, 1.0])
    log = [("a", 0, str(n), rows) for n, rows in enumerate([right, wrong, wrong, mixed])]
    teaching = analyze([batch_of(log)]).summary["teaching"]
    assert (teaching["all_right"], teaching["all_wrong"], teaching["equal"]) == (1, 2, 0)
    other = analyze([batch_of([*log, ("a", 0, "half", rows_of([0.5, 0.5]))])]).summary
    assert (other["teaching"]["all_right"], other["teaching"]["all_wrong"], other["teaching"]["equal"]) == (
        None,
        None,
        4,
    )
    assert other["notes"]["all_right"] == "the log does not have exactly two rewards"


def test_phantom_advantage_is_of_groups_of_one_outcome():
    """All right, but their lengths were rewarded, too: |a| is 1 in both groups, so half of it teaches the length."""
    log = [
        ("a", 0, "p", rows_of([1.5, 1.0, 0.5, 1.0], [1.0, 1.0, 1.0, 1.0])),
        ("a", 0, "q", rows_of([1.5, 1.0, 0.5, 1.0], [1, 1, 0, 1])),
    ]
    found = analyze([batch_of(log)], Options(outcome="right")).summary
    assert found["teaching"]["phantom_advantage"]["mean"] == 0.5
    assert found["source"]["options"]["outcome"] == "right"
    silent = analyze([batch_of(log)]).summary
    assert silent["teaching"]["phantom_advantage"] is None and "outcome" in silent["notes"]["phantom_advantage"]
    with pytest.raises(UsageError, match=r"no part wrong of the reward\. Its parts: right\."):
        analyze([batch_of(log)], Options(outcome="wrong"))
    with pytest.raises(UsageError, match="no parts of the reward"):
        analyze([batch_of([("a", 0, "p", [Row([1], reward=1.0), Row([2], reward=0.0)])])], Options(outcome="right"))
    with pytest.raises(UsageError, match="outcome is 3"):
        analyze([batch_of(log)], Options(outcome=3))  # ty: ignore[invalid-argument-type]


@pytest.mark.parametrize(
    ("prompt", "made", "length"),
    [
        ("[5, 17, 8]", "log", 3),
        ("[5]", "log", 1),
        ("What is 2 + 2?", "log", math.nan),  # text, and no tokenizer to count it with
        ("[5, 17, 8]", "pieces", 7),
        ("What is 2 + 2?", "pieces", 6),
        ("What is 2 + 2?", "tokenizer", math.nan),  # tokens of which nobody knows how they were made
        (None, "pieces", math.nan),
    ],
)
def test_a_prompt_is_counted_in_the_unit_of_its_completions(prompt, made, length):
    prompts = pl.Series([prompt, "ab", prompt], dtype=pl.String)
    found = PromptLengths().of(prompts, pl.Series([made, "pieces", made]))
    assert found.tolist() == pytest.approx([length, 1, length], nan_ok=True)


def test_prompts_are_counted_with_the_tokenizer_that_was_given(tmp_path):
    byte_level().save(str(tmp_path / "tokenizer.json"))
    found = PromptLengths(str(tmp_path)).of(pl.Series(["xyz", "[1, 2]", "ab", "[1, 2]"]), pl.Series(MADE))
    assert found.tolist() == [
        3,
        2,
        2,
        6,
    ]  # by bytes, or the ids that were logged; of ids made from text the text counts


def test_sharing_with_the_prompt():
    table = batch_of([("a", 0, "p", rows_of([1.0, 0.0])), ("a", 0, "q", END)])
    log = [("a", 0, "p", rows_of([1.0, 0.0])), ("a", 0, "q", END)]
    table = table._replace(table=table.table.with_columns(prompt=pl.lit("[3, 4, 5]")))
    found = means(analyze([table]).summary)["sharing"]
    assert found == oracle.summary(log, prompts=[3, 3])["sharing"]
    assert found["tokens_per_unique_with_prompt"] == (2 * 4 + 3 * 3 + 3) / (3 + 2 + 3 + 2)
