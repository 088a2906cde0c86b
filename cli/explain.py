"""`grpo-prm explain`: what a finding or a word on the screen means, why it hurts and what to do."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import Annotated

import typer

EXAMPLES = """
Examples:

    grpo-prm explain teaches_nothing     # a finding: what it is, how it is measured, what to do

    grpo-prm explain reliability

    grpo-prm explain step reward

    grpo-prm explain     # all codes and words
"""
WIDEST = 100  # columns of a line; longer ones are hard to read
LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
BRACKETS = re.compile(r"\s*\(\[[^\]]*\]\((?!http)[^)]*\)\)")  # around a link to a page that is not here


def explain(
    word: Annotated[
        list[str] | None,
        typer.Argument(help="A finding such as copies, or a word such as reliability.", show_default=False),
    ] = None,
) -> None:
    """Say what a finding or a word on the screen means; without WORD, list all of them."""
    from rich.console import Console
    from rich.text import Text

    from grpo_prm.text.explain import explain as text_of

    console = Console(markup=False, highlight=False, emoji=False)
    width = min(console.width, WIDEST)
    for line in _lines(text_of(" ".join(word)) if word else _all(), width):
        bold = line.startswith("#")
        console.print(Text(line.lstrip("# ") if bold else line, style="bold" if bold else ""), soft_wrap=True)


def _all() -> str:
    """Every code with its first sentence, and every word, as Markdown."""
    from grpo_prm.analysis.findings import CODES
    from grpo_prm.text.explain import in_short, words

    codes = "\n".join(f"- {code}: {in_short(code)}" for code in CODES)
    return (
        f"# Findings, as analyze names them\n\n{codes}\n\n# Words, on the screen, in the page and in summary.json\n\n"
        f"{'; '.join(words())}.\n\n`grpo-prm explain WORD` says what one of them means.\n"
    )


def _lines(markdown: str, width: int) -> list[str]:
    """Markdown of headings, paragraphs and lists as lines; headings keep their #."""
    lines = []
    for block in markdown.strip().split("\n\n"):
        for part in re.split(r"\n(?=- )", block):
            text = LINK.sub(r"\1", BRACKETS.sub("", part)).replace("**", "")
            hanging = "  " if text.startswith("- ") else ""
            lines += wrap(" ".join(text.split()), width, subsequent_indent=hanging, break_on_hyphens=False)
        lines.append("")
    return lines[:-1]
