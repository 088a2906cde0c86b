"""What a finding or a word means, from texts that the package carries: `explained/CODE.md` and the glossary.

The pages of the docs on findings are made of the same texts (examples/make_findings.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files

from ..analysis.findings import CODES
from ..analysis.statistics import STATISTICS
from ..errors import UsageError
from .amounts import listed
from .glossary import FURTHER, GLOSSARY

NEAR = 6  # words that are offered for one that there is not


def explain(word: str) -> str:
    """The text of a finding, or a word with its sentence and what more there is to say, as Markdown.

    Args:
        word: A code of a finding, a word of the glossary, or a name of summary.json; case, dashes and underscores do
            not matter, λ may be written lambda, and a part of a word does where only one has it.

    Raises:
        UsageError: There is none; it names those that are near.
    """
    names, plain = _names(), _plain(word)
    parts = _with(plain, names)
    # `decisions` asks for `decision`, not for the longer word that has it in it.
    found = names.get(plain) or names.get(plain.removesuffix("s")) or (parts if len(parts) == 1 else [])
    if not found:
        near = parts or [one for name in get_close_matches(plain, names, NEAR) for one in names[name]]
        mean = f"Did you mean {listed(near[:NEAR], 'or')}? " if near else ""
        raise UsageError(f"nothing explains {word!r}. {mean}`grpo-prm explain` lists all codes and words.")
    if code := next((one for one in found if one in CODES), None):
        return finding(code)
    return "\n".join("\n\n".join((f"# {one}", GLOSSARY[one], *FURTHER.get(one, ()))) + "\n" for one in found)


def finding(code: str) -> str:
    """The text of a finding as Markdown, with links as they are in docs/findings/.

    Args:
        code: Of `CODES`.
    """
    return files("grpo_prm").joinpath("text", "explained", f"{code}.md").read_text(encoding="utf-8")


def in_short(code: str) -> str:
    """The first sentence of a finding."""
    return finding(code).split(f"Code: `{code}`. ")[1].splitlines()[0]


def words() -> Iterator[str]:
    """Every word of the glossary that is no code."""
    return (word for word in GLOSSARY if word not in CODES)


def _names() -> dict[str, list[str]]:
    """What may be asked for, without what does not matter, and the words that are told then."""
    names: dict[str, list[str]] = {}
    told = {one.name: one.label for one in STATISTICS.values()}
    for name, word in (*told.items(), *zip(GLOSSARY, GLOSSARY, strict=True), *zip(CODES, CODES, strict=True)):
        words = names.setdefault(_plain(name), [])
        if word not in words:
            words.append(word)
    return names


def _with(part: str, names: dict[str, list[str]]) -> list[str]:
    """The words that have these words in them, each once."""
    return sorted({word for name, some in names.items() if part and f" {part} " in f" {name} " for word in some})


def _plain(word: str) -> str:
    return re.sub(r"[\W_]+", " ", word.casefold().replace("λ", "lambda")).strip()
