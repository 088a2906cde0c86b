"""The gradients of LambdaGRPOTrainer, in every micro-batch of small trainings, against two others:

that of TRL's own loss with one line put into its source behind the KL term, `per_token_loss * w`, and that of a loss
written from the paper on the logits. w comes from counting equal beginnings.
"""

from __future__ import annotations

import inspect
import itertools
import textwrap
from functools import cache

import pytest
import torch
from integrations.trl_toy import (
    K,
    length_reward,
    logprobs_and_entropies,
    prompts,
    rollouts,
    saved_model,
    settings,
    without_kernel,
)
from peft import LoraConfig

module = pytest.importorskip("trl.trainer.grpo_trainer")
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer  # noqa: E402

pytestmark = pytest.mark.slow

SOURCE = textwrap.dedent(inspect.getsource(module.GRPOTrainer._compute_loss))
PLACE = '    mode = "train" if self.model.training else "eval"\n    if self.loss_type in ["grpo", "sapo"]:'
LINE = '    per_token_loss = per_token_loss * inputs["by_sets"].to(per_token_loss.dtype)\n'
LOSSES = [name for name in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "vespo", "luspo") if name in SOURCE]
PATIENT = {"num_iterations": 3, "max_steps": 3}  # the policy leaves the sampler, so that ratios are clipped
CASES = {
    **{f"{loss} beta={beta}": {"loss_type": loss, "beta": beta, **PATIENT}
       for loss, beta in itertools.product(LOSSES, (0.0, 0.5))},
    "accumulation, several steps a generation": {
        "beta": 0.1, "gradient_accumulation_steps": 2, "steps_per_generation": 4},
    "accumulation, two iterations": {
        "loss_type": "grpo", "beta": 0.1, "gradient_accumulation_steps": 4, "num_iterations": 2},
    "KL without the ratio": {"beta": 0.5, "use_bias_correction_kl": False, "num_iterations": 2},
    "clipped on two sides": {"delta": 1.1, **PATIENT},
    "tokens of high entropy": {"top_entropy_quantile": 0.5, "beta": 0.1, "num_iterations": 2},
    "off-policy mask": {"off_policy_mask_threshold": 0.01, "beta": 0.1, **PATIENT},
    "truncated out of the loss": {"mask_truncated_completions": True, "beta": 0.1, "num_iterations": 2},
    "temperature, padding": {"temperature": 0.7, "pad_to_multiple_of": 8, "num_iterations": 2},
    "advantages not scaled": {"scale_rewards": "none", "num_iterations": 2},
    "parent": {"lambda_kind": "parent", "beta": 0.1},
    "half": {"lambda_power": 0.5, "beta": 0.1},
    "checkpointing": {"gradient_checkpointing": True, "beta": 0.1},
    "LoRA": {"beta": 0.1, "num_iterations": 2, "lora": True},
}  # fmt: skip
ONLY_TRL = ["tokens of high entropy", "off-policy mask"]  # not of the paper's loss
# Older versions of TRL normalise in other ways; with the weight in their source they are compared all the same.
if "self.args.steps_per_generation" not in SOURCE:
    ONLY_TRL.append("accumulation, several steps a generation")
if "loss = (per_token_loss * mask).sum(-1).mean()" not in SOURCE:
    ONLY_TRL += [name for name in CASES if name.startswith("luspo")]
if "pad_to_multiple_of" not in LambdaGRPOConfig.__dataclass_fields__:
    del CASES["temperature, padding"]["pad_to_multiple_of"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"), torch.float64)


@pytest.fixture
def exact(monkeypatch):
    without_kernel(monkeypatch)


@cache
def with_one_line():
    """TRL's own loss with the weight multiplied in."""
    assert SOURCE.count(PLACE) == 1
    assert SOURCE.index("self.beta * per_token_kl") < SOURCE.index(PLACE)
    source = SOURCE.replace(PLACE, LINE + PLACE).replace("def _compute_loss", "def weighted_loss")
    names = dict(vars(module))
    exec(compile(source, "weighted_loss", "exec"), names)  # noqa: S102
    return names["weighted_loss"]


def by_sets(rows, power, width, kind="process-set"):
    """The weight from its definition: for each token, how many of the group begin as it does."""
    weights = torch.zeros(len(rows), width, dtype=torch.float64)
    for i, row in enumerate(rows):
        group = rows[i // K * K : i // K * K + K]
        for t in range(len(row)):
            end = t if kind == "parent" else t + 1
            weights[i, t] = sum(other[:end] == row[:end] for other in group) ** -power
    return weights


def gradient(model):
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).double()


class Compared(LambdaGRPOTrainer):
    """Computes each gradient three more times before it is used; leaves the training as it is."""

    def _generate_and_score_completions(self, inputs):
        made = super()._generate_and_score_completions(inputs)
        ids = [list(row) for row in self._watching.rewarded.ids]
        assert len(set(map(len, ids))) > 2
        width = made["completion_ids"].shape[1]
        made["by_sets"] = by_sets(ids, self.args.lambda_power, width, self.args.lambda_kind)
        return made

    def compute_loss(self, model, inputs, *args, **kwargs):
        kept = {name: value.grad for name, value in model.named_parameters()}
        metrics = {name: list(values) for name, values in self._metrics["train"].items()}

        def of(loss):
            model.zero_grad(set_to_none=True)
            loss.backward()
            return gradient(model)

        expected = of(with_one_line()(self, model, inputs))
        found = {
            "ours": of(super().compute_loss(model, inputs)),
            "plain": of(self._compute_loss(model, inputs)),  # below the hook
            "paper": of(paper_loss(self, model, inputs)),
        }
        if expected.norm() > 0:
            for name, other in found.items():
                self.gaps[name].append(((other - expected).norm() / expected.norm()).item())
        self._metrics["train"].clear()
        self._metrics["train"].update(metrics)
        for name, value in model.named_parameters():
            value.grad = kept[name]
        return super().compute_loss(model, inputs, *args, **kwargs)


def paper_loss(trainer, model, inputs):
    """The loss of a micro-batch from its logits alone, nothing of TRL's."""
    args, width, inside = trainer.args, inputs["completion_ids"].shape[1], inputs["completion_mask"].double()
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attended = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    inside = inside * inputs.get("tool_mask", 1)
    new, _ = logprobs_and_entropies(trainer, model, ids, attended, width)
    old = inputs.get("old_per_token_logps")
    ratio = (new - (new.detach() if old is None else old)).exp()
    terms = policy_terms(trainer, new, ratio, inputs["advantages"][:, None], inside)
    if args.beta:
        q = inputs["ref_per_token_logps"] - new
        terms = terms + args.beta * (q.exp() - q - 1) * (ratio if args.use_bias_correction_kl else 1)
    terms = terms * inputs["by_sets"] * inside
    accumulated = trainer.current_gradient_accumulation_steps
    match args.loss_type:
        case "grpo" | "sapo":
            loss = (terms.sum(1) / inside.sum(1).clamp(min=1)).mean()
        case "bnpo":
            loss = terms.sum() / inside.sum().clamp(min=1)
        case "dr_grpo":
            loss = terms.sum() / (len(terms) * args.max_completion_length)
        case "luspo":
            loss = terms.sum(1).mean()
        case _:  # by the tokens of all micro-batches of an update
            return terms.sum() / (inputs["num_items_in_batch"] * accumulated / args.steps_per_generation)
    return loss / accumulated


def policy_terms(trainer, new, ratio, a, inside):
    args = trainer.args
    high = args.epsilon if args.epsilon_high is None else args.epsilon_high
    match args.loss_type:
        case "cispo":
            return -ratio.clamp(max=high).detach() * a * new
        case "sapo":
            steepness = torch.where(a > 0, args.sapo_temperature_pos, args.sapo_temperature_neg)
            return -torch.sigmoid(steepness * (ratio - 1)) * 4 / steepness * a
        case "vespo":
            shape = (args.vespo_k_pos, args.vespo_lambda_pos, args.vespo_k_neg, args.vespo_lambda_neg)
            return -trainer.get_gamma_weights(a, ratio.log().detach(), inside, None, *shape) * a * new
    first = ratio if args.delta is None else ratio.clamp(max=args.delta)
    return -torch.minimum(first * a, ratio.clamp(1 - args.epsilon, 1 + high) * a)


def trained(model, out, lora=False, **more):
    """A training in float64 whose gradients were compared."""
    fixed = {"max_steps": 2, "model_init_kwargs": {"dtype": "auto"}, "record_rollouts": False}
    peft = {"peft_config": LoraConfig(target_modules="all-linear", init_lora_weights=False)} if lora else {}
    trainer = Compared(
        model,
        length_reward,
        LambdaGRPOConfig(**settings(out, **fixed | more)),
        train_dataset=prompts(),
        rollout_func=rollouts(masked=True),
        **peft,
    )
    trainer.gaps = {"ours": [], "plain": [], "paper": []}
    trainer.train()
    assert trainer.gaps["ours"]
    return trainer


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_the_weighted_loss(model, tmp_path, name):
    trainer = trained(model, tmp_path, **CASES[name])
    assert max(trainer.gaps["ours"]) < 1e-6  # the weights are float32
    assert max(trainer.gaps["plain"]) > 0.02  # without the weights it is another
    if name not in ONLY_TRL:
        assert max(trainer.gaps["paper"]) < 1e-5
    if CASES[name].get("num_iterations") == 3 and trainer.loss_type not in ("sapo", "vespo"):
        lines = [line for line in trainer.state.log_history if "loss" in line]
        assert max(line.get("clip_ratio/region_mean", line.get("cispo_clip_ratio")) for line in lines) > 0


def test_with_the_log_probabilities_of_trl_itself(model, tmp_path):
    trainer = trained(model, tmp_path, beta=0.1, num_iterations=2)
    assert max(trainer.gaps["ours"]) < 2e-5  # its kernel rounds to float32
    assert max(trainer.gaps["plain"]) > 0.02
