"""Every setting of a run, typed; a YAML file and flags that overrule it (what a task prefers comes first)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..errors import UsageError


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run; lengths in tokens, temperatures divide logits.

    Attributes:
        task: Built-in task; None with a model and data of your own.
        model: Folder or hub name of a causal language model; None: the small one of the task.
        data: JSONL, parquet or hub set with prompts.
        prompt_column: Text or chat of the prompt.
        answer_column: What reward functions get as the answer.
        split: Of a hub set.
        reward: Reward functions: exact, math, format, package.module:function; `NAME*0.5` weighs one.
        reward_timeout: Seconds that one call may take.
        system: System message put before every prompt.
        out: Run folder.
        seed: Of everything random.
        steps: Training steps.
        prompts: Prompts a step.
        group_size: k, completions of each prompt.
        max_new_tokens: Limit of a completion; None: that of the task, else 512.
        temperature: Of sampling.
        top_p: Of sampling.
        top_k: Of sampling, 0 is all.
        power: p of |λ|^-p, `--lambda`; 0 is GRPO, 1 the paper's λ-GRPO.
        weights: process-set, or parent, position (placebo), none.
        match_scale: Control: p = 0, the loss scaled as p would scale it.
        match_norm: Control: p = 0, the gradient given the norm that p would give it.
        aggregation: dapo, bnpo, grpo or dr_grpo.
        std: Divisor of the advantage: sample (TRL), population, none (Dr. GRPO), batch.
        clip_low: ε below 1.
        clip_high: ε above 1.
        beta: β of the KL term; 0 needs no reference model.
        ratio_in_kl: Multiply the KL term by the ratio, as TRL does by default.
        loss_temperature: Of the log-probabilities in the loss; None: that of sampling, as TRL.
        updates_per_batch: Optimizer steps over each batch.
        mask_truncated: Leave completions that hit the limit out of the loss; they stay members of their sets.
        optimizer: adam, adamw or sgd.
        learning_rate: Of the optimizer.
        weight_decay: Of adamw.
        schedule: constant, linear or cosine, to 0 at the last step.
        warmup_steps: Linear rise at the start.
        max_grad_norm: Bound of the gradient's norm; None is none. Not to be used in comparisons.
        token_budget: Tokens of a micro-batch.
        packing: auto, tree (every unique token once) or padded.
        dtype: Of the weights: float32, bfloat16, float16.
        device: auto, cpu, cuda, ...
        lora: Rank of a LoRA adapter; 0 trains all weights.
        lora_alpha: Its alpha.
        gradient_checkpointing: Less memory, more time.
        eval_data: Held-out prompts, a file or hub set like `data`.
        eval_every: Steps between evaluations; 0: before and after only.
        eval_prompts: Held-out prompts used.
        save_every: Steps between checkpoints.
        keep: Checkpoints kept, beside the best.
        tracker: trackio, wandb or tensorboard.
        threads: Of the CPU; None leaves torch's choice.
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
    out: str = "grpo.run"
    seed: int = 0
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
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
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
HINTS = get_type_hints(TrainConfig)
LEAST = {"steps": 1, "prompts": 1, "group_size": 2, "max_new_tokens": 1, "updates_per_batch": 1, "token_budget": 1}
LEAST |= {"save_every": 1, "keep": 1, "eval_prompts": 1}
NOT_NEGATIVE = ("power", "clip_low", "clip_high", "beta", "seed", "top_k", "lora", "eval_every", "warmup_steps")
POSITIVE = ("temperature", "learning_rate", "reward_timeout")


def make_config(flags: Mapping[str, Any] | None = None, path: Path | None = None) -> TrainConfig:
    """Settle the settings: flags before the file, the file before what the task prefers.

    Args:
        flags: Field to value; None is not given.
        path: YAML file with the names of the options, dashes or underscores.

    Raises:
        UsageError: An unknown key, a wrong type or settings that do not go together; file and key are named.
    """
    given = _read(path) if path else {}
    given |= {name: _typed(name, value, "--") for name, value in (flags or {}).items() if value is not None}
    if given.get("model") and "task" not in given:
        given["task"] = None
    preferred: Mapping[str, Any] = {}
    if (task := given.get("task", TrainConfig.task)) is not None:
        from ..tasks import get_task

        known = get_task(task)
        preferred = {"max_new_tokens": known.limit, **known.defaults}
    config = replace(TrainConfig(), **{**preferred, **given})
    _check(config)
    return config


def to_yaml(config: TrainConfig) -> str:
    """The settings as a file that `make_config` reads back."""
    import yaml

    values = {NAMES[name]: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}). Check --config.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML ({' '.join(str(error).split())}). Mend the file.") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: holds no settings. Write one `key: value` a line.")
    fields_of = {name: field for field, name in NAMES.items()}
    found = {}
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in fields_of:
            near = get_close_matches(name, fields_of, 1)
            meant = f"Did you mean {near[0]}?" if near else "See grpo-prm train --help for the settings."
            raise UsageError(f"{path}: there is no setting called {key}. {meant}")
        found[fields_of[name]] = _typed(fields_of[name], value, f"{path}: ")
    return found


def _typed(name: str, value: Any, where: str) -> Any:
    """A value as the type of its field; whole numbers are numbers, and one reward is a list of one."""
    kinds = [kind for part in _parts(HINTS[name]) for kind in [part]]
    for kind in kinds:
        if kind is type(None) and value is None:
            return None
        if get_origin(kind) is Literal and value in get_args(kind):
            return value
        if get_origin(kind) is tuple and isinstance(value, str | list | tuple):
            return (value,) if isinstance(value, str) else tuple(map(str, value))
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if kind is float and isinstance(value, str) and _is_number(value):  # YAML reads 1e-6 as text
            return float(value)
        if isinstance(kind, type) and isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        if kind is str and isinstance(value, Path):
            return str(value)
    raise UsageError(f"{where}{NAMES[name]} is {value!r}, but must be {' or '.join(map(_said, kinds))}. Change it.")


def _parts(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _said(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(str, get_args(kind)))
    names = {type(None): "nothing", float: "a number", int: "a whole number", bool: "true or false", str: "text"}
    return names.get(kind, "a list of texts")


def _check(config: TrainConfig) -> None:
    """Refuse what is out of range or does not go together."""
    for name, least in LEAST.items():
        if getattr(config, name) < least:
            raise UsageError(f"--{_flag(name)} is {getattr(config, name)}, but must be at least {least}. Change it.")
    for name in (*NOT_NEGATIVE, *POSITIVE):
        value = getattr(config, name)
        if not value >= 0 or (name in POSITIVE and value == 0):
            kind = "positive" if name in POSITIVE else "0 or more"
            raise UsageError(f"--{_flag(name)} is {value}, but must be {kind}. Change it.")
    if not 0 < config.top_p <= 1:
        raise UsageError(f"--top-p is {config.top_p}, but must be above 0 and at most 1. Change it.")
    if config.match_scale and config.match_norm:
        raise UsageError("--match-scale and --match-norm are two controls. Run one after the other.")
    if (config.match_scale or config.match_norm) and config.weights != "process-set":
        raise UsageError(
            f"A matched control trains with p = 0, so --weights {config.weights} has no place in it. Leave it out."
        )
    if config.task is None and not (config.model and config.data and config.reward):
        missing = [name for name in ("model", "data", "reward") if not getattr(config, name)]
        raise UsageError(f"Training without a built-in task needs --{', --'.join(missing)} too. Add it.")
    if config.task is not None and (config.data or config.reward):
        raise UsageError(
            f"The task {config.task} has prompts and rewards of its own. Leave out --data and --reward, or add --model."
        )


def _flag(name: str) -> str:
    return NAMES[name].replace("_", "-")
