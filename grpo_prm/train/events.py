"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

Kind = Literal["warm", "note", "start", "eval", "step", "checkpoint", "end"]


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        kind: `warm` the warm start goes on, `start` the run begins, `step`, `eval`, `checkpoint`, `note`, `end`.
        step: Steps done.
        steps: Steps in all.
        metrics: Numbers by name; None where there is none.
        text: For a person.
    """

    kind: Kind
    step: int = 0
    steps: int = 0
    metrics: Mapping[str, float | None] = {}
    text: str = ""


Watch = Callable[[Event], None]


def nobody(_: Event) -> None:
    """Watch nothing."""
