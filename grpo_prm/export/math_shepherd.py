"""`math-shepherd`: {"input", "label", "task"}, a mark after each step and in the label + or - in its place.

Wang et al., Math-Shepherd (arXiv 2312.08935) and the data published with it. Theirs write `Step 1: ` before a step,
as their model does; steps of the implicit PRM begin anywhere, so the text is left as the model wrote it.
"""

from __future__ import annotations

from ..tree.step_text import Cuts
from .form import Format, Made
from .labels import Labelled
from .solutions import Solution, solutions, written

MARK = "ки"  # the Cyrillic syllable of the published data: one token of the models that were trained on it
SIGNS = {1.0: "+", 0.0: "-"}


def _make(labelled: Labelled, cuts: Cuts | None) -> Made:
    """One row for each solution; one whose own text or prompt holds the mark is left out: it would forge a label."""
    assert cuts is not None
    unique, counts = solutions(labelled, cuts)
    # Readers of this data look for the mark and take the character in its place for a label.
    clear = [one for one in unique if MARK not in one.prompt and MARK not in "".join(one.texts)]
    every, kept = (sum(len(one.labels) for one in some) for some in (unique, clear))
    counts.update(rows_with_mark=len(unique) - len(clear), steps_excluded=every - kept)
    runs = labelled.table["run"].to_list()
    rows = [
        {
            "input": marked(one, [MARK] * len(one.texts)),
            "label": marked(one, [SIGNS[label] for label in one.labels]),
            "task": runs[one.row],
        }
        for one in clear
    ]
    return Made(rows, counts + written(clear))


def marked(one: Solution, marks: list[str]) -> str:
    """The prompt, if there is one, then each step with a space and its mark, each on a new line."""
    steps = (f"{text} {mark}" for text, mark in zip(one.texts, marks, strict=True))
    return "\n".join([one.prompt, *steps] if one.prompt else steps)


FORMAT = Format("math-shepherd", ".jsonl", ("sign", "threshold"), _make)
