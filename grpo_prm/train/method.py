"""The method of a run in words: for the name of its folder, and for `method.txt`, which tells `analyze` and others."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from .settings import TrainConfig


class Method(NamedTuple):
    """A way to train.

    Attributes:
        name: For a reader: `λ-GRPO, p = 0.5`.
        short: For the name of a folder: `lambda0.5`.
    """

    name: str
    short: str


def method_of(config: TrainConfig) -> Method:
    """The method of a run; whatever comes to the same as GRPO is called so. `logs.sources.METHODS` knows every name."""
    p, kind = f"{config.power:g}", config.weights
    if not config.power or kind == "none":  # every weight is 1, a matched scale and norm too
        return Method("GRPO", "grpo")
    if config.match_scale:
        return Method(f"GRPO, loss as small as that of λ-GRPO with p = {p}", f"match-scale{p}")
    if config.match_norm:
        return Method(f"GRPO, gradient as long as that of λ-GRPO with p = {p}", f"match-norm{p}")
    if kind == "process-set":
        return Method(f"λ-GRPO, p = {p}", f"lambda{p}")
    return Method(f"GRPO with {kind} weights, p = {p}", f"{kind}{p}")


def run_folder(config: TrainConfig) -> str:
    """Folder of a run that was given none: method, task, and a model of one's own by its name: `lambda1-chain.run`."""
    # resolved, so that `.` has a name; of a hub name the part behind the owner is left
    model = Path(config.model).resolve().name if config.model else ""
    return "-".join(part for part in (method_of(config).short, config.task, model) if part) + ".run"
