"""Where a completion says its answer: what a verifier is given instead of the whole text.

The shape of the right answer, not its content, says what is looked for: a number, yes or no, a list, lines, one word,
or a phrase. Of several the last one counts, so that to name many answers is no way to be right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

THOUGHT, ANSWERED = "</think>", re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
BOXED, TEXT_OF_LATEX = "\\boxed{", re.compile(r"\\text(?:bf|rm)?\{([^{}]*)\}")
SAYS = re.compile(r"\banswer\b[\s*_`]*(?:is|=|:)[\s*_`:]*", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w])")
CHOICES = {"yes": ("yes", "no"), "no": ("yes", "no"), "true": ("true", "false"), "false": ("true", "false")}
PAIRS = {"[": "]", "{": "}", "(": ")"}
FENCE = re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL)
AROUND = "*_`\"' \t$.,;:!?"  # marks that stand around a word or phrase


class Shape(NamedTuple):
    """What an answer looks like.

    Attributes:
        name: number, choice, brackets, lines, word or phrase.
        find: The answer of that shape in a part of a completion, "" where there is none.
    """

    name: str
    find: Callable[[str], str]


def extract(completion: str, answer: str) -> str:
    r"""What a completion answers.

    Looked at is what stands behind the last `</think>`; of that the last `<answer>`, else the last `\boxed{}`, else
    what follows the last "answer is" or "answer:" (all of it where lines or brackets are looked for, else its line),
    else all.

    Args:
        completion: Its text.
        answer: The right answer, of which only the shape is used, but that a phrase may stand at the end of a longer
            line, and yes, no, true and false may be written in small letters or capitals.

    Returns:
        The answer, "" where there is none.
    """
    shape = shape_of(answer)
    found = shape.find(_part(completion, whole=shape.name in ("lines", "brackets")))
    return answer if shape.name == "choice" and found == answer.lower() else found


def shape_of(answer: str) -> Shape:
    """What is looked for where this is the right answer."""
    if NUMBER.fullmatch(answer):
        return Shape("number", _last_number)
    if choice := CHOICES.get(answer.lower()):
        return Shape("choice", lambda text: _first_of(text, choice))
    if "\n" in answer.strip():
        return Shape("lines", lambda text: _last_lines(text, answer.strip().count("\n") + 1))
    if answer[:1] in PAIRS and answer.endswith(PAIRS[answer[0]]):
        return Shape("brackets", lambda text: _last_brackets(text, answer[0]))
    if answer and not re.search(r"\s", answer):
        return Shape("word", lambda text: _bare(text.split()[-1], answer) if text.split() else "")
    return Shape("phrase", lambda text: _phrase(text, answer))


def _part(text: str, *, whole: bool) -> str:
    text = text.replace("−", "-").rpartition(THOUGHT)[2]
    if "<think>" in text:  # cut off while it thought
        return ""
    if marked := ANSWERED.findall(text):
        return marked[-1].strip()
    if (boxed := _boxed(text)) is not None:
        return TEXT_OF_LATEX.sub(r"\1", boxed).strip()
    said = list(SAYS.finditer(text))
    part = text[said[-1].end() :].strip() if said else text.strip()
    # what is behind the mark may begin on a line of its own
    return part if whole or not said else part.partition("\n")[0]


def _boxed(text: str) -> str | None:
    r"""Inside the last `\boxed{}`, with the braces in it; None without one that is closed."""
    begin = text.rfind(BOXED)
    if begin < 0:
        return None
    depth, inside = 1, text[begin + len(BOXED) :]
    for place, letter in enumerate(inside):
        depth += (letter == "{") - (letter == "}")
        if not depth:
            return inside[:place]
    return None


def _last_number(text: str) -> str:
    found = NUMBER.findall(text)
    return found[-1].replace(",", "") if found else ""


def _first_of(text: str, choice: tuple[str, ...]) -> str:
    """The first of the words: what follows explains it."""
    found = re.search(rf"\b({'|'.join(choice)})\b", text.lower())
    return found[1] if found else ""


def _last_lines(text: str, number: int) -> str:
    """The lines of the last code block, else as many as the answer has from the end."""
    blocks = FENCE.findall(text)
    lines = (blocks[-1] if blocks else text).strip().splitlines()
    return "\n".join(line.rstrip() for line in (lines if blocks else lines[-number:]))


def _last_brackets(text: str, opening: str) -> str:
    """The last pair of brackets of that kind that is inside no other."""
    found = list(_pairs(text, opening))
    return found[-1] if found else ""


def _pairs(text: str, opening: str) -> Iterator[str]:
    depth, begin = 0, 0
    for place, letter in enumerate(text):
        if letter == opening:
            begin = begin if depth else place
            depth += 1
        elif letter == PAIRS[opening] and depth:
            depth -= 1
            if not depth:
                yield text[begin : place + 1]


def _bare(text: str, answer: str) -> str:
    """Without the marks around it that the answer itself does not begin or end with."""
    left = "".join(mark for mark in AROUND if not answer.startswith(mark))
    right = "".join(mark for mark in AROUND if not answer.endswith(mark))
    return text.lstrip(left).rstrip(right)


def _phrase(text: str, answer: str) -> str:
    """The last line that is not empty, or the answer where the line ends with it as with words of its own."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = _bare(lines[-1], answer) if lines else ""
    ends = answer and line.endswith(answer) and line[: -len(answer)].endswith((" ", ":"))
    return answer if ends else line
