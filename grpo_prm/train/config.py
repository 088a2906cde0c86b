"""How the settings of a run are settled: flags before the file, the file before what suits task and model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from .config_file import checked_flags, read_settings
from .config_rules import check, check_goes_on
from .method import run_folder
from .settings import NAMES, TrainConfig

__all__ = ["TrainConfig", "check_goes_on", "make_config", "to_yaml"]

UNREADABLE = frozenset("\x85\u2028\u2029\ufeff")  # yaml reads these back as spaces unless they are escaped
MODEL_RATE = 1e-6  # of a model of your own, as the authors' code and TRL have it
CPU_BUDGET = 1024  # tokens at a time of a model of your own on a CPU: more are no faster there, and need more memory


def make_config(flags: Mapping[str, Any] | None = None, path: Path | None = None) -> TrainConfig:
    """Settle the settings.

    What is given nowhere is as the task prefers it. A model of your own starts at a learning rate of 1e-6, and on a
    CPU reads few tokens at a time. A run folder
    that is not given is named after method and task (`run_folder`).

    Args:
        flags: Field to value; None is not given.
        path: YAML file with the names of the options, dashes or underscores.

    Raises:
        UsageError: An unknown key, a wrong type or settings that do not go together; file and key are named.
    """
    given = (read_settings(path) if path else {}) | checked_flags(flags or {})
    if "task" not in given and any(given.get(name) for name in ("model", "data", "reward")):
        given["task"] = None
    config = replace(TrainConfig(), **{**_preferred(given), **given})
    check(config)
    return replace(config, out=config.out or run_folder(config))


def _preferred(given: Mapping[str, Any]) -> dict[str, Any]:
    """What suits the task and the model."""
    preferred: dict[str, Any] = {}
    if (task := given.get("task", TrainConfig.task)) is not None:
        from ..tasks import get_tasks

        known, *_ = get_tasks(task)
        preferred = {"max_new_tokens": known.limit, **known.defaults}
    if given.get("model"):
        preferred["learning_rate"] = MODEL_RATE
        if _on_cpu(given.get("device", TrainConfig.device)):
            preferred["token_budget"] = CPU_BUDGET
    return preferred


def _on_cpu(device: str) -> bool:
    if device != "auto":
        return device == "cpu"
    import torch

    return not torch.cuda.is_available()


def to_yaml(config: TrainConfig) -> str:
    """The settings as a file that `make_config` reads back."""
    import yaml

    values = {NAMES[name]: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}
    readable = UNREADABLE.isdisjoint("".join(text for value in values.values() for text in _texts(value)))
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=readable, width=10_000)


def _texts(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value] if isinstance(value, str) else []
