"""The method of a run in words: for the name of its folder, and for `method.txt`, which tells `analyze` and others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..tasks.spec import short
from .settings import TrainConfig

if TYPE_CHECKING:
    from ..core.weights import Kind  # not at run time: numpy would come with it, and `grpo-prm train --help` is quick


class Method(NamedTuple):
    """A way to train.

    Attributes:
        name: For a reader: `λ-GRPO, p = 0.5`.
        short: For the name of a folder: `lambda0.5`.
    """

    name: str
    short: str


def method_of(config: TrainConfig) -> Method:
    """The method of a run."""
    control = "match-scale" if config.match_scale else "match-norm" if config.match_norm else None
    return named(config.power, config.weights, control)


def named(power: float, kind: Kind, control: Literal["match-scale", "match-norm"] | None = None) -> Method:
    """Name a method; whatever comes to the same as GRPO is called so. `logs.sources.METHODS` knows every name.

    Args:
        power: p of |λ|^-p.
        kind: Which weights.
        control: GRPO's own weights, with the scale of the loss or the norm of the gradient that the others have.
    """
    p = f"{power:g}"
    if not power or kind == "none":  # every weight is 1, a matched scale and norm too
        return Method("GRPO", "grpo")
    if control == "match-scale":
        return Method(f"GRPO, loss as small as that of λ-GRPO with p = {p}", f"match-scale{p}")
    if control == "match-norm":
        return Method(f"GRPO, gradient as long as that of λ-GRPO with p = {p}", f"match-norm{p}")
    if kind == "process-set":
        return Method(f"λ-GRPO, p = {p}", f"lambda{p}")
    return Method(f"GRPO with {kind} weights, p = {p}", f"{kind}{p}")


def run_folder(config: TrainConfig) -> str:
    """Folder of a run that was given none: method, task, and a model of one's own by its name: `lambda1-chain.run`."""
    # resolved, so that `.` has a name; of a hub name the part behind the owner is left
    model = Path(config.model).resolve().name if config.model else ""
    task = config.task and short(config.task)
    return "-".join(part for part in (method_of(config).short, task, model) if part) + ".run"
