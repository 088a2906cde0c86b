"""λ-GRPO in prime-rl: on a stand-in everywhere, and on prime-rl's own code where it is installed."""

import asyncio
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import stand_in_prime_rl
import torch
from oracle_rows import made_rows, row_factors

from grpo_prm.errors import UsageError
from grpo_prm.integrations.prime_rl import switch_on, weigh


def one_turn(rows, starts):
    """An episode a row: its prompt, and a completion with tool output in its middle."""
    episodes = []
    for row, start in zip(rows, starts, strict=True):
        middle = start + (len(row) - start) // 2
        nodes = [stand_in_prime_rl.node(row[:start], [False] * start)]
        nodes.append(stand_in_prime_rl.node(row[start:middle], [True] * (middle - start), ce=[0.1] * (middle - start)))
        nodes.append(stand_in_prime_rl.node(row[middle : middle + 1], [False] * len(row[middle : middle + 1])))
        nodes.append(stand_in_prime_rl.node(row[middle + 1 :], [True] * len(row[middle + 1 :])))
        trace = SimpleNamespace(branches=[stand_in_prime_rl.Branch(nodes)], trains=True)
        episodes.append(SimpleNamespace(traces=[trace]))
    return episodes


@pytest.mark.parametrize("kind", ["process-set", "parent"])
@pytest.mark.parametrize("seed", range(4))
def test_streams_hold_counted_factors(monkeypatch, seed, kind):
    stand_in_prime_rl.install(monkeypatch)
    rows, starts, _ = made_rows(seed, groups=1, k=8)
    # What the first trained token opens is the completion: a row without one has no loss and is no member.
    kept = [n for n in range(len(rows)) if len(rows[n]) - starts[n] >= 2]
    rows, starts = [rows[n] for n in kept], [starts[n] for n in kept]
    episodes = one_turn(rows, starts)
    weigh(episodes, 1.0, kind)
    for episode, start, factors in zip(
        episodes, starts, row_factors(rows, starts, [0] * len(rows), 1.0, kind), strict=True
    ):
        place = 0
        for node in episode.traces[0].branches[0].nodes:
            full = np.concatenate([np.ones(start), factors])[place : place + len(node.token_ids)]
            place += len(node.token_ids)
            if any(node.mask):
                np.testing.assert_allclose(node.loss_weights["rl"], full, rtol=1e-6)
            else:
                assert not (node.loss_weights or {}).get("rl")
        assert episode.traces[0].branches[0].nodes[1].loss_weights.get("ce") is not None


def test_a_fork_is_a_row_that_goes_on_from_what_it_shares(monkeypatch):
    """The message that two branches share is weighed in the first; the other's own words are in a tree of their own."""
    stand_in_prime_rl.install(monkeypatch)
    prompt, shared, first, asked, second = (
        stand_in_prime_rl.node(tokens, [trained] * len(tokens))
        for tokens, trained in (([7], False), ([1, 2], True), ([3], True), ([9], False), ([4], True))
    )
    branches = [stand_in_prime_rl.Branch(nodes) for nodes in ([prompt, shared, first], [prompt, shared, asked, second])]
    forked = SimpleNamespace(traces=[SimpleNamespace(branches=branches, trains=True)])
    failed = SimpleNamespace(traces=[SimpleNamespace(branches=branches, trains=False)])
    weigh([forked, *one_turn([[7, 1, 2, 5]], [1]), failed])
    assert [node.loss_weights["rl"] for node in (shared, first, second)] == [[0.5, 0.5], [1.0], [1.0]]
    assert prompt.loss_weights is None and asked.loss_weights is None


def test_a_second_call_replaces_the_first(monkeypatch):
    algo = stand_in_prime_rl.install(monkeypatch)
    switch_on(3.0)
    switch_on(1.0)
    made = algo.ALGORITHM_CLASSES["grpo"]
    assert made.plain is stand_in_prime_rl.GRPOAlgorithm
    episodes = one_turn([[7, 1, 2, 3], [7, 1, 2, 4]], [1, 1])
    asyncio.run(made(SimpleNamespace(type="grpo"), "pool").score_group(episodes))
    assert [node.loss_weights["rl"] for node in episodes[0].traces[0].branches[0].nodes[1::2]] == [[0.5], [1.0]]
    assert episodes[0].traces[0].scored


def test_without_a_power_the_algorithms_are_plain_again(monkeypatch):
    algo = stand_in_prime_rl.install(monkeypatch)
    switch_on(1.0)
    switch_on(0.0)
    assert set(algo.ALGORITHM_CLASSES.values()) == {stand_in_prime_rl.GRPOAlgorithm}


def test_weights_that_cannot_be_meant_change_nothing(monkeypatch):
    algo = stand_in_prime_rl.install(monkeypatch)
    with pytest.raises(UsageError):
        switch_on(-1.0)
    assert algo.ALGORITHM_CLASSES["grpo"] is stand_in_prime_rl.GRPOAlgorithm


@pytest.fixture
def prime_rl(monkeypatch):
    """prime-rl's registry of algorithms, plain again after the test."""
    algo = pytest.importorskip("prime_rl.orchestrator.algo")
    monkeypatch.setattr(algo, "ALGORITHM_CLASSES", dict(algo.ALGORITHM_CLASSES))
    return algo


def sampled(parent, tokens, **kind):
    from verifiers.v1.graph import MessageNode
    from verifiers.v1.types import AssistantMessage, UserMessage

    own = kind.get("sampled", True)
    return MessageNode(
        parent=parent,
        message=AssistantMessage(content="A") if own else UserMessage(content="U"),
        sampled=own,
        token_ids=tokens,
        mask=[own] * len(tokens),
        logprobs=[-0.1] * len(tokens) if own else [],
    )


def episode(nodes, reward, ok=True):
    import verifiers.v1 as vf
    from verifiers.v1.trace import Reward

    trace = vf.Trace(
        task=vf.TraceTask(type="Task", data=vf.TaskData(idx=0, prompt=None)),
        agent=vf.AgentInfo(config=vf.AgentConfig()),
        nodes=nodes,
        rewards={"right": Reward(score=reward)},
        ok=ok,
    )
    return vf.Episode(env=vf.EnvInfo(id="e", name="e"), task=trace.task, traces=[trace], ok=ok)


def made_group():
    """Five episodes: three of two turns with tool output, one that forks after its first turn, one that failed."""
    prompt, tool = [1, 2], [8, 8]
    two_turns = [([3, 3, 4], [5, 6]), ([3, 3, 4], [5, 7]), ([3, 9], [5])]
    episodes = [
        episode(
            [sampled(None, prompt, sampled=False), sampled(0, a), sampled(1, tool, sampled=False), sampled(2, b)],
            reward,
        )
        for (a, b), reward in zip(two_turns, (1.0, 0.0, 0.5), strict=True)
    ]
    fork = [sampled(None, prompt, sampled=False), sampled(0, [3, 3, 4]), sampled(1, tool, sampled=False)]
    fork += [sampled(2, [5, 6]), sampled(1, [9], sampled=False), sampled(4, [5, 5])]
    failed = [sampled(None, prompt, sampled=False), sampled(0, [3, 3, 4])]
    return [*episodes, episode(fork, 2.0), episode(failed, 0.0, ok=False)]


def samples_of(episodes):
    from prime_rl.orchestrator.algo.base import iter_trainable_traces
    from prime_rl.orchestrator.trajectories import trace_to_samples

    return [sample for _, trace in iter_trainable_traces(episodes) for sample in trace_to_samples(trace, env_name="e")]


def scored(algo, kind="process-set", power=1.0):
    from prime_rl.configs.algorithm import AlgoConfig
    from pydantic import TypeAdapter

    switch_on(power, kind)
    config = TypeAdapter(AlgoConfig).validate_python({"type": "grpo"})
    algorithm = algo.build_algorithm(config, None)
    episodes = made_group()
    asyncio.run(algorithm.finalize_group(episodes))
    return samples_of(episodes)


@pytest.mark.parametrize("kind", ["process-set", "parent"])
def test_samples_of_prime_rl_carry_counted_factors(prime_rl, kind):
    samples = scored(prime_rl, kind)
    rows, masks = [sample.token_ids for sample in samples], [sample.mask for sample in samples]
    assert len(rows) == 5 and rows[4] == [1, 2, 3, 3, 4, 9, 5, 5] and masks[4].index(True) == 6
    starts = [mask.index(True) for mask in masks]
    for sample, start, factors in zip(samples, starts, row_factors(rows, starts, [0] * 5, 1.0, kind), strict=True):
        expected = np.concatenate([np.zeros(start), factors]) * sample.mask
        np.testing.assert_allclose(sample.rl_weights, expected, rtol=1e-6)
    if kind == "process-set":
        # 4 rollouts open with 3, three go on with 3 4 and meet the tool: two of them write 5 6
        assert samples[0].rl_weights == pytest.approx([0, 0, 1 / 4, 1 / 3, 1 / 3, 0, 0, 1 / 3, 1 / 2])
        assert samples[4].rl_weights == pytest.approx([0, 0, 0, 0, 0, 0, 1, 1])


def loss_of(samples, new, old, config, masks, weights):
    from prime_rl.trainer.rl.loss import compute_loss, setup_rl_loss_fn

    count = sum(sum(sample.mask) for sample in samples)
    return compute_loss(
        trainer_logprobs=new,
        inference_logprobs=old,
        ref_logprobs=None,
        advantages=[torch.tensor(sample.advantages) for sample in samples],
        loss_mask=masks,
        rl_weights=weights,
        ce_weights=None,
        ref_kl_weights=None,
        rl_loss_fn=setup_rl_loss_fn(config),
        rl_scale=count,
        ce_scale=1,
        ref_kl_scale=1,
    )[0]


@pytest.mark.parametrize("loss", ["default", "ipo"])
def test_gradient_of_prime_rls_own_loss(prime_rl, loss):
    """Σ w_t of what the plain loss gives for token t alone, its KL term and its trust region among it."""
    from prime_rl.configs.trainer import DefaultLossConfig, IPOLossConfig

    config = DefaultLossConfig(kl_tau=0.5) if loss == "default" else IPOLossConfig(kl_tau=0.5)
    samples = scored(prime_rl)
    generator = torch.Generator().manual_seed(0)
    old = [-torch.rand(len(sample.mask), generator=generator) for sample in samples]
    new = [(row + 0.4 * torch.randn(len(row), generator=generator)).requires_grad_() for row in old]
    masks = [torch.tensor(sample.mask) for sample in samples]
    weights = [torch.tensor(sample.rl_weights) for sample in samples]
    got = torch.autograd.grad(loss_of(samples, new, old, config, masks, weights), new)

    expected = [torch.zeros_like(row) for row in old]
    starts = [sample.mask.index(True) for sample in samples]
    counted = row_factors([sample.token_ids for sample in samples], starts, [0] * 5, 1.0, "process-set")
    for i, factors in enumerate(counted):
        for t, factor in enumerate(factors, start=starts[i]):
            alone = [torch.zeros_like(mask) for mask in masks]
            alone[i][t] = masks[i][t]
            term = torch.autograd.grad(loss_of(samples, new, old, config, alone, None), new)
            expected = [total + factor * part for total, part in zip(expected, term, strict=True)]
    found, wanted = torch.cat(got), torch.cat(expected)
    assert (found - wanted).abs().max() <= 1e-6 * wanted.abs().max()
    plain = torch.cat(torch.autograd.grad(loss_of(samples, new, old, config, masks, None), new))
    assert (found - plain).abs().max() > 0.01 * plain.abs().max()


def test_the_package_of_an_environment_switches_it_on(prime_rl, monkeypatch, tmp_path):
    """prime-rl imports the taskset while it reads its settings, before it builds an algorithm."""
    orchestrator = pytest.importorskip("prime_rl.configs.orchestrator")
    (tmp_path / "lambda_env.py").write_text(
        "import verifiers.v1 as vf\n"
        "from grpo_prm.integrations.prime_rl import switch_on\n"
        "switch_on(power=0.5)\n"
        "class LambdaTaskset(vf.Taskset):\n    pass\n"
        "__all__ = ['LambdaTaskset']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    source = {"name": "a", "env": {"taskset": {"id": "lambda-env"}}}
    config = orchestrator.OrchestratorConfig.model_validate(
        {"model": {"name": "Qwen/Qwen3-0.6B"}, "batch_size": 8, "train": {"source": [source]}}
    )
    monkeypatch.delitem(sys.modules, "lambda_env")
    algorithm = prime_rl.build_algorithm(config.train.source[0].algo, None)
    assert type(algorithm).__name__ == "LambdaGRPOAlgorithm"
