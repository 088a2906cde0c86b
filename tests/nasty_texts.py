"""Texts on which tokenizers differ: digits of all kinds, spaces and line ends before them, contractions, scripts."""

from __future__ import annotations

import numpy as np

PARTS = (
    " ", "  ", "    ", "\n", "\n\n", "\n\n\n", "\t", "\r\n", "\u00a0", "\u3000",  # spaces
    "1", "12", "2026", "3.14", "1,000", "0x1F", "²", "½", "Ⅷ", "٣", "१२",  # digits and other numbers
    "the", " the", "rain", " in", "don't", "we'll", "it's", "'S", "'re", "X1y2",  # words
    "+", " = ", "--", "...", "(", ")]", "{\"a\": ", "`", "_", "/\\",  # signs
    "né", "Straße", "日本語", "Ελλάδα", "привет", "a\u0301", "🙂", "👩‍🚀", "\u200d", "\ufeff",  # scripts
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_", "|>",  # special tokens, whole and not
)  # fmt: skip


def texts(number: int, seed: int = 0) -> list[str]:
    """So many texts of up to a dozen parts; the first are those on which a wrong cutting showed."""
    rng = np.random.default_rng(seed)
    made = ["".join(rng.choice(PARTS, size=rng.integers(1, 13))) for _ in range(number)]
    return ["\n\n1", "List:\n\n1. one\n\n2.  3", "a   3", "12345 + 678 = 13,023", *made][:number]
