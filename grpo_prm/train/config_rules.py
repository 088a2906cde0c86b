"""Which settings can be meant: ranges, what goes together, and what may change when a run goes on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..tasks.spec import for_a_model
from .config_file import flag, read_settings
from .settings import ABOUT, NAMES, TrainConfig

MAY_CHANGE = ("out", "steps", "save_every", "keep", "tracker", "threads")  # in a run that goes on


def check(config: TrainConfig) -> None:
    """Refuse what is out of range or does not go together.

    Raises:
        UsageError: Of the first fault: what is wrong, and what to do.
    """
    for fault in _ranges(config):
        raise UsageError(f"{fault}. Change it.")
    for fault in (*_sources(config), *_training(config), *_backend(config)):
        raise UsageError(fault)


def _ranges(config: TrainConfig) -> Iterator[str]:
    """Faults of single values."""
    for name, (_, least, above, most) in ABOUT.items():
        value = getattr(config, name)
        if value is None or isinstance(value, bool | str | tuple):
            continue
        bounds = {
            "a finite number": math.isfinite(value),
            f"{least} or more": least is None or value >= least,
            f"above {above}": above is None or value > above,
            f"at most {most}": most is None or value <= most,
        }
        yield from (f"{flag(name)} is {value}, but must be {bound}" for bound, kept in bounds.items() if not kept)


def _sources(config: TrainConfig) -> Iterator[str]:
    """Faults in where prompts, rewards and the model come from."""
    if (config.model or config.task is None) and (config.warm_seed is not None or config.warm_steps):
        yield "Only the small model of a task has a warm start. Leave out --warm-seed and --warm-steps, or --model."
    if config.task is None:
        if missing := [flag(name) for name in ("model", "data", "reward") if not getattr(config, name)]:
            yield f"Training without a built-in task needs {' and '.join(missing)} too. Add what is missing."
        if config.partial_credit:
            yield "--partial-credit is for tasks of reasoning-gym. Leave it out, and weigh the answer in --reward."
        if config.eval_every and not config.eval_data:
            yield "--eval-every has no held-out prompts to use. Name them with --eval-data."
        return
    chat = for_a_model(config.task)
    for name in ("data", "reward", "eval_data", *(() if chat else ("system",))):
        if getattr(config, name):
            yield f"The task {config.task} brings prompts and rewards of its own. Leave out {flag(name)}, or --task."
    if chat and not config.model:
        yield f"--task {config.task} has no small model of its own. Name one with --model."
    if config.partial_credit and not chat:
        yield f"The task {config.task} gives no partial credit. Leave out --partial-credit."
    if not config.model and config.dtype != "float32":
        yield f"The small model of a task is float32, and --dtype is {config.dtype}. Leave it out, or give a --model."


def _training(config: TrainConfig) -> Iterator[str]:
    if config.match_scale and config.match_norm:
        yield "--match-scale and --match-norm are two controls. Run one after the other."
    if (config.match_scale or config.match_norm) and config.weights != "process-set":
        yield f"A matched control trains with p = 0, so --weights {config.weights} has no place in it. Leave it out."
    if config.weight_decay and config.optimizer != "adamw":
        yield f"--weight-decay is for adamw, and --optimizer is {config.optimizer}. Leave out one of the two."
    if config.warmup_steps > config.steps:
        yield f"--warmup-steps {config.warmup_steps} is more than --steps {config.steps}. Make it less."


def _backend(config: TrainConfig) -> Iterator[str]:
    """Faults of a run inside TRL: what TRL does not do, or does in another way, is not passed over in silence."""
    if config.vllm and (config.backend != "trl" or config.device == "cpu"):
        yield "--vllm samples on a GPU for --backend trl. Give --backend trl without --device cpu, or leave out --vllm."
    if config.backend != "trl":
        return
    lacking = {
        "match_norm": (config.match_norm, "needs a second backward pass in every step, which TRL does not make"),
        "packing": (config.packing == "tree", "is tree, and TRL reads every completion whole"),
        "std": (config.std == "population", "is population, and TRL has the deviation of a sample"),
        "updates_per_batch": (config.updates_per_batch > 1, "is above 1, and TRL would count each update as a step"),
        "warmup_steps": (config.warmup_steps > 0, "are counted from a rate of 0 in TRL, from the first share here"),
        "weight_decay": (config.weight_decay > 0, "spares biases and norms in TRL, and nothing here"),
        "device": (config.device not in ("auto", "cpu", "cuda"), "names one of several, and TRL takes the first"),
    }
    for name, (given, why) in lacking.items():
        if given:
            yield f"{flag(name)} {why}. Leave it out, or train with --backend own."


def check_goes_on(config: TrainConfig, path: Path) -> None:
    """Refuse to go on with a run under other settings than it began with; folder, length and the like may change.

    Args:
        config: The settings now.
        path: config.yaml of the run.

    Raises:
        UsageError: A setting differs that changes what the steps so far would have been, or the file is damaged.
    """
    # a file of a version that knew fewer settings ran with what are now the defaults of the others
    began: dict[str, Any] = {field.name: field.default for field in fields(TrainConfig)} | read_settings(path)
    # a falling schedule depends on where it ends, so its steps so far would have had other rates
    may = MAY_CHANGE if config.schedule == "constant" else [name for name in MAY_CHANGE if name != "steps"]
    for name, before in began.items():
        if name not in may and (now := getattr(config, name)) != before:
            ends = f" The schedule {config.schedule} ends with the last step." if name == "steps" else ""
            raise UsageError(
                f"{path}: differs: {NAMES[name]} was {_value(before)} and is {_value(now)} now.{ends} A run goes on"
                " with the settings it began with: leave that one out, or start another run with --out."
            )


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return "null" if value is None else str(value)
