"""Rewards that are no plain numbers: verdicts in words, numbers written as text, a list with a number per token."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .first_rows import MISSING, Rows, at, flat

# Words that graders write, each with its opposite. A column that holds words of two of these is no verdict. The last
# one is inspect_ai's: correct, incorrect, partial, no answer.
VERDICTS: tuple[Mapping[str, float], ...] = (
    *({good: 1.0, bad: 0.0} for good, bad in (("pass", "fail"), ("passed", "failed"), ("true", "false"))),
    *({good: 1.0, bad: 0.0} for good, bad in (("correct", "incorrect"), ("correct", "wrong"), ("right", "wrong"))),
    *({good: 1.0, bad: 0.0} for good, bad in (("yes", "no"), ("success", "failure"), ("success", "fail"))),
    *({good: 1.0, bad: 0.0} for good, bad in (("solved", "unsolved"), ("accepted", "rejected"), ("y", "n"))),
    {"c": 1.0, "i": 0.0, "p": 0.5, "n": 0.0},
)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def words_of(rows: Rows, path: str) -> Mapping[str, float] | None:
    """How the texts of a reward are read.

    Args:
        rows: The first rows.
        path: Column of the reward.

    Returns:
        Each word (lower case) to its number; no words where every text is a number; None for texts that are neither,
        and for a column that holds more than texts. Null and empty texts are passed over.
    """
    values = [v for row in rows for v in flat(at(row, path)) if v not in (None, MISSING, "")]
    if not values or not all(isinstance(v, str) for v in values):
        return None
    found = {v.strip().lower() for v in values}
    if all(_NUMBER.fullmatch(word) for word in found):
        return {}
    return next((words for words in VERDICTS if found <= words.keys()), None)


def said_of(column: str, path: str, words: Mapping[str, float]) -> str:
    """The sentence about a reward that is read from text."""
    what = "The reward" if column == "reward" else f"The part {column} of the reward"
    if not words:
        return f"{what} is text under {path}, and is read as a number."
    listed = ", ".join(f"{word} = {number:g}" for word, number in words.items())
    return f"{what} is text under {path}, and is read as {listed}."


def is_per_token(rows: Rows, path: str, ids: str | None, grouped: bool) -> bool:
    """Does each row, or member of a group in a row, hold a number per token: a list as long as the ids, or any length?

    Lists of one length may as well hold a number per reward function, which nobody may add up without its weight.
    """
    values = [(v, at(row, ids) if ids else None) for row in rows if (v := at(row, path)) not in (None, MISSING)]
    if grouped:
        values = [(item, None) for v, _ in values for item in flat(v)]
    lists = [(v, of) for v, of in values if isinstance(v, list)]
    if 2 * len(lists) <= len(values) or not all(isinstance(x, int | float | None) for v, _ in lists for x in v):
        return False
    lengths = {len(v) for v, _ in lists}
    if lengths == {1} or all(isinstance(of, list) and len(of) == len(v) for v, of in lists):
        return True
    return len(lengths) > 1 and max(lengths) > 4
