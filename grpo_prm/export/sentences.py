"""What an export wrote, what it left out and why, as sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..text.amounts import amount

# Counts of steps without a label, in the order in which the reasons are tried.
REASONS = {
    "steps_out_of_loss": "have no token in the loss",
    "steps_few_members": "have fewer completions than --min-members",
    "steps_uncertain": "are less certain than --min-certainty",
    "steps_without_sign": "have A = 0, so no sign",
}
LEFT_OUT = ("completion was left out:", "completions were left out:")
# The beginning of a sentence about one, about several, and how it goes on.
SENTENCES = {
    "steps_joined": ("label is", "labels are", "not in the file: the step ends at the same character as the next one."),
    "rows_repeated": ("row was", "rows were", "equal to another of the group, which is written once."),
    "rows_with_mark": (
        "row was",
        "rows were",
        "left out: the text holds the mark itself. --to stepwise needs no mark.",
    ),
    "completions_without_label": ("completion has", "completions have", "no labelled step, and so no row."),
    "completions_excluded": (*LEFT_OUT, "the rewards of the group are all equal."),
    "completions_of_mixed_prompts": (*LEFT_OUT, "the group mixes prompts."),
    "groups_of_one": (*LEFT_OUT, "alone in the group."),
    "rows_rejected": ("row", "rows", "of the log could not be used: see grpo-prm inspect."),
    "text_decoded": ("completion has", "completions have", "a text decoded from its ids."),
    "text_prefix": (
        "completion is",
        "completions are",
        "cut without a tokenizer: a step ends where its completions begin to differ, which may be a few characters "
        "late. --tokenizer cuts exactly.",
    ),
    "text_none": ("completion has", "completions have", "no text in the log: it is null."),
    "boundaries_inside": ("step ends", "steps end", "inside a character, with all of it."),
    "prompts_missing": ("completion has", "completions have", "no prompt in the log: it is empty or null."),
}


def sentences(done: dict[str, Any], out: str) -> Iterator[str]:
    """What `run.export` returns, in words: first what was written, then what was not.

    Args:
        done: Of `run.export`.
        out: The file, as the user names it.
    """
    yield from done["notes"]
    counts = done["counts"]
    rows, completions, groups = (amount(counts[f"{one}s"], one) for one in ("row", "completion", "group"))
    if mixed := counts["groups_prompts_differ"]:
        yield (
            f"{amount(mixed, 'group mixes', 'groups mix')} prompts: step labels there compare completions of different "
            "prompts (--exclude-mixed-prompts leaves such groups out)."
        )
    yield f"{out}: {rows} from {completions} in {groups}{f', {mixed:,} of mixed prompts' if mixed else ''}."
    labels = ", ".join(
        f"{counts[name]:,} {name.removeprefix('labels_')}"
        for name in ("labels_good", "labels_neutral", "labels_bad")
        if counts.get(name)
    )
    yield (
        f"{counts['steps_labelled']:,} of {amount(counts['steps'], 'step')} have a label ({labels or 'R'}). A step "
        "counts once for each completion that goes through it."
    )
    if counts["steps_labelled"]:
        yield (
            "A label is a mean over few completions: grpo-prm analyze says whether they are more than luck, "
            "--min-certainty leaves out the unsure."
        )
    without = [f"{counts[name]:,} {why}" for name, why in REASONS.items() if counts.get(name)]
    if without:
        yield f"The other steps: {', '.join(without)}."
    if 0 < counts.get("steps_written", 0) < counts["steps_labelled"]:
        yield f"{counts['steps_written']:,} of the labels are in the file."
    for name, (one, several, rest) in SENTENCES.items():
        if counts.get(name):
            yield f"{amount(counts[name], one, several)} {rest}"
