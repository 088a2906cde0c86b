"""What an export wrote, what it left out and why, as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Counts of steps without a label, in the order in which the reasons are tried.
REASONS = {
    "steps_out_of_loss": "have no token in the loss",
    "steps_few_members": "have fewer completions than --min-members",
    "steps_uncertain": "are less certain than --min-certainty",
    "steps_without_sign": "have A = 0, so no sign",
}
SENTENCES = {
    "steps_joined": "{n:,} labels are not in the file: their step ends at the same character as the next one.",
    "rows_repeated": "{n:,} rows were equal to another of their group and are written once.",
    "rows_with_mark": "{n:,} rows were left out: their text holds the mark itself. --to stepwise needs no mark.",
    "completions_without_label": "{n:,} completions have no labelled step, and so no row.",
    "completions_excluded": "{n:,} completions were left out: the rewards of their group are all equal.",
    "groups_of_one": "{n:,} completions were left out: they are alone in their group.",
    "rows_rejected": "{n:,} rows of the log could not be used: see them with grpo-prm inspect.",
    "text_decoded": "{n:,} completions have their text decoded from their ids.",
    "text_prefix": (
        "{n:,} completions are cut without a tokenizer: a step ends where its completions begin to differ, which may "
        "be a few characters late. --tokenizer cuts exactly."
    ),
    "text_none": "{n:,} completions have no text in the log: it is null.",
    "boundaries_inside": "{n:,} steps end inside a character and hold all of it.",
    "prompts_missing": "{n:,} completions have no prompt in the log: it is empty or null.",
}


def sentences(done: dict[str, Any], out: str) -> Iterator[str]:
    """What `run.export` returns, in words: first what was written, then what was not.

    Args:
        done: Of `run.export`.
        out: The file, as the user names it.
    """
    yield from done["notes"]
    counts = done["counts"]
    yield f"{out}: {counts['rows']:,} rows from {counts['completions']:,} completions in {counts['groups']:,} groups."
    labels = ", ".join(
        f"{counts[name]:,} {name.removeprefix('labels_')}"
        for name in ("labels_good", "labels_neutral", "labels_bad")
        if counts.get(name)
    )
    yield (
        f"{counts['steps_labelled']:,} of {counts['steps']:,} steps have a label ({labels or 'R'}). A step counts once "
        "for each completion that goes through it."
    )
    without = [f"{counts[name]:,} {why}" for name, why in REASONS.items() if counts.get(name)]
    if without:
        yield f"The other steps: {', '.join(without)}."
    if 0 < counts.get("steps_written", 0) < counts["steps_labelled"]:
        yield f"{counts['steps_written']:,} of the labels are in the file."
    for name, sentence in SENTENCES.items():
        if counts.get(name):
            yield sentence.format(n=counts[name])
