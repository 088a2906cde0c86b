"""Synthetic logs are what they say: counted by loops over their rows."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from grpo_prm.logs.rollouts import REQUIRED
from grpo_prm.selftest.logs import CHANCE, LOGS, TREE, deciding
from grpo_prm.selftest.synthetic import paths, token_ids

SMALL = {"seed": 3, "groups": 24, "k": 6}


@pytest.fixture(scope="module")
def logs():
    return {name: make(**SMALL) for name, make in LOGS.items()}


def groups_of(log):
    """Rows of each group."""
    groups = {}
    for row in log.rows.iter_rows(named=True):
        groups.setdefault(row["group"], []).append(row)
    return list(groups.values())


def beginnings(group):
    """Prefixes of the texts of a group: prefix to the rows that have it."""
    rows = {}
    for place, row in enumerate(group):
        for n in range(1, len(row["tokens"]) + 1):
            rows.setdefault(tuple(row["tokens"][:n]), []).append(place)
    return rows


@pytest.mark.parametrize("name", LOGS)
def test_counts_are_those_of_the_rows(name, logs):
    log, groups = logs[name], groups_of(logs[name])
    assert set(REQUIRED) <= set(log.rows.columns)
    assert [len(group) for group in groups] == [SMALL["k"]] * SMALL["groups"]
    assert log.truth["groups"] == len(groups) and log.truth["completions"] == len(log.rows)
    texts = [[tuple(row["tokens"]) for row in group] for group in groups]
    assert log.truth["duplicates"] == sum(len(group) - len(set(group)) for group in texts)
    assert log.truth["zero_variance"] == sum(len({row["reward"] for row in group}) == 1 for group in groups)
    masks = log.rows["mask"] if "mask" in log.rows.columns else [None] * len(log.rows)
    assert log.truth["tokens"] == sum(
        len(t) if m is None else sum(m) for t, m in zip(log.rows["tokens"], masks, strict=True)
    )
    assert {len(set(log.rows.filter(step=s)["group"])) for s in range(4)} == {6}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_depends_on_its_seed_alone(name, logs):
    assert LOGS[name](**SMALL).rows.equals(logs[name].rows)
    assert not LOGS[name](**SMALL | {"seed": 4}).rows["tokens"].equals(logs[name].rows["tokens"])


@pytest.mark.parametrize("name", LOGS)
def test_prompts_share_tokens_only_in_boilerplate(name, logs):
    first = [{row["tokens"][0] for row in group} for group in groups_of(logs[name])]
    shared = any(a & b for a, b in combinations(first, 2))
    assert shared == (name == "boilerplate")


@pytest.mark.parametrize("name", LOGS)
def test_texts_differ_where_there_are_no_copies(name, logs):
    assert (logs[name].truth["duplicates"] > 0.1 * len(logs[name].rows)) == (name in ("copies", "noisy_verifier"))
    assert name in ("copies", "noisy_verifier") or logs[name].truth["duplicates"] == 0


def test_paths_choose_as_often_as_they_should():
    chances = [[0.2, 0.5, 0.3], [0.9, 0.0, 0.1]]
    found = paths(np.random.default_rng(0), 2000, 4, chances)
    assert found.shape == (2000, 4, 2)
    for place, chance in enumerate(chances):
        np.testing.assert_allclose(np.bincount(found[..., place].ravel(), minlength=3) / 8000, chance, atol=0.02)


def test_token_ids_by_hand():
    ids = token_ids(np.array([[[0, 1], [1, 1]], [[0, 0], [0, 1]]]), 1, shared=1)
    assert ids.tolist() == [[[0, 4096 + 9, 4096 + 2048], [1, 4096 + 9, 4096 + 2049]],
                            [[0, 8192 + 8, 8192 + 2048], [0, 8192 + 9, 8192 + 2049]]]  # fmt: skip


def test_copies_are_right_by_their_text_and_frequent_ones_more_often():
    by_size = {}
    for group in groups_of(LOGS["copies"]()):
        of_text = {}
        for row in group:
            of_text.setdefault(tuple(row["tokens"]), []).append(row["reward"])
        for rewards in of_text.values():
            assert len(set(rewards)) == 1
            by_size.setdefault(len(rewards) > 1, []).append(rewards[0])
    assert np.mean(by_size[True]) - np.mean(by_size[False]) > 0.2


def test_copies_of_the_noisy_verifier_differ_in_reward():
    pairs = [(a["reward"], b["reward"]) for group in groups_of(LOGS["noisy_verifier"]())
             for a, b in combinations(group, 2) if a["tokens"] == b["tokens"]]  # fmt: skip
    assert np.mean([a == b for a, b in pairs]) == pytest.approx(0.5, abs=0.05)


def test_the_first_token_decides():
    rows = [row for group in groups_of(deciding()) for row in group]
    by_first = {n: np.mean([row["reward"] for row in rows if row["tokens"][0] % 8 == n]) for n in (0, 1)}
    assert [by_first[0], by_first[1]] == pytest.approx(CHANCE, abs=0.05)


def test_the_slope_is_that_of_the_definition():
    """Σ T (R - m)(V - V0) / Σ T (R - m)² in units of the advantage, over sets found as groups of equal prefixes."""
    log, top, bottom = deciding(**SMALL), 0.0, 0.0
    for group in groups_of(log):
        r = np.array([row["reward"] for row in group])
        for prefix, rows in beginnings(group).items():
            if 1 < len(rows) < len(group) and len(set(r)) > 1:
                far = r[rows].mean() - r.mean()
                value = CHANCE[prefix[0] % 8] - sum(CHANCE) / 2
                top += len(rows) * far * value / r.var(ddof=1)
                bottom += len(rows) * far**2 / r.var(ddof=1)
    assert log.truth["slope"] == pytest.approx(top / bottom)


def test_long_completions_are_right_and_nothing_else():
    rows = [row for group in groups_of(LOGS["length"]()) for row in group]
    assert {len(row["tokens"]) for row in rows} == set(range(len(TREE) + 1, len(TREE) + 21))
    for row in rows:
        assert row["reward"] == (len(row["tokens"]) > 16) and len(row["tokens"]) > len(TREE)


def spread(log, column):
    """Largest difference of a column among rows that share a prefix, over all prefixes."""
    most = 0.0
    for group in groups_of(log):
        for prefix, rows in beginnings(group).items():
            values = [group[j][column][len(prefix) - 1] for j in rows]
            most = max(most, max(values) - min(values))
    return most


def test_log_probabilities_of_shared_steps(logs):
    assert spread(logs["two_policies"], "logprobs") == pytest.approx(logs["two_policies"].truth["largest_spread"])
    assert spread(logs["two_policies"], "logprobs") == pytest.approx(np.log(0.5 / 0.3))
    for name in ("healthy", "stale_sampler"):
        assert spread(logs[name], "logprobs") == 0 and spread(logs[name], "trainer_logprobs") == 0


def test_the_stale_sampler_is_as_far_as_it_says(logs):
    log = logs["stale_sampler"]
    flat = {name: np.concatenate([np.array(x, np.float32) for x in log.rows[name]]).astype(float)
            for name in ("logprobs", "trainer_logprobs")}  # fmt: skip
    w = np.exp(flat["trainer_logprobs"] - flat["logprobs"])
    assert log.truth["effective_sample_size"] == pytest.approx(sum(w) ** 2 / (len(w) * sum(w * w)))
    assert log.truth["effective_sample_size"] < 0.9
    assert log.truth["largest_gap"] == pytest.approx(max(abs(np.log(w))))
    assert logs["healthy"].rows["trainer_logprobs"].equals(logs["healthy"].rows["logprobs"], check_names=False)


def test_only_the_form_differs_in_format_only(logs):
    assert logs["format_only"].outcome == "answer"
    answers = Counter()
    for group in groups_of(logs["format_only"]):
        (answer,) = {row["reward/answer"] for row in group}
        answers[answer] += 1
        assert {row["reward/form"] for row in group} == {0.0, 1.0}
        assert all(row["reward"] == row["reward/answer"] + 0.5 * row["reward/form"] for row in group)
    assert answers[0.0] > 3 and answers[1.0] > 3


def test_constant_groups(logs):
    rewards = Counter(group[0]["reward"] for group in groups_of(logs["constant"]))
    assert logs["constant"].truth["all_right"] == rewards[1.0] and logs["constant"].truth["all_wrong"] == rewards[0.0]
    assert logs["constant"].truth["zero_variance"] == SMALL["groups"] and min(rewards.values()) > 3


def test_mixed_prompts_and_only_they_are_mixed(logs):
    for name, log in logs.items():
        prompts = {len({row["prompt"] for row in group}) for group in groups_of(log)}
        assert prompts == ({2} if name == "mixed_prompts" else {1})


def test_tool_output_in_and_out_of_the_loss(logs):
    for row in logs["tool_output"].rows.iter_rows(named=True):
        words = row["completion"].split(" ")
        assert words[3:6] == ["<tool_response>", "42", "</tool_response>"] and len(words) == len(row["tokens"])
    assert "mask" not in logs["tool_output"].rows.columns
    masked = logs["masked_tool_output"].rows
    assert masked["tokens"].equals(logs["tool_output"].rows["tokens"])
    assert all([n for n, m in enumerate(mask) if not m] == [3, 4, 5] for mask in masked["mask"])
    with_tool = [name for name, log in logs.items() if "<tool" in "".join(log.rows["completion"])]
    assert with_tool == ["tool_output", "masked_tool_output"]
