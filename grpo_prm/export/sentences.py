"""What an export wrote, what it left out and why, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..text.amounts import amount
from .solutions import SHORT

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
    "steps_of_tools": ("label is", "labels are", "not in the file: the step is tool output alone."),
    "steps_few_words": ("label is", "labels are", "not in the file: the step has fewer words than --min-words."),
    "steps_repeated": ("label is", "labels are", "of a row that is equal to another of its group."),
    "steps_excluded": ("label is", "labels are", "of a row that was left out."),
    "rows_repeated": ("row was", "rows were", "equal to another of the group, which is written once."),
    "rows_with_mark": (
        "row was",
        "rows were",
        "left out: the text holds the mark itself. --to stepwise needs no mark.",
    ),
    "completions_without_label": ("completion has", "completions have", "no labelled step, and so no row."),
    "rows_others_excluded": ("row was", "rows were", "left out: tool output, or turns of others, stand in it."),
    "rows_prompt_excluded": ("row was", "rows were", "left out: the log has no prompt for it."),
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
    "rows_with_others": (
        "row holds",
        "rows hold",
        "tool output, or turns of others, before a label: --exclude-tool-output leaves such rows out.",
    ),
    "steps_short": (
        "label is",
        "labels are",
        f"of a step of fewer than {SHORT} words: --min-words {SHORT} leaves such labels out.",
    ),
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
    yield from _doubts(counts)
    for name, (one, several, rest) in SENTENCES.items():
        if counts.get(name):
            yield f"{amount(counts[name], one, several)} {rest}"


def _doubts(counts: Mapping[str, int]) -> Iterator[str]:
    """What a reward model that is trained on the file would learn that its user may not want."""
    if counts.get("tool_output_unmasked"):
        completions = amount(counts["tool_output_unmasked"], "completion holds", "completions hold")
        words = "words of a tool, or of another turn, that the log does not mask"
        yield f"{completions} {words}: they count as the policy's own."
    if counts.get("rows_without_prompt"):
        rows = amount(counts["rows_without_prompt"], "row has", "rows have")
        yield (
            f"{rows} an empty prompt, as the log has none: a reward model would not see the problem. Name the column "
            "with --columns prompt=NAME; --exclude-missing-prompts leaves such rows out."
        )
    elif counts.get("prompts_missing") and not counts.get("rows_prompt_excluded"):
        completions = amount(counts["prompts_missing"], "completion has", "completions have")
        yield f"{completions} no prompt in the log: it is null."


def none_left(counts: Mapping[str, int]) -> str:
    """Why there are labels, and no row that may be written."""
    why = {
        "steps_joined": "labels are of steps without a text of their own",
        "steps_of_tools": "labels are of steps of tool output alone",
        "steps_few_words": "labels are of steps with fewer words than --min-words",
        "rows_others_excluded": "rows hold tool output or turns of others (--exclude-tool-output)",
        "rows_prompt_excluded": "rows have no prompt (--exclude-missing-prompts)",
        "rows_with_mark": "rows hold the mark of the format",
    }
    said = [f"{counts[name]:,} {words}" for name, words in why.items() if counts[name]]
    return f"No row is left: {', '.join(said)}. Leave one of these options out, or take --to spans."
