"""The settings of `grpo-prm train` as TRL's, under which both trainers take the same step on the same rollouts.

What TRL does not have is refused before this (`train.config_rules`); tests compare loss, gradient and whole runs.
"""

from __future__ import annotations

from typing import Any

import torch

from ..errors import UsageError
from ..train import ranks
from ..train.settings import TrainConfig
from ..train.update import temperature_of
from .trl import LambdaGRPOConfig

# Ours to TRL's. TRL's bnpo divides by the tokens of each micro-batch; ours by those of the batch, which is TRL's dapo.
LOSSES = {"dapo": "dapo", "bnpo": "dapo", "grpo": "grpo", "dr_grpo": "dr_grpo"}
DIVISORS = {"sample": "group", "batch": "batch", "none": "none"}
OPTIMIZERS = {"adam": "adamw_torch", "adamw": "adamw_torch", "sgd": "sgd"}  # without decay adamw is adam


def trl_settings(config: TrainConfig, processes: int, longest: int) -> LambdaGRPOConfig:
    """All settings that bear on the numbers, TRL's defaults too, so that a new version of TRL changes none of them.

    Args:
        config: Settings with `backend` trl.
        processes: How many train.
        longest: Tokens of the longest prompt.

    Raises:
        UsageError: The rows of a step cannot be shared out to so many processes.
    """
    rows = config.prompts * config.group_size
    if rows % processes:
        raise UsageError(
            f"{rows} completions a step ({config.prompts} prompts of {config.group_size}) cannot be shared out to"
            f" {processes} processes. Start a number of processes that divides {rows}."
        )
    at_a_time = rows_at_a_time(rows // processes, longest + config.max_new_tokens, config.token_budget)
    passes = rows // processes // at_a_time
    return LambdaGRPOConfig(
        output_dir=config.out,
        # one batch of rollouts is one optimizer step, in as many passes as fit into the memory
        per_device_train_batch_size=at_a_time,
        gradient_accumulation_steps=passes,
        steps_per_generation=passes,
        num_iterations=1,
        max_steps=config.steps,
        shuffle_dataset=False,  # prompts come in the order of our trainer
        **_sampling(config, longest),
        **_loss(config),
        **_optimizer(config),
        **_machine(config),
    )


def rows_at_a_time(rows: int, tokens: int, budget: int) -> int:
    """The largest number of rows that divides `rows` and whose tokens keep to the budget; at least 1.

    Args:
        rows: Of a step on one process.
        tokens: Of the longest row that there may be.
        budget: Tokens that the model reads at a time.
    """
    return max(n for n in range(1, rows + 1) if rows % n == 0 and (n == 1 or n * tokens <= budget))


def _sampling(config: TrainConfig, longest: int) -> dict[str, Any]:
    return {
        "num_generations": config.group_size,
        "max_completion_length": config.max_new_tokens,
        # TRL's own temperature divides the logits of the loss too; that of sampling alone goes past it
        "temperature": temperature_of(config),
        "generation_kwargs": {"temperature": config.temperature},
        "top_p": config.top_p,
        "top_k": config.top_k,
        "min_p": None,
        "repetition_penalty": 1.0,
        "use_vllm": config.vllm,
        "vllm_mode": "colocate",
        "vllm_max_model_length": longest + config.max_new_tokens,
        # log-probabilities of a sampler of another temperature are not to be compared with the loss's
        "vllm_importance_sampling_correction": False,
    }


def _loss(config: TrainConfig) -> dict[str, Any]:
    weighted = config.weights != "none"
    return {
        "lambda_power": config.power if weighted else 0.0,
        "lambda_kind": "scale-matched" if config.match_scale else config.weights if weighted else "process-set",
        "record_rollouts": True,
        "loss_type": LOSSES[config.aggregation],
        "scale_rewards": DIVISORS[config.std],
        "multi_objective_aggregation": "sum_then_normalize",
        "importance_sampling_level": "token",
        "epsilon": config.clip_low,
        "epsilon_high": config.clip_high,
        "delta": None,
        "beta": config.beta,
        "use_bias_correction_kl": config.ratio_in_kl,
        "mask_truncated_completions": config.mask_truncated,
        "disable_dropout": True,
        "top_entropy_quantile": 1.0,
        "entropy_coef": 0.0,
        "use_adaptive_entropy": False,
        "off_policy_mask_threshold": None,
        "router_aux_loss_coef": 0.0,
        "sync_ref_model": False,
    }


def _optimizer(config: TrainConfig) -> dict[str, Any]:
    return {
        "optim": OPTIMIZERS[config.optimizer],
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "weight_decay": 0.0,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule,
        "warmup_steps": 0,
        "max_grad_norm": config.max_grad_norm or 0.0,
    }


def _machine(config: TrainConfig) -> dict[str, Any]:
    cpu = config.device == "cpu" or not torch.cuda.is_available()
    return {
        "seed": config.seed,
        "bf16": config.dtype == "bfloat16",
        "fp16": False,
        "use_cpu": cpu,
        "dataloader_pin_memory": not cpu,
        "gradient_checkpointing": config.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if config.gradient_checkpointing else None,
        "ddp_find_unused_parameters": False,
        "ddp_timeout": int(ranks.PATIENCE.total_seconds()),
        # checkpoints and figures of every step are written in our way, by `trl_backend`
        "save_strategy": "steps",
        "save_steps": config.save_every,
        "logging_strategy": "steps",
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
    }
