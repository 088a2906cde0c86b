"""Text to units: tokens of a given tokenizer, or pieces of the GPT-2 pre-tokenisation (definitions: Unit).

Pieces are fast because a log repeats its words: polars cuts the text where the pattern must cut, every distinct word
is pre-tokenised once by `tokenizers`, and the pieces of a text are those of its words put together with array indexing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer, pre_tokenizers

from ..errors import UsageError
from ..models.hub import ask
from ..models.names import location

Ints = NDArray[np.int64]


class Encoded(NamedTuple):
    """Units of texts, end to end: ids (units,), lengths (texts,), and spans (units, 2), the characters of each."""

    ids: NDArray[np.int32]
    lengths: Ints
    spans: Ints | None


class Units(NamedTuple):
    """Columns of the canonical table: tokens list[i32], mask list[bool] or None (all in the loss), and tokens_from."""

    tokens: pl.Series
    mask: pl.Series | None
    tokens_from: str


def load(tokenizer: str | None, fixed: Mapping[int, int] | None = None) -> Pieces | Tokens:
    """Give what turns text into units.

    Args:
        tokenizer: smollm2, a tokenizer.json, a folder that holds one, or a name on the hub; None for pieces.
        fixed: As for `Pieces`.

    Raises:
        UsageError: The file is not a tokenizer, or the hub does not give one of that name.
    """
    return Pieces(fixed) if tokenizer is None else Tokens(_open(tokenizer))


def units(encoder: Pieces | Tokens, text: pl.Series, segments: pl.Series | None = None) -> Units:
    """Turn completions into units and the mask of those in the loss.

    Args:
        encoder: From `load`; one for the whole log, so that equal pieces get equal ids.
        text: str, shape (completions,), no nulls.
        segments: list[i32], shape (completions,): lengths in characters of the segments of each text, out of the loss
            and in it by turns, out first; null or None: all of it is in the loss. A text is tokenised whole, so that
            segments move no border between units, and a unit is in the loss if all of its characters are: one that
            reaches into a role line or a tool's answer was not chosen by the policy alone.

    Returns:
        One list per completion; mask None when every unit is in the loss.
    """
    if segments is None or not (segments.list.gather_every(2).list.sum() > 0).any():
        encoded = encoder.encode(text)
        return Units(lists(encoded.ids, encoded.lengths, pl.Int32()), None, encoder.tokens_from)
    encoded = encoder.encode(text, spans=True)
    tokens = lists(encoded.ids, encoded.lengths, pl.Int32())
    return Units(tokens, lists(_in_loss(encoded, text, segments), encoded.lengths, pl.Boolean()), encoder.tokens_from)


class Pieces:
    """Pieces, each numbered by what it says: a number does not depend on what else a log holds, nor on its order.

    Only where two pieces fall on one of the 2**31 numbers does the later take the next of its own. The vocabulary grows
    and never forgets.

    Args:
        fixed: Numbers of pieces, by `hashes`, where they must be those that somebody else gave them.
    """

    tokens_from = "pieces"

    def __init__(self, fixed: Mapping[int, int] | None = None) -> None:
        self._codes: dict[str, int] = {}  # in the order in which they appear
        self._widths = np.zeros(0, np.int64)  # characters of each piece
        self._taken: set[int] = set()
        self._fixed = fixed or {}
        self.hashes = np.zeros(0, np.uint64)  # of the pieces in the order in which they appear, as `numbers`
        self.numbers = np.zeros(0, np.int32)

    @property
    def ids(self) -> dict[str, int]:
        """The number of each piece."""
        return dict(zip(self._codes, self.numbers.tolist(), strict=True))

    def encode(self, text: pl.Series, *, spans: bool = False) -> Encoded:
        """Ids of the pieces of every text, and where they lie if asked for."""
        words = text.str.extract_all(WORD)
        counts = words.list.len().to_numpy().astype(np.int64)
        words = words.explode(empty_as_null=False)
        distinct = words.unique(maintain_order=True)  # codes do not depend on threads
        flat, lengths = self._pieces(distinct.to_list())
        word = _codes(words, distinct)
        # From pieces of distinct words to pieces of all words: each word's range of `flat`, end to end.
        codes = flat[_expand((np.cumsum(lengths) - lengths)[word], lengths[word])]
        lengths = _sums(lengths[word], counts)
        return Encoded(self.numbers[codes], lengths, _spans(self._widths[codes], lengths) if spans else None)

    def _pieces(self, words: list[str]) -> tuple[NDArray[np.int32], Ints]:
        split, codes = _BYTE_LEVEL.pre_tokenize_str, self._codes
        known = len(codes)
        of_words = [[codes.setdefault(piece, len(codes)) for piece, _ in split(word)] for word in words]
        # A dict keeps its order, so the pieces behind the known ones are new. Each character of a piece stands for one
        # byte; without the bytes that continue a character of UTF-8 their number is that of the characters.
        new = list(islice(codes, known, None))
        self._widths = np.append(self._widths, [len(piece.translate(_TRAIL)) for piece in new]).astype(np.int64)
        hashes = [_hash(piece) for piece in new]
        numbers = free_numbers(hashes, self._taken, self._fixed)
        self.hashes = np.append(self.hashes, np.array(hashes, np.uint64))
        self.numbers = np.append(self.numbers, np.array(numbers, np.int32))
        return _flat(of_words)


def _hash(piece: str) -> int:
    return int.from_bytes(blake2b(piece.encode(), digest_size=8).digest(), "little")


def free_numbers(hashes: Iterable[int], taken: set[int], fixed: Mapping[int, int]) -> list[int]:
    """Numbers in [0, 2**31) of new pieces.

    Args:
        hashes: Of the pieces, 64 bits, in the order in which they appear.
        taken: Numbers of other pieces; grows.
        fixed: Numbers that are given, by hash.
    """
    numbers = []
    for one in hashes:
        number, start = fixed.get(one, one >> 33), one
        while number in taken and one not in fixed:
            start = (start + _NEXT) % 2**64
            number = start >> 33
        taken.add(number)
        numbers.append(number)
    return numbers


class Tokens:
    """Tokens of a trained tokenizer; special tokens that the text names get their ids, none is added."""

    tokens_from = "tokenizer"

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer

    def encode(self, text: pl.Series, *, spans: bool = False) -> Encoded:
        """Ids of the tokens of every text, in parallel, and where they lie if asked for."""
        run = self.tokenizer.encode_batch if spans else self.tokenizer.encode_batch_fast
        encodings: list[Encoding] = run(text.to_list(), add_special_tokens=False)
        ids, lengths = _flat([encoding.ids for encoding in encodings])
        if not spans:
            return Encoded(ids, lengths, None)
        ends = chain.from_iterable(chain.from_iterable(encoding.offsets) for encoding in encodings)
        return Encoded(ids, lengths, np.fromiter(ends, np.int64, 2 * len(ids)).reshape(-1, 2))


def lists(flat: NDArray, lengths: Ints, inner: pl.DataType) -> pl.Series:
    """Cut a flat array into a list column, one list per length."""
    cut = np.append(0, np.cumsum(lengths)).tolist()
    rows = pl.Series([flat[a:b] for a, b in pairwise(cut)], dtype=pl.List(inner))
    return rows.cast(pl.List(inner))  # arrays of one length come out as pl.Array, whatever was asked for


# The GPT-2 pattern ends a piece wherever a space follows what is none, and looks back at nothing. So a text may be cut
# there and pre-tokenised word by word. Cuts are made only between characters about which no version of Unicode
# disagrees: before an ASCII space of the class [\t-\r ], after anything that has never counted as a space.
_SPACE = r"\t-\r "
_DOUBT = (
    r"\x00-\x08\x0e-\x1f\x7f-\xa0\u{1680}\u{180e}\u{2000}-\u{200f}\u{2028}-\u{202f}\u{205f}-\u{206f}\u{3000}\u{feff}"
)
_ANY, _INK = f"[{_SPACE}{_DOUBT}]", f"[^{_SPACE}{_DOUBT}]"
WORD = f"{_ANY}*(?:{_INK}+[{_DOUBT}]{_ANY}*)*{_INK}*"
_BYTE_LEVEL = pre_tokenizers.ByteLevel(add_prefix_space=False)
# ByteLevel writes each byte as one character, those of no print as 256 and up; these are the bytes 0x80 to 0xBF, which
# begin no character of UTF-8.
_TRAIL = dict.fromkeys([*range(0xA1, 0xC0), *range(256 + 34, 256 + 68)])


def _codes(values: pl.Series, distinct: pl.Series) -> Ints:
    """Give the position of each value in `distinct`."""
    if values.is_empty():
        return np.zeros(0, np.int64)
    # An Enum's codes are the places of its categories: a hash join in one call.
    return values.cast(pl.Enum(distinct)).to_physical().to_numpy().astype(np.int64)


def _flat(rows: list[list[int]]) -> tuple[NDArray[np.int32], Ints]:
    """Lists end to end, and their lengths."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    return np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum())), lengths


def _expand(starts: Ints, lengths: Ints) -> Ints:
    """Put the ranges [start, start + length) end to end."""
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum())


def _sums(values: Ints, counts: Ints) -> Ints:
    """Sums over neighbours, `counts` of them at a time."""
    total = np.append(0, np.cumsum(values))
    ends = np.cumsum(counts)
    return total[ends] - total[ends - counts]


def _spans(widths: Ints, lengths: Ints) -> Ints:
    """Place units that leave no gap: [start, end) of each in its own text."""
    ends = np.cumsum(widths)
    texts = _sums(widths, lengths)
    ends -= np.repeat(np.cumsum(texts) - texts, lengths)
    return np.stack([ends - widths, ends], axis=1)


def _in_loss(encoded: Encoded, text: pl.Series, segments: pl.Series) -> NDArray[np.bool_]:
    """Say which units lie wholly in segments that are in the loss."""
    whole = pl.concat_list(pl.lit(0), text.str.len_chars().cast(pl.Int32))
    segments = pl.select(pl.when(segments.is_null()).then(whole).otherwise(segments))[:, 0]
    counts = segments.list.len().to_numpy().astype(np.int64)
    wide = segments.explode(empty_as_null=False).to_numpy().astype(np.int64)
    out = _expand(np.zeros_like(counts), counts) % 2 == 0  # shape (segments of all texts,): even places are out
    border, lost = np.append(0, np.cumsum(wide)), np.append(0, np.cumsum(np.where(out, wide, 0)))
    # Characters are counted over all texts end to end, so the spans of a text are moved behind the texts before it.
    texts = _sums(wide, counts)
    assert encoded.spans is not None
    spans = encoded.spans + np.repeat(np.cumsum(texts) - texts, encoded.lengths)[:, None]
    before = np.interp(spans, border, lost)  # characters out of the loss up to there: exact below 2**53
    return before[:, 0] == before[:, 1]


def _open(name: str) -> Tokenizer:
    """The tokenizer of a model with a name of ours, of a file, of a folder, or of the hub, in this order."""
    path = Path(name := location(name))
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return _read_with(Tokenizer.from_file, str(file), f"{file} is not a tokenizer.json of the `tokenizers` library")
    if path.is_dir():
        raise UsageError(f"The folder {name} holds no tokenizer.json. Give the one that does.")
    # A name on the hub is NAME or OWNER/NAME: anything else was meant as a path.
    if path.is_absolute() or path.suffix == ".json" or len(path.parts) > 2:
        raise UsageError(f"There is no tokenizer {name}. {_REMEDY}")
    ask(name, _REMEDY)
    fault = f"No tokenizer {name}: the hub does not give it"
    return _read_with(Tokenizer.from_pretrained, name, fault)


def _read_with(read: Callable[[str], Tokenizer], name: str, fault: str) -> Tokenizer:
    try:
        return read(name)
    except Exception as error:  # the library raises bare Exception
        why = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".")
        raise UsageError(f"{fault} ({why}). {_REMEDY}") from None


_NEXT = 0x9E3779B97F4A7C15  # odd, so that all numbers come by
_REMEDY = "Give a tokenizer.json or the folder that holds one; without --tokenizer pieces are counted."
