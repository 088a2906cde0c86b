"""The Tinker cookbook's own minibatches, weighed and recorded, where it is installed; its recorder alone everywhere."""

import asyncio
import importlib
import inspect
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import stand_in_tinker
from integrations.tinker_toy import config, restored
from oracle_rows import row_factors

import grpo_prm
from grpo_prm.errors import UsageError
from grpo_prm.integrations import tinker as lambda_tinker
from grpo_prm.integrations.tinker_rollouts import StepRecorder


class Reference:
    """A reference model that says the same of every token, as the cookbook asks for it."""

    def sample(self, prompt, **_):
        async def answer():
            tokens = [None] + [-0.5] * (prompt.length - 1)
            return SimpleNamespace(prompt_logprobs=tokens, prompt_cache_hit_tokens=0, sequences=[])

        return SimpleNamespace(coroutine=answer)


TOKENIZER = SimpleNamespace(decode=str, encode=lambda *_, **__: [])


class Group(list):
    """A trajectory group of the stand-in: its datums, one a trajectory, with their rewards."""

    def get_total_rewards(self):
        return [0.5 * n for n in range(len(self))]


def test_parts_know_their_step(tmp_path):
    """Without the cookbook: two minibatches of a step, then the step again after a resume before it."""

    def datum(row, mask):
        logprobs = np.linspace(-1, -2, len(mask))
        inputs = {"target_tokens": row[1:], "mask": mask, "logprobs": logprobs}
        return stand_in_tinker.Datum(stand_in_tinker.ModelInput(row[:-1]), inputs)

    group = Group([datum([7, 1, 9, 2], [1.0, 0.0, 1.0]), datum([7, 1], [1.0])])
    recorder = StepRecorder(
        tmp_path / "run" / "rollouts",
        stand_in_tinker.assemble_training_data,
        lambda groups: [[-0.25, 0.25]] * len(groups),
        "λ-GRPO, p = 1",
    )

    async def train_step(config, i_batch):
        for _ in range(2):
            recorder.write([group, group], TOKENIZER)

    for checkpoint in (None, SimpleNamespace(batch=4)):
        with recorder.run(checkpoint):
            asyncio.run(recorder.counting(train_step)("config", 4))
    found = sorted(tmp_path.glob("run/rollouts/*"))
    assert [path.name for path in found] == [f"step_000005-{n}.rank0-of-1.parquet" for n in range(2)]
    assert (tmp_path / "run" / "method.txt").read_text(encoding="utf-8") == "λ-GRPO, p = 1\n"
    table = pl.read_parquet(found[1])
    assert table.select("run", "step", "group_key", "sample", "reward", "advantage").rows() == [
        ("run", 5, f"5-1-{group}", member, 0.5 * member, 0.5 * member - 0.25)
        for group in range(2)
        for member in range(2)
    ]
    assert table["tokens"].to_list() == [[1, 9, 2], [1]] * 2
    assert table["mask"].to_list() == [[True, False, True], [True]] * 2
    assert table["logprobs"].to_list() == [[-1.0, -1.5, -2.0], [-1.0]] * 2
    assert table["completion"].to_list() == ["[1, 9, 2]", "[1]"] * 2
    with pytest.raises(UsageError), recorder.run(None):
        pass


# (observation, action) of each turn; the last trajectory's second turn does not go on from its first
TURNS = [
    [([1, 2], [3, 4]), ([1, 2, 3, 4, 8, 8], [5])],
    [([1, 2], [3, 4]), ([1, 2, 3, 4, 8, 8], [6])],
    [([1, 2], [3, 7])],
    [([1, 2], [3, 4]), ([1, 9], [5, 5])],
]
REWARDS = [1.0, 0.0, 0.0, 2.0]


@pytest.fixture
def cookbook(monkeypatch):
    """The cookbook as installed, and how to make two of its groups: turns, tool output, a rewritten history."""
    tinker = pytest.importorskip("tinker")
    train = pytest.importorskip("tinker_cookbook.rl.train")
    types = importlib.import_module("tinker_cookbook.rl.types")
    completers = importlib.import_module("tinker_cookbook.completers")
    restored(monkeypatch, train)

    def transition(seen, action):
        sampled = completers.TokensWithLogprobs(tokens=action, maybe_logprobs=[-0.1 * token for token in action])
        seen = tinker.ModelInput.from_ints(seen)
        return types.Transition(ob=seen, ac=sampled, reward=0.0, episode_done=False)

    def groups():
        made = [
            types.Trajectory([transition(*pair) for pair in pairs], final_ob=tinker.ModelInput.empty())
            for pairs in TURNS
        ]
        return [types.TrajectoryGroup(made, REWARDS, [{}] * 4) for _ in range(2)]

    return train, groups


def minibatch(train, groups):
    builders = [SimpleNamespace(logging_tags=list)] * 2
    made = train.prepare_minibatch(
        builders, groups(), TOKENIZER, Reference(), kl_penalty_coef=0.3, kl_discount_factor=0.0
    )
    return asyncio.run(made)[0]


def test_the_cookbook_itself_weighs_reward_and_penalty(cookbook):
    train, groups = cookbook
    plain = minibatch(train, groups)
    lambda_tinker.switch_on(1.0)
    weighed = minibatch(train, groups)
    sequences = [
        [*datum.model_input.to_ints(), int(datum.loss_fn_inputs["target_tokens"].to_numpy()[-1])] for datum in plain
    ]
    assert sequences[:5] == [[1, 2, 3, 4, 8, 8, 5], [1, 2, 3, 4, 8, 8, 6], [1, 2, 3, 7], [1, 2, 3, 4], [1, 9, 5, 5]]
    factors = row_factors(sequences, [2] * 10, [0] * 5 + [1] * 5, 1.0, "process-set")
    assert factors[0].tolist() == [1 / 4, 1 / 3, 1 / 2, 1 / 2, 1.0]
    for before, after, factor in zip(plain, weighed, factors, strict=True):
        assert sorted(after.loss_fn_inputs) == sorted(before.loss_fn_inputs)
        expected = before.loss_fn_inputs["advantages"].to_numpy() * np.concatenate([np.ones(1), factor])
        np.testing.assert_allclose(after.loss_fn_inputs["advantages"].to_numpy(), expected, rtol=1e-6)


def test_what_is_recorded_is_what_was_trained_on(cookbook, monkeypatch, tmp_path):
    """Two steps, of which the second has two minibatches; then a run that goes on from the first step."""
    train, groups = cookbook
    for name in ("do_train_step_and_get_sampling_client", "do_train_step_streaming_and_get_sampling_client"):
        assert list(inspect.signature(getattr(train, name)).parameters)[:2] == ["config", "i_batch"]

    async def step(config, i_batch):
        for _ in range(i_batch + 1):
            await train.prepare_minibatch([SimpleNamespace(logging_tags=list)] * 2, groups(), TOKENIZER, None, 0, 0)

    async def main(config):
        for i_batch in range(config.begin, 2):
            await train.do_train_step_and_get_sampling_client(config, i_batch)

    monkeypatch.setattr(train, "do_train_step_and_get_sampling_client", step)
    monkeypatch.setattr(train, "main", main)
    done = SimpleNamespace(get_last_checkpoint=lambda path: path)
    monkeypatch.setattr(train, "checkpoint_utils", done)
    folder = tmp_path / "run" / "rollouts"
    lambda_tinker.switch_on(0.0, rollouts=folder)
    for begin, checkpoint in ((0, None), (1, SimpleNamespace(batch=1))):
        settings = vars(config("stable_reinforce")) | {"begin": begin, "log_path": checkpoint}
        asyncio.run(train.main(SimpleNamespace(**settings)))
    names = [f"step_00000{step}-{generation}.rank0-of-1.parquet" for step, generation in ((1, 0), (2, 0), (2, 1))]
    assert sorted(path.name for path in folder.iterdir()) == names
    table = pl.read_parquet(folder / names[2])
    assert table["group_key"].to_list() == ["2-1-0"] * 4 + ["2-1-1"] * 4
    first = table.head(4)
    assert first["tokens"].to_list() == [[3, 4, 8, 8, 5], [3, 4, 8, 8, 6], [3, 7], [5, 5]]
    assert first["mask"].to_list() == [[True, True, False, False, True]] * 2 + [[True, True]] * 2
    assert first["reward"].to_list() == REWARDS
    assert first["advantage"].to_list() == [0.25, -0.75, -0.75, 1.25]
    assert first["logprobs"].to_list()[2] == pytest.approx([-0.3, -0.7])
    assert first["prompt"].to_list()[3] == "[1, 9]"
    assert (table["step"] == 2).all() and (table["run"] == "run").all()
    assert grpo_prm.analyze(folder).summary["counts"]["completions"] == 24
