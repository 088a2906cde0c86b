"""What a run of another trainer was trained with, beside its rollouts in the words that `analyze` knows."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ..errors import UsageError
from ..files import atomic
from ..logs.sources import METHOD
from ..train.method import named


def method_name(power: float, kind: str) -> str:
    """The method of a GRPO trainer with these weights.

    Args:
        power: p of |λ|^-p.
        kind: `process-set`, `parent`, `position` or `scale-matched`.
    """
    if kind == "scale-matched":
        return named(power, "process-set", "match-scale").name
    return named(power, kind).name  # ty: ignore[invalid-argument-type]


def write_method(rollouts: Path, name: str) -> None:
    """Write it beside a folder of rollouts. A full disk stops no training; of what is missing the recorder speaks."""
    with suppress(OSError, UsageError), atomic(rollouts.parent / METHOD) as part:
        part.write_text(f"{name}\n", encoding="utf-8")
