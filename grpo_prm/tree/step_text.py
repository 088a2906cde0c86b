"""The text of every process step of a group: where the text of a completion is cut, and how exact that is."""

from __future__ import annotations

from os.path import commonprefix  # of any sequences, in spite of its module
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from ..core.forest import Forest
from ..logs.tokenize import Pieces, Tokens, load

TextFrom = Literal["units", "decoded", "prefix", "none"]


class StepTexts(NamedTuple):
    """Text of each step, None without, and where it comes from.

    Attributes:
        text: Shape (steps,). The texts along a path put together are the completion.
        text_from: `units`: the text was cut into units again, so the cuts are exact. `decoded`: the logged ids were
            decoded with the tokenizer. `prefix`: the log has ids and text but no tokenizer is known, so a step is the
            text that its members share beyond what the members of the step above share; two tokens that begin with the
            same characters move the cut right by these characters. `none`: the log has no text.
    """

    text: list[str | None]
    text_from: TextFrom


def step_texts(table: pl.DataFrame, forest: Forest, tokenizer: str | None = None) -> StepTexts:
    """Cut the completions of one group into its process steps.

    Args:
        table: Canonical rollouts of one group.
        forest: Its process steps, built of the rows in this order.
        tokenizer: As for `grpo_prm.logs`; None where there is none.

    Raises:
        UsageError: The tokenizer cannot be opened.
    """
    origin, has_text = table["tokens_from"][0], not table["completion"].null_count()
    if has_text and (origin == "pieces" or (origin == "tokenizer" and tokenizer)):
        found = _from_units(table, forest, load(None if origin == "pieces" else tokenizer))
        if found is not None:
            return StepTexts(found, "units")
    if origin == "log" and tokenizer:
        encoder = load(tokenizer)
        assert isinstance(encoder, Tokens)
        return StepTexts(_decoded(table, forest, encoder), "decoded")
    if has_text:
        return StepTexts(_prefixes(table["completion"].to_list(), forest), "prefix")
    return StepTexts([None] * len(forest.size), "none")


def _from_units(table: pl.DataFrame, forest: Forest, encoder: Pieces | Tokens) -> list[str | None] | None:
    """Cut at the borders of units; None if the text gives other units than the table holds."""
    encoded = encoder.encode(table["completion"], spans=True)
    lengths = table["tokens"].list.len().to_numpy()
    spans = encoded.spans
    if spans is None or not np.array_equal(encoded.lengths, lengths):
        return None
    opens = np.cumsum(encoded.lengths) - encoded.lengths
    leader = forest.order[forest.first]
    texts = table["completion"].to_list()

    def cut(row: int, position: int) -> int:
        if position == 0 or position == lengths[row]:
            return 0 if position == 0 else len(texts[row])
        return int(spans[opens[row] + position, 0])

    steps = zip(leader.tolist(), forest.start.tolist(), forest.end.tolist(), strict=True)
    return [texts[row][cut(row, start) : cut(row, end)] if start < end else "" for row, start, end in steps]


def _decoded(table: pl.DataFrame, forest: Forest, encoder: Tokens) -> list[str | None]:
    """Decode up to the end of each step and leave out what the step above has: a token alone may lose its space."""
    ids = table["tokens"].to_list()

    def up_to(row: int, end: int) -> str:
        return encoder.tokenizer.decode(ids[row][:end], skip_special_tokens=False)

    texts: list[str | None] = []
    leader = forest.order[forest.first].tolist()
    for row, start, end in zip(leader, forest.start.tolist(), forest.end.tolist(), strict=True):
        before, through = up_to(row, start), up_to(row, end)
        # Less than `before` where a step begins inside a character.
        shared = len(commonprefix([before, through]))  # noqa: RUF071 - texts, not paths
        texts.append(through[shared:])
    return texts


def _prefixes(texts: list[str], forest: Forest) -> list[str | None]:
    """Text that all members share, beyond that of the step above; a step without tokens has none."""
    cuts: list[int] = []
    found: list[str | None] = []
    for n, (first, size) in enumerate(zip(forest.first.tolist(), forest.size.tolist(), strict=True)):
        members = [texts[row] for row in forest.order[first : first + size].tolist()]
        parent = int(forest.parent[n])
        begin = cuts[parent] if parent >= 0 else 0
        cuts.append(len(commonprefix(members)) if forest.length[n] else begin)  # noqa: RUF071 - texts, not paths
        found.append(members[0][begin : cuts[n]])
    return found
