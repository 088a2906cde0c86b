"""λ-GRPO and live figures in TRL: `LambdaGRPOTrainer` trains with weights, `watch` measures.

    args = LambdaGRPOConfig("run", lambda_power=1.0)
    LambdaGRPOTrainer(model, [reward], args, train_dataset=data).train()

    watch(GRPOTrainer(model, [reward], args, train_dataset=data)).train()

Both log figures of overlap, of the hidden process reward model and of sharing beside TRL's own, and record rollouts
that `grpo-prm analyze run/rollouts` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from trl import GRPOConfig, GRPOTrainer

from ..analysis.alarms import Alarm, Alarms
from ..errors import UsageError
from .gradient import weigh_gradient
from .method import method_name
from .trl_alarms import AlarmJudge
from .trl_generation import Rewarded, reads_rows
from .trl_watching import Steps, Watching
from .trl_weights import LambdaKind, method_weights, padded, refusal

WEIGHTS = "lambda_weights"  # beside TRL's tensors, so that it is shuffled and cut with them
SEAMS = (  # the methods of TRL's trainers that are wrapped
    "_calculate_rewards", "_generate_and_score_completions", "_get_per_token_logps_and_entropies", "compute_loss",
    "log", "train", "_save_checkpoint",
)  # fmt: skip


@dataclass
class LambdaGRPOConfig(GRPOConfig):
    """TRL's settings and three more; TrlParser and YAML files know them.

    Attributes:
        lambda_power: p of |λ|^-p, the factor of each token's whole loss term; 0 is GRPO, 1 the paper's λ-GRPO.
        lambda_kind: `process-set`, `parent`, or a control: `position`, `scale-matched` (definitions: λ-GRPO; Controls).
        record_rollouts: Write the rollouts to `output_dir/rollouts`.
    """

    lambda_power: float = field(default=1.0, metadata={"help": "p of |λ|^-p: 0 is GRPO, 1 the paper's λ-GRPO."})
    lambda_kind: LambdaKind = field(
        default="process-set",
        metadata={"help": "process-set (the paper's), parent, or a control: position, scale-matched."},
    )
    record_rollouts: bool = field(
        default=True, metadata={"help": "Write output_dir/rollouts, which grpo-prm analyze reads."}
    )


# What `Watched` stands before is known only when `watch` gets it; a type checker takes the commonest.
_Trainer: Any = GRPOTrainer if TYPE_CHECKING else object


class Watched(_Trainer):
    """Before a trainer with the seams of TRL's GRPOTrainer: gives what they take and return to `Watching`."""

    _watching: Watching
    _in_loss: Mapping[str, Any] | None = None
    _generating = False

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Any:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        tasks = [task if isinstance(task := row.get("task"), str) else None for row in inputs]
        self._watching.rewarded = Rewarded(prompts, completions, completion_ids_list, rewards, tasks)
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        self._generating = self.model.training
        try:
            made = super()._generate_and_score_completions(inputs)
        finally:
            self._generating = False
        if self.model.training:
            self._on_generation(made)
        return made

    def _get_per_token_logps_and_entropies(self, model: Any, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        # Compared before the model runs, when a GPU has little to catch up with.
        of_loss = self._in_loss is not None and self.model.training and reads_rows(input_ids, self._in_loss)
        result = super()._get_per_token_logps_and_entropies(model, input_ids, *args, **kwargs)
        if self._generating:
            self._watching.generation_logprobs.append(result[0])
        # Without a gradient they are those of another model: a teacher, say.
        elif of_loss and self._in_loss is not None and result[0].requires_grad:
            self._on_logprobs(result[0], self._in_loss)
        return result

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's; log-probabilities of its rows that are asked for meanwhile are those of the loss."""
        self._in_loss = inputs
        try:
            return super().compute_loss(model, inputs, *args, **kwargs)
        finally:
            self._in_loss = None

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """TRL's, with the figures since the last line of training."""
        if self.model.training:  # else TRL logs an evaluation
            logs.update(self._watching.to_log())
        super().log(logs, *args, **kwargs)

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's; however it ends, what was generated is written."""
        try:
            return super().train(*args, **kwargs)
        finally:
            self._watching.close()

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        self._watching.close()  # a run that goes on from here finds the rollouts of all steps before
        super()._save_checkpoint(*args, **kwargs)

    def _on_generation(self, made: dict[str, Any]) -> None:
        self._watching.generated(self, made)

    def _on_logprobs(self, logprobs: torch.Tensor, inputs: Mapping[str, Any]) -> None:
        self._watching.loss_logprobs(inputs, logprobs)


class LambdaGRPOTrainer(Watched, GRPOTrainer):
    """GRPOTrainer with each token's loss term times its λ weight, live figures, and recorded rollouts."""

    args: LambdaGRPOConfig
    _hooks = 0  # in this loss
    _weighed = False

    def __init__(self, model: Any, reward_funcs: Any = None, args: Any = None, **kwargs: Any) -> None:
        if not isinstance(args, LambdaGRPOConfig):
            raise UsageError(
                f"args is a {type(args).__name__}, but LambdaGRPOTrainer needs to know lambda_power. "
                "Pass args=LambdaGRPOConfig(...), which takes all settings of GRPOConfig."
            )
        if sentences := refusal(args):
            raise UsageError(sentences)
        super().__init__(model, reward_funcs, args, **kwargs)
        _attach(
            self,
            "rollouts" if args.record_rollouts else None,
            method_name(args.lambda_power, args.lambda_kind),
            AlarmJudge(Alarms(), None),
        )

    def _on_generation(self, made: dict[str, Any]) -> None:
        args = self.args
        if args.lambda_power and args.lambda_kind == "scale-matched" and made["advantages"].ndim > 1:
            raise UsageError(
                f"{type(self).__name__} gives each token an advantage of its own, and lambda_kind='scale-matched' "
                "needs one a completion. Take another lambda_kind."
            )
        whole, groups = self._watching.generated(self, made)
        if args.lambda_power:
            rows = method_weights(whole, groups, args.lambda_power, args.lambda_kind, args.loss_type)
            made[WEIGHTS] = padded(rows, made["completion_ids"])

    def _on_logprobs(self, logprobs: torch.Tensor, inputs: Mapping[str, Any]) -> None:
        super()._on_logprobs(logprobs, inputs)
        if not self.args.lambda_power:
            return
        if self._hooks:
            raise UsageError(
                f"{type(self).__name__} asks twice for the log-probabilities of the same completions in one loss, so "
                "it is not known which of them λ weighs. Ask once, or train without weights: lambda_power=0."
            )
        self._hooks += 1
        weigh_gradient(logprobs, inputs[WEIGHTS], self._on_gradient)

    def _on_gradient(self) -> None:
        self._weighed = True

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """TRL's, with weights.

        Raises:
            UsageError: A subclass asks twice for the log-probabilities that are to be weighed.
        """
        self._hooks = 0
        return super().compute_loss(*args, **kwargs)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """TRL's, which must have sent a gradient through the log-probabilities.

        Raises:
            UsageError: It did not, so no weight had an effect.
        """
        self._weighed = False
        loss = super().training_step(*args, **kwargs)
        if self.args.lambda_power and not self._weighed:
            raise UsageError(
                "No gradient went through TRL's log-probabilities, so λ-GRPO would be GRPO: the loss is computed "
                "elsewhere (Liger's, a chunked or fused loss, unsloth's patches, a subclass). Switch that off "
                "(use_liger_kernel=False, no unsloth import), or train without weights: lambda_power=0."
            )
        return loss


def watch(
    trainer: Any,
    rollouts: str | Path | None = "rollouts",
    *,
    alarms: bool = True,
    halt_on: Collection[str] = (),
    on_alarm: Callable[[Alarm], None] | None = None,
) -> Any:
    """Measure and record the training of a trainer of TRL that is made already; the training stays as it is.

    Args:
        trainer: GRPOTrainer, RLOOTrainer or a subclass of one, of any loss type and importance sampling level. Of a
            LambdaGRPOTrainer, which watches itself, only the alarms are set.
        rollouts: Folder of the rollouts, inside the output folder unless absolute; None: they are not recorded.
        alarms: Say when a finding of the report card begins and when it is over.
        halt_on: Codes of findings that stop the training when they begin (`analysis.findings.CODES`).
        on_alarm: Called on every process with each finding that begins or is over.

    Returns:
        The trainer.

    Raises:
        UsageError: It is no such trainer, or it is watched already; or `halt_on` names no finding.
    """
    if not alarms and (halt_on or on_alarm):
        raise UsageError("halt_on and on_alarm need the alarms. Leave out alarms=False.")
    judge = AlarmJudge(Alarms(halt_on), on_alarm) if alarms else None
    kind = type(trainer)
    if lacking := [name for name in SEAMS if not callable(getattr(kind, name, None))]:
        raise UsageError(
            f"{kind.__name__} has no {lacking[0]}, so its rollouts cannot be recorded. watch takes TRL's GRPOTrainer, "
            "RLOOTrainer or a subclass of one of them."
        )
    if isinstance(trainer, LambdaGRPOTrainer):
        trainer._watching.alarm_judge = judge
        return trainer
    if isinstance(trainer, Watched):
        raise UsageError(f"This {kind.__name__} is watched already. Call watch once, with all that it shall do.")
    # The class of this one object, so that methods of subclasses are wrapped too, and pickles and cards keep its name.
    trainer.__class__ = type(kind.__name__, (Watched, kind), {"__module__": kind.__module__})
    token = getattr(trainer.args, "importance_sampling_level", None) == "token"
    _attach(trainer, rollouts, method_name(0, "process-set") if kind is GRPOTrainer and token else None, judge)
    return trainer


def _attach(trainer: Any, rollouts: str | Path | None, method: str | None, judge: AlarmJudge | None) -> None:
    trainer._watching = Watching(trainer, rollouts, method, judge)
    trainer.add_callback(Steps(trainer._watching))
