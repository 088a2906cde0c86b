"""Texts made to fit into so many bytes: the long ones are cut in the middle, all to one length."""

from __future__ import annotations

import numpy as np

LEAST = 160  # characters that every text keeps
Text = str | list[str | int] | None  # a text that was cut: its head, how many characters are left out, its tail


def fit(texts: list[str | None], budget: int) -> list[Text]:
    """Cut the longest texts until all of them take about `budget` bytes.

    The length to which they are cut is the largest one that fits, so short texts stay whole as long as long ones can
    give. A text keeps `LEAST` characters even where that is too much.

    Args:
        texts: None stays None.
        budget: Bytes of UTF-8.
    """
    lengths = np.array([len(text or "") for text in texts], np.int64)
    bytes_each = np.array([len(text.encode()) / len(text) if text else 0.0 for text in texts])
    low, high = LEAST, max(LEAST, int(lengths.max(initial=0)))
    while low < high:
        middle = (low + high + 1) // 2
        if (np.minimum(lengths, middle) * bytes_each).sum() <= budget:
            low = middle
        else:
            high = middle - 1
    return [None if text is None else cut(text, low) for text in texts]


def cut(text: str, keep: int) -> Text:
    """The text, or its first two thirds and last third of `keep` characters and the count of those between."""
    if len(text) <= keep:
        return text
    tail = keep // 3
    return [text[: keep - tail], len(text) - keep, text[len(text) - tail :]]


def one_line(text: str, keep: int) -> str:
    """The start of a text in one line."""
    line = " ".join(text[: 4 * keep].split())
    return line if len(line) <= keep and len(text) <= 4 * keep else f"{line[: keep - 1]}…"
