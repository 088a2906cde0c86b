"""Steps against the slow definitions, true values against exact ones, the small PRM against what it may know."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import oracle
import polars as pl
import pytest
import torch
from hypothesis import given
from oracle_sets import parent, process_sets
from strategies import column, flatten, groups
from transformers import GPT2Config, GPT2LMHeadModel

from grpo_prm.core.groups import Groups
from grpo_prm.reproduce import prm_quality_head
from grpo_prm.reproduce.prm_quality_head import FOLDS, fit, hidden_states, learnt_values
from grpo_prm.reproduce.prm_quality_policies import Sampler, rollouts, steps_table
from grpo_prm.reproduce.prm_quality_values import add_values, with_values
from grpo_prm.tasks import END, Prompt

WORDS = [END, "a", "b", "c"]


@given(groups(min_k=3, mask="none", rewards="binary"))
def test_the_steps_of_a_group_are_what_the_definitions_say(group):
    tokens, lengths, numbers, _ = flatten([group])
    made = Groups.of(np.split(tokens, np.cumsum(lengths)[:-1]), column([group], "reward"), numbers)
    found = {frozenset(_members(group, row)): row for row in steps_table(made).iter_rows(named=True)}
    r = [row.reward for row in group]
    a = oracle.group_advantages(r)
    sets = process_sets(group)
    expected = {} if oracle.zero_variance(r) else {s.members: s for s in sets if 1 < len(s.members) < len(group)}
    assert found.keys() == expected.keys()
    for members, step in expected.items():
        row = found[members]
        assert (row["size"], row["start"], row["end"]) == (len(members), step.start, step.end)
        assert row["tokens"] == len(members) * (step.end - step.start)
        assert row["depth"] == sum(other.members > members for other in sets)
        assert row["reward"] == pytest.approx(oracle.step_mean(members, r))
        assert row["mean"] == pytest.approx(np.mean(r))
        assert row["of_parent"] == pytest.approx(oracle.step_mean(parent(sets, step).members, r))
        assert row["advantage"] == pytest.approx(oracle.step_mean(members, a), abs=1e-12)
        assert row["noise"] == pytest.approx(oracle.step_noise(a, members), abs=1e-12)


def _members(group, row):
    prefix = group[row["row"]].tokens[: row["start"] + 1]
    return [j for j, other in enumerate(group) if other.tokens[: row["start"] + 1] == prefix]


def sampler(limit=3, prompts=2, seed=5):
    """A random model over four words; the reward is the share of b among three places."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        config = GPT2Config(
            vocab_size=4, n_positions=16, n_layer=1, n_embd=16, n_head=2, initializer_range=0.7, bos_token_id=0,
            eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        )  # fmt: skip
        model = GPT2LMHeadModel(config)
    task = SimpleNamespace(name="letters", limit=limit, reward=lambda prompt, text: text.count(prompt.answer) / 3)
    asked = [Prompt("a" * (n + 1), "bc"[n % 2]) for n in range(prompts)]
    return Sampler(task, model, frozenset([0]), WORDS, asked, [[1] * (n + 1) for n in range(prompts)], seed)


def exact_value(policy, n, prefix):
    """Sum over every completion that goes on from a prefix."""
    if len(prefix) == policy.task.limit or (prefix and prefix[-1] == 0):
        return policy.reward(n, prefix)
    with torch.no_grad():
        logits = policy.model(torch.tensor([policy.ids[n] + list(prefix)])).logits[0, -1]
    return sum(float(p) * exact_value(policy, n, (*prefix, word)) for word, p in enumerate(logits.softmax(-1)))


def test_values_are_those_of_all_continuations():
    policy, known = sampler(), {}
    wanted = [(n, prefix) for n in range(2) for size in range(4) for prefix in product(range(4), repeat=size)]
    wanted = [(n, prefix) for n, prefix in wanted if 0 not in prefix[:-1]]
    add_values(wanted, policy, 4_000, known)
    assert known.keys() == set(wanted)
    for n, prefix in wanted:
        exact = exact_value(policy, n, prefix)
        ended = len(prefix) == 3 or prefix[-1:] == (0,)
        assert known[n, prefix] == pytest.approx(exact, abs=1e-12 if ended else 0.025), (n, prefix)


def test_two_prompts_with_one_text_have_draws_of_their_own():
    policy = sampler(limit=6)._replace(ids=[[1], [1]])
    one, other = (policy.draw([n], [(2,)], 40, 0) for n in range(2))
    assert one == policy.draw([0], [(2,)], 40, 0) != other


class Counting:
    """A policy that goes on with one token, 8 more than the number of the prompt; it counts what it is asked for."""

    def __init__(self):
        self.limit, self.at_once, self.ends, self.asked = 6, 2, frozenset([0]), []

    def draw(self, prompts, prefixes, k, step):
        assert len({len(prefix) for prefix in prefixes}) == 1
        self.asked += [(n, tuple(prefix), k, step) for n, prefix in zip(prompts, prefixes, strict=True)]
        return [[8 + n] for n in prompts for _ in range(k)]

    def reward(self, n, tokens):
        return 100 * n + 10 * len(tokens) + tokens[-1]


def test_the_values_of_a_step_are_those_of_its_prefixes():
    policy = Counting()
    steps = pl.DataFrame({"prompt": [0, 1], "row": [0, 1], "start": [0, 1], "end": [2, 4]})
    completions = [[1, 2, 3], [4, 5, 6, 0]]
    found = with_values(steps, completions, policy, 3, {})
    # 100 n + 10 (length + 1) + the token that follows; of what has ended 100 n + 10 length + its last token.
    assert found["value"].to_list() == [(28 + 38) / 2, (139 + 140) / 2]
    assert found["value_before"].to_list() == [18, 129] and found["value_prompt"].to_list() == [18, 119]
    assert {(n, prefix): k for n, prefix, k, _ in policy.asked} == {
        (0, ()): 12, (1, ()): 12, (0, (1,)): 3, (0, (1, 2)): 3, (1, (4,)): 3, (1, (4, 5)): 3,
    }  # fmt: skip
    assert len({step for *_, step in policy.asked}) == 3  # other draws at every length


def test_values_that_are_known_are_not_drawn_again():
    policy, known = Counting(), {(0, (1,)): 0.25}
    add_values([(0, (1,)), (0, (2,)), (0, (3, 0)), (0, (1,) * 6)], policy, 3, known)
    assert [asked[1] for asked in policy.asked] == [(2,)] and known[0, (1,)] == 0.25
    assert known[0, (3, 0)] == 20 and known[0, (1,) * 6] == 61


def table_of(policy, k=4):
    completions = policy.draw(range(len(policy.ids)), [()] * len(policy.ids), k, 0)
    rewards = np.array([policy.reward(row // k, tokens) for row, tokens in enumerate(completions)])
    return completions, rewards, rollouts(policy, completions, rewards, k)


def test_hidden_states_are_those_of_each_completion_alone():
    policy = sampler(limit=5)
    completions, _, table = table_of(policy)
    found, at = hidden_states(policy, table), 0
    for row, tokens in enumerate(completions):
        ids = torch.tensor([policy.ids[row // 4] + tokens])
        with torch.no_grad():
            alone = policy.model(ids, output_hidden_states=True).hidden_states[-1][0].numpy()
        np.testing.assert_allclose(found[at : at + len(tokens)], alone[-len(tokens) :], atol=1e-5)
        at += len(tokens)
    assert at == len(found)


def test_the_small_prm_learns_from_the_export(tmp_path, monkeypatch):
    """Here it says the mean label that it was taught: tokens of two members or more, of the other folds or of all."""
    policy = sampler(limit=4, prompts=7)
    completions, rewards, table = table_of(policy)
    steps = steps_table(Groups.of(completions, rewards, 4))
    taught = []

    def means(hidden, label, seed):
        taught.append(label)
        return lambda states: np.full(len(states), label.mean())

    monkeypatch.setattr(prm_quality_head, "fit", means)
    found = learnt_values(policy, table, steps, tmp_path)
    labels = {}
    for n in range(7):
        group = [
            oracle.Row(tokens, reward=r) for tokens, r in zip(completions[4 * n :][:4], rewards[4 * n :], strict=False)
        ]
        r = [row.reward for row in group]
        sets = [oracle_set for _, _, oracle_set in oracle.loss_tokens(group) if len(oracle_set) > 1]
        labels[n] = [oracle.step_mean(members, r) for members in sets]
    for fold in range(FOLDS):
        expected = [x for n in range(7) if n % FOLDS != fold for x in labels[n]]
        assert sorted(taught[fold]) == pytest.approx(sorted(expected), abs=1e-6)
    assert len(taught[FOLDS]) == sum(map(len, labels.values()))
    expected = [np.mean(taught[n % FOLDS]) for n in steps["prompt"].to_list()]
    assert found.others.tolist() == pytest.approx(expected) and len(steps)
    assert found.same.tolist() == pytest.approx([np.mean(taught[FOLDS])] * len(steps))


def test_the_small_prm_can_learn():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(4_000, 8)).astype(np.float32)
    value = 0.5 + 0.3 * np.tanh(hidden[:, 0] * hidden[:, 1])
    predict = fit(hidden[:3_000], value[:3_000] + 0.1 * rng.normal(size=3_000), 0)
    error = np.mean((predict(hidden[3_000:]) - value[3_000:]) ** 2)
    assert error < 0.3 * value.var()
    assert (fit(hidden[:3_000], value[:3_000], 3)(hidden) == fit(hidden[:3_000], value[:3_000], 3)(hidden)).all()
