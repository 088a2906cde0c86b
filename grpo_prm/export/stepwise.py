"""`stepwise`: TRL's stepwise supervision, {"prompt", "completions": [text of each step], "labels": [bool]}."""

from __future__ import annotations

from ..tree.step_text import Cuts
from .form import Format, Made
from .labels import Labelled
from .solutions import solutions, written


def _make(labelled: Labelled, cuts: Cuts | None) -> Made:
    assert cuts is not None
    unique, counts = solutions(labelled, cuts)
    return Made(
        [
            {"prompt": one.prompt, "completions": list(one.texts), "labels": [label > 0 for label in one.labels]}
            for one in unique
        ],
        counts + written(unique),
    )


FORMAT = Format("stepwise", ".jsonl", ("sign", "threshold"), _make)
