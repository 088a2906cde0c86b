"""With p = 0 the loss and its gradient are those of TRL's GRPOTrainer; with p > 0 those of TRL with a gradient hook."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from rounding import of_model
from train_models import tiny

from grpo_prm.core.groups import Groups
from grpo_prm.core.loss import policy_loss, unit_terms
from grpo_prm.core.prm import completion_weights, group_advantages
from grpo_prm.train.packing import padded_layout, token_logprobs, tree_layout

pytestmark = pytest.mark.slow

trl = pytest.importorskip("trl")
K, LIMIT, PAD = 4, 9, 0
PROMPTS = [[5, 6, 7, 8], [9, 9, 4, 3]]
COMPLETIONS = [
    *([11, 12, 13, 1], [11, 12, 14, 15, 1], [11, 12, 13, 1], [16, 1]),
    *([20, 21, 22, 23, 24, 25, 26, 27, 28], [20, 21, 1], [20, 21, 22, 1], [30, 1]),
]
REWARDS = np.array([1.0, 0.0, 0.5, 0.25, 1.0, 0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny Qwen2 model with a tokenizer, saved, since TRL loads its reference by name."""
    path = tmp_path_factory.mktemp("model")
    model, tokenizer = tiny("qwen2")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def trainer(folder, tmp_path, **settings):
    """A GRPOTrainer that never trains: its loss is called on a batch of ours."""
    from datasets import Dataset

    config = trl.GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=len(COMPLETIONS),
        num_generations=K,
        max_completion_length=LIMIT,
        gradient_accumulation_steps=1,
        steps_per_generation=1,
        scale_rewards="group",
        disable_dropout=True,
        bf16=False,
        use_cpu=True,
        gradient_checkpointing=False,
        report_to=[],
        **settings,
    )
    data = Dataset.from_list([{"prompt": "a"}] * 8)
    made = trl.GRPOTrainer(
        str(folder), reward_funcs=lambda completions, **_: [0.0] * len(completions), args=config, train_dataset=data
    )
    made.current_gradient_accumulation_steps = 1
    return made


def batch(old, reference):
    """Tensors as TRL takes them: completions padded on the right, the prompts are of one length."""
    width = max(map(len, COMPLETIONS))
    ids, mask = torch.full((len(COMPLETIONS), width), PAD), torch.zeros(len(COMPLETIONS), width, dtype=torch.long)
    for row, completion in enumerate(COMPLETIONS):
        ids[row, : len(completion)], mask[row, : len(completion)] = torch.tensor(completion), 1
    prompts = torch.tensor([prompt for prompt in PROMPTS for _ in range(K)])
    groups = np.repeat(np.arange(len(PROMPTS)), K)
    given = {
        "prompt_ids": prompts,
        "prompt_mask": torch.ones_like(prompts),
        "completion_ids": ids,
        "completion_mask": mask,
        "advantages": torch.from_numpy(group_advantages(REWARDS, groups)).float(),
        "num_items_in_batch": mask.sum(),
    }
    if old is not None:
        given["old_per_token_logps"] = old
    if reference is not None:
        given["ref_per_token_logps"] = reference
    return given


def weights_of_rows(given, power):
    lengths = given["completion_mask"].sum(1)
    return Groups.of(given["completion_ids"], REWARDS, K, lengths=lengths).lambda_weights(power)


def ours(model, layout, given, aggregation, power, **settings):
    """Our loss on the same batch, its gradient left in the model."""
    attended = given["completion_mask"].bool()
    lengths = given["completion_mask"].sum(1)
    w = torch.from_numpy(completion_weights(aggregation, lengths.numpy(), LIMIT))
    factor = weights_of_rows(given, power)[attended]
    units = len(layout.target)
    terms = unit_terms(
        layout.unit,
        units,
        given["advantages"].double().repeat_interleave(lengths),
        w.repeat_interleave(lengths),
        factor,
    )

    def of_units(name):
        values = given.get(name)
        return None if values is None else torch.zeros(units).index_copy_(0, layout.unit, values[attended])

    model.zero_grad()
    logprobs = token_logprobs(model, layout, 0.7)
    old = of_units("old_per_token_logps")
    loss = policy_loss(
        logprobs,
        logprobs.detach() if old is None else old,
        terms,
        reference=of_units("ref_per_token_logps"),
        **settings,
    )
    loss.backward()
    return loss.item(), gradient(model)


def gradient(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def noisy(model, spread, seed):
    """Log-probabilities near those of the model; equal for equal prefixes, as those of any policy are."""
    layout = tree_layout(PROMPTS, COMPLETIONS, K, torch.device("cpu"))
    with torch.no_grad():
        values = token_logprobs(model, layout, 0.7)
    values = values + spread * torch.randn(len(values), generator=torch.Generator().manual_seed(seed))
    rows = values[layout.unit].split([len(row) for row in COMPLETIONS])
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


@pytest.mark.parametrize("aggregation", ["grpo", "bnpo", "dr_grpo", "dapo"])
@pytest.mark.parametrize(("beta", "bias"), [(0.0, True), (0.2, True), (0.2, False)])
def test_loss_and_gradient_are_those_of_trl(folder, tmp_path, aggregation, beta, bias):
    made = trainer(
        folder,
        tmp_path,
        loss_type=aggregation,
        beta=beta,
        use_bias_correction_kl=bias,
        epsilon=0.2,
        epsilon_high=0.28,
        temperature=0.7,
    )
    model = made.model
    tokens = sum(len(prompt) * K for prompt in PROMPTS) + sum(map(len, COMPLETIONS))
    for off_policy in (False, True):
        old = noisy(model, 0.3, 1) if off_policy else None
        given = batch(old, noisy(model, 0.2, 2) if beta else None)
        hooked = made._get_per_token_logps_and_entropies
        for power in (0.0, 0.5, 1.0):
            weights = weights_of_rows(given, power)

            def weighed(*args, weights=weights, hooked=hooked, **kwargs):
                logprobs, *rest = hooked(*args, **kwargs)
                logprobs.register_hook(lambda grad: grad * weights)
                return logprobs, *rest

            made._get_per_token_logps_and_entropies = weighed
            model.train()
            model.zero_grad()
            loss = made._compute_loss(model, given)
            loss.backward()
            expected = gradient(model)
            largest = max(g.abs().max().item() for g in expected.values())
            for lay_out in (padded_layout, tree_layout):
                layout = lay_out(PROMPTS, COMPLETIONS, K, torch.device("cpu"))
                found, slopes = ours(
                    model, layout, given, aggregation, power, clip_low=0.2, clip_high=0.28, beta=beta, ratio_in_kl=bias
                )
                if power == 0:
                    assert found == pytest.approx(loss.item(), rel=of_model(model, tokens), abs=of_model(model, tokens))
                near = of_model(model, tokens, backward=True) * largest
                assert near < 1e-2
                for name, slope in slopes.items():
                    assert (slope - expected[name]).abs().max().item() <= near, (name, power)
        made._get_per_token_logps_and_entropies = hooked


def test_a_clipped_token_is_among_them(folder):
    """Or the comparison off policy would say nothing about clipping."""
    model, _ = tiny("qwen2")
    layout = tree_layout(PROMPTS, COMPLETIONS, K, torch.device("cpu"))
    now = torch.nn.utils.rnn.pad_sequence(
        list(token_logprobs(model, layout, 0.7).detach()[layout.unit].split([len(r) for r in COMPLETIONS])),
        batch_first=True,
    )
    ratio = (now - noisy(model, 0.3, 1)).exp()
    advantages = torch.from_numpy(group_advantages(REWARDS, np.repeat([0, 1], K)))[:, None]
    both = itertools.product
    assert both and ((ratio > 1.28) & (advantages > 0)).any() and ((ratio < 0.8) & (advantages < 0)).any()
