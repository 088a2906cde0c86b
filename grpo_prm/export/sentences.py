"""What an export says of itself: what was written, what was left out and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LEFT_OUT = {
    "steps_out_of_loss": "with no token in the loss",
    "steps_few_members": "of too few members",
    "steps_uncertain": "too uncertain",
    "steps_without_sign": "whose A is 0",
    "steps_joined": "that end at the same character as another",
}
MORE = {
    "completions_without_label": "Completions without any labelled step, and so without a row: {n:,}.",
    "text_decoded": "Text of {n:,} completions is decoded from their ids.",
    "text_prefix": (
        "Text of {n:,} completions is cut where the texts of the members part, since no tokenizer is given: tokens "
        "that begin alike move a cut to the right. --tokenizer cuts exactly."
    ),
    "text_none": "{n:,} completions have no text: their texts are null.",
    "boundaries_inside": "{n:,} steps end inside a character and were given the whole of it.",
    "prompts_missing": "{n:,} completions have no prompt in the log: it is empty or null.",
    "rows_repeated": "{n:,} rows equal to another of their group were written once.",
    "rows_with_mark": "{n:,} rows were left out since the mark stands in their text. --to stepwise has no mark.",
    "completions_excluded": "{n:,} completions in groups of equal rewards were left out.",
    "groups_of_one": "{n:,} groups of one were left out.",
    "rows_rejected": "{n:,} rows of the log were rejected: see them with grpo-prm inspect.",
}


def sentences(done: dict[str, Any], out: str) -> Iterator[str]:
    """What `run.export` returns, in words."""
    yield from done["notes"]
    counts = done["counts"]
    hard = ", ".join(
        f"{counts[name]:,} {name.removeprefix('labels_')}"
        for name in ("labels_good", "labels_neutral", "labels_bad")
        if counts.get(name)
    )
    yield (
        f"{out}: {counts['rows']:,} rows from {counts['completions']:,} completions in {counts['groups']:,} groups; of "
        f"{counts['steps']:,} steps of completions {counts['steps_labelled']:,} have a label ({hard or 'R'})."
    )
    if 0 < counts.get("steps_written", 0) < counts["steps_labelled"]:
        yield f"The file holds {counts['steps_written']:,} of these labels: what is said twice is written once."
    left = [f"{counts[name]:,} {why}" for name, why in LEFT_OUT.items() if counts.get(name)]
    if left:
        yield f"Steps without a label: {', '.join(left)}."
    for name, sentence in MORE.items():
        if counts.get(name):
            yield sentence.format(n=counts[name])
