"""Run by torchrun: slime's loss on two context-parallel ranks gives each its part of the gradient of one process.

slime cuts a sequence, its log-probabilities and the field that carries the weights with one rule; it is used here too.
"""

from unittest.mock import patch

import torch
from integrations.test_slime import SETTINGS, arguments, gradient, made_batch
from megatron.core import parallel_state as mpu
from slime.backends.megatron_utils import cp_utils

from grpo_prm.integrations.slime import lambda_loss

PER_TOKEN = ("advantages", "log_probs", "ref_log_probs", "rollout_log_probs", "teacher_log_probs")


def part(values, lengths):
    """This rank's part of values that stand at the positions of packed sequences."""
    rows = values.squeeze(0).split(lengths)
    return torch.cat([cp_utils.slice_with_cp(row, 0.0) for row in rows]).unsqueeze(0)


def cut(batch):
    """The batch as it reaches this rank."""
    lengths = list(zip(batch["total_lengths"], batch["response_lengths"], strict=True))
    mine = {
        name: [cp_utils.slice_log_prob_with_cp(row, *both) for row, both in zip(batch[name], lengths, strict=True)]
        for name in PER_TOKEN
    }
    return batch | mine


def of(args, batch, logits):
    def reducer(masks):
        sums = (batch["total_lengths"], batch["response_lengths"], masks, batch["rollout_mask_sums"])
        return cp_utils.get_sum_of_sample_mean(*sums, args.calculate_per_token_loss)

    return gradient(lambda_loss, args, batch, logits, batch["loss_masks"], reducer)[0]


torch.distributed.init_process_group("gloo")
mpu.initialize_model_parallel(context_parallel_size=2)
for changed in SETTINGS.values():
    args = arguments(**changed)
    batch, logits, _ = made_batch(1)
    alone = {"get_context_parallel_world_size": lambda: 1, "get_context_parallel_rank": lambda: 0}
    with patch.multiple(mpu, **alone):
        whole = of(args, batch, logits)
    mine = of(args, cut(batch), part(logits, batch["total_lengths"]))
    wanted = part(whole, batch["total_lengths"])
    assert (mine - wanted).abs().max() <= 1e-6 * whole.abs().max(), changed
torch.distributed.destroy_process_group()
