"""The pretrained model in the claim about overlap: what is sampled, cut and said, and said where it is missing."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from reproduce.test_overlap_claim import GROWS

import grpo_prm
from grpo_prm.errors import UsageError
from grpo_prm.logs.rollouts import SCHEMA, validate
from grpo_prm.reproduce import overlap, overlap_pretrained, smollm2
from grpo_prm.reproduce.claims import pick
from grpo_prm.reproduce.overlap_card import AUC, KNOWN, NULL, RELIABILITY, card, in_words, report_card
from grpo_prm.reproduce.overlap_measures import BEYOND, BEYOND_TASK, TREES, TREES_CROSS
from grpo_prm.reproduce.overlap_pretrained import Cell, Plan, cells, cut
from grpo_prm.reproduce.overlap_runs import PLANS

LOG = Path(__file__).parents[2] / "examples" / "smollm2.jsonl.gz"


@pytest.fixture(scope="module")
def log():
    rows = [json.loads(line) for line in gzip.decompress(LOG.read_bytes()).splitlines()]
    return pl.DataFrame([{name: row.get(name) for name in SCHEMA} for row in rows], schema=SCHEMA)


@pytest.fixture(scope="module")
def said(log):
    return [f for k in (4, 16) for f in card(Cell("smollm2, T = 0.75", f"k = {k}", cut(log, k)), 0)]


@pytest.mark.parametrize("k", [3, 5, 8, 16])
def test_cut_groups_are_runs_of_their_completions_in_order(log, k):
    expected = []
    for key, rows in groupby(log.rows(named=True), key=lambda row: row["group_key"]):
        whole = [row["tokens"] for row in rows]
        expected += [(f"{key}.{n}", whole[n * k : (n + 1) * k]) for n in range(len(whole) // k)]
    table = validate(cut(log, k))
    found = [
        (key, [row["tokens"] for row in rows])
        for key, rows in groupby(table.rows(named=True), lambda r: r["group_key"])
    ]
    assert found == expected
    assert table["sample"].to_list() == list(range(k)) * len(expected)
    assert table["group"].n_unique() == len(expected)


def test_the_card_has_the_numbers_of_analyze(log, said, tmp_path):
    cut(log, 16).drop("mask", "advantage").write_parquet(tmp_path / "log.parquet")
    summary = grpo_prm.analyze(tmp_path / "log.parquet").summary
    some = {f.what: f for f in said if f.setting == "k = 16"}
    for what, value in (
        (RELIABILITY, summary["credit"]["reliability"]),
        (AUC, summary["credit"]["leave_pair_out_auc"]),
        ("update cosine", summary["defects"]["update_cosine"]["1"]),
        ("intermediate", summary["overlap"]["intermediate_proportion"]),
    ):
        assert (some[what].mean, some[what].low, some[what].high) == tuple(
            value[end] for end in ("mean", "low", "high")
        )
    null = summary["credit"]["leave_pair_out_auc"]
    assert (some[AUC + NULL].low, some[AUC + NULL].high) == (null["null_low"], null["null_high"])
    assert some[AUC].note == f"p = {null['p_value']}"
    assert some[TREES_CROSS].mean == summary["baseline"]["non_trivial"]["mean"]
    assert some[KNOWN].note in grpo_prm.text.verdict.KNOWS.values()


def test_the_baseline_within_a_task_is_the_mean_over_its_pseudo_groups(log, said):
    """Eight prompts a task: two pseudo-groups of four for each of four places, as many of every task."""
    of_tasks = [f for f in said if f.what == "cross-prompt, same task" and f.setting.startswith("k = 4, ")]
    assert {f.setting.removeprefix("k = 4, ") for f in of_tasks} == set(log["task"])
    whole = pick(said, "cross-prompt, same task", setting="k = 4")[0].mean
    assert np.isclose(whole, np.mean([f.mean for f in of_tasks]))
    beyond, share = (pick(said, what, setting="k = 4")[0] for what in (BEYOND_TASK, "intermediate"))
    assert np.isclose(beyond.mean, share.mean - whole) and beyond.low < beyond.mean < beyond.high
    assert pick(said, BEYOND_TASK, setting="k = 16")[0].note == "fewer prompts of a task than k"


def test_every_size_counts_for_the_word(said):
    def changed(what, setting, **values):
        return [f._replace(**values) if (f.what, f.setting) == (what, setting) else f for f in said]

    sure = [f._replace(low=0.95) if f.what == TREES else f for f in said]
    sure = [f._replace(low=0.01, high=0.2) if f.what == BEYOND_TASK and f.mean is not None else f for f in sure]
    assert overlap.decide(sure).parts == {"smollm2, T = 0.75": "reproduced"}
    for what, setting, low in (
        (TREES, "k = 4", 0.8),
        (TREES, "k = 16", 0.8),
        (BEYOND, "k = 16", -0.1),
        (BEYOND_TASK, "k = 4", -0.1),
    ):
        less = [f._replace(low=low) if (f.what, f.setting) == (what, setting) else f for f in sure]
        assert overlap.decide(less).parts == {"smollm2, T = 0.75": "partly"}, what
    assert overlap.decide(changed(TREES, "k = 4", low=None)).word == "not testable here"
    assert (
        overlap.decide(said).why.count("smollm2, T = 0.75, k = 4: ") == overlap.decide(said).why.count("smollm2") == 1
    )


def test_the_words_are_those_of_the_numbers(said):
    (text,) = in_words([f._replace(mean=0.7) if f.what == TREES_CROSS else f for f in said])
    assert "but so are 70.0 % of those of groups mixed from different prompts, so that share is weak" in text
    for known in pick(said, KNOWN):
        order = pick(said, AUC, setting=known.setting)[0]
        assert f"at {known.setting} {100 * order.mean:.1f} % of unseen pairs" in text and known.note in text
    few = [f._replace(mean=0.1) if f.what == TREES_CROSS else f for f in said]
    assert "and 10.0 % of those of groups mixed from different prompts, so that share is evidence" in in_words(few)[0]
    assert report_card(said)["groups"].to_list() == ["smollm2, T = 0.75, k = 4", "smollm2, T = 0.75, k = 16"]
    assert report_card([]) is None and in_words([]) == []


def test_every_prompt_is_sampled_once_at_each_temperature(monkeypatch):
    monkeypatch.setattr(overlap_pretrained, "made_of", lambda: {"weights": "abc", "tasks": "1"})
    plan, asked = Plan(prompts=2, k=4, sizes=(2, 4), temperatures=(0.5, 1.0), together=5), []

    def note(jobs):
        asked.extend(jobs)
        return [record(job.arguments["numbers"], job.arguments["temperature"]) for job in jobs]

    def record(numbers, temperature):
        rows = [(n, f"p{n}", s, [n, s, round(10 * temperature)]) for n in numbers for s in range(4)]
        return pl.DataFrame(rows, schema=["group", "group_key", "sample", "tokens"], orient="row")

    found = cells(plan, 0, note)
    assert [(cell.part, cell.setting) for cell in found] == [
        (f"smollm2, T = {t}", f"k = {k}") for t in ("0.5", "1") for k in (2, 4)
    ]
    assert len({job.name for job in asked}) == len(asked) == 6
    for temperature, cell in zip((0.5, 0.5, 1.0, 1.0), found, strict=True):
        numbers = [n for job in asked if job.arguments["temperature"] == temperature for n in job.arguments["numbers"]]
        assert numbers == list(range(12)) and len(cell.table) == 48
        assert {tokens[2] for tokens in cell.table["tokens"].to_list()} == {round(10 * temperature)}


class Tokenizer:
    """Ids are letters."""

    chat_template = None

    def decode(self, tokens, **_):
        return "".join(map(chr, tokens))

    def batch_decode(self, rows, **_):
        return [self.decode(row) for row in rows]


@pytest.mark.slow
def test_samples_are_judged_by_their_own_prompt(monkeypatch):
    from grpo_prm.tasks import Prompt, get_task
    from grpo_prm.train.sample import Sampled

    calls = []

    def drawn(model, prompts, k, *, names, temperature, **_):
        calls.append(list(names))
        rows = [[ord(letter) for letter in str(n + s)] for n in names for s in range(k)]
        return Sampled(rows, [np.full(len(row), -temperature, np.float32) for row in rows], np.zeros(len(rows), bool))

    monkeypatch.setattr("grpo_prm.train.sample.sample", drawn)
    monkeypatch.setattr(smollm2, "AT_ONCE", 6)
    task = get_task("countdown")
    judge = task.__class__(**{**task.__dict__, "reward": lambda prompt, text: float(text == prompt.answer)})
    asked = {
        n: smollm2.Asked(f"task {n % 2}", judge, Prompt(f"ask {n}", str(n + 1)), f"ask {n}", [n]) for n in (3, 4, 8)
    }
    policy = smollm2.Pretrained(None, Tokenizer(), frozenset([0]))
    table = validate(smollm2.sample_groups(policy, asked, 3, seed=0, stream=1, temperature=0.5))
    assert calls == [[3, 4], [8]]  # two prompts of three rows at once
    assert table["completion"].to_list() == ["3", "4", "5", "4", "5", "6", "8", "9", "10"]
    assert table["reward"].to_list() == [0, 1, 0] * 3  # the answer is one more than the number of the prompt
    assert table["group_key"].to_list() == [f"p{n}" for n in (3, 4, 8) for _ in range(3)]
    assert table["task"].to_list() == [f"task {n % 2}" for n in (3, 4, 8) for _ in range(3)]
    assert table["logprobs"].to_list()[-1] == [-0.5, -0.5]


def test_a_task_that_has_too_few_prompts_is_one_sentence(monkeypatch):
    from grpo_prm.tasks import Prompt, get_task

    def three(rng):
        return Prompt(f"question {rng.integers(3)}", "1")

    monkeypatch.setattr(smollm2, "get_task", lambda name: replace(get_task("countdown"), name=name, draw=three))
    monkeypatch.setattr("grpo_prm.train.data.asked", lambda texts, *_: [(text, [1]) for text in texts])
    asked = smollm2.ask(None, 3, 0, {"all of them": "x"})
    assert sorted(one.text for one in asked) == [f"question {n}" for n in range(3)]
    with pytest.raises(UsageError, match=r"^x: 4 different prompts are asked for, and 10,000 draws .* none beyond 3"):
        smollm2.ask(None, 4, 0, {"too few": "x"})


@pytest.mark.parametrize(
    ("package", "weights", "says"),
    [
        (None, None, ["pip install 'grpo-prm[tasks]'", "grpo-prm fetch smollm2"]),
        ("there", None, ["grpo-prm fetch smollm2"]),
        (None, "there", ["pip install 'grpo-prm[tasks]'"]),
        ("there", "there", []),
    ],
)
def test_what_is_missing_is_said_with_how_to_get_it(monkeypatch, package, weights, says):
    monkeypatch.setattr(smollm2, "find_spec", lambda _: package)
    monkeypatch.setattr(smollm2, "cached", lambda _: weights)
    text = smollm2.missing()
    assert [
        command for command in ("pip install 'grpo-prm[tasks]'", "grpo-prm fetch smollm2") if command in text
    ] == says


def test_the_claim_goes_on_without_the_model(monkeypatch):
    for module in (overlap, overlap_pretrained):
        monkeypatch.setattr(module, "missing", lambda: "the thing (do this)")
    asked = []

    def note(jobs):
        asked.extend(job.name for job in jobs)
        return [GROWS[0]] * len(jobs)

    plan = PLANS["standard"]
    evidence = overlap.CLAIM.run(plan, 0, note)
    assert asked and not any("smollm2" in name for name in asked)
    verdict = overlap.decide(evidence.findings)
    assert set(verdict.parts) == {"countdown", "chain"} and verdict.why.endswith("it needs the thing (do this)")
    assert overlap.CLAIM.cost(plan) == overlap.CLAIM.cost(plan._replace(pretrained=None))
    assert evidence.overview is None
    assert overlap.CLAIM.announce(plan)[1] == "smollm2 was left out: it needs the thing (do this)."
    assert not overlap.CLAIM.announce(PLANS["quick"])


def test_quick_needs_no_model():
    assert PLANS["quick"].pretrained is None and PLANS["standard"].pretrained and PLANS["full"].pretrained
    assert PLANS["full"].pretrained.prompts >= max(PLANS["full"].pretrained.sizes)
