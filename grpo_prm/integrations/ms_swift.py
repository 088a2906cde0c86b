"""λ-GRPO in ms-swift: its GRPO trainer with weights beside the advantages and a factor on the gradient.

`--external_plugins FILE` runs a file before the trainer is chosen. Two lines in it switch the weights on:

    from grpo_prm.integrations.ms_swift import switch_on
    switch_on(power=1.0)
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray
from swift.rlhf_trainers import GRPOTrainer
from swift.trainers import TrainerFactory

from ..errors import UsageError
from .gradient import weigh_gradient
from .rows import Kind, check_weights, sequence_weights

IGNORED = -100  # label of a token out of the loss
PLAIN = TrainerFactory.TRAINER_MAPPING["grpo"]


class LambdaGRPOTrainer(GRPOTrainer):
    """ms-swift's GRPO, of which each token's whole loss term is multiplied by its λ weight."""

    lambda_power: ClassVar[float] = 1.0
    lambda_kind: ClassVar[Kind] = "process-set"
    _weighed = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        refuse(kwargs["args"])
        super().__init__(*args, **kwargs)
        if self.template.sequence_parallel_size > 1:
            raise UsageError("sequence_parallel_size deals the rows out anew, behind the weights. Set it to 1.")

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """ms-swift's.

        Raises:
            UsageError: No gradient went through the log-probabilities that are weighted.
        """
        self._weighed = False
        loss = super().training_step(*args, **kwargs)
        if not self._weighed:
            raise UsageError(
                "No gradient went through the log-probabilities, so λ-GRPO would be GRPO: something computes the loss "
                "in another place. Switch that off."
            )
        return loss

    def _postprocess_batch(self, samples: list[Any], batch_encoded_inputs: list[dict[str, Any]]) -> None:
        super()._postprocess_batch(samples, batch_encoded_inputs)
        if not self.model.training:  # evaluations have no loss to weigh
            return
        if self.dynamic_num_samples:
            raise UsageError(
                "The multi-turn scheduler makes several rows of one trajectory, which are no completions of a group. "
                "Use one that keeps a trajectory in one row."
            )
        weights = self._loss_token_weights(samples)
        for rows, batch in zip(self.split_by_mini_batches(weights), batch_encoded_inputs, strict=True):
            if batch["grpo_batch"].teacher_per_token_logps is not None:
                raise UsageError(
                    "A teacher's log-probabilities change the advantage of every token, so a completion has no single "
                    "one to share out. Leave the teacher and the column teacher_prompt out."
                )
            mask = batch["grpo_batch"].completion_mask
            batch["grpo_batch"].lambda_weights = torch.zeros(mask.shape, device=mask.device)
            # The mask is the labels' own, row by row: padding may be left or right, and rows may be packed.
            batch["grpo_batch"].lambda_weights[mask] = torch.from_numpy(np.concatenate(rows)).to(mask.device)

    def _loss_token_weights(self, samples: list[Any]) -> list[NDArray[np.float32]]:
        """Weights of the loss tokens of each sample of this process; its groups may go on in others."""
        rows = gather_object([list(sample.encoded["input_ids"]) for sample in samples])
        groups = np.arange(len(rows)) // self.num_generations  # as the advantages are made
        first = self.accelerator.process_index * len(samples)  # gathered in the order of processes
        weights = sequence_weights(rows, groups, self.lambda_power, self.lambda_kind)[first : first + len(samples)]
        labels = (np.array(sample.encoded["labels"]) for sample in samples)
        return [row[own != IGNORED] for row, own in zip(weights, labels, strict=True)]

    def _get_per_token_logps_and_entropies(
        self, model: Any, model_inputs: Any, grpo_batch: Any, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        found = super()._get_per_token_logps_and_entropies(model, model_inputs, grpo_batch, *args, **kwargs)
        if found[0].requires_grad:  # the pass of the loss; those of the old policy and the reference have none
            weigh_gradient(found[0], grpo_batch.lambda_weights, self._passed)
        return found

    def _passed(self) -> None:
        self._weighed = True


def refuse(args: Any) -> None:
    """Settings of ms-swift under which a factor per token is not the paper's.

    Raises:
        UsageError: It names the setting and what to give instead.
    """
    if args.use_liger_kernel:
        raise UsageError("use_liger_kernel computes the loss without log-probabilities to weigh. Set it to false.")
    if args.loss_type == "real":
        raise UsageError("loss_type real has one term for a whole completion, no token to weigh. Set it to grpo.")
    if args.importance_sampling_level == "sequence":
        raise UsageError(
            "importance_sampling_level sequence makes one ratio for a whole completion, which has no token to weigh. "
            "Set it to token."
        )
    if args.kl_in_reward and args.beta:
        raise UsageError(
            "kl_in_reward takes the KL of a whole completion off its reward, so no token has a KL term to weigh. Set "
            "it to false, or beta to 0."
        )
    if args.sdar_loss_coef:
        raise UsageError("sdar_loss_coef adds a term that is no part of GRPO and would be weighted too. Set it to 0.")


def switch_on(power: float = 1.0, kind: Kind = "process-set") -> None:
    """Make `--rlhf_type grpo` train with λ weights; a later call replaces an earlier one.

    Args:
        power: p, 0 or more; 0 is plain GRPO, with any settings.
        kind: `process-set` or `parent`.

    Raises:
        UsageError: There are no such weights, or Megatron's command is running, whose trainer is another.
    """
    check_weights(power, kind)
    if "swift.megatron" in sys.modules:
        raise UsageError("megatron rlhf has a trainer of its own, which knows no weights. Train with swift rlhf.")
    LambdaGRPOTrainer.lambda_power, LambdaGRPOTrainer.lambda_kind = power, kind
    TrainerFactory.TRAINER_MAPPING["grpo"] = f"{__name__}.{LambdaGRPOTrainer.__name__}" if power else PLAIN
