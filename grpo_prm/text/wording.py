"""The sentences of a summary: on the terminal, and in the report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..logs.memory import NAME
from .amounts import amount, interval
from .cells import Rows
from .change import change, change_title
from .masks import in_the_loss
from .parts import branches, by_run, defects, logprobs, overlap, sharing, states, teaching

MADE = {
    "log": "token ids as logged",
    "tokenizer": "token ids made again from text with the tokenizer",
    "pieces": "pieces of text (GPT-2 pre-tokenisation), since the log has no token ids",
}
OF_STATES = "What do equal states say?"
DIFFER = (
    "prompts: step rewards there compare completions of different prompts. The theory is about completions of one "
    "prompt, so such groups count in every number, but process sets, step rewards and advantages are not what it means."
)


def sections(summary: dict[str, Any]) -> list[tuple[str, list[str | Rows]]]:
    """Title and body of each section.

    Args:
        summary: The content of summary.json.
    """
    parts = (
        ("What was read", _read(summary)),
        ("What does each run say alone?", by_run(summary)),
        ("Do completions overlap?", overlap(summary)),
        ("Do the branches say anything?", branches(summary)),
        (OF_STATES, states(summary)),
        ("Where does it hurt?", defects(summary)),
        ("Do groups teach anything?", teaching(summary)),
        ("What would tree-packed training save?", sharing(summary)),
        ("What do the log-probabilities say?", logprobs(summary)),
        (change_title(summary["source"]), change(summary)),
    )
    made = [(title, list(body)) for title, body in parts]
    return [(title, body) for title, body in made if body]


def read_in_short(summary: dict[str, Any]) -> str:
    """What was read, in one line."""
    rejected = summary["counts"]["rejected"]
    return _log_and_groups(summary) + (f"; {amount(rejected, 'row')} rejected." if rejected else ".")


def _log_and_groups(summary: dict[str, Any]) -> str:
    source, counts, k = summary["source"], summary["counts"], summary["counts"]["group_size"]
    # All groups of one size is the common case: a range would read like a warning.
    size = f"{k['mode']}" if k["min"] == k["max"] else f"{k['min']} to {k['max']} (mostly {k['mode']})"
    log = f"{source['format']} log" if source["format"] else "rollouts"
    groups = amount(counts["groups"], "group")
    if len(source.get("runs", ())) > 1:
        log += f", {len(source['runs'])} runs"
    return f"{log}, {_steps(source)}: {amount(counts['completions'], 'completion')} in {groups} of {size}"


def doubts(summary: dict[str, Any]) -> Iterator[str]:
    """What may be wrong with the log or with how it was understood, each in a sentence."""
    counts = summary["counts"]
    if (runs := len(summary["source"]["runs"])) > 1:
        where = ": --full and the page have each alone" if "runs" in summary else " (grpo-prm compare)"
        yield f"The answers are of {amount(runs, 'run')} together, and of one alone they may differ{where}."
    if counts["groups_split"]:
        yield f"{drawn_again(counts['groups_split'])}."
    if counts["groups_prompts_differ"]:
        yield mixed(counts["groups_prompts_differ"])
    if counts["advantage_mismatch"]:
        yield mismatch(summary)
    yield from no_logprobs(summary)
    yield from summary["source"]["notes"]


def drawn_again(prompts: int) -> str:
    """How many prompts came more than once, and how their groups are called (`logs.grouping.buckets.numbered`)."""
    many = amount(prompts, "prompt was", "prompts were")
    return f"{many} drawn more than once in a step: #2 behind a key is a second draw, #3 a third"


def mixed(groups: int) -> str:
    """The sentence on so many groups of several prompts."""
    return f"{amount(groups, 'group mixes', 'groups mix')} {DIFFER}"


def no_logprobs(summary: dict[str, Any]) -> list[str]:
    """How many tokens were left out since their log-probabilities are none."""
    notes = summary["notes"]
    return [f"{notes[name]}." for name in ("left_out", "gap_left_out") if name in notes][:1]


def masks(summary: dict[str, Any]) -> str:
    """How much is in the loss, where not all is; else nothing."""
    return _in_the_loss(summary) if summary["counts"].get("tokens_masked") else ""


def _in_the_loss(summary: dict[str, Any]) -> str:
    counts = summary["counts"]
    units = counts["tokens"] + counts.get("tokens_masked", 0)
    return in_the_loss(units, counts["tokens"], summary["source"]["unit"], counts.get("prompt_tokens", 0))


def _read(summary: dict[str, Any]) -> Iterator[str]:
    source, counts = summary["source"], summary["counts"]
    yield f"{_log_and_groups(summary)}."
    yield from _rewards(summary)
    if "methods" in source:
        yield trained_with(source)
    unit = " and ".join(MADE[name] for name in source["tokens_from"].split(", "))
    yield f"Unit: {unit}; {_in_the_loss(summary)}."
    left = f"{counts['rejected']:,} of {counts['rows_read']:,} rows rejected (rejects.jsonl says why)"
    lines = (
        (counts["rejected"], left),
        (counts["groups_of_one"], f"{amount(counts['groups_of_one'], 'group')} of one completion left out"),
        (counts["duplicates"], f"{amount(counts['duplicates'], 'completion')} equal to an earlier one of the group"),
    )
    yield from (f"{line}." for count, line in lines if count)
    yield from doubts(summary)


def _rewards(summary: dict[str, Any]) -> Iterator[str]:
    """The mean reward, which a reader knows from the tracker of the run, and how many groups are solved or lost."""
    groups, kinds = summary["counts"]["groups"], summary["teaching"]
    if summary["reward"] is None:
        return
    solved = ""
    if kinds["all_right"] is not None:  # of two rewards it is known which is right
        right, wrong = (f"{kinds[name]:,}" for name in ("all_right", "all_wrong"))
        solved = f" Of {amount(groups, 'group')} {right} are all right, {wrong} all wrong."
    yield f"{interval(summary['reward'])} is the mean reward (a mean over groups).{solved}"


def trained_with(source: dict[str, Any]) -> str:
    """What runs were trained with, where their folders say so: by name, where there is more than one run."""
    methods = source["methods"]
    if len(source["runs"]) == 1:
        (method,) = methods.values()
        return f"Trained with {method}."
    return f"Trained with: {'; '.join(f'{run}: {method}' for run, method in methods.items())}."


def mismatch(summary: dict[str, Any]) -> str:
    """The sentence on groups whose logged advantages are not the computed ones."""
    source, groups = summary["source"], amount(summary["counts"]["advantage_mismatch"], "group")
    choose, take = "--std or --reward", "--advantage logged"
    if not source["files"] or source["files"] == [NAME]:  # Groups, Rollouts or rows came from Python
        choose, take = "Options(std=...) or ReadOptions(reward=...)", 'Options(advantage="logged")'
    return (
        f"In {groups} the logged advantages differ from those that the rewards give with std "
        f"{source['options']['std']}: choose with {choose}, or take the logged ones with {take}."
    )


def _steps(source: dict[str, Any]) -> str:
    first, last, count = source["steps"].values()
    if not count:
        return "no steps logged"
    return f"step {first}" if count == 1 else f"{count:,} steps from {first} to {last}"
