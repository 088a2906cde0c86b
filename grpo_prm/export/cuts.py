"""Where the text of a completion is cut into its process steps: steps cut tokens, and no cut parts a character."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Ints
from ..logs.tokenize import Pieces, Tokens, load
from .paths import Paths, last_of_row
from .values import Values

TextFrom = Literal["units", "decoded", "prefix", "none"]
INCOMPLETE = "\ufffd"  # what a decoder writes for the first bytes of a character


class Cuts(NamedTuple):
    """The text of some completions, and where it is cut.

    Attributes:
        text: Of every row of the table; None where there is none or none was asked for, shape (completions,).
        end: Character at which the step of each pair ends, -1 without text, shape (pairs,). The step begins where the
            one before it ends, so the steps of a completion put together are a prefix of its text.
        inside: True where the step ends inside a character, and so was given the whole of it, shape (pairs,).
        text_from: Where the text of every row comes from. `units`: the text cut into units again, so cuts are exact.
            `decoded`: the logged ids decoded with the tokenizer, special tokens included. `prefix`: the log has ids and
            text but no tokenizer is known, so a step is the text that its members share beyond those of the step above;
            tokens that begin with the same characters move the cut right by these. `none`: no text.
    """

    text: list[str | None]
    end: Ints
    inside: NDArray[np.bool_]
    text_from: list[TextFrom]


@dataclass
class Cutter:
    """Cuts texts; keeps the tokenizer, and the pieces that it has numbered, from slice to slice.

    Args:
        tokenizer: As for `grpo_prm.logs`; None where there is none.

    Raises:
        UsageError: The tokenizer cannot be opened.
    """

    tokenizer: str | None
    _pieces: Pieces = field(default_factory=Pieces)
    _tokens: Tokens | None = None

    def __post_init__(self) -> None:
        """Open the tokenizer at once, before anything is read."""
        encoder = None if self.tokenizer is None else load(self.tokenizer)
        self._tokens = encoder if isinstance(encoder, Tokens) else None

    def cut(self, table: pl.DataFrame, values: Values, along: Paths) -> Cuts:
        """Cut the completions of `along`.

        Args:
            table: Canonical rollouts, whole groups.
            values: Their forest.
            along: The steps whose ends are asked for; a whole path, or the beginning of one.
        """
        number, pairs = len(table), len(along.row)
        cuts = Cuts([None] * number, np.full(pairs, -1), np.zeros(pairs, bool), ["none"] * number)
        asked = np.zeros(number, bool)
        asked[along.row] = True
        has_text = table["completion"].is_not_null().to_numpy()
        origin = table["tokens_from"].to_numpy()
        again = has_text & ((origin == "pieces") | ((origin == "tokenizer") & (self._tokens is not None)))
        for encoder, some in ((self._pieces, origin == "pieces"), (self._tokens, origin == "tokenizer")):
            rows = np.flatnonzero(asked & again & some)
            if encoder is not None and len(rows):
                _from_units(cuts, table, values, along, rows, encoder)
        rows = np.flatnonzero(asked & (origin == "log"))
        if self._tokens is not None and len(rows):
            _decoded(cuts, values, along, rows, self._tokens)
        left = asked & has_text & np.array([came == "none" for came in cuts.text_from])
        if left.any():
            _prefixes(cuts, table, values, along, np.flatnonzero(left))
        return _tidy(cuts, along, values)


def _tidy(cuts: Cuts, along: Paths, values: Values) -> Cuts:
    """A completion ends with its text, and no cut is left of the one before it."""
    size = np.array([-1 if text is None else len(text) for text in cuts.text], np.int64)[along.row]
    whole = last_of_row(along.row) & (values.forest.end[along.step] == values.flat.lengths[along.row])
    end = np.where(whole | (cuts.end > size), size, cuts.end)
    shift = along.row * (size.max(initial=0) + 2)
    return cuts._replace(end=np.maximum.accumulate(end + shift) - shift)


def _from_units(
    cuts: Cuts, table: pl.DataFrame, values: Values, along: Paths, rows: Ints, encoder: Pieces | Tokens
) -> None:
    """Cut after the last character of each unit; rows whose text gives other units than the table holds stay open."""
    lengths = values.flat.lengths
    encoded = encoder.encode(table["completion"][rows], spans=True)
    assert encoded.spans is not None
    same = encoded.lengths == lengths[rows]
    opens, held = np.cumsum(encoded.lengths) - encoded.lengths, np.cumsum(lengths) - lengths
    if isinstance(encoder, Tokens):
        for n in np.flatnonzero(same).tolist():  # numbers of pieces are the log's own, ids are not
            mine = encoded.ids[opens[n] : opens[n] + encoded.lengths[n]]
            same[n] = np.array_equal(mine, values.flat.tokens[held[rows[n]] : held[rows[n]] + lengths[rows[n]]])
    texts = table["completion"]
    place = np.full(len(lengths), -1)
    for n in np.flatnonzero(same).tolist():
        place[rows[n]] = opens[n]
        cuts.text[rows[n]], cuts.text_from[rows[n]] = texts[int(rows[n])], "units"
    pair = np.flatnonzero(place[along.row] >= 0)
    at, end = place[along.row[pair]], values.forest.end[along.step[pair]]
    cuts.end[pair] = encoded.spans[at + end - 1, 1]
    goes_on = end < lengths[along.row[pair]]
    following = encoded.spans[np.minimum(at + end, len(encoded.spans) - 1), 0]
    cuts.inside[pair] = goes_on & (following < cuts.end[pair])


def _decoded(cuts: Cuts, values: Values, along: Paths, rows: Ints, encoder: Tokens) -> None:
    """Decode up to the end of each step: a token alone may lose its space, and half a character is none."""
    opens = np.cumsum(values.flat.lengths) - values.flat.lengths

    def decode(leaders: Ints, ends: Ints) -> list[str]:
        spans = zip(opens[leaders].tolist(), ends.tolist(), strict=True)
        ids = [values.flat.tokens[begin : begin + end].tolist() for begin, end in spans]
        return encoder.tokenizer.decode_batch(ids, skip_special_tokens=False)

    for row, text in zip(rows.tolist(), decode(rows, values.flat.lengths[rows]), strict=True):
        cuts.text[row], cuts.text_from[row] = text, "decoded"
    forest, mine = values.forest, np.zeros(len(cuts.text), bool)
    mine[rows] = True
    pairs = np.flatnonzero(mine[along.row] & (forest.end[along.step] < values.flat.lengths[along.row]))
    steps, which = np.unique(along.step[pairs], return_inverse=True)
    begun = decode(forest.order[forest.first[steps]], forest.end[steps])
    for pair, n in zip(pairs.tolist(), which.tolist(), strict=True):
        text = cuts.text[along.row[pair]]
        assert text is not None
        cuts.end[pair], cuts.inside[pair] = _where(begun[n], text)


def _where(begun: str, text: str) -> tuple[int, bool]:
    """Where the text decoded up to a step's end ends in the whole text; the character that it breaks off is taken."""
    if text.startswith(begun):
        return len(begun), False
    shared = common(begun, text)
    inside = begun[shared:].strip(INCOMPLETE) == ""
    return shared + inside, inside


def _prefixes(cuts: Cuts, table: pl.DataFrame, values: Values, along: Paths, rows: Ints) -> None:
    """Cut where the texts of a step's members part."""
    forest, texts = values.forest, table["completion"].to_list()
    mine = np.zeros(len(texts), bool)
    mine[rows] = True
    pairs = np.flatnonzero(mine[along.row])
    steps, which = np.unique(along.step[pairs], return_inverse=True)
    ends = np.zeros(len(steps), np.int64)
    for n, step in enumerate(steps.tolist()):
        first, size = int(forest.first[step]), int(forest.size[step])
        members = [text for row in forest.order[first : first + size].tolist() if (text := texts[row]) is not None]
        ends[n] = common(min(members), max(members))
    cuts.end[pairs] = ends[which]
    for row in rows.tolist():
        cuts.text[row], cuts.text_from[row] = texts[row], "prefix"


def common(one: str, other: str) -> int:
    """Characters that two texts begin with alike."""
    low, high = 0, min(len(one), len(other))
    while low < high:  # compares slices, so no character is looked at in Python
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def counted(text_from: Sequence[TextFrom], rows: Ints) -> dict[str, int]:
    """Completions of `rows` by where their text comes from."""
    came = [text_from[row] for row in rows.tolist()]
    return {f"text_{how}": came.count(how) for how in dict.fromkeys(came)}
