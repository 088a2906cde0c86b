"""The summary of an analysis on the terminal: sentences and small tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from textwrap import wrap
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from grpo_prm.text.amounts import amount
from grpo_prm.text.cells import Rows
from grpo_prm.text.parts import states
from grpo_prm.text.printable import printable
from grpo_prm.text.verdict import Finding, changes, findings, knows, no_finding, reservations, to_do
from grpo_prm.text.wording import OF_STATES, doubts, masks, read_in_short, sections

LINES = 18  # of the first screen, and those with reservations about a number
NARROW = 80  # columns for which that holds
INDENT = "  "
GAP = 2  # between the columns of a table
NAME = 12  # characters of a name in the first column; longer ones are numbered where there is no room
PROMPT = 60  # characters of a prompt
SEEN = 20  # of these, to see in what it differs from others
CLEAREST_FIRST = (
    "The clearest first: how far a step that two good completions or more share is pushed down (|A|), times the share "
    "of good tokens that are."
)


def show_verdict(summary: dict[str, Any], folder: str, *, whole: bool = False) -> None:
    """Print what was read, the answers and what to do on stdout.

    Args:
        summary: The content of summary.json.
        folder: The folder of the analysis, for commands.
        whole: Every finding with its commands, however many; else `LINES` lines of 80 columns at most.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    width, room = max(console.width, NARROW), LINES
    lines = [Text(line) for line in wrap(printable(read_in_short(summary)), width, break_on_hyphens=False)]
    for answer in (knows(summary), changes(summary)):
        lines += _headed(answer.question, answer.short, width) + _indented(answer.why, width)
    # A word of caution takes no room from what is to be done.
    room += len(_indented(reservations(summary), width))
    if of_states := list(states(summary)):
        said = [*_headed(OF_STATES, "", width), *_indented(of_states, width)]
        lines, room = lines + said, room + len(said)  # asked for, so they come on top
    todo, question = findings(summary, shlex.quote(folder)), to_do(summary["source"])
    if not todo:
        lines += _headed(question, no_finding(summary), width)
    report = f"grpo-prm report {shlex.quote(folder)}"
    written = [_written(one, "" if n else question, width) for n, one in enumerate(todo)]
    if whole:
        lines += [line for one in written for piece in one for line in piece]
    else:
        # A command shows more than a reason: where the first has no room for both, it goes without its reason.
        if written and len(written[0][0]) > 1 and sum(map(len, written[0][:2])) + 1 > room - len(lines):
            written[0] = _written(todo[0]._replace(sentence=todo[0].short), question, width)
        lines += _to_do(written, report, room - len(lines))
    for line in lines:
        console.print(line, soft_wrap=True)  # commands stay whole, so that they can be copied


def _written(found: Finding, label: str, width: int) -> list[list[Text]]:
    """A finding in pieces: its sentence; its command; what explains it, where that takes a line of its own."""
    command, explained = f"{INDENT}{printable(found.command)}", f"({found.explained})"
    words = _headed(label, found.sentence, width) if label else _indented([found.sentence], width)
    if len(command) + 3 + len(explained) <= width:
        return [words, [Text(f"{command}   {explained}")]]
    return [words, [Text(command)], [Text(f"{INDENT}{explained}")]]


def _to_do(todo: list[list[list[Text]]], report: str, room: int) -> list[Text]:
    """As many findings as there is room for, with their commands as far as there is room, and where the rest is."""

    def lines(pieces: list[int]) -> list[Text]:
        """So many pieces of each finding, and the last line."""
        some = (piece for one, count in zip(todo, pieces, strict=False) for piece in one[:count])
        rest = len(todo) - len(pieces)
        more = f"{amount(rest, 'more finding')}: --full" if rest else "More: --full for every number"
        return [*(line for piece in some for line in piece), Text(printable(f"{more}; a page: {report}"))]

    def fits(pieces: list[int]) -> bool:
        return len(lines(pieces)) <= room

    # One at least. The first has its command if it can; others do without before one is left out.
    first = 2 if fits([2]) else 1
    count = next((n for n in range(len(todo), 1, -1) if fits([first, *[1] * (n - 1)])), min(1, len(todo)))
    chosen = [first, *[1] * (count - 1)][:count]
    for enough in (2, 3):  # a command of each before what explains it
        for n in range(count):
            more = [*chosen[:n], enough, *chosen[n + 1 :]]
            chosen = more if chosen[n] == enough - 1 and fits(more) else chosen
    return lines(chosen)


def _headed(head: str, sentence: str, width: int) -> list[Text]:
    """A question in bold with what answers it, wrapped."""
    first, *more = wrap(printable(f"{head} {sentence}"), width, subsequent_indent=INDENT, break_on_hyphens=False)
    return [Text.assemble((first[: len(head)], "bold"), first[len(head) :]), *map(Text, more)]


def _indented(sentences: Iterable[str], width: int) -> list[Text]:
    """Sentences, each from a line of its own."""
    lines = (wrap(printable(one), width - len(INDENT), break_on_hyphens=False) for one in sentences)
    return [Text(f"{INDENT}{line}") for some in lines for line in some]


def show_doubts(summary: dict[str, Any]) -> None:
    """Print on stderr what may be wrong with the log, or with how it was read, and how much of it is masked."""
    console = Console(markup=False, highlight=False, emoji=False, stderr=True)
    masked = masks(summary)
    for doubt in (*((f"{masked}.",) if masked else ()), *doubts(summary)):
        console.print(Text(f"Note: {printable(doubt)}"))


def show_summary(
    summary: dict[str, Any],
    folder: str,
    prompts: Mapping[tuple[str, int | None, str], str] | None = None,
    *,
    figures: bool = True,
) -> None:
    """Print every number on stdout.

    Args:
        summary: The content of summary.json.
        folder: The folder of the analysis, for what to do next.
        prompts: Of groups (run, step, group_key) whose key says nothing to a reader.
        figures: Whether there are any in the folder.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    with trimmed(console):
        for title, body in (
            *sections(summary),
            ("Worst groups", _worst(summary, shlex.quote(folder), prompts or {})),
            ("Next", _next(summary, folder, figures=figures)),
        ):
            console.print()
            console.print(Text(title, style="bold"))
            for piece in body:
                if isinstance(piece, Command):
                    console.print(Text(f"    {printable(piece)}"), soft_wrap=True)  # whole, so that it can be copied
                else:
                    console.print(Padding(_drawn(piece, console.width), (0, 0, 0, 2)))


@contextmanager
def trimmed(console: Console) -> Generator[None]:
    """Write what is printed inside without the spaces that rich fills lines up with."""
    with console.capture() as page:
        yield
    console.file.write(re.sub(r" +$", "", page.get(), flags=re.MULTILINE))


class Command(str):
    """A line to type."""

    __slots__ = ()


def _drawn(piece: str | Rows, width: int) -> RenderableType:
    if isinstance(piece, str):
        return Text(printable(piece))
    if piece.columns[0] and _natural(piece) > width - len(INDENT) and any(len(row[0]) > NAME for row in piece.rows):
        names = [Text(f"{n}: {printable(row[0])}") for n, row in enumerate(piece.rows, 1)]
        rows: list[tuple[str, ...]] = [(f"{n}", *row[1:]) for n, row in enumerate(piece.rows, 1)]
        return Group(*names, _table(piece._replace(rows=rows), width))
    return _table(piece, width)


def _natural(piece: Rows) -> int:
    """Columns of a terminal in which no cell would be broken."""
    return sum(max(map(len, column)) + GAP for column in zip(piece.columns, *piece.rows, strict=True))


def _table(piece: Rows, width: int) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for n, column in enumerate(piece.columns):
        # Names and words are wrapped, numbers stay whole, unless that would cut them off.
        table.add_column(column, no_wrap=width >= NARROW and 0 < n < 3, overflow="ellipsis" if n else "fold")
    for row in piece.rows:
        table.add_row(*map(printable, row))
    return table


def _worst(summary: dict[str, Any], folder: str, prompts: Mapping[tuple[str, int | None, str], str]) -> Iterator[str]:
    worst = summary["defects"]["worst_groups"]["examples"]
    yield CLEAREST_FIRST if worst else "No group has a suppressed-good token."
    runs = len(summary["source"]["runs"]) > 1
    asked = [" ".join(prompts.get((g["run"], g["step"], g["group_key"]), "").split()) for g in worst[:3]]
    others = [" ".join(prompt.split()) for prompt in prompts.values()]
    for group, prompt in zip(worst, (_apart(one, others) for one in asked), strict=False):
        # `tree --group` takes a dash for the step of a log without steps.
        step = "-" if group["step"] is None else group["step"]
        name = f"{group['run']}:{step}:{group['group_key']}" if runs else f"{step}:{group['group_key']}"
        pushed = f"{group['suppressed_good_tokens']:,} of {group['good_tokens']:,} good tokens pushed down"
        yield f"{pushed}; prompt: {prompt}" if prompt else f"{pushed}:"
        yield Command(f"grpo-prm tree {folder} --group {shlex.quote(name)}{_options(summary['source']['options'])}")


def _apart(prompt: str, others: Iterable[str]) -> str:
    """A prompt in `PROMPT` characters from where it parts from the one that is most like it, `…` for what is left out.

    Prompts under one system message or of one template start alike, so their starts would tell them apart in nothing.
    """
    shared = max((_alike(prompt, other) for other in others if other != prompt), default=0)
    begin = 0
    if len(prompt) > PROMPT and shared > PROMPT - SEEN:  # else the difference is seen from the start
        begin = max(prompt.rfind(" ", 0, shared) + 1, shared - SEEN)
        begin = min(begin, len(prompt) - PROMPT)
    rest = prompt[begin:].lstrip()
    return ("…" if begin else "") + (rest if len(rest) <= PROMPT else f"{rest[:PROMPT].rstrip()}…")


def _alike(one: str, other: str) -> int:
    """Characters with which both begin."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _options(options: dict[str, Any]) -> str:
    """Options that make `tree` show what was measured; one group has no `--std batch`, another unit of the same."""
    default = {"std": ("sample", "batch"), "advantage": ("computed",), "tokenizer": (None,)}
    given = {name: options[name] for name in default if options.get(name, default[name][0]) not in default[name]}
    return "".join(f" --{name} {shlex.quote(value)}" for name, value in given.items())


def _next(summary: dict[str, Any], folder: str, *, figures: bool) -> Iterator[str]:
    yield f"Every number with its interval is in {folder}/summary.json, every group in {folder}/groups.parquet."
    if figures:
        yield f"Figures with data and captions: {folder}/figures."
    yield "An HTML page with all of it, figures and trees:"
    yield Command(f"grpo-prm report {shlex.quote(folder)}")
    yield "What a word of all this means: grpo-prm explain WORD."
    if "pieces" in summary["source"]["tokens_from"]:
        yield "For tokens of the model instead of pieces of text, give --tokenizer NAME_OR_PATH."
