"""A pretrained model in the claim about true values: steps, values and their noise against slow definitions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once
from reproduce.test_prm_quality_claim import made_up
from reproduce.test_prm_quality_values import WORDS, exact_value, sampler

from grpo_prm.core.groups import Groups
from grpo_prm.reproduce import overlap_pretrained, prm_quality, prm_quality_smollm2
from grpo_prm.reproduce.claims import Finding, pick
from grpo_prm.reproduce.prm_quality_measures import correlation, moments, noiseless_correlation
from grpo_prm.reproduce.prm_quality_null import CORRELATION, NULL, against_null, shuffled_gaps, word_of
from grpo_prm.reproduce.prm_quality_policies import steps_table
from grpo_prm.reproduce.prm_quality_smollm2 import Plan, draw_steps, prefixes_of, valued
from grpo_prm.reproduce.prm_quality_values import has_ended
from grpo_prm.reproduce.smollm2 import MODEL, TASKS, Asked, Pretrained
from grpo_prm.tasks import Prompt

LIMIT = 4
TREE = [[1, 2, 3], [1, 2, 0], [1, 3, 0], [2, 3, 0], [2, 3, 1], [3, 0]]  # steps of two members or more: 1, 12, 23
REWARDS = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]


def drawn(number=10):
    table = pl.DataFrame({"tokens": TREE + TREE[::-1], "reward": REWARDS + REWARDS})
    every = steps_table(Groups.of(table["tokens"].to_list(), table["reward"].to_numpy(), 6))
    return every, draw_steps(every, table, Plan(steps=number, k=6), 0)


def test_a_drawn_step_has_its_prefix_its_members_and_the_rewards_of_its_group():
    every, found = drawn()
    assert len(found) == len(every) == 6
    for row in found.iter_rows(named=True):
        completions = TREE if row["prompt"] == 0 else TREE[::-1]
        prefix = row["prefix"]
        assert row["members"] == [n for n, tokens in enumerate(completions) if tokens[: len(prefix)] == prefix]
        assert row["rewards"] == REWARDS and len(prefix) == row["end"] and len(row["members"]) == row["size"]
        assert row["reward"] == pytest.approx(np.mean([REWARDS[n] for n in row["members"]]))
    assert sorted(map(tuple, found["prefix"].to_list())) == [(1,), (1,), (1, 2), (1, 2), (2, 3), (2, 3)]


def test_every_step_is_as_likely_as_another():
    every, _ = drawn()
    table = pl.DataFrame({"tokens": TREE + TREE[::-1], "reward": REWARDS + REWARDS})
    counts = np.zeros(6)
    for seed in range(600):
        own = draw_steps(every, table, Plan(steps=2, k=6), seed)
        assert len(own) == 2
        for row in own.iter_rows(named=True):
            counts[row["prompt"] * 3 + ["1", "12", "23"].index("".join(map(str, row["prefix"])))] += 1
    assert np.abs(counts - 200).max() < 60  # five standard deviations


def test_the_value_of_a_step_and_the_variance_of_its_error():
    _, found = drawn()
    known = {(0, ()): (0.5, 0.01), (1, ()): (0.25, 0.02)}
    for n in (0, 1):
        known |= {(n, (1,)): (0.6, 0.04), (n, (1, 2)): (0.2, 0.08), (n, (2,)): (0.4, 0.12), (n, (2, 3)): (1.0, 0.0)}
    rows = {(row["prompt"], tuple(row["prefix"])): row for row in valued(found, known).iter_rows(named=True)}
    for n, (value, noise) in {0: (0.5, 0.01), 1: (0.25, 0.02)}.items():
        assert all((rows[n, p]["value_prompt"], rows[n, p]["prompt_noise"]) == (value, noise) for p in ((1,), (2, 3)))
        # of one token: the same draws twice; 1 before 2 is a step of its own, so 12 has one token, too
        assert (rows[n, (1,)]["value"], rows[n, (1,)]["value_noise"]) == (0.6, 0.04)
        assert (rows[n, (1, 2)]["value"], rows[n, (1, 2)]["value_noise"]) == (0.2, 0.08)
        assert rows[n, (2, 3)]["value"] == pytest.approx(0.7)
        assert rows[n, (2, 3)]["value_noise"] == pytest.approx(0.03)


def test_without_its_noise_the_correlation_is_that_of_the_truth():
    rng = np.random.default_rng(0)
    number, m = 40_000, 16
    truth = rng.uniform(0.1, 0.9, number)
    said = truth + rng.normal(0, 0.3, number)
    values = rng.binomial(m, truth) / m
    noise = values * (1 - values) / (m - 1)
    expected = np.corrcoef(said, truth)[0, 1]
    raw = correlation(np.stack(moments(said, values), axis=1).sum(axis=0))
    found = noiseless_correlation(np.stack([*moments(said, values), noise], axis=1).sum(axis=0))
    assert raw == pytest.approx(np.corrcoef(said, values)[0, 1]) and raw < expected - 0.05
    assert found == pytest.approx(expected, abs=0.015)
    assert np.isnan(noiseless_correlation(np.array([4.0, 0, 0, 2.0, 1.0, 0.5, 1.5])))  # more noise than spread


def test_shuffled_rewards_stay_in_their_group_and_a_shuffle_is_shared():
    _, found = drawn()
    gaps = shuffled_gaps(found, 4_000, 1)
    place = {(row["prompt"], tuple(row["prefix"])): n for n, row in enumerate(found.iter_rows(named=True))}
    for n in (0, 1):
        one, two, other = (gaps[:, place[n, prefix]] for prefix in ((1,), (1, 2), (2, 3)))
        mean = np.mean(REWARDS)
        # sums of two or three of six rewards, each set of places as likely as another
        assert set(np.round(2 * (two + mean), 9)) == {0.0, 1.0, 2.0}
        assert np.abs([one.mean(), two.mean(), other.mean()]).max() < 0.02
        left = 3 * (one + mean) - 2 * (two + mean)  # the third of step 1 in the same shuffle
        assert set(np.round(left, 9)) == {0.0, 1.0}
    assert np.abs(np.corrcoef(gaps[:, place[0, (1,)]], gaps[:, place[1, (1,)]])[0, 1]) < 0.06


def planted(follows, prompts=40, seed=0):
    """Steps whose values follow their hidden reward, or do not."""
    rng, rows = np.random.default_rng(seed), []
    for n in range(prompts):
        rewards = rng.permutation([1.0] * 4 + [0.0] * 4)
        for members in ([0, 1, 2], [3, 4]):
            reward = rewards[members].mean()
            value = 0.5 + 0.4 * (reward - 0.5) if follows else rng.uniform(0.3, 0.7)
            rows.append({
                "prompt": n, "members": members, "rewards": rewards.tolist(), "reward": reward, "mean": 0.5,
                "value": value, "value_prompt": 0.5, "value_noise": 1e-3, "prompt_noise": 1e-3,
            })  # fmt: skip
    return pl.DataFrame(rows)


@pytest.mark.parametrize("follows", [True, False])
def test_the_null_tells_values_that_follow_from_those_that_do_not(follows):
    found = [*against_null(MODEL, "k = 8", planted(follows), 0), Finding(MODEL, "k = 8", "steps", 80.0)]
    assert word_of(MODEL, found) == ("reproduced" if follows else "not reproduced")
    null = pick(found, NULL)[0]
    assert abs(null.mean) < 0.05 and null.low < 0 < null.high


@pytest.mark.parametrize(
    ("mean", "low", "steps", "word"),
    [
        (0.31, 0.01, 60, "reproduced"),
        (0.31, 0.0, 60, "partly"),
        (0.3, 0.2, 60, "not reproduced"),
        (0.31, 0.01, 59, "not testable here"),
        (None, None, 60, "not testable here"),
    ],
)
def test_the_word_of_the_model_leaves_that_of_the_claim(mean, low, steps, word):
    more = [
        Finding(MODEL, "k = 16", CORRELATION, mean, low, 0.5),
        Finding(MODEL, "k = 16", NULL, 0.0, -0.3, 0.3),
        Finding(MODEL, "k = 16", "steps", steps),
    ]
    assert word_of(MODEL, more) == word and word_of(MODEL, []) is None
    verdict = prm_quality.decide([*made_up(), *more])
    assert verdict.word == "reproduced" and verdict.parts[MODEL] == word and f"; {MODEL}" in verdict.why


@pytest.fixture
def letters(monkeypatch):
    """The small model of letters in the place of the pretrained one, with two prompts of each task."""
    small = sampler(limit=LIMIT, prompts=2 * len(TASKS))
    words = SimpleNamespace(decode=lambda tokens, **_: "".join(WORDS[n] for n in tokens))
    words.batch_decode = lambda rows, **_: list(map(words.decode, rows))
    task = SimpleNamespace(reward=lambda prompt, text: float(text.count(prompt.answer) > 1))
    small.task.reward = task.reward
    asked = [
        Asked("letters", task, Prompt(p.text, p.answer), p.text, small.ids[n]) for n, p in enumerate(small.prompts)
    ]
    for module in (overlap_pretrained, prm_quality_smollm2):
        monkeypatch.setattr(module, "load_policy", lambda: Pretrained(small.model, words, small.ends))
        monkeypatch.setattr(module, "ask", lambda tokenizer, number, seed: asked)
        monkeypatch.setattr(module, "missing", lambda: "")
        monkeypatch.setattr(module, "made_of", lambda: {"weights": "w", "tasks": "1"})
        monkeypatch.setattr(module, "NEW", LIMIT)
    return small


def test_a_small_run_is_whole_and_its_values_are_true(letters, tmp_path):
    plan = Plan(prompts=2, steps=25, continuations=400, k=8, temperature=1.0)
    findings, steps = prm_quality_smollm2.run(plan, 0, at_once(tmp_path))
    assert len(steps) == 25 and pick(findings, "steps")[0].mean == 25
    checked = []
    for row in steps.iter_rows(named=True):
        after, end, prompt = ((n, list(tokens)) for n, tokens in prefixes_of(row))
        exact = [exact_value(letters, *prefix) for prefix in (after, end, prompt)]
        # within five of the standard errors that it says
        spread = 5 * np.sqrt([max(row["value_noise"], 1e-4), max(row["prompt_noise"], 1e-4)])
        checked += [abs(row["value"] - np.mean(exact[:2])) < spread[0], abs(row["value_prompt"] - exact[2]) < spread[1]]
        if after == end:
            ended = has_ended((row["prompt"], tuple(row["prefix"])), letters)
            expected = 0 if ended else row["value"] * (1 - row["value"]) / 399
            assert row["value_noise"] == pytest.approx(expected)
    assert all(checked)
    (every,) = (f for f in pick(findings, "reliability") if f.setting.endswith("all steps"))
    assert every.mean is not None and not pick(findings, "sign of local A") and pick(findings, CORRELATION)
    again, _ = prm_quality_smollm2.run(plan, 0, at_once(tmp_path / "again"))
    assert again == findings


def test_where_it_is_missing_one_sentence_says_so_and_the_rest_goes_on(monkeypatch):
    monkeypatch.setattr(prm_quality_smollm2, "missing", lambda: "the package reasoning-gym (pip install it)")
    plan = prm_quality.Plan(("chain, warm",), 2, 4, (6,), 0, pretrained=Plan())
    every, _ = drawn()
    numbers = ("value", "value_before", "value_prompt", "learnt_same", "learnt_others", "accuracy")
    record = every.with_columns(k=pl.lit(6), **{name: pl.lit(0.5) for name in numbers})
    asked = []

    def do(jobs):
        asked.extend(job.name for job in jobs)
        return [record for _ in jobs]

    evidence = prm_quality.run(plan, 0, do)
    assert asked == ["prm-quality/chain-warm"] and pick(evidence.findings, "steps")[0].mean == 6
    (note,) = [note for note in evidence.notes if MODEL in note]
    assert note == f"{MODEL} was left out: it needs the package reasoning-gym (pip install it)."
    assert prm_quality.cost(plan) == prm_quality.cost(plan._replace(pretrained=None))


def test_only_quick_does_without():
    plans = prm_quality.CLAIM.plans
    assert [plans[b].pretrained for b in plans] == [None, Plan(), Plan(24, 300, 256)]
    assert Plan().steps == 60 and Plan().continuations == 64
