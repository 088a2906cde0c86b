"""Rows in a real TransferQueue, verl's own configuration, and our trainer as far set up as a step needs."""

import numpy as np
import torch
import transfer_queue as tq
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from grpo_prm.integrations.verl_loss import FIELD
from grpo_prm.integrations.verl_trainer import LambdaTrainerSync

STEP = 7


def configured(folder="checkpoints", aggregation="token-mean", **settings):
    """verl's own defaults, composed by Hydra as its command does, and the line that switches us on."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(
            "ppo_trainer",
            [
                "trainer.v1.trainer_mode=lambda_sync",
                *(f"+trainer.v1.lambda_sync.{name}={value}" for name, value in settings.items()),
                "algorithm.adv_estimator=grpo",
                "actor_rollout_ref.rollout.n=4",
                "actor_rollout_ref.rollout.name=vllm",
                f"actor_rollout_ref.actor.loss_agg_mode={aggregation}",
                "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4",
                "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4",
                "actor_rollout_ref.actor.rollout_n=4",
                f"trainer.default_local_dir={folder}",
                "trainer.experiment_name=invented",
            ],
        )


class Tokenizer:
    """Text of ids, as much as recording needs."""

    eos_token_id = 1

    def decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        return " ".join(map(str, ids))


def put(rows, partition):
    """Leave the rows in TransferQueue as agent loop and log-probability steps do; returns them in verl's hands."""
    draw = np.random.default_rng(1)
    fields = []
    for row in rows:
        number = len(row.response)
        scores = torch.zeros(number)
        scores[-1] = row.reward
        fields.append(
            {
                "uid": row.uid,
                "prompts": torch.tensor(row.prompt),
                "responses": torch.tensor(row.response),
                "input_ids": torch.tensor(row.prompt + row.response),
                "response_mask": torch.tensor(row.mask),
                "rm_scores": scores,
                "rollout_log_probs": torch.from_numpy(draw.normal(-1, 0.1, number)).float(),
                "old_log_probs": torch.from_numpy(draw.normal(-1, 0.1, number)).float(),
                "ref_log_prob": torch.from_numpy(draw.normal(-1, 0.1, number)).float(),
                "extra_fields": row.extra,
            }
        )
    tags = [{"seq_len": len(row.prompt) + len(row.response)} for row in rows]
    keys = [row.key for row in rows]
    return tq.kv_batch_put(keys=keys, partition_id=partition, fields=list_of_dict_to_tensordict(fields), tags=tags)


def trainer_of(config, step=STEP):
    """Our trainer as verl makes it, then as far set up as `_compute_advantage` needs."""
    made = LambdaTrainerSync(config)
    made.tokenizer, made.global_steps, made.local_trigger_step = Tokenizer(), step, 0
    return made


def weights_after(batch):
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[FIELD])
    return [row.tolist() for row in data[FIELD].unbind()]


def advantages_after(batch):
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
    return [row.tolist() for row in data["advantages"].unbind()]
