"""Small trainings by one process or by those that torchrun starts: `trl_rank_cases.py MODEL FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from integrations.trl_toy import copies, flat, length_reward, part_reward, prompts, rollouts, settings, without_kernel

from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer, watch

# Rows of all processes at a time; 12 are three groups of 4, the second of which straddles two processes.
CASES = {
    "straddling": {"rows": 12},
    "straddling, accumulated": {"rows": 12, "gradient_accumulation_steps": 2, "beta": 0.1},
    "straddling, several steps": {"rows": 12, "steps_per_generation": 2, "loss_type": "dapo"},
    "straddling, position": {"rows": 12, "lambda_kind": "position"},
    "straddling, scaled": {"rows": 12, "lambda_kind": "scale-matched"},
    "whole": {"rows": 16, "scale_rewards": "batch"},
    "whole, scaled": {"rows": 16, "lambda_kind": "scale-matched"},
}


class Keeps(LambdaGRPOTrainer):
    """Keeps ids and weights of each generation."""

    def _generate_and_score_completions(self, inputs):
        made = super()._generate_and_score_completions(inputs)
        rows = zip(self._watching.rewarded.ids, made["lambda_weights"].tolist(), strict=True)
        self.kept += [(ids, weights[: len(ids)], weights[len(ids) :]) for ids, weights in rows]
        return made


def run(model, out, name):
    """One case: what this process logged, its weights, and the parameters at the end."""
    fixed = {"loss_type": "grpo", "optim": "sgd", "learning_rate": 0.1, "max_grad_norm": 0.0, "max_steps": 2}
    fixed |= {"lr_scheduler_type": "constant", "model_init_kwargs": {"dtype": "auto"}}
    more = fixed | CASES[name]
    rows = more.pop("rows") // int(os.environ.get("WORLD_SIZE", "1"))
    args = LambdaGRPOConfig(**settings(Path(out, name), per_device_train_batch_size=rows, **more))
    rewards = [length_reward, part_reward]
    trainer = Keeps(model, rewards, args, train_dataset=prompts(), rollout_func=rollouts(masked=True))
    trainer.kept = []
    trainer.train()
    figures = [
        {key: value for key, value in line.items() if key.split("/")[0] in ("overlap", "prm", "sharing")}
        for line in trainer.state.log_history
    ]
    model = trainer.accelerator.unwrap_model(trainer.model)
    return {"figures": figures, "kept": trainer.kept, "final": flat(model), "ranks": trainer.accelerator.num_processes}


def halted(model, out):
    """The step at which an alarm stopped this process, and the alarms that it was told."""
    told = []
    args = LambdaGRPOConfig(**settings(Path(out, "halted"), per_device_train_batch_size=6, max_steps=9))
    trainer = LambdaGRPOTrainer(model, length_reward, args, train_dataset=prompts(), rollout_func=copies)
    watch(trainer, halt_on=["copies"], on_alarm=told.append).train()
    return {"step": trainer.state.global_step, "alarms": [tuple(alarm) for alarm in told]}


def main(model, out):
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        without_kernel(patch)
        found = {name: run(model, out, name) for name in CASES}
    found["halted"] = halted(model, out)
    torch.save(found, Path(out) / f"{os.environ['RANK']}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
