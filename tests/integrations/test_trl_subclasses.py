"""Trainers of the user's whose loss asks for more log-probabilities than TRL's, or whose rows are not TRL's."""

from __future__ import annotations

import polars as pl
import pytest
import torch
from integrations.trl_toy import flat, length_reward, prompts, rollouts, saved_model, settings, without_kernel
from transformers import AutoModelForCausalLM, AutoTokenizer

trl = pytest.importorskip("trl")
from grpo_prm.errors import UsageError  # noqa: E402
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer, watch  # noqa: E402

pytestmark = pytest.mark.slow

RATE = 0.1


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"), torch.float64)


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    without_kernel(monkeypatch)


def beside(trainer, model, inputs, ids):
    """A term of the user's own: the mean log-probability of other text, asked for as TRL asks."""
    ask = trainer._get_per_token_logps_and_entropies
    return 0.1 * ask(model, ids, torch.ones_like(ids), inputs["completion_ids"].shape[1])[0].mean()


def same_width(inputs):
    """As wide as the loss's own, with the completions of other rows."""
    return torch.cat([inputs["prompt_ids"], inputs["completion_ids"].flip(0)], 1)


def wider(inputs):
    return torch.cat([same_width(inputs), inputs["completion_ids"]], 1)


class Beside:
    """Computes its own term before TRL's or behind it."""

    first, text = True, staticmethod(same_width)

    def _compute_loss(self, model, inputs):
        before = beside(self, model, inputs, self.text(inputs)) if self.first else 0
        loss = super()._compute_loss(model, inputs)
        self.gradient = self.gradient_of_own_term(model, inputs)
        return loss - (before if self.first else beside(self, model, inputs, self.text(inputs)))

    def gradient_of_own_term(self, model, inputs):
        ids = self.text(inputs)
        width = inputs["completion_ids"].shape[1]
        logits = model(input_ids=ids).logits[:, -width - 1 : -1].log_softmax(-1)
        term = -0.1 * logits.gather(2, ids[:, -width:, None]).mean()
        return torch.cat([each.flatten() for each in torch.autograd.grad(term, list(model.parameters()))])


class Taught:
    """Asks for log-probabilities of the same completions under another model first."""

    teacher = None

    def _compute_loss(self, model, inputs):
        ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
        mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
        with torch.no_grad():
            self._get_per_token_logps_and_entropies(self.teacher, ids, mask, inputs["completion_ids"].shape[1])
        return super()._compute_loss(model, inputs)


def trained(model, out, *mixed, **more):
    """One step of SGD with weights, by a trainer with these classes before it."""
    fixed = {"max_steps": 1, "optim": "sgd", "learning_rate": RATE, "max_grad_norm": 0.0}
    args = LambdaGRPOConfig(**settings(out, model_init_kwargs={"dtype": "auto"}, **fixed | more))
    kind = type("Users", (*mixed, LambdaGRPOTrainer), {})
    trainer = kind(model, length_reward, args, train_dataset=prompts(), rollout_func=rollouts())
    trainer.teacher = AutoModelForCausalLM.from_config(trainer.model.config)
    trainer.train()
    return trainer


def gap_to_the_sampler(model, out):
    """Largest distance of recorded log-probabilities from those of the model before the training."""
    sampler, tokenizer, gaps = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model), []
    table = pl.read_parquet(out / "rollouts" / "*.parquet").filter(pl.col("step") == 1)
    for prompt, tokens, found in table.select("prompt", "tokens", "logprobs").iter_rows():
        asked = tokenizer(prompt)["input_ids"]
        logits = sampler(input_ids=torch.tensor([asked + tokens])).logits[0, len(asked) - 1 : -1].log_softmax(-1)
        expected = logits.gather(1, torch.tensor(tokens)[:, None])[:, 0]
        gaps.append((expected - torch.tensor(found)).abs().max().item())
    return max(gaps)


@pytest.mark.parametrize("text", [same_width, wider])
@pytest.mark.parametrize("first", [True, False])
def test_a_term_of_the_users_own_is_neither_weighed_nor_recorded(model, tmp_path, first, text):
    alone = trained(model, tmp_path / "a")
    kind = type("Own", (Beside,), {"first": first, "text": staticmethod(text)})
    both = trained(model, tmp_path / "b", kind)
    moved = flat(both.model) - flat(alone.model)
    assert moved.norm() > 1e-4
    torch.testing.assert_close(moved, -RATE * both.gradient, rtol=1e-6, atol=1e-10)
    assert gap_to_the_sampler(model, tmp_path / "b") < 1e-5


def test_the_log_probabilities_of_a_teacher_are_not_those_of_the_policy(model, tmp_path):
    alone, taught = trained(model, tmp_path / "a"), trained(model, tmp_path / "b", Taught)
    assert torch.equal(flat(alone.model), flat(taught.model))
    assert gap_to_the_sampler(model, tmp_path / "b") < 1e-5


class Twice:
    """Two terms on the same completions."""

    def _compute_loss(self, model, inputs):
        return super()._compute_loss(model, inputs) + super()._compute_loss(model, inputs)


def test_two_terms_on_the_same_completions_are_watched_and_not_weighed(model, tmp_path):
    with pytest.raises(UsageError, match="Users asks twice"):
        trained(model, tmp_path / "a", Twice)
    trained(model, tmp_path / "b", Twice, lambda_power=0.0)
    assert gap_to_the_sampler(model, tmp_path / "b") < 1e-5


class OfTokens(trl.GRPOTrainer):
    """Advantages of shape (rows, T), which TRL allows to subclasses."""

    def _generate_and_score_completions(self, inputs):
        made = super()._generate_and_score_completions(inputs)
        made["advantages"] = made["advantages"][:, None].repeat(1, made["completion_ids"].shape[1])
        return made


def test_advantages_of_tokens_are_watched_and_recorded_as_unknown(model, tmp_path):
    flats = []
    for name, seen in (("a", lambda trainer: trainer), ("b", watch)):
        args = trl.GRPOConfig(**settings(tmp_path / name))
        trainer = seen(OfTokens(model, length_reward, args, train_dataset=prompts(), rollout_func=rollouts()))
        trainer.train()
        flats.append(flat(trainer.model))
    assert torch.equal(*flats)
    assert "prm/suppressed_good" in trainer.state.log_history[0]
    table = pl.read_parquet(tmp_path / "b" / "rollouts" / "*.parquet")
    assert table["advantage"].null_count() == len(table) == 24


class Filters(trl.GRPOTrainer):
    """Trains on the first half of each generation."""

    def _generate_and_score_completions(self, inputs):
        made = super()._generate_and_score_completions(inputs)
        rows = len(made["completion_ids"])
        return {name: value[: rows // 2] if value.ndim else value for name, value in made.items()}


def test_a_trainer_that_filters_its_rows_is_refused(model, tmp_path):
    args = trl.GRPOConfig(**settings(tmp_path))
    trainer = watch(Filters(model, length_reward, args, train_dataset=prompts(), rollout_func=rollouts()))
    with pytest.raises(UsageError, match="Filters trains on other completions"):
        trainer.train()


class Below(LambdaGRPOTrainer):
    """Below the weights."""

    def _on_generation(self, made):
        made["advantages"] = made["advantages"][:, None].repeat(1, made["completion_ids"].shape[1])
        super()._on_generation(made)


def test_one_factor_for_advantages_of_tokens_is_refused(model, tmp_path):
    args = LambdaGRPOConfig(**settings(tmp_path, lambda_kind="scale-matched"))
    trainer = Below(model, length_reward, args, train_dataset=prompts(), rollout_func=rollouts())
    with pytest.raises(UsageError, match="Below gives each token an advantage of its own"):
        trainer.train()
