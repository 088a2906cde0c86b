"""Tool output: where it stands in a text, by its marks, and completions that have others' words in the loss."""

from __future__ import annotations

import re

import numpy as np
import polars as pl

from ..core.forest import Ints
from ..logs.rollouts import ENDS_WITH, group_opens
from ..logs.rows.roles import OTHERS

# What chat templates and agent frameworks put before and behind the answer of a tool, which the policy has not written.
MARKS = {
    "<tool_response>": "</tool_response>",
    "<|im_start|>tool": "<|im_end|>",
    "<tool_result>": "</tool_result>",
    "<function_results>": "</function_results>",
    "[TOOL_RESULTS]": "[/TOOL_RESULTS]",
    "<interpreter>": "</interpreter>",
    "<|start_header_id|>ipython<|end_header_id|>": "<|eot_id|>",
    "<information>": "</information>",
    "<|tool_response>": "<tool_response|>",
    "```output": "```",
}
# Words of a chat template around it, with its special tokens or without them: they open its turn, and the next.
_OPENS = re.compile(r"(?:<\|im_end\|>\s*)?(?:(?:(?<=\n)|<\|im_start\|>)(?:user|tool)\n\s*)?\Z")
_CLOSES = re.compile(r"\s*(?:<\|im_end\|>\s*)?(?:<\|im_start\|>)?assistant(?:\n|\Z)")
_TEMPLATE = 40  # characters that these words may take


def has_tool_output(text: str) -> bool:
    """Does a text hold a mark of `MARKS`?"""
    return any(mark in text for mark in MARKS)


def tool_output_in(text: str) -> list[tuple[int, int]]:
    """Where tool output begins and ends in a text, marks included, in order; a mark without its end begins none.

    Answers with nothing but space between them are one stretch. The words of a chat template that open its turn and the
    next one (`user`, `assistant`) are of it.
    """
    found = []
    for mark, end in MARKS.items():
        begin = text.find(mark)
        while begin >= 0 and (stop := text.find(end, begin + len(mark))) >= 0:
            found.append((begin, stop + len(end)))
            begin = text.find(mark, stop + len(end))
    merged: list[tuple[int, int]] = []
    for begin, stop in sorted(found):
        if merged and not text[merged[-1][1] : begin].strip():
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((begin, stop))
    return [_with_template(text, *one) for one in merged]


def _with_template(text: str, begin: int, stop: int) -> tuple[int, int]:
    before = max(0, begin - _TEMPLATE)
    opens, closes = _OPENS.search(text[before:begin]), _CLOSES.match(text, stop)
    return before + opens.start() if opens else begin, closes.end() if closes else stop


def unmasked_tool_output(table: pl.DataFrame) -> Ints:
    """Completions of each group with others' words in the loss, shape (groups,).

    Those with a mark of `MARKS` in their text and no token out of the loss, and those that end in the loss with a
    message that by its role is not the model's (`rollouts.ENDS_WITH`).

    Args:
        table: Canonical rollouts, the rows of a group next to each other.
    """
    # A mask with a gap says that somebody took care; which tokens it leaves out is their business.
    masked = pl.col("mask").list.all().not_().fill_null(False)
    marked = pl.col("completion").str.contains_any(list(MARKS)).fill_null(False)
    found = marked & ~masked
    if table.schema.get(ENDS_WITH) == pl.String:  # somebody else's column may be called so
        found |= pl.col(ENDS_WITH).is_in(OTHERS).fill_null(False)
    flags = table.select(found.cast(pl.Int64)).to_series().to_numpy()
    return np.add.reduceat(flags, group_opens(table)) if len(flags) else flags
