"""Every setting of a run: its type, its default, and what it does (the help of its option)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run; lengths in tokens. Each line below is the help of its option, so it is said in plain words.

    Attributes:
        task: Built-in task: chain, abstain, countdown or binary-tree; it brings prompts and reward.
        model: Folder or hub name of a causal language model; else the small one of the task, built on the spot.
        data: Prompts to train on: JSON lines, parquet, CSV, a folder of them, or NAME of a hub set.
        prompt_column: Column with the prompt, text or chat; a dotted path reaches into objects.
        answer_column: Column with the right answer, which reward functions are given.
        split: Split of a hub set.
        reward: exact, math, format or package.module:function; NAME*0.5 weighs it. May be given again: a sum.
        reward_timeout: Seconds after which a reward function is given up for that completion.
        system: System message before every prompt.
        out: Run folder. Else it is named after method and task: lambda1-chain.run, grpo-chain.run.
        seed: Of everything random: prompts, draws, warm start.
        warm_seed: Of the small model and its warm start, where it is another than --seed: runs that begin alike.
        warm_steps: Steps of its warm start, where they are others than the task has.
        steps: Training steps.
        prompts: Prompts in a step.
        group_size: k, the completions of each prompt.
        max_new_tokens: Most tokens of a completion.
        temperature: Divides the logits in sampling.
        top_p: Sample among the likeliest tokens that have this probability together.
        top_k: Sample among so many likeliest tokens; 0: all.
        power: p of |λ|^-p, the weight of a token: 1 is the paper's λ-GRPO, 0 is GRPO.
        weights: What is counted: process-set, parent (who reached the decision), position (a placebo) or none.
        match_scale: Control: GRPO with the loss made as small as --lambda would make it.
        match_norm: Control: GRPO with the gradient as long as --lambda would make it.
        aggregation: How tokens are averaged: dapo, bnpo, grpo or dr_grpo.
        std: Divisor of the advantage: sample (as TRL), population, batch or none (Dr. GRPO).
        clip_low: ε below 1: the ratio counts down to 1 - ε.
        clip_high: ε above 1: the ratio counts up to 1 + ε.
        beta: β, how strongly the model is held to where it began; 0 needs no second model.
        ratio_in_kl: Multiply the KL term by the ratio, as TRL does.
        loss_temperature: Divides the logits in the loss; else the temperature of sampling, as TRL does.
        updates_per_batch: Optimizer steps over each batch.
        mask_truncated: Leave completions cut off at the limit out of the loss; they still count for others.
        optimizer: adam, adamw or sgd.
        learning_rate: Of the optimizer.
        weight_decay: Of adamw.
        schedule: The learning rate over steps: constant, or linear or cosine down to 0.
        warmup_steps: Steps in which the learning rate rises.
        max_grad_norm: Shorten longer gradients to this norm. Not for comparisons of methods.
        token_budget: Tokens that the model reads at a time; fewer need less memory and change nothing but rounding.
        packing: tree reads each unique token once, padded each completion whole; auto takes the cheaper.
        dtype: What is computed in: float32 or bfloat16. Weights that are trained are float32 all the same.
        device: auto, cpu, cuda, cuda:1, ...
        lora: Rank of a LoRA adapter that is trained in place of the weights; 0: none.
        lora_alpha: Alpha of the adapter.
        gradient_checkpointing: Compute activations twice instead of keeping them: less memory, more time.
        eval_data: Held-out prompts, given like --data.
        eval_every: Steps from one evaluation to the next; 0: before and after training only.
        eval_prompts: How many held-out prompts are used.
        save_every: Steps from one checkpoint to the next.
        keep: How many checkpoints stay, beside the best model.
        tracker: Send metrics to trackio, wandb or tensorboard too.
        threads: Threads of the CPU; another number changes the last digits.
    """

    task: str | None = "chain"
    model: str | None = None
    data: str | None = None
    prompt_column: str = "prompt"
    answer_column: str = "answer"
    split: str = "train"
    reward: tuple[str, ...] = ()
    reward_timeout: float = 10.0
    system: str | None = None
    out: str = ""
    seed: int = 0
    warm_seed: int | None = None
    warm_steps: int | None = None
    steps: int = 150
    prompts: int = 32
    group_size: int = 8
    max_new_tokens: int = 512
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    power: float = 1.0
    weights: Literal["process-set", "parent", "position", "none"] = "process-set"
    match_scale: bool = False
    match_norm: bool = False
    aggregation: Literal["dapo", "bnpo", "grpo", "dr_grpo"] = "dapo"
    std: Literal["sample", "population", "none", "batch"] = "sample"
    clip_low: float = 0.2
    clip_high: float = 0.2
    beta: float = 0.0
    ratio_in_kl: bool = True
    loss_temperature: float | None = None
    updates_per_batch: int = 1
    mask_truncated: bool = False
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    warmup_steps: int = 0
    max_grad_norm: float | None = None
    token_budget: int = 16_384
    packing: Literal["auto", "tree", "padded"] = "auto"
    dtype: Literal["float32", "bfloat16"] = "float32"
    device: str = "auto"
    lora: int = 0
    lora_alpha: int = 32
    gradient_checkpointing: bool = False
    eval_data: str | None = None
    eval_every: int = 0
    eval_prompts: int = 512
    save_every: int = 50
    keep: int = 2
    tracker: Literal["trackio", "wandb", "tensorboard"] | None = None
    threads: int | None = None


NAMES = {field.name: "lambda" if field.name == "power" else field.name for field in fields(TrainConfig)}  # in the file
