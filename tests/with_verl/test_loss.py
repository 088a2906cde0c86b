"""The gradient of our loss against verl's own loss with the weight written into it, on verl's real functions."""

import itertools

import numpy as np
import pytest
import torch
import verl.workers.utils.losses as verl_losses
from tensordict import TensorDict
from verl.trainer.ppo import core_algos
from verl.utils import tensordict_utils as tu
from verl.workers.config import ActorConfig, PolicyLossConfig
from verl.workers.engine.utils import prepare_micro_batches
from verl.workers.utils.losses import ppo_loss
from verl_batches import invented, process_set_weights

from grpo_prm.integrations.verl_loss import FIELD, lambda_ppo_loss
from grpo_prm.integrations.verl_settings import SEQUENCE_LOSSES

LOSSES = sorted(set(core_algos.POLICY_LOSS_REGISTRY) - set(SEQUENCE_LOSSES))
AGGREGATIONS = ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-sum-norm", "seq-mean-token-mean"]
ROWS = invented(0)
WEIGHTS = process_set_weights(ROWS, 1.0)
WHOLE = [list(range(len(ROWS)))]
UNEVEN = [[0, 5, 7], [1], [2, 3, 4, 6, 8], list(range(9, len(ROWS)))]  # cut through groups, rows of a group apart
DRAW = np.random.default_rng(0)


def values(spread):
    return [DRAW.normal(-1.5, spread, len(row.response)) for row in ROWS]


OLD, REFERENCE = values(0.3), values(0.5)
CORRECTION = [DRAW.uniform(0.5, 1.5, len(row.response)) for row in ROWS]
ADVANTAGES = [np.full(len(row.response), DRAW.normal()) for row in ROWS]
LENGTHS = [len(row.prompt) + len(row.response) for row in ROWS]
POLICY = torch.from_numpy(DRAW.normal(-1.5, 0.3, sum(LENGTHS)))  # of prompts and responses, laid end to end


def nested(rows, dtype=torch.float64):
    return torch.nested.as_nested_tensor([torch.as_tensor(row, dtype=dtype) for row in rows], layout=torch.jagged)


def micro_batch(rows, *, corrected, weights=WEIGHTS):
    """What the engine hands to the loss: nested fields of these rows, and the counts of the whole batch."""

    def some(column):
        return [column[n] for n in rows]

    fields = {
        "prompts": nested([ROWS[n].prompt for n in rows], torch.int64),
        "responses": nested([ROWS[n].response for n in rows], torch.int64),
        "response_mask": nested([ROWS[n].mask for n in rows], torch.int64),
        "old_log_probs": nested(some(OLD)),
        "ref_log_prob": nested(some(REFERENCE)),
        "advantages": nested(some(ADVANTAGES)),
        FIELD: nested(some(weights)),
    }
    if corrected:
        fields["rollout_is_weights"] = nested(some(CORRECTION))
    data = TensorDict(fields, batch_size=len(rows))
    tokens = sum(sum(row.mask) for row in ROWS)
    tu.assign_non_tensor(data, dp_size=1, batch_num_tokens=tokens, global_batch_size=len(ROWS))
    return data


def gradient(loss, config, split, *, corrected=False, weights=WEIGHTS):
    """The gradient at every log-probability, prompts included, and the losses, one micro-batch after another."""
    torch.manual_seed(1)  # clip_cov draws the tokens that it clips
    np.random.seed(1)  # noqa: NPY002 - verl draws from it
    policy = POLICY.clone().requires_grad_()
    pieces = policy.split(LENGTHS)
    losses = []
    for rows in split:
        lengths = torch.tensor([0, *(LENGTHS[n] for n in rows)]).cumsum(0)
        log_probs = torch.nested.nested_tensor_from_jagged(torch.cat([pieces[n] for n in rows]), lengths)
        data = micro_batch(rows, corrected=corrected, weights=weights)
        value, _ = loss(config=config, model_output={"log_probs": log_probs}, data=data, dp_group=None)
        value.backward()
        losses.append(value.item())
    return policy.grad, losses


def written_in(monkeypatch):
    """verl's ppo_loss, in which every term, KL too, is multiplied by the weight before verl adds the terms up."""
    calls = []

    def loss(config, model_output, data, dp_group):
        weights = data.select(FIELD).to_padded_tensor()[FIELD]
        real = core_algos.agg_loss

        def weighted(loss_mat, **rest):
            calls.append(loss_mat.shape)
            return real(loss_mat=loss_mat * weights, **rest)

        with monkeypatch.context() as patch:
            patch.setattr(core_algos, "agg_loss", weighted)
            patch.setattr(verl_losses, "agg_loss", weighted)
            return ppo_loss(config, model_output, data, dp_group)

    return loss, calls


def config_of(loss, aggregation="token-mean", *, kl=False, bypass="ppo_clip", **more):
    correction = {"loss_type": bypass, "rollout_is": "token", "rollout_is_threshold": 2.0}
    correction = correction if loss == "bypass_mode" else None
    policy_loss = PolicyLossConfig(loss_mode=loss, rollout_correction=correction, dro_beta=0.5)
    return ActorConfig(
        strategy="fsdp",
        rollout_n=4,
        ppo_mini_batch_size=4,
        ppo_micro_batch_size_per_gpu=4,
        use_kl_loss=kl,
        kl_loss_coef=0.3,
        kl_loss_type="low_var_kl",
        loss_agg_mode=aggregation,
        loss_scale_factor=20,
        policy_loss=policy_loss,
        **more,
    )


def apart(one, other):
    return ((one - other).norm() / other.norm()).item()


def test_verl_has_the_losses_that_were_tried():
    tried = "bypass_mode cispo clip_cov dppo_kl dppo_tv dro geo_mean gpg gspo kl_cov sapo vanilla"
    assert " ".join(sorted(core_algos.POLICY_LOSS_REGISTRY)) == tried


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_that_of_the_loss_with_the_weight_written_into_it(loss, aggregation, monkeypatch):
    explicit, calls = written_in(monkeypatch)
    for kl, corrected, split in itertools.product((False, True), (False, True), (WHOLE, UNEVEN)):
        config = config_of(loss, aggregation, kl=kl)
        expected, _ = gradient(explicit, config, split, corrected=corrected)
        found, _ = gradient(lambda_ppo_loss, config, split, corrected=corrected)
        assert expected.abs().max() > 0
        assert apart(found, expected) < 1e-12, (kl, corrected, len(split))
    assert len(calls) == sum((1 + kl) * 2 * len(split) for kl in (False, True) for split in (WHOLE, UNEVEN))


def test_bypass_mode_with_reinforce(monkeypatch):
    explicit, _ = written_in(monkeypatch)
    config = config_of("bypass_mode", bypass="reinforce", kl=True)
    expected, _ = gradient(explicit, config, UNEVEN)
    assert apart(gradient(lambda_ppo_loss, config, UNEVEN)[0], expected) < 1e-12


@pytest.mark.parametrize("loss", sorted(set(LOSSES) - {"clip_cov", "kl_cov", "bypass_mode"}))
def test_micro_batches_that_cut_groups_add_up_to_the_whole_batch(loss):
    config = config_of(loss, kl=True)
    whole, _ = gradient(lambda_ppo_loss, config, WHOLE)
    assert apart(gradient(lambda_ppo_loss, config, UNEVEN)[0], whole) < 1e-12


@pytest.mark.parametrize("longest", [24, 40, 10_000])
def test_mini_and_micro_batches_that_verl_itself_cuts_keep_each_row_with_its_weights(longest, monkeypatch):
    """As `train_mini_batch` and the engine's `forward_backward_batch` cut them: shuffled, then by length."""
    explicit, _ = written_in(monkeypatch)
    config = config_of("vanilla", kl=True)
    expected, _ = gradient(explicit, config, WHOLE)
    data = micro_batch(WHOLE[0], corrected=False)
    data["row"] = torch.arange(len(ROWS))
    data["input_ids"] = nested([row.prompt + row.response for row in ROWS], torch.int64)
    tu.assign_non_tensor(data, use_dynamic_bsz=True, max_token_len_per_gpu=longest)
    policy = POLICY.clone().requires_grad_()
    pieces, cuts = policy.split(LENGTHS), 0
    for mini in tu.make_iterator(data, len(ROWS), epochs=1, seed=3, dataloader_kwargs={"shuffle": True}):
        for micro in prepare_micro_batches(mini)[0]:
            rows, cuts = micro["row"].tolist(), cuts + 1
            lengths = torch.tensor([0, *(LENGTHS[n] for n in rows)]).cumsum(0)
            log_probs = torch.nested.nested_tensor_from_jagged(torch.cat([pieces[n] for n in rows]), lengths)
            lambda_ppo_loss(config, {"log_probs": log_probs}, micro)[0].backward()
    assert cuts > 1 or longest == 10_000
    assert apart(policy.grad, expected) < 1e-12


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_itself_is_verls_and_weights_of_1_leave_the_gradient_bit_for_bit(loss):
    config = config_of(loss, kl=True)
    plain, losses = gradient(ppo_loss, config, UNEVEN)
    weighted, weighted_losses = gradient(lambda_ppo_loss, config, UNEVEN)
    assert weighted_losses == losses
    assert not torch.equal(weighted, plain)
    ones = [[1.0] * len(row.response) for row in ROWS]
    assert torch.equal(gradient(lambda_ppo_loss, config, UNEVEN, weights=ones)[0], plain)


def test_the_entropy_bonus_is_not_weighted():
    config = config_of("vanilla", entropy_coeff=0.1)
    rows = WHOLE[0]

    def at_entropy(loss):
        entropy = POLICY.clone().requires_grad_()
        lengths = torch.tensor([0, *LENGTHS]).cumsum(0)
        output = {
            "log_probs": torch.nested.nested_tensor_from_jagged(POLICY.clone().requires_grad_(), lengths),
            "entropy": torch.nested.nested_tensor_from_jagged(entropy, lengths),
        }
        loss(config=config, model_output=output, data=micro_batch(rows, corrected=False))[0].backward()
        return entropy.grad

    assert at_entropy(ppo_loss).abs().max() > 0
    assert torch.equal(at_entropy(lambda_ppo_loss), at_entropy(ppo_loss))


def test_a_log_probability_of_minus_infinity_stays_one():
    rows = [0]
    values = torch.full((LENGTHS[0],), -torch.inf, requires_grad=True)
    output = {"log_probs": torch.nested.nested_tensor_from_jagged(values, torch.tensor([0, LENGTHS[0]]))}
    from grpo_prm.integrations.verl_loss import weighed

    assert weighed(output["log_probs"], micro_batch(rows, corrected=False)).values().eq(-torch.inf).all()


def test_log_probabilities_may_come_without_offsets():
    """verl takes them nested or laid end to end."""
    config = config_of("vanilla", kl=True)
    expected, _ = gradient(lambda_ppo_loss, config, WHOLE)
    policy = POLICY.clone().requires_grad_()
    lambda_ppo_loss(config, {"log_probs": policy}, micro_batch(WHOLE[0], corrected=False))[0].backward()
    assert torch.equal(policy.grad, expected)


def test_without_a_gradient_nothing_is_done():
    config = config_of("vanilla", kl=True)
    lengths = torch.tensor([0, *LENGTHS]).cumsum(0)
    output = {"log_probs": torch.nested.nested_tensor_from_jagged(POLICY, lengths)}
    data = micro_batch(WHOLE[0], corrected=False)
    with torch.no_grad():
        ours, theirs = (loss(config, output, data)[0] for loss in (lambda_ppo_loss, ppo_loss))
    assert ours.equal(theirs)


def test_the_log_shows_the_mean_weight_of_the_loss_tokens_however_they_are_cut():
    config = config_of("vanilla", "seq-mean-token-mean")
    pieces, total = POLICY.split(LENGTHS), 0.0
    for rows in UNEVEN:
        lengths = torch.tensor([0, *(LENGTHS[n] for n in rows)]).cumsum(0)
        output = {"log_probs": torch.nested.nested_tensor_from_jagged(torch.cat([pieces[n] for n in rows]), lengths)}
        _, metrics = lambda_ppo_loss(config, output, micro_batch(rows, corrected=False))
        assert metrics["actor/lambda_weight"].aggregation is metrics["actor/pg_loss"].aggregation
        total += metrics["actor/lambda_weight"].aggregate()  # verl adds it up over micro-batches, as it does the loss
    counted = [w for row, of_row in zip(ROWS, WEIGHTS, strict=True) for w, m in zip(of_row, row.mask, strict=True) if m]
    assert total == pytest.approx(sum(counted) / len(counted), rel=1e-12)
