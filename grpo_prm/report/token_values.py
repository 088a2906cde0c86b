"""What the page knows of single tokens: where each lies in the text of its step, and its log-probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ..core.groups import Groups
from ..tree.step_text import Cutter, StepTexts
from ..tree.token_text import step_pieces, token_texts
from .embed import numbers

VALUES = 600_000  # tokens with log-probabilities in a page: about 2 MB packed
NONE = 5e-4  # nats that are shown as 0
_DIGITS = 3


def token_values(table: pl.DataFrame, groups: Groups, texts: StepTexts, cutter: Cutter, room: int) -> dict[str, Any]:
    """Columns of the tokens of a group.

    Args:
        table: Canonical rollouts of one group, in tree order.
        groups: Its group.
        texts: Of its steps.
        cutter: With the tokenizer of the log.
        room: Tokens whose log-probabilities have room; those of a larger group stay behind.

    Returns:
        `lengths`: for each step the length of each of its tokens, in UTF-16 units of the text as logged, which add up
        to that of the step; None where the borders are not known. `surprisal`: -log π in nats, and `gap`: trainer less
        sampler; for each completion one value a token, None where not logged. `left`: true where they stay behind.
    """
    logged = {"surprisal": _lists(table, "logprobs", -1.0), "gap": _gaps(table)}
    left = len(groups.tokens) > room and any(logged.values())
    return {"lengths": _lengths(table, groups, texts, cutter), **({} if left else logged), "left": left}


def _lengths(table: pl.DataFrame, groups: Groups, texts: StepTexts, cutter: Cutter) -> list[list[int] | None] | None:
    if texts.text_from not in ("units", "decoded"):
        return None
    steps = [
        None if pieces is None else [_units(piece) for piece in pieces]
        for pieces in step_pieces(texts.text, groups, token_texts(table, groups, cutter))
    ]
    return steps if any(steps) else None


def _units(text: str) -> int:
    """Length of a text to a browser, to which a character beyond the first plane is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _lists(table: pl.DataFrame, column: str, sign: float) -> list[list[float | int | None] | None] | None:
    if column not in table.columns or not table[column].count():
        return None
    return [None if row is None else _short(sign * np.array(row, np.float64)) for row in table[column].to_list()]


def _gaps(table: pl.DataFrame) -> list[list[float | int | None] | None] | None:
    names = ("trainer_logprobs", "logprobs")
    if not all(name in table.columns and table[name].count() for name in names):
        return None
    rows = [
        None if trainer is None or sampler is None else _short(np.array(trainer, float) - np.array(sampler, float))
        for trainer, sampler in table.select(names).iter_rows()
    ]
    return rows if any(rows) else None


def _short(values: np.ndarray) -> list[float | int | None]:
    return numbers(np.where(np.abs(values) < NONE, 0.0, values).tolist(), _DIGITS)
