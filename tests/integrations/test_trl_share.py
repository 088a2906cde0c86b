"""How much a completion weighs in each of TRL's losses, which the placebo and the matched scale are made with.

TRL's own source says it: the terms of the tokens are replaced by a tensor, whose gradient is w_i m_it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from integrations.test_trl_gradient import LOSSES, PLACE, SOURCE, module
from integrations.trl_toy import length_reward, prompts, rollouts, saved_model, settings, without_kernel

from grpo_prm.errors import UsageError
from grpo_prm.integrations import trl_weights
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer
from grpo_prm.integrations.trl_weights import completion_share

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"), torch.float64)


def loss_of_terms():
    """TRL's loss as a function of the terms of the tokens."""
    line = '    per_token_loss = inputs["terms"]\n'
    source = SOURCE.replace(PLACE, line + PLACE).replace("def _compute_loss", "def loss_of_terms")
    names = dict(vars(module))
    exec(compile(source, "loss_of_terms", "exec"), names)  # noqa: S102
    return names["loss_of_terms"]


class Asks(LambdaGRPOTrainer):
    """Keeps w_i m_it of each micro-batch, and the rows' numbers in the generation."""

    def _generate_and_score_completions(self, inputs):
        made = super()._generate_and_score_completions(inputs)
        inside = (made["completion_mask"] * made["tool_mask"]).bool().numpy()
        rows = zip(inside, self._watching.rewarded.ids, strict=True)
        self.of_generation.append([row[: len(ids)] for row, ids in rows])
        return made

    def compute_loss(self, model, inputs, *args, **kwargs):
        if self.state.global_step == 0:
            terms = torch.zeros(inputs["completion_ids"].shape, dtype=torch.float64, requires_grad=True)
            loss_of_terms()(self, model, {**inputs, "terms": terms}).backward()
            rows, generation = inputs["rollout_row"].tolist(), len(self.of_generation) - 1
            self.weights |= {(generation, row): each for row, each in zip(rows, terms.grad.numpy(), strict=True)}
        return super().compute_loss(model, inputs, *args, **kwargs)


# How rows of a generation come to the loss: at once, in four micro-batches, and with cut-off ones masked.
CUTS = {"whole": {}, "accumulated": {"gradient_accumulation_steps": 4}, "masked": {"mask_truncated_completions": True}}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_completion_weighs_what_trl_gives_it(model, tmp_path, monkeypatch, loss, cut):
    without_kernel(monkeypatch)
    if loss == "bnpo" and cut == "accumulated":
        pytest.skip("the tokens of a micro-batch, which TRL draws afterwards, divide its terms")
    if loss == "luspo" and trl_weights.INSTALLED < trl_weights.LUSPO:
        pytest.skip("the placebo is refused with it")
    args = LambdaGRPOConfig(
        **settings(tmp_path, loss_type=loss, max_steps=1, model_init_kwargs={"dtype": "auto"}, **CUTS[cut])
    )
    trainer = Asks(model, length_reward, args, train_dataset=prompts(), rollout_func=rollouts(masked=True))
    trainer.of_generation, trainer.weights = [], {}
    trainer.train()
    (masks,) = trainer.of_generation
    share, ratios = completion_share(masks, loss), []
    assert sorted(trainer.weights) == [(0, row) for row in range(len(masks))]
    for row, mask in enumerate(masks):
        found = trainer.weights[0, row]
        assert not found[len(mask) :].any()
        assert not found[: len(mask)][~mask].any()
        ratios += (found[: len(mask)][mask] / share[row]).tolist()
    assert len(ratios) > 20
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)


def test_the_placebo_is_refused_with_luspo_of_an_older_version(model, tmp_path, monkeypatch):
    whole = "loss = (per_token_loss * mask).sum(-1).mean()" in SOURCE
    assert whole == (trl_weights.INSTALLED >= trl_weights.LUSPO)
    monkeypatch.setattr(trl_weights, "INSTALLED", trl_weights.Version("1.8.0"))
    args = LambdaGRPOConfig(**settings(tmp_path, loss_type="luspo", lambda_kind="position"))
    with pytest.raises(UsageError, match=r"'luspo' of TRL 1\.8\.0 counts padding"):
        LambdaGRPOTrainer(model, length_reward, args, train_dataset=prompts())
