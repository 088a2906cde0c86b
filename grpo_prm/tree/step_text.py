"""Where the text of a completion is cut into its process steps: between tokens, but never inside a character.

`tree`, `report` and `export` all cut here. Texts are Python strings, so a character is a code point: a step may end
between a letter and its combining mark, where the tokens do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Ints
from ..core.groups import Groups
from ..logs.tokenize import Pieces, Tokens, load
from .paths import Paths, first_of_row, last_of_row, paths

TextFrom = Literal["units", "decoded", "prefix", "none"]
ORIGINS: tuple[TextFrom, ...] = ("units", "decoded", "prefix", "none")  # from exact to nothing
INCOMPLETE = "\ufffd"  # what a decoder writes for the first bytes of a character


class Cuts(NamedTuple):
    """The text of some completions, and where it is cut.

    Attributes:
        text: Of every row of the table; None where there is none or none was asked for, shape (completions,).
        end: Character at which the step of each pair ends, -1 without text, shape (pairs,), int64. The step begins
            where the one before it ends, so the steps of a completion put together are a prefix of its text, and those
            of its whole path are all of it.
        inside: True where the step ends inside a character, and so was given the whole of it, shape (pairs,). Members
            of one step may differ in this character.
        text_from: Where the text of every row comes from. `units`: the text cut into units again, so cuts are exact.
            `decoded`: the logged ids decoded with the tokenizer, special tokens included. `prefix`: the log has ids and
            text but no tokenizer is known, so a step is the text that its members share beyond those of the step above;
            tokens that begin with the same characters move the cut right by these. `none`: no text.
    """

    text: list[str | None]
    end: Ints
    inside: NDArray[np.bool_]
    text_from: list[TextFrom]

    def texts(self, row: Ints) -> list[str | None]:
        """The text of each pair.

        Args:
            row: Of the `Paths` that were cut, shape (pairs,).
        """
        begin = np.where(first_of_row(row), 0, np.roll(self.end, 1))
        spans = zip(row.tolist(), begin.tolist(), self.end.tolist(), strict=True)
        return [None if (text := self.text[at]) is None else text[a:b] for at, a, b in spans]


class StepTexts(NamedTuple):
    """One text for each process step, as a tree shows it.

    Attributes:
        text: That of the first member with text, in tree order; None where no member has any, shape (steps,).
        own: Steps whose members' texts differ, which is where one ends inside a character, or where a log holds other
            texts for equal ids: the text of each member by its row. With these for the steps that they name, and `text`
            for all others, the texts along the path of a completion put together are its text.
        text_from: As in `Cuts`, the least exact of those that the group has.
    """

    text: list[str | None]
    own: dict[int, dict[int, str | None]]
    text_from: TextFrom


@dataclass
class Cutter:
    """Cuts texts; keeps the tokenizer, and the pieces that it has numbered, from slice to slice.

    Args:
        tokenizer: As for `grpo_prm.logs`; None where there is none.

    Raises:
        UsageError: The tokenizer cannot be opened.
    """

    tokenizer: str | None = None
    pieces: Pieces = field(default_factory=Pieces)
    tokens: Tokens | None = None

    def __post_init__(self) -> None:
        """Open the tokenizer at once, before anything is read."""
        encoder = None if self.tokenizer is None else load(self.tokenizer)
        self.tokens = encoder if isinstance(encoder, Tokens) else None

    def cut(self, table: pl.DataFrame, groups: Groups, along: Paths, *, every: bool = False) -> Cuts:
        """Cut the completions of `along`.

        Args:
            table: Canonical rollouts, whole groups.
            groups: Its groups.
            along: The steps whose ends are asked for; a whole path, or the beginning of one.
            every: Whether the text of completions without a pair in `along` is asked for too.
        """
        number, pairs = len(table), len(along.row)
        cuts = Cuts([None] * number, np.full(pairs, -1), np.zeros(pairs, bool), ["none"] * number)
        wanted = np.full(number, every)
        wanted[along.row] = True
        has_text = table["completion"].is_not_null().to_numpy()
        origin = table["tokens_from"].to_numpy()
        # Units that were made of the text are made again, which tells where each lies; logged ids are decoded.
        for encoder, some in ((self.pieces, origin == "pieces"), (self.tokens, origin == "tokenizer")):
            rows = np.flatnonzero(wanted & has_text & some)
            if encoder is not None and len(rows):
                _from_units(cuts, table["completion"], groups, along, rows, encoder)
        rows = np.flatnonzero(wanted & (origin == "log"))
        if self.tokens is not None and len(rows):
            _decoded(cuts, groups, along, rows, self.tokens)
        left = wanted & has_text & np.array([text is None for text in cuts.text], bool)
        if left.any():
            _prefixes(cuts, table["completion"].to_list(), groups, along, np.flatnonzero(left))
        return _in_order(cuts, groups, along)


def step_texts(table: pl.DataFrame, groups: Groups, cutter: Cutter) -> StepTexts:
    """Cut the completions of one group into its process steps.

    Args:
        table: Canonical rollouts of one group.
        groups: Its group.
        cutter: With the tokenizer of the log.
    """
    forest = groups.forest
    along = paths(forest, None)
    cuts = cutter.cut(table, groups, along, every=True)
    some = [origin for origin in cuts.text_from if origin != "none"]
    if not some:
        return StepTexts([None] * len(forest.size), {}, "none")
    texts: list[str | None] = [None if length else "" for length in forest.length.tolist()]
    pairs = list(zip(along.step.tolist(), along.row.tolist(), cuts.texts(along.row), strict=True))
    rank = np.empty(len(table), np.int64)
    rank[forest.order] = np.arange(len(table))
    for n in np.argsort(-rank[along.row], kind="stable").tolist():  # the first member comes last, and stays
        step, _, text = pairs[n]
        texts[step] = texts[step] if text is None else text
    own: dict[int, dict[int, str | None]] = {s: {} for s, _, text in pairs if text is not None and text != texts[s]}
    for step, row, text in pairs:
        if step in own:
            own[step][row] = text
    return StepTexts(texts, own, max(some, key=ORIGINS.index))


def _in_order(cuts: Cuts, groups: Groups, along: Paths) -> Cuts:
    """A completion ends with its text, and no cut is left of the one before it."""
    size = np.array([-1 if text is None else len(text) for text in cuts.text], np.int64)[along.row]
    whole = last_of_row(along.row) & (groups.forest.end[along.step] == groups.lengths[along.row])
    end = np.where(whole | (cuts.end > size), size, cuts.end)
    shift = along.row * (size.max(initial=0) + 2)  # each completion above the one before, so one maximum does for all
    return cuts._replace(end=np.maximum.accumulate(end + shift) - shift)


def _from_units(
    cuts: Cuts, texts: pl.Series, groups: Groups, along: Paths, rows: Ints, encoder: Pieces | Tokens
) -> None:
    """Cut after the last character of each unit; rows whose text gives other units than the table holds stay open."""
    encoded = encoder.encode(texts[rows], spans=True)
    assert encoded.spans is not None
    same = encoded.lengths == groups.lengths[rows]
    opens, held = np.cumsum(encoded.lengths) - encoded.lengths, np.cumsum(groups.lengths) - groups.lengths
    if isinstance(encoder, Tokens):
        for n in np.flatnonzero(same).tolist():  # numbers of pieces are the log's own, ids are not
            ids = encoded.ids[opens[n] : opens[n] + encoded.lengths[n]]
            same[n] = np.array_equal(ids, groups.tokens[held[rows[n]] : held[rows[n]] + encoded.lengths[n]])
    place = np.full(len(groups.lengths), -1)
    for n in np.flatnonzero(same).tolist():
        place[rows[n]] = opens[n]
        cuts.text[rows[n]], cuts.text_from[rows[n]] = texts[int(rows[n])], "units"
    pair = np.flatnonzero((place[along.row] >= 0) & (groups.forest.end[along.step] < groups.lengths[along.row]))
    at = place[along.row[pair]] + groups.forest.end[along.step[pair]]  # the unit that follows the step
    cuts.end[pair], following = encoded.spans[at - 1, 1], encoded.spans[at, 0]
    cuts.inside[pair] = following < cuts.end[pair]
    # Offsets leave out what the tokenizer does: white space goes to the step that follows, anything else (a combining
    # mark that was composed with its letter) to the one before.
    gap = following > cuts.end[pair]
    for n, begin in zip(pair[gap].tolist(), following[gap].tolist(), strict=True):
        text = cuts.text[along.row[n]]
        assert text is not None
        cuts.end[n] += len(text[cuts.end[n] : begin].rstrip())


def _decoded(cuts: Cuts, groups: Groups, along: Paths, rows: Ints, encoder: Tokens) -> None:
    """Decode from the first token to the end of each step: a token alone may lose its space, or be half a character."""
    opens = np.cumsum(groups.lengths) - groups.lengths

    def decode(leaders: Ints, ends: Ints) -> list[str]:
        spans = zip(opens[leaders].tolist(), ends.tolist(), strict=True)
        ids = [groups.tokens[begin : begin + end].tolist() for begin, end in spans]
        return encoder.tokenizer.decode_batch(ids, skip_special_tokens=False)

    for row, text in zip(rows.tolist(), decode(rows, groups.lengths[rows]), strict=True):
        cuts.text[row], cuts.text_from[row] = text, "decoded"
    forest, chosen = groups.forest, np.zeros(len(cuts.text), bool)
    chosen[rows] = True
    pairs = np.flatnonzero(chosen[along.row] & (forest.end[along.step] < groups.lengths[along.row]))
    # Members have the same ids up to the end of a step, so one of them is decoded for all.
    steps, which = np.unique(along.step[pairs], return_inverse=True)
    begun = decode(forest.order[forest.first[steps]], forest.end[steps])
    for pair, n in zip(pairs.tolist(), which.tolist(), strict=True):
        text = cuts.text[along.row[pair]]
        assert text is not None
        cuts.end[pair], cuts.inside[pair] = _where(begun[n], text)


def _where(begun: str, text: str) -> tuple[int, bool]:
    """Where the text decoded up to a step's end ends in the whole text; the character that it breaks off is taken.

    A U+FFFD of the text itself decodes to the same as half of it does: the cut is right, and counts as whole.
    """
    if text.startswith(begun):
        return len(begun), False
    shared = common(begun, text)
    if begun[shared:].strip(INCOMPLETE):  # not half a character: a decoder that takes back what it wrote
        return shared, False
    # Byte-level decoders write one mark for what there is of a character. Byte fallback writes one for each byte of all
    # neighbouring byte tokens, whole characters among them, if the last one is not whole.
    missing = len(begun) - shared
    length = accumulate(len(character.encode()) for character in text[shared : shared + missing])
    return shared + sum(held < missing for held in length) + 1, True


def _prefixes(cuts: Cuts, texts: list[str | None], groups: Groups, along: Paths, rows: Ints) -> None:
    """Cut where the texts of the members of a step begin to differ."""
    forest, chosen = groups.forest, np.zeros(len(texts), bool)
    chosen[rows] = True
    pairs = np.flatnonzero(chosen[along.row])
    steps, which = np.unique(along.step[pairs], return_inverse=True)
    ends = np.zeros(len(steps), np.int64)
    for n, step in enumerate(steps.tolist()):
        first, size = int(forest.first[step]), int(forest.size[step])
        shared = [text for row in forest.order[first : first + size].tolist() if (text := texts[row]) is not None]
        ends[n] = common(min(shared), max(shared))  # what the first and the last in order share, all share
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
