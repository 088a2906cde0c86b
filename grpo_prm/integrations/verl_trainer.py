"""The trainer `lambda_sync`: verl's synchronous PPO trainer, in which each token's loss term has its λ weight.

The driver sees the whole batch with its groups, so it computes the weights, after verl's advantages and beside them in
TransferQueue. The workers read that field with the others and their loss applies it (`verl_loss`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
import transfer_queue as tq
from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import register_trainer
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils.config import omega_conf_to_dataclass

from ..analysis.alarms import Alarms
from ..logs.recorder import Recorder
from .method import method_name, write_method
from .verl import NAME
from .verl_batch import Batch, Rows, as_sampled, figures, table, token_weights, with_text
from .verl_loss import FIELD, lambda_ppo_loss
from .verl_settings import settings_of

LOGPROBS = ("rollout_log_probs", "old_log_probs", "ref_log_prob")  # which of them there are, verl's settings decide
FIELDS = ("uid", "prompts", "responses", "response_mask", "rm_scores", "advantages", "extra_fields", *LOGPROBS)
logger = logging.getLogger("grpo_prm")


@register_trainer(NAME)
class LambdaTrainerSync(PPOTrainerSync):
    """`trainer.v1.trainer_mode=lambda_sync`; its settings are those of `trainer.v1.lambda_sync` (`verl_settings`)."""

    recorder: Recorder | None = None  # None: nothing is recorded
    ending = False  # a finding that halt_on names has begun
    recorded = 0  # groups of this step in earlier generations

    def __init__(self, config: DictConfig) -> None:
        """Read the settings before anything is started.

        Raises:
            UsageError: They cannot be meant, or do not fit the rest of the configuration.
        """
        self.settings = settings_of(config)
        self.alarms = Alarms(self.settings.halt_on)
        super().__init__(config)

    @property
    def trainer_mode(self) -> str:
        """Always "sync": verl compares this name with it, and takes an asynchronous replay buffer for any other."""
        return "sync"

    @trainer_mode.setter
    def trainer_mode(self, name: str) -> None:
        """What verl puts here is the name by which it found the trainer."""

    def _setup(self) -> None:
        super()._setup()
        if self.settings.lambda_power:
            actor = omega_conf_to_dataclass(self.config.actor_rollout_ref.actor)
            self.actor_rollout_wg.set_loss_fn(partial(lambda_ppo_loss, config=actor))
        if self.settings.record_rollouts and not self.config.trainer.get("val_only", False):
            # A relative path counts from the working directory, as those of verl's checkpoints beside it do.
            self.recorder = Recorder(Path(self.config.trainer.default_local_dir) / "rollouts")
            self.recorder.begin(self.global_steps)  # the step that verl resumes from; 0 in a new run
            if self.config.algorithm.adv_estimator == "grpo":
                name = method_name(self.settings.lambda_power, self.settings.lambda_kind)
                write_method(self.recorder.folder, name)

    def _save_checkpoint(self) -> None:
        if self.recorder:
            self.recorder.close()  # a run that goes on from here finds the rollouts of all steps before
        super()._save_checkpoint()

    def fit(self, agent_loop_manager: Any) -> None:
        """Train; what was recorded is on the disk when this ends, however it ends."""
        try:
            super().fit(agent_loop_manager)
        finally:
            if self.recorder:
                self.recorder.close()

    def _compute_advantage(self, batch: KVBatchMeta, metrics: dict[str, Any]) -> KVBatchMeta:
        batch = super()._compute_advantage(batch, metrics)
        real = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
        rows = fetch(as_sampled(real), batch.partition_id)
        metrics.update(figures(rows))
        self._watch(rows)
        if not self.settings.lambda_power:
            return batch
        aggregation = self.config.actor_rollout_ref.actor.loss_agg_mode
        weights = token_weights(rows, self.settings.lambda_power, self.settings.lambda_kind, aggregation)
        of_key = dict(zip(rows.keys, weights, strict=True))
        # A synthetic row has one token, which is out of the loss, and needs the field all the same.
        every = [torch.from_numpy(of_key.get(key, np.ones(1, np.float32))) for key in batch.keys]
        nested = torch.nested.as_nested_tensor(every, layout=torch.jagged)
        return tq.kv_batch_put(
            keys=batch.keys,
            partition_id=batch.partition_id,
            fields=TensorDict({FIELD: nested}, batch_size=len(batch)),
        )

    def _watch(self, rows: Batch) -> None:
        """Judge the batch and record it, in the recorder's thread where there is one: a large batch takes seconds."""
        if OmegaConf.select(self.config, "algorithm.rollout_correction.bypass_mode"):
            rows.logprobs.pop("old_log_probs", None)  # verl copied the sampler's there
        step, generation = self.global_steps, self.local_trigger_step
        first = self.recorded if generation else 0
        self.recorded = first + rows.groups.number
        judge = partial(self._judged, rows, step, first)
        if self.recorder:
            text = partial(self.tokenizer.decode, skip_special_tokens=True)
            self.recorder.write(step, generation, lambda: with_text(judge(), rows, text))
        else:
            judge()
        if self.ending:
            # The next step becomes the last: verl saves, validates and ends as after any last step.
            self.total_training_steps = min(self.total_training_steps, step + 1)

    def _judged(self, rows: Batch, step: int, first: int) -> pl.DataFrame:
        """The table of a batch, after its alarms were said."""
        made = table(rows, str(self.config.trainer.experiment_name), step, first)
        for alarm in self.alarms.add(step, made):
            logger.warning("grpo-prm, %s.", alarm.line)
            if alarm.halts:
                logger.warning("Training ends with one of the next two steps: halt_on names %s.", alarm.code)
                self.ending = True
        return made


def fetch(keys: list[str], partition: str) -> Batch:
    """The rows of these keys out of TransferQueue, after verl's `_compute_advantage`."""
    data = tq.kv_batch_get(keys=keys, partition_id=partition, select_fields=list(FIELDS))
    extras = data.pop("extra_fields").tolist() if "extra_fields" in data else []
    uids = data.pop("uid").tolist()

    def rows(name: str) -> Rows:
        return [row.numpy() for row in data[name].unbind()]

    return Batch(
        keys=keys,
        uids=[str(uid) for uid in uids],
        prompts=rows("prompts"),
        responses=rows("responses"),
        masks=[row.astype(bool) for row in rows("response_mask")],
        rewards=np.array([row.sum(dtype=np.float64) for row in rows("rm_scores")]),
        advantages=rows("advantages"),
        logprobs={name: rows(name) for name in LOGPROBS if name in data},
        parts=reward_parts(extras),
    )


def reward_parts(extras: Iterable[Any]) -> dict[str, list[float | None]]:
    """Every number that the reward function gave beside its score, by name, one a row; None where it gave none."""
    given = [extra.get("reward_extra_info") or {} if isinstance(extra, dict) else {} for extra in extras]
    numbers = [{name: float(v) for name, v in one.items() if isinstance(v, int | float | np.number)} for one in given]
    names = sorted({name for one in numbers for name in one})
    return {name: [one.get(name) for one in numbers] for name in names}
