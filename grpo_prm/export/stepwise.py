"""`stepwise`: TRL's stepwise supervision, {"prompt", "completions": [text of each step], "labels": [bool]}."""

from __future__ import annotations

from ..tree.step_text import Cuts
from .choice import Choice
from .form import Format, Made
from .solutions import solutions


def _make(choice: Choice, cuts: Cuts | None) -> Made:
    assert cuts is not None
    found, counts = solutions(choice, cuts)
    return Made(
        [
            {"prompt": one.prompt, "completions": list(one.texts), "labels": [label > 0 for label in one.labels]}
            for one in found
        ],
        counts,
    )


FORMAT = Format("stepwise", ".jsonl", ("sign", "threshold"), _make)
