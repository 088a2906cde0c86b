"""λ-GRPO in slime: on a stand-in everywhere, and on slime's own loss where it and megatron-core are installed.

The weighted gradient is made from slime's plain loss alone: with a mask of one token it gives that token's gradient,
and the tokens' gradients, each times its counted factor, are added up.
"""

import inspect
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import stand_in_slime
import torch
from oracle_rows import made_rows, row_factors

from grpo_prm.errors import UsageError
from grpo_prm.integrations.slime import lambda_loss, weigh_samples


def arguments(**changed):
    """slime's arguments that its policy loss reads, with its defaults."""
    values = {
        "advantage_estimator": "grpo",
        "allgather_cp": False,
        "calculate_per_token_loss": False,
        "custom_pg_loss_reducer_function_path": None,
        "custom_tis_function_path": None,
        "entropy_coef": 0.0,
        "eps_clip": 0.2,
        "eps_clip_c": None,
        "eps_clip_high": 0.28,
        "get_mismatch_metrics": False,
        "kl_coef": 0.0,
        "kl_loss_coef": 0.3,
        "kl_loss_type": "low_var_kl",
        "log_probs_chunk_size": -1,
        "loss_type": "custom_loss",
        "opsm_delta": 1e-4,
        "recompute_loss_function": False,
        "rollout_temperature": 1.0,
        "rollout_top_p": 1.0,
        "tis_clip": 2.0,
        "tis_clip_low": 0.0,
        "use_kl_loss": True,
        "use_opd": False,
        "use_opsm": False,
        "use_rollout_logprobs": False,
        "use_tis": False,
        "use_unbiased_kl": False,
    }
    return Namespace(**(values | changed))


def samples_of(rows, starts, groups):
    """slime's nesting: a list a prompt, whose samples are shuffled; the first has a rollout that became two."""
    made = {}
    for row, start, group in zip(rows, starts, groups, strict=True):
        sample = SimpleNamespace(tokens=row, response_length=len(row) - start, teacher_log_probs=None)
        made.setdefault(group, []).append(sample)
    flat = [list(group) for group in made.values()]
    nested = list(made.values())
    nested[0] = [nested[0][:2], *nested[0][2:]]
    return nested, flat


@pytest.mark.parametrize("kind", ["process-set", "parent"])
@pytest.mark.parametrize("seed", range(3))
def test_samples_carry_counted_factors(seed, kind):
    groups, flat = samples_of(*made_rows(seed))
    weigh_samples(arguments(lambda_power=0.5, lambda_kind=kind), groups)
    for group in flat:
        rows, starts = [s.tokens for s in group], [len(s.tokens) - s.response_length for s in group]
        expected = row_factors(rows, starts, [0] * len(rows), 0.5, kind)
        for sample, factors in zip(group, expected, strict=True):
            np.testing.assert_allclose(sample.teacher_log_probs, factors, rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"advantage_estimator": "gspo"}, "gspo"),
        ({"advantage_estimator": "ppo"}, "ppo has no group, or needs a critic"),
        ({"advantage_estimator": "reinforce_plus_plus"}, "reinforce_plus_plus has no group"),
        ({"advantage_estimator": "reinforce_plus_plus_baseline", "kl_coef": 0.1}, "--kl-coef 0.1"),
        ({"use_opd": True}, "--use-opd"),
        ({"loss_type": "policy_loss"}, "--loss-type"),
        ({"lambda_power": -1.0}, "power"),
        ({"lambda_kind": "position"}, "position"),
    ],
)
def test_settings_that_are_refused(changed, named):
    groups, _ = samples_of(*made_rows(0))
    with pytest.raises(UsageError, match=named):
        weigh_samples(arguments(**changed), groups)


def test_without_a_power_nothing_is_refused_and_nothing_done(monkeypatch):
    loss = stand_in_slime.install(monkeypatch)
    loss.policy_loss_function = lambda *given: given
    args = arguments(lambda_power=0, advantage_estimator="gspo", loss_type="policy_loss")
    groups, flat = samples_of(*made_rows(0))
    weigh_samples(args, groups)
    assert all(sample.teacher_log_probs is None for group in flat for sample in group)
    assert lambda_loss(args, {}, "logits", "reducer") == (args, {}, "logits", "reducer")


def test_samples_of_a_distillation_are_refused():
    groups, flat = samples_of(*made_rows(0))
    flat[-1][0].teacher_log_probs = [-0.5]
    with pytest.raises(UsageError, match="teacher_log_probs"):
        weigh_samples(arguments(), groups)


def test_a_batch_without_weights_is_refused(monkeypatch):
    stand_in_slime.install(monkeypatch)
    with pytest.raises(UsageError, match="weigh_samples"):
        lambda_loss(arguments(), {}, None, None)


def test_a_loss_that_finds_log_probabilities_elsewhere_is_refused(monkeypatch):
    loss = stand_in_slime.install(monkeypatch)
    plain = loss.get_log_probs_and_entropy
    loss.policy_loss_function = lambda *_: (torch.zeros(()), {})
    with pytest.raises(UsageError, match="no weight was used"):
        lambda_loss(arguments(), {"teacher_log_probs": [torch.ones(1)]}, None, None)
    assert loss.get_log_probs_and_entropy is plain


def numbers(generator, lengths, scale):
    return [-torch.rand(n, generator=generator, dtype=torch.float32) * scale for n in lengths]


def made_batch(seed, vocabulary=5):
    """A micro-batch of one group: sequences, masks with tool output, log-probabilities of all policies, weights."""
    generator = torch.Generator().manual_seed(seed)
    prompt = [1, 2]
    responses = [[3, 3, 1, 2], [3, 3, 2], [3, 4, 1, 1], [0], [3, 3, 1, 2]]
    masks = [[1, 0, 0, 1], [1, 1, 1], [1, 1, 0, 1], [1], [1, 0, 0, 1]]
    rows = [prompt + response for response in responses]
    lengths = [len(response) for response in responses]
    factors = row_factors(rows, [2] * len(rows), [0] * len(rows), 1.0, "process-set")
    batch = {
        "unconcat_tokens": [torch.tensor(row) for row in rows],
        "total_lengths": [len(row) for row in rows],
        "response_lengths": lengths,
        "loss_masks": [torch.tensor(mask) for mask in masks],
        "rollout_mask_sums": torch.tensor([float(sum(mask)) for mask in masks]),
        "advantages": [torch.full((n,), a) for n, a in zip(lengths, (1.2, -0.4, 0.7, -1.1, -0.4), strict=True)],
        "log_probs": numbers(generator, lengths, 3.0),
        "ref_log_probs": numbers(generator, lengths, 3.0),
        "rollout_log_probs": numbers(generator, lengths, 3.0),
        "teacher_log_probs": [torch.tensor(factor, dtype=torch.float32) for factor in factors],
    }
    logits = torch.randn(1, sum(map(len, rows)), vocabulary, generator=generator)
    return batch, logits, factors


def gradient(loss_of, args, batch, logits, masks, reducer):
    logits = logits.clone().requires_grad_()
    loss, metrics = loss_of(args, batch | {"loss_masks": masks}, logits, reducer(masks))
    (found,) = torch.autograd.grad(loss, logits)
    return found, loss.detach(), metrics


def by_single_tokens(plain, args, batch, logits, factors, reducer):
    """Σ w_t of what the plain loss gives for token t alone; the entropy bonus of each token as it is."""
    total = torch.zeros_like(logits)
    without_entropy = Namespace(**(vars(args) | {"entropy_coef": 0.0}))
    for i, factor in enumerate(factors):
        for t in range(len(factor)):
            if not batch["loss_masks"][i][t]:
                continue
            masks = [torch.zeros_like(mask) for mask in batch["loss_masks"]]
            masks[i][t] = 1
            term, _, _ = gradient(plain, without_entropy, batch, logits, masks, reducer)
            whole, _, _ = gradient(plain, args, batch, logits, masks, reducer)
            total += factor[t] * term + (whole - term)
    return total


@pytest.fixture(scope="module")
def megatron():
    """slime's own loss, in a world of one process."""
    pytest.importorskip("slime")
    mpu = pytest.importorskip("megatron.core.parallel_state")
    loss = pytest.importorskip("slime.backends.megatron_utils.loss")
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    mpu.initialize_model_parallel(1)
    yield loss
    mpu.destroy_model_parallel()
    torch.distributed.destroy_process_group()


SETTINGS = {
    "plain": {},
    "no KL": {"use_kl_loss": False},
    "unbiased KL": {"use_unbiased_kl": True},
    "squared KL": {"kl_loss_type": "k2"},
    "cispo": {"advantage_estimator": "cispo"},
    "dual clip": {"eps_clip_c": 3.0},
    "importance correction": {"use_tis": True},
    "sampler's log-probabilities": {"use_rollout_logprobs": True},
    "mean over tokens": {"calculate_per_token_loss": True},
    "entropy bonus": {"entropy_coef": 0.1},
    "temperature": {"rollout_temperature": 0.7},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_gradient_of_slimes_own_loss(megatron, name):
    args = arguments(**SETTINGS[name])
    batch, logits, factors = made_batch(1)

    def reducer(masks):
        sums = (batch["total_lengths"], batch["response_lengths"], masks, batch["rollout_mask_sums"])
        return megatron.get_sum_of_sample_mean(*sums, args.calculate_per_token_loss)

    plain = megatron.policy_loss_function
    expected = by_single_tokens(plain, args, batch, logits, factors, reducer)
    got, loss, metrics = gradient(lambda_loss, args, batch, logits, batch["loss_masks"], reducer)
    assert (got - expected).abs().max() <= 1e-6 * expected.abs().max()
    unweighted, plain_loss, plain_metrics = gradient(plain, args, batch, logits, batch["loss_masks"], reducer)
    assert loss == plain_loss and metrics == plain_metrics
    assert (got - unweighted).abs().max() > 0.01 * unweighted.abs().max()


def test_no_power_is_slimes_own_gradient_bit_for_bit(megatron):
    batch, logits, _ = made_batch(2)
    ones = [torch.ones(n) for n in batch["response_lengths"]]

    def reducer(masks):
        sums = (batch["total_lengths"], batch["response_lengths"], masks, batch["rollout_mask_sums"])
        return megatron.get_sum_of_sample_mean(*sums, False)

    args, masks = arguments(), batch["loss_masks"]
    got, _, _ = gradient(lambda_loss, args, batch | {"teacher_log_probs": ones}, logits, masks, reducer)
    assert torch.equal(got, gradient(megatron.policy_loss_function, args, batch, logits, masks, reducer)[0])


def test_recomputed_losses_are_weighted_once(megatron):
    """`--recompute-loss-function` runs the loss again in the backward pass."""
    batch, logits, _ = made_batch(3)
    args = arguments(custom_loss_function_path="grpo_prm.integrations.slime.lambda_loss", recompute_loss_function=False)

    def of(recompute):
        args.recompute_loss_function = recompute
        values = logits.clone().requires_grad_()
        loss, _, _ = megatron.loss_function(args, batch, 1, 5, values)
        return torch.autograd.grad(loss, values)[0]

    torch.testing.assert_close(of(True), of(False))


@pytest.mark.slow
def test_two_context_parallel_ranks(megatron):
    script = Path(__file__).parent / "slime_ranks.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script)]
    paths = os.pathsep.join([str(script.parents[1]), str(script.parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    done = subprocess.run(launcher, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_names_that_slime_must_have(megatron):
    """The field that the weights travel in, and the form in which it reaches the trainers."""
    types = pytest.importorskip("slime.utils.types")
    data = pytest.importorskip("slime.observability.rollout_data_utils")
    sample = types.Sample(tokens=[1, 2, 3], response_length=2, group_index=0)
    weigh_samples(arguments(), [[sample, types.Sample(tokens=[1, 2, 4], response_length=2)]])
    crossing = {"teacher_log_probs": [sample.teacher_log_probs]}
    data.tensorize_rollout_data_for_training(crossing)
    torch.testing.assert_close(crossing["teacher_log_probs"][0], torch.tensor([0.5, 1.0]))
    parameters = ["args", "batch", "logits", "sum_of_sample_mean"]
    assert list(inspect.signature(megatron.policy_loss_function).parameters) == parameters


def test_gradient_of_a_loss_like_slimes(monkeypatch):
    """The same on the stand-in, where slime is not installed."""
    loss = stand_in_slime.install(monkeypatch)
    args = arguments(entropy_coef=0.1)
    batch, logits, factors = made_batch(4)
    rows = [tokens[2:] for tokens in batch["unconcat_tokens"]]
    logits = logits[:, : sum(map(len, rows))]
    batch["tokens"] = rows

    def reducer(masks):
        flat = torch.cat([mask / total for mask, total in zip(masks, batch["rollout_mask_sums"], strict=True)])
        return lambda values: (values * flat).sum()

    expected = by_single_tokens(loss.policy_loss_function, args, batch, logits, factors, reducer)
    got, _, _ = gradient(lambda_loss, args, batch, logits, batch["loss_masks"], reducer)
    assert (got - expected).abs().max() <= 1e-6 * expected.abs().max()
