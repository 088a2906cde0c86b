"""The commands that README and docs tell a reader to type, and why some of them are not run here."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
)
# A part of a command, and why such a command is read with the real options, and not run.
NOT_RUN = {
    "train": "a training: minutes at the least; tests/train/ runs small ones",
    "reproduce": "minutes to days; tests/reproduce/ runs each claim at its smallest budget",
    "fetch": "downloads from PyPI; tests/models/ runs it on a wheel of its own",
    "live": "goes on until Ctrl-C; tests/cli/test_live.py runs and ends it",
    "--follow": "goes on until Ctrl-C; tests/cli/test_follow.py runs and ends it",
    "--tui": "needs a terminal; tests/tree/ drives it",
    "--metrics": "needs what TRL or W&B wrote; tests/metrics/ and tests/compare/ write it",
    "sweep/*.prm": "needs a sweep of runs; tests/compare/ compares many",
    "--address": "needs a cluster of Ray; tests/engines/ starts one",
    "--engine": "starts Ray; tests/engines/ does",
    "doctor": "says what is installed on this machine; tests/integrations/ run it",
}
# What stands for something of the reader's.
PLACEHOLDERS = {
    "LOG": "rollouts.jsonl", "DIR": "rollouts.prm", "RUN": "mine.run", "FOLDER": "runs", "CODE,...": "copies",
    "CODE": "copies", "WORD": "reliability",
    "NAME": "group_key", "TASK": "chain", "S": "1", "NAME_OR_PATH": "tokenizer.json",
}  # fmt: skip
SHOWN = re.compile(r"^```console\n.*?^```$", re.MULTILINE | re.DOTALL)  # run by examples/make_docs.py
BLOCK = re.compile(r"^ {4}(?:[A-Z_]+=\S+ )*((?:torchrun .*?)?grpo-prm (?:[^\\\n]|\\\n)*)", re.MULTILINE)
INLINE = re.compile(r"`(grpo-prm [^`\n]+)`")


class Command(NamedTuple):
    """A command of a page: `arguments` begins with the name of the command."""

    page: str
    arguments: tuple[str, ...]
    inline: bool

    @property
    def reason(self) -> str | None:
        """Why it is not run; None: it is."""
        if {"--help", "--version", "--list"}.intersection(self.arguments):
            return None
        return next((why for part, why in NOT_RUN.items() if part in self.arguments), None)


def commands() -> list[Command]:
    """Every command of the pages, each once, in the order in which they come."""
    found: dict[tuple[str, ...], Command] = {}
    for page in PAGES:
        text = SHOWN.sub("", page.read_text(encoding="utf-8"))
        for inline, lines in ((False, BLOCK.findall(text)), (True, INLINE.findall(text))):
            for line in lines:
                arguments = _arguments(line.replace("\\\n", " "))
                found.setdefault(arguments, Command(str(page.relative_to(ROOT)), arguments, inline))
    return list(found.values())


def _arguments(line: str) -> tuple[str, ...]:
    """What stands behind `grpo-prm`, without the comment and three dots, and with something for each placeholder."""
    parts = shlex.split(line, comments=True)
    parts = parts[parts.index("grpo-prm") + 1 :]
    words = "|".join(sorted(map(re.escape, PLACEHOLDERS), key=len, reverse=True))
    known = re.compile(rf"(?<![\w.])({words})(?![\w.])")
    return tuple(known.sub(lambda word: PLACEHOLDERS[word[0]], part) for part in parts if part != "...")
