"""The text of every token of a completion, where it can be known: between the cuts of `step_text`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise

import numpy as np
import polars as pl
from tokenizers.decoders import DecodeStream

from ..core.groups import Groups
from .step_text import Cutter


def token_texts(table: pl.DataFrame, groups: Groups, cutter: Cutter) -> list[list[str] | None]:
    """Cut every completion into its tokens.

    Args:
        table: Canonical rollouts, whole groups.
        groups: Its groups.
        cutter: With the tokenizer of the log.

    Returns:
        For each row the text of each of its tokens, which put together are its text; None where the borders are not
        known: a log with ids whose tokenizer is not given, or a text that no longer gives the units that it gave. A
        character that several tokens make up is that of one of them, and the others are empty.
    """
    made: list[list[str] | None] = [None] * len(table)
    origin, has_text = table["tokens_from"].to_numpy(), table["completion"].is_not_null().to_numpy()
    for name, encoder in (("pieces", cutter.pieces), ("tokenizer", cutter.tokens)):
        rows = np.flatnonzero((origin == name) & has_text)
        if encoder is None or not len(rows):
            continue
        encoded = encoder.encode(table["completion"][rows], spans=True)
        assert encoded.spans is not None
        opens = np.cumsum(encoded.lengths) - encoded.lengths
        for n, row in enumerate(rows.tolist()):
            if encoded.lengths[n] == groups.lengths[row]:
                spans = encoded.spans[opens[n] : opens[n] + encoded.lengths[n]]
                made[row] = _between(table["completion"][row], spans.tolist())
    if cutter.tokens is not None:
        begins = (np.cumsum(groups.lengths) - groups.lengths).tolist()
        for row in np.flatnonzero(origin == "log").tolist():
            ids = groups.tokens[begins[row] : begins[row] + groups.lengths[row]].tolist()
            made[row] = _streamed(ids, cutter)
    return made


def _between(text: str, spans: list[list[int]]) -> list[str]:
    """Pieces of a text, by the offsets of its units: white space that none has goes to the unit that follows."""
    if not spans:
        return []
    ends = [end + len(text[end:begin].rstrip()) for (_, end), (begin, _) in pairwise(spans)]
    ends = [*accumulate(ends, max), len(text)]
    return [text[a:b] for a, b in pairwise([0, *ends])]


def _streamed(ids: list[int], cutter: Cutter) -> list[str] | None:
    """Text of each id as a stream of them is decoded; None where the stream does not give what all together do."""
    assert cutter.tokens is not None
    tokenizer = cutter.tokens.tokenizer
    stream = DecodeStream(skip_special_tokens=False)
    try:
        texts = [stream.step(tokenizer, one) or "" for one in ids]
    except Exception:  # the library raises bare Exception where a decoder takes back what it wrote
        return None
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    begun = "".join(texts)
    if not texts or not whole.startswith(begun):
        return None if texts else []
    texts[-1] += whole[len(begun) :]  # the first bytes of a character that never came
    return texts


def step_pieces(
    step_texts: list[str | None], groups: Groups, texts: list[list[str] | None]
) -> Iterator[list[str] | None]:
    """Cut the text of each step of a group into its tokens.

    Args:
        step_texts: Of each step, that of its first member (`StepTexts.text`).
        groups: The group, its completions in tree order.
        texts: `token_texts`.

    Yields:
        For each step the text of each of its tokens, which put together are the text of the step; None where that of
        the first member is not known by token, and of an empty root.
    """
    forest, ends, before = groups.forest, {}, []
    for n, text in enumerate(step_texts):
        above, row = int(forest.parent[n]), int(forest.order[forest.first[n]])
        # Where the step begins: its first member is one of the step above, whose text ends there.
        before.append(0 if above < 0 else before[above] + len(step_texts[above] or ""))
        pieces = texts[row]
        if text is None or pieces is None:
            yield None
            continue
        if row not in ends:
            ends[row] = [*accumulate(map(len, pieces))]
        low, high = before[n], before[n] + len(text)
        inside = ends[row][int(forest.start[n]) : int(forest.end[n])]
        # A character at a border is all in one step, so a token may reach beyond the cut: it ends there.
        borders = [low, *(min(max(end, low), high) for end in inside[:-1]), high]
        same = "".join(pieces)[low:high] == text and len(inside) > 0
        yield [text[a - low : b - low] for a, b in pairwise(borders)] if same else None
