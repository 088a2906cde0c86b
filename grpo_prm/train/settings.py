"""Every setting of a run, in one place: type, default, range, and the help of its option."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple


class About(NamedTuple):
    """What is known of a setting beside type and default.

    Attributes:
        help: What it does, in plain words.
        least: The lowest value.
        above: Every value is above this one.
        most: The highest value.
    """

    help: str
    least: int | None = None
    above: int | None = None
    most: int | None = None


def setting(default: Any, help: str, **bounds: int) -> Any:
    """A field with its default, its help and the bounds of `About`; a number without bounds may have any value."""
    return field(default=default, metadata={"about": About(help, **bounds)})


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run; lengths in tokens. `check` of config_rules.py knows which of them do not go together."""

    task: str | None = setting(
        "chain",
        "chain, abstain, countdown, binary-tree; with --model reasoning-gym:NAME?param=value too, or several: a,b.",
    )
    partial_credit: bool = setting(
        False, "Of reasoning-gym tasks: reward what the verifier gives an answer, not full marks alone."
    )
    model: str | None = setting(
        None, "Causal language model: smollm2 (see grpo-prm fetch), a folder or a hub name. Without it: a small one."
    )
    data: str | None = setting(
        None, "Prompts to train on: JSON lines, parquet, CSV, a folder of them, or a hub data set."
    )
    prompt_column: str = setting("prompt", "Column with the prompt, text or chat; a dotted path reaches into objects.")
    answer_column: str = setting("answer", "Column with the right answer, which reward functions are given.")
    split: str = setting("train", "Split of a hub data set.")
    reward: tuple[str, ...] = setting(
        (), "exact, math, format or package.module:function; NAME*0.5 weighs it. Given again, rewards are added up."
    )
    reward_timeout: float = setting(10.0, "Seconds that a reward function has for one completion.", above=0)
    system: str | None = setting(None, "System message before every prompt.")
    out: str = setting("", "Run folder. (default: by method and task, such as lambda1-chain.run or grpo-chain.run)")
    seed: int = setting(0, "Random seed of prompts, sampling and warm start.", least=0)
    warm_seed: int | None = setting(
        None, "Seed of the small model and its warm start alone, so that runs begin alike. (default: --seed)", least=0
    )
    warm_steps: int | None = setting(
        None, "Steps of the warm start, in which the small model learns from examples. (default: by task)", least=1
    )
    steps: int = setting(150, "Training steps.", least=1)
    prompts: int = setting(32, "Prompts in a step.", least=1)
    group_size: int = setting(8, "Completions of each prompt, k.", least=2)
    max_new_tokens: int = setting(512, "Length at which a completion is cut off.", least=1)
    temperature: float = setting(1.0, "Sampling temperature, which divides the logits.", above=0)
    top_p: float = setting(
        1.0, "Sample among the likeliest tokens that together have this probability.", above=0, most=1
    )
    top_k: int = setting(0, "Sample among this many likeliest tokens; 0: all.", least=0)
    power: float = setting(1.0, "p of |λ|^-p, the weight of a token: 1 is the paper's λ-GRPO, 0 is GRPO.", least=0)
    weights: Literal["process-set", "parent", "position", "none"] = setting(
        "process-set",
        "|λ| counts who shares the token (process-set) or the decision before it (parent); position is a placebo.",
    )
    match_scale: bool = setting(False, "For comparison: GRPO with the loss made as small as --lambda would make it.")
    match_norm: bool = setting(False, "For comparison: GRPO with the gradient as long as --lambda would make it.")
    aggregation: Literal["dapo", "bnpo", "grpo", "dr_grpo"] = setting(
        "dapo", "How tokens are averaged: dapo, bnpo, grpo or dr_grpo."
    )
    std: Literal["sample", "population", "none", "batch"] = setting(
        "sample",
        "Standard deviation that divides the advantage: sample (as TRL), population, batch or none (Dr. GRPO).",
    )
    clip_low: float = setting(0.2, "Lower ε: the ratio is clipped at 1 - ε.", least=0, most=1)
    clip_high: float = setting(0.2, "Upper ε: the ratio is clipped at 1 + ε.", least=0)
    beta: float = setting(
        0.0, "Weight of the KL term, β, which holds the model to where it began; 0: no second model.", least=0
    )
    ratio_in_kl: bool = setting(True, "Multiply the KL term by the ratio, as TRL does.")
    loss_temperature: float | None = setting(
        None, "Temperature in the loss. (default: that of sampling, as TRL does)", above=0
    )
    updates_per_batch: int = setting(1, "Optimizer steps on each batch of rollouts.", least=1)
    mask_truncated: bool = setting(
        False, "Leave completions that were cut off out of the loss; they still count in process sets and rewards."
    )
    optimizer: Literal["adam", "adamw", "sgd"] = setting("adam", "adam, adamw or sgd.")
    learning_rate: float = setting(1e-3, "Learning rate.", above=0)
    weight_decay: float = setting(0.0, "Weight decay of adamw.", least=0)
    schedule: Literal["constant", "linear", "cosine"] = setting(
        "constant", "The learning rate over the steps: constant, or falling to 0, linear or cosine."
    )
    warmup_steps: int = setting(0, "Steps in which the learning rate rises to its value.", least=0)
    max_grad_norm: float | None = setting(
        None, "Shorten longer gradients to this norm. Not for comparisons of methods.", above=0
    )
    backend: Literal["own", "trl"] = setting(
        "own", "What trains: own, the trainer of this package, or trl, TRL's GRPOTrainer with the same settings."
    )
    vllm: bool = setting(False, "Of --backend trl: sample and validate with vLLM, on the GPU that trains.")
    token_budget: int = setting(
        16_384,
        "Tokens that the model reads at a time; fewer need less memory and change only rounding. A --model on a CPU has"
        " 1,024.",
        least=1,
    )
    packing: Literal["auto", "tree", "padded"] = setting(
        "auto", "tree: the model reads each unique token once; padded: each completion whole; auto: what is cheaper."
    )
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32", "Precision of the computation: float32 or bfloat16. Weights that are trained are float32 in both."
    )
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ...")
    lora: int = setting(0, "Rank of a LoRA adapter that is trained instead of the weights; 0: none.", least=0)
    lora_alpha: int = setting(32, "Alpha of the adapter.", least=1)
    gradient_checkpointing: bool = setting(False, "Compute activations twice: less memory, more time.")
    eval_data: str | None = setting(None, "Held-out prompts, given like --data.")
    eval_every: int = setting(0, "Steps from one evaluation to the next; 0: only before and after training.", least=0)
    eval_prompts: int = setting(512, "Number of held-out prompts.", least=1)
    save_every: int = setting(50, "Steps from one checkpoint to the next.", least=1)
    keep: int = setting(2, "Number of checkpoints that are kept, beside the best model.", least=1)
    tracker: Literal["trackio", "wandb", "tensorboard"] | None = setting(
        None, "Send metrics to trackio, wandb or tensorboard too."
    )
    threads: int | None = setting(
        None,
        "CPU threads; they change the last digits. (default: 1 of a small model, else the free cores; kept on resume)",
        least=1,
    )


ABOUT: dict[str, About] = {field.name: field.metadata["about"] for field in fields(TrainConfig)}
NAMES = {name: "lambda" if name == "power" else name for name in ABOUT}  # in the file and as option
