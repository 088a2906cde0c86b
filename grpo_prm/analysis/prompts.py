"""How many tokens the prompts of a log have, in the unit of its completions."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..logs.rollouts import IDS

if TYPE_CHECKING:
    from ..logs.tokenize import Pieces, Tokens


class PromptLengths:
    """Counts the units of prompts, each distinct one of a table once.

    A prompt is counted as it stands in the log: what a chat template adds is not in it. Ids count where completions
    have ids, pieces where completions are pieces, and the tokens of the tokenizer that the reader was given elsewhere;
    any other prompt has another unit than its completions, so its length is not known.

    Args:
        tokenizer: As for `tokenize.load`; None: none was given.
    """

    def __init__(self, tokenizer: str | None = None) -> None:
        self._tokenizer = tokenizer

    def of(self, prompts: pl.Series, tokens_from: pl.Series) -> Floats:
        """Units of each prompt, NaN where not known.

        Args:
            prompts: Text or null, shape (groups,).
            tokens_from: Where the units of its completions come from, shape (groups,).
        """
        length = np.full(len(prompts), np.nan)
        text = prompts.is_not_null().to_numpy()
        ids = text & prompts.str.contains(IDS).fill_null(False).to_numpy() & (tokens_from == "log").to_numpy()
        length[ids] = prompts.filter(pl.Series(ids)).str.count_matches(",").to_numpy() + 1
        pieces = text & (tokens_from == "pieces").to_numpy()
        # Made on demand: a tokenizer takes seconds to load.
        for rows, encoder in ((pieces, "_pieces"), (text & ~ids & ~pieces, "_tokens")):
            if rows.any() and (rows is pieces or self._tokenizer is not None):
                length[rows] = _lengths(getattr(self, encoder), prompts.filter(pl.Series(rows)))
        return length

    @cached_property
    def _pieces(self) -> Pieces:
        from ..logs.tokenize import Pieces

        return Pieces()  # of its own, so that prompts do not number the pieces of completions

    @cached_property
    def _tokens(self) -> Pieces | Tokens:
        from ..logs.tokenize import load

        return load(self._tokenizer)


def _lengths(encoder: Pieces | Tokens, texts: pl.Series) -> Floats:
    distinct = texts.unique(maintain_order=True)
    known = pl.DataFrame({"text": distinct, "length": encoder.encode(distinct).lengths})
    return pl.DataFrame({"text": texts}).join(known, on="text", how="left", maintain_order="left")["length"].to_numpy()
