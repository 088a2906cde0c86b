"""A `group_tree` in the terminal: numbers in columns on the left, the tree of texts on the right."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from ..text.amounts import amount, first_of, number, steady
from ..text.printable import printable

FOLD = (160, 60)  # characters of a long text that are shown at its beginning and at its end
PROMPTS = 4  # of a group that mixes several, that are shown
LEVELS = 12  # levels drawn with guides; deeper ones say their depth instead
SIGNS = {1: "cyan", 0: "", -1: "red", None: ""}  # the sign is printed too: colour alone tells nothing to some eyes
WAYS = {
    "units": "cut exactly",
    "decoded": "decoded from the ids",
    "prefix": "cut where the completions begin to differ, which may be a few characters late",
    "none": "not in the log, so ids are shown",
}
AGAIN = re.compile(r"#([2-9]|[1-9][0-9]+)$")  # how further draws of a prompt are called
LEGEND = (
    "|λ|: completions that share the step. R: their mean reward. A: their mean advantage, by which GRPO pushes the "
    "step up or down. ■: a completion ends here.\n"
    "suppressed good: tokens of above-mean completions in a step that is pushed down (A < 0); boosted bad: tokens of "
    "below-mean completions in a step that is pushed up."
)


def render(tree: dict[str, Any], console: Console, *, full: bool = False) -> None:
    """Print one group. Whatever the log says is shown as text: no markup, no control characters.

    Args:
        tree: Of `grpo_prm.tree.view.group_tree`.
        console: Where to; its width is used.
        full: Show texts whole, with their line breaks.
    """
    for line in heading(tree):
        console.print(line)
    for name, text in prompts(tree):
        console.print(Text(f"{name}  ", style="bold").append_text(folded(text, full=full)))
    console.print()
    width = max(3, *(len(cells(step)[3]) for step in tree["steps"]))
    left = f"{'|λ|':>4} {'R':>7} {'A':>7} {tree['unit'] + 's':>{max(width, 6)}}  "
    console.print(Text(left.rstrip(), style="bold"))
    last = _last_children(tree["steps"])
    for n, step in enumerate(tree["steps"]):
        size, reward, advantage, length = cells(step)
        numbers = Text(f"{size:>4} {reward:>7} ")
        numbers.append(f"{advantage:>7}", style=SIGNS[step["sign"]])
        numbers.append(f" {length:>{max(width, 6)}}  ")
        opening, going_on = _guides(tree["steps"], last, n)
        room = max(20, console.width - len(left) - len(opening))
        lines = label(step, full=full).wrap(console, room, overflow="fold")
        for i, line in enumerate(lines or [Text()]):
            row = numbers.copy() if i == 0 else Text(" " * len(left))
            row.append(opening if i == 0 else going_on, style="dim").append_text(line)
            row.rstrip()
            console.print(row, no_wrap=True, overflow="ignore", crop=False)
    console.print(Text(LEGEND, style="dim"))


def prompts(tree: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The prompt under its name; of a group of several each from where they differ, as far as the log has them."""
    if mixed := tree["mixed_prompts"]:
        before = "…" if mixed["alike"] else ""
        for one in mixed["each"][:PROMPTS]:
            if one["text"] is not None:
                yield f"prompt of {_numbered(one['samples'])}", f"{before}{one['text']}"
    elif tree["prompt"]:
        yield "prompt", tree["prompt"]


def _mixed(mixed: dict[str, Any]) -> str:
    """How many prompts a group mixes, and where they part."""
    number, alike = len(mixed["each"]), mixed["alike"]
    if alike is None:
        of = ", ".join(_numbered(one["samples"]) for one in mixed["each"][:PROMPTS])
        where = f"of {of}; they stood before the completions as ids, which are not kept"
    else:
        where = f"alike for {amount(alike, mixed['unit'])} and then different" if alike else "different from the first"
    more = f" The first {PROMPTS} are shown." if number > PROMPTS else ""
    return f"{number} prompts in one group, {where}: its step rewards compare completions of different prompts.{more}"


def _numbered(samples: list[int], most: int = 6) -> str:
    return first_of([f"#{i}" for i in samples], most, between=" ")


def heading(tree: dict[str, Any]) -> list[Text]:
    """What a group is, in some lines: its name, its rewards, and where units and text come from."""
    step = "" if tree["step"] is None else f" step {tree['step']},"
    head = Text(f"{printable(tree['run'])},{step} group {printable(tree['group_key'])}", style="bold")
    rewards = "no rewards"
    if tree["reward_mean"] is not None:
        rewards = f"mean reward {number(tree['reward_mean'])}, standard deviation {number(tree['reward_std'] or 0.0)}"
    head.append(f": {tree['k']} completions, {rewards}", style="not bold")
    lines = [head]
    if again := AGAIN.search(tree["group_key"]):
        lines.append(
            Text(f"{again[0]} behind a key: draw {again[1]} of a prompt that was drawn more than once in the step.")
        )
    if tree["mixed_prompts"]:
        lines.append(Text(_mixed(tree["mixed_prompts"])))
    if tree["zero_variance"]:
        lines.append(Text("All rewards are equal: this group trains nothing."))
    elif tree["suppressed_good_tokens"] is not None:
        share = f"{tree['suppressed_good_tokens']} of {tree['good_tokens']} {tree['unit']}s"
        how = "logged advantages" if tree["advantage_from"] == "logged" else "advantages computed from the rewards"
        lines.append(Text(f"Suppressed good: {share} of above-mean completions ({how})."))
    origin = {
        "log": "ids of the log",
        "tokenizer": "made from the text",
        "pieces": "pieces of the text",
    }
    return [*lines, Text(f"Units: {origin[tree['tokens_from']]}. Text: {WAYS[tree['text_from']]}.")]


def cells(step: dict[str, Any]) -> tuple[str, str, str, str]:
    """Size, step reward, step advantage and length of a process step, as they are printed."""
    reward = steady(step["reward"])
    advantage = steady(step["advantage"] if step["sign"] or step["advantage"] is None else 0.0, sign=True)
    if step["sign"] == 0:  # no push at all: a plus would say one
        advantage = advantage.replace("+", " ")
    return str(step["size"]), reward, advantage, str(step["end"] - step["start"])


def label(step: dict[str, Any], *, full: bool) -> Text:
    """The text of a process step and its marks."""
    return step_text(step, full=full).append_text(marks(step))


def step_text(step: dict[str, Any], *, full: bool) -> Text:
    """The text of a process step, its ids where the log has no text, or why there is nothing to show."""
    if step["start"] == step["end"]:
        return Text("(nothing is shared by all)" if step["size"] > 1 else "(empty)", style="dim italic")
    if step["text"] is None:
        return folded(" ".join(map(str, step["ids"])), full=full)
    return folded(step["text"], full=full) if step["text"] else Text("(no text of its own)", style="dim italic")


def marks(step: dict[str, Any]) -> Text:
    """What is special about a process step: tokens outside the loss, suppressed good, boosted bad, who ends here."""
    shown = Text()
    total = step["size"] * (step["end"] - step["start"])
    if step["loss_tokens"] < total:
        shown.append(f" [{step['loss_tokens']} of {total} in the loss]", "dim")
    if step["texts"]:
        shown.append(f" [{difference(step['texts'])}]", "dim")
    for name, style in (("suppressed_good", "bold magenta"), ("boosted_bad", "magenta")):
        if step[f"{name}_tokens"]:
            shown.append(f" ◀ {name.replace('_', ' ')}: {step[f'{name}_tokens']}", style)
    for text, sign in markers(step["ends"]):
        shown.append(f" ■ {text}", SIGNS[sign])
    return shown


def difference(texts: list[str | None]) -> str:
    """In what the texts of a step's members differ: the character that its tokens end inside, or more."""
    some = list(dict.fromkeys(text for text in texts if text is not None))
    if len({text[:-1] for text in some}) > 1:
        return "the texts of its completions differ"
    return f"ends inside a character: {' or '.join(printable(text[-1:]) for text in some)}"


def folded(text: str, *, full: bool) -> Text:
    """Show a text whole, or its two ends and how many characters lie between."""
    if full:
        return Text(printable(text.expandtabs(4), newline="\n"))
    begin, end = FOLD
    hidden = len(text) - begin - end
    if hidden <= begin // 4:  # saying that so little is hidden takes as much room
        return Text(printable(text))
    shown = Text(printable(text[:begin]))
    shown.append(f" … {hidden:,} characters … ", style="dim italic")
    return shown.append(printable(text[-end:]))


def markers(ends: list[dict[str, Any]], most: int = 6) -> list[tuple[str, int]]:
    """Completions by number and reward, those of one reward together and `most` of them named; the sign of each."""
    alike: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for end in ends:
        value = "" if end["reward"] is None else f" reward {number(end['reward'])}"
        cut = ", truncated" if end["truncated"] else ""
        sign = 0 if end["advantage"] is None else (end["advantage"] > 0) - (end["advantage"] < 0)
        alike[value + cut, sign].append(end["sample"])
    named = []
    for (value, sign), samples in alike.items():
        named.append((_numbered(samples, most) + value, sign))
    return named


def _last_children(steps: list[dict[str, Any]]) -> set[int]:
    """Steps that are the last child of theirs."""
    return set({step["parent"]: n for n, step in enumerate(steps)}.values())


def _guides(steps: list[dict[str, Any]], last: set[int], n: int) -> tuple[str, str]:
    """What stands before the first line of a step, and before its further lines."""
    depth, parent = steps[n]["depth"], steps[n]["parent"]
    if depth == 0:
        return "", ""
    if depth > LEVELS:  # guides would push the text off the screen
        return f"{'':{2 * LEVELS - 4}}{depth:>3}· ", " " * (2 * LEVELS + 1)
    before = ""
    while steps[parent]["depth"] > 0:
        before = ("  " if parent in last else "│ ") + before
        parent = steps[parent]["parent"]
    end = n in last
    return before + ("└ " if end else "├ "), before + ("  " if end else "│ ")
