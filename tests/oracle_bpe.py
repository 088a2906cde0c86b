"""Text to ids as llama.cpp's `smollm` has it, slow and plain: special tokens, digits, GPT-2's pattern, pairs."""

from __future__ import annotations

from collections.abc import Callable

import regex

# llama.cpp, unicode_regex_split of LLAMA_VOCAB_PRE_TYPE_SMOLLM: what the first cuts, the second cuts on
DIGIT = r"\p{N}"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

VISIBLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
HIDDEN = [byte for byte in range(256) if byte not in VISIBLE]
LETTERS = {byte: chr(byte) for byte in VISIBLE} | {byte: chr(256 + n) for n, byte in enumerate(HIDDEN)}


def encoder(words: list[str], merges: list[str], special: list[str]) -> Callable[[str], list[int]]:
    """What gives the ids of a text.

    Args:
        words: Every token, by its id.
        merges: Pairs of tokens with a space between, the first to be joined first.
        special: Tokens that are whole wherever they stand.
    """
    ids = {word: n for n, word in enumerate(words)}
    ranks = {tuple(pair.split(" ")): n for n, pair in enumerate(merges)}
    whole = regex.compile("(" + "|".join(map(regex.escape, special)) + ")")

    def encode(text: str) -> list[int]:
        found = []
        for part in whole.split(text):
            if part in special:
                found.append(ids[part])
            else:
                found += [ids[word] for piece in pieces(part) for word in joined(as_letters(piece), ranks)]
        return found

    return encode


def pieces(text: str) -> list[str]:
    """The parts of a text that no token goes beyond."""
    parts = [part for part in regex.split(f"({DIGIT})", text) if part]
    return [piece for part in parts for piece in regex.findall(GPT2, part)]


def as_letters(piece: str) -> list[str]:
    """Its bytes, each as the letter that GPT-2 writes it with."""
    return [LETTERS[byte] for byte in piece.encode()]


def joined(word: list[str], ranks: dict[tuple[str, ...], int]) -> list[str]:
    """Join the pair of lowest rank, the first of equal ones, until no pair has a rank."""
    while True:
        pairs = [(ranks[pair], n) for n in range(len(word) - 1) if (pair := (word[n], word[n + 1])) in ranks]
        if not pairs:
            return word
        _, n = min(pairs)
        word = [*word[:n], word[n] + word[n + 1], *word[n + 2 :]]
