"""What runs are called in a legend: long names are shortened to what differs between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

from ..text.amounts import first_of
from ..text.printable import printable
from .letters import LONGEST, cut

# A word of a name ends with what parts it from the next; the signs of 1e-5 and 0.5 part nothing.
WORDS = re.compile(r"(?<=[-_/., =])(?<!\de-)(?<!\d\.)")
SAID = 6  # labels that a caption explains
ENDS = "-_/., ="


def legend_names(runs: Sequence[str]) -> dict[str, str]:
    """A label for each run, no two alike; `style.canvas` makes it safe to draw.

    Names of up to `LONGEST` letters stay. Of longer ones the words that all begin and end with are left out, and what
    is still too long is cut in its middle; where that leaves two alike, they are `run 1`, `run 2`, ...
    """
    names = list(runs)
    if len(names) > 1 and max(map(len, names)) > LONGEST:
        start, end = _shared(names)
        names = ["".join(WORDS.split(name)[start : len(WORDS.split(name)) - end]).strip(ENDS) for name in names]
    labels = [cut(name) for name in names]
    if len(set(labels)) < len(runs) or not all(labels):
        labels = [f"run {n}" for n in range(1, len(runs) + 1)]
    return dict(zip(runs, labels, strict=True))


def _shared(names: Sequence[str]) -> tuple[int, int]:
    """How many words all names begin and end with; at least one is left of each."""
    words = [WORDS.split(name) for name in names]
    least = min(map(len, words)) - 1
    start = min(_alike(words), least)
    return start, min(_alike([row[::-1] for row in words]), least - start)


def _alike(words: Sequence[Sequence[str]]) -> int:
    return len(list(takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))))


def names_note(runs: Sequence[str]) -> str:
    """What a caption says of labels that are not the names of the runs: which run is which; else nothing."""
    other = {label: run for run, label in legend_names(runs).items() if label != run}
    if len(runs) < 2 or not other:
        return ""
    labels = [f"{label} is {printable(run)}" for label, run in other.items()]
    return f"; runs in the legend: {first_of(labels, SAID)}"
