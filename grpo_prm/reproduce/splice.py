"""Put claims that were run again into a page of results, for what it had of them: `make results CLAIMS=overlap`.

A page of every claim takes hours, so a claim that alone has changed is run alone, and the page says when.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from ..errors import InputError
from ..files import atomic

UNCONFIRMED = "What we could not confirm"
SECTION = re.compile(r"^## (.+)\n", re.MULTILINE)
RAN = re.compile(r"it is regenerated, not edited\. (\S+),\ngrpo-prm (\S+), ([^,]+),")  # date, version, minutes
HOW = re.compile(r"Written by (`[^`]+`)")
AGAIN = "Run again since: "
PAPER = "The paper is ["


def spliced(page: str, new: str) -> str:
    """The page, with the claims of another in the place of its own.

    Args:
        page: Of all claims.
        new: Of some of them.

    Raises:
        InputError: A claim is not on the page; they were run with other options; one of both is no page of results.
    """
    found = RAN.search(new)
    sections, others = _sections(page), _sections(new)
    if found is None or UNCONFIRMED not in sections or UNCONFIRMED not in others:
        raise InputError("One of the two is no page of results. Give pages that grpo-prm reproduce wrote.")
    names = [name for name in others if name not in ("", UNCONFIRMED)]
    if HOW.findall(page) != HOW.findall(new):
        raise InputError(
            f"The page was written by {', '.join(HOW.findall(page))}. Run the claims with the same options."
        )
    if unknown := [name for name in names if name not in sections]:
        raise InputError(f"The page has no claim {', '.join(unknown)}. Write it whole: make results.")
    sections |= {name: others[name] for name in names}
    order = [name for name in sections if name not in ("", UNCONFIRMED)]
    of = {name: (others if name in names else _sections(page)) for name in order}
    rows = [_line(of[name][""], f"| [{name}](#{name}) |") for name in order]
    open_ones = [line for name in order if (line := _line(of[name][UNCONFIRMED], f"- **{name}**, "))]
    head = re.sub(r"(?:^\| \[.*\n)+", lambda _: "".join(f"{row}\n" for row in rows), sections[""], flags=re.MULTILINE)
    date, version, minutes = found.groups()
    sections[""] = _noted(head, {name: f"{AGAIN}{name}, {date}, grpo-prm {version}, {minutes}." for name in names})
    sections[UNCONFIRMED] = "\n" + ("\n".join(open_ones) or "Nothing among the claims that were run.")
    # A section that ended its page has no blank line behind it.
    parts = [f"## {name}\n{text}" if name else text for name, text in sections.items()]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _sections(page: str) -> dict[str, str]:
    """Text under each heading, "" for what stands before the first."""
    first, *rest = SECTION.split(page)
    return {"": first} | dict(zip(rest[::2], rest[1::2], strict=True))


def _line(text: str, begin: str) -> str:
    """The line that begins so, empty where none does."""
    return next((line for line in text.splitlines() if line.startswith(begin)), "")


def _noted(head: str, said: dict[str, str]) -> str:
    """The head with a line for each claim that was run again, in the place of an older one about it."""
    lines = [line for line in head.splitlines() if not line.startswith(tuple(f"{AGAIN}{name}," for name in said))]
    at = next(n for n, line in enumerate(lines) if line.startswith(PAPER))
    return "\n".join([*lines[:at], *said.values(), *lines[at:]]) + "\n"


if __name__ == "__main__":
    whole, some = map(Path, sys.argv[1:])
    text = spliced(whole.read_text(encoding="utf-8"), some.read_text(encoding="utf-8"))
    with atomic(whole) as staged:
        staged.write_text(text, encoding="utf-8")
