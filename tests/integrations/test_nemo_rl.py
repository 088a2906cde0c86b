"""Contract with NeMo-RL (commit 7ea279abf) on a CPU, its own code: loss, sharding, packing.

NeMo-RL is no package of an index: `make test-nemo-rl` takes a checkout.
"""

import pytest
import torch

pytest.importorskip("nemo_rl")
from integrations.nemo_rl_toy import PROMPTS, ROWS, batch, by_sets
from nemo_rl.algorithms.loss import ClippedPGLossConfig, ClippedPGLossFn, loss_functions
from nemo_rl.algorithms.loss.wrapper import SequencePackingLossWrapper

from grpo_prm.errors import UsageError
from grpo_prm.integrations import nemo_rl


def test_weights_lie_on_their_tokens():
    data = batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    for n, ((name, _, _), expected) in enumerate(zip(ROWS, by_sets(), strict=True)):
        begin = len(PROMPTS[name])
        assert data["lambda_weights"][n, begin : begin + len(expected)].tolist() == pytest.approx(expected)
        assert not data["lambda_weights"][n, begin + len(expected) :].any()


def test_parent_weights():
    data = batch()
    nemo_rl.add_weights(data, 0.5, "parent")
    sets = by_sets(0.5)
    for n, (name, ids, _) in enumerate(ROWS):
        begin = len(PROMPTS[name])
        assert data["lambda_weights"][n, begin : begin + len(ids)].tolist() == pytest.approx([4**-0.5, *sets[n][:-1]])


def gradient(loss_fn, data, seen):
    """Gradient at logits of every position, and of unfiltered ones where `seen` asks for them."""
    generator = torch.Generator().manual_seed(1)
    shape = (len(ROWS), data["input_ids"].shape[1] - 1)
    leaves = [(-1.5 + 0.3 * torch.randn(shape, generator=generator)).requires_grad_() for _ in range(2)]
    if seen:
        data["curr_logprobs_unfiltered"] = leaves[1] * 1.0
    valid = (data["token_mask"] * data["sample_mask"][:, None]).sum()
    loss, _ = loss_fn(leaves[0] * 1.0, data, data["sample_mask"].sum(), valid)
    loss.backward()
    return torch.stack([leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves])


def explicit(cfg, data, seen):
    """NeMo-RL's own loss with the weight multiplied into what it averages: policy term and KL term."""
    weights = data["lambda_weights"][:, 1:]
    mean = loss_functions.masked_mean
    loss_fn = ClippedPGLossFn(cfg)

    def weighted(values, mask, **kwargs):
        # Terms of tokens are (B, S - 1) and have a gradient; means over sequences are (B,), metrics have none.
        term = values.shape == weights.shape and values.requires_grad
        return mean(values * weights if term else values, mask, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_functions, "masked_mean", weighted)
        return gradient(loss_fn, data, seen)


GRID = [
    {},
    {"token_level_loss": False},
    {"reference_policy_kl_penalty": 0.0},
    {"reference_policy_kl_type": "k1"},
    {"reference_policy_kl_type": "k2"},
    {"ratio_clip_c": 3.0},
    {"disable_ppo_ratio": True},
    {"force_on_policy_ratio": True},
    {"use_cispo": True},
    {"use_importance_sampling_correction": True},
    {"use_importance_sampling_correction": True, "truncated_importance_sampling_type": "tis",
     "truncated_importance_sampling_ratio": 1.2},
    {"use_importance_sampling_correction": True, "truncated_importance_sampling_type": "seq-mask-tis",
     "truncated_importance_sampling_ratio": 1.2, "truncated_importance_sampling_ratio_min": 0.7},
    {"use_on_policy_kl_approximation": True},
]  # fmt: skip


@pytest.mark.parametrize("filtered", [False, True], ids=["", "top-k"])
@pytest.mark.parametrize("settings", GRID, ids=lambda s: "-".join(map(str, s.values())) or "default")
def test_the_gradient_is_that_of_the_loss_with_the_weight_multiplied_in(settings, filtered):
    cfg = ClippedPGLossConfig(**{"reference_policy_kl_penalty": 0.3} | settings)
    data = batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    ours, plain = (gradient(kind(cfg), data, filtered) for kind in (nemo_rl.weighted_loss, ClippedPGLossFn))
    expected = explicit(cfg, data, filtered)
    assert (ours - expected).norm() < 1e-6 * expected.norm()
    assert (plain - expected).norm() > 1e-2 * expected.norm()


def test_without_a_power_it_is_nemo_rl_to_the_bit():
    cfg, data = ClippedPGLossConfig(reference_policy_kl_penalty=0.3), batch()
    nemo_rl.add_weights(data, 0.0, "process-set")
    assert torch.equal(
        gradient(nemo_rl.weighted_loss(cfg), data, False), gradient(ClippedPGLossFn(cfg), data, False)
    )  # fmt: skip


def test_one_sequence_after_another_as_packing_calls_it():
    cfg, data = ClippedPGLossConfig(reference_policy_kl_penalty=0.3), batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    lengths = data["input_lengths"]
    ends = torch.cat([torch.zeros(1, dtype=lengths.dtype), lengths.cumsum(0)])
    values = -1.5 + 0.3 * torch.randn(1, int(ends[-1]), generator=torch.Generator().manual_seed(2))

    def prepare(logits, data, **_):
        return {"next_token_logprobs": logits[:, :-1]}, data

    def of(kind, weights):
        leaf = values.clone().requires_grad_()
        data["lambda_weights"] = weights
        valid = (data["token_mask"] * data["sample_mask"][:, None]).sum()
        wrapper = SequencePackingLossWrapper(kind(cfg), prepare, ends)
        loss, _ = wrapper(leaf * 1.0, data, data["sample_mask"].sum(), valid)
        loss.backward()
        return leaf.grad[0]

    weights = data["lambda_weights"]
    plain = of(ClippedPGLossFn, weights)
    flat = torch.cat([torch.cat([row[1:n], torch.zeros(1)]) for row, n in zip(weights, lengths, strict=True)])
    assert torch.allclose(of(nemo_rl.weighted_loss, weights), plain * flat, rtol=1e-6, atol=0)


def test_the_field_goes_with_its_rows_to_the_workers():
    data = batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    expected = dict(zip(map(tuple, data["input_ids"].tolist()), data["lambda_weights"].tolist(), strict=True))
    shards = data.shard_by_batch_size(2, batch_size=8)
    assert [len(shard["input_ids"]) for shard in shards] == [4, 4]
    for shard in shards:
        for ids, weights in zip(shard["input_ids"].tolist(), shard["lambda_weights"].tolist(), strict=True):
            assert weights == expected[tuple(ids)]


@pytest.mark.parametrize(
    "setting",
    [{"sequence_level_importance_ratios": True, "token_level_loss": False}, {"use_kl_in_reward": True},
     {"positive_example_nll_weight": 0.1}],
    ids=lambda s: next(iter(s)),
)  # fmt: skip
def test_what_is_refused(setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        nemo_rl.weighted_loss(ClippedPGLossConfig(**setting))


def test_a_batch_without_weights_is_refused():
    with pytest.raises(RuntimeError, match="data_plane"):
        nemo_rl.weighted_loss(ClippedPGLossConfig())(torch.zeros(8, 11), batch(), None, None)
