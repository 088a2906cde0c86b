"""Words in a completion that the policy has not written: tool output, by its marks, and turns of others in a chat."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence

from ..analysis.tool_output import has_tool_output, tool_output_in
from ..logs.rows.chat import MODEL
from ..logs.rows.roles import OTHERS

_CHAT = re.compile(rf"<(?:{'|'.join((*MODEL, *OTHERS))})>\n", re.IGNORECASE)  # a text that begins so was a chat
_TURN = re.compile(rf"^<(?:{'|'.join(OTHERS)})>$", re.MULTILINE | re.IGNORECASE)  # as `logs` writes a chat down


def holds_words_of_others(text: str, *, masked: bool) -> bool:
    """Does a text hold tool output, or turns of others than the model?

    Args:
        text: Of a completion, or its beginning.
        masked: Some of its tokens are out of the loss; else, where the text was no chat, a line like that of a role is
            the model's own.
    """
    chat = masked or _CHAT.match(text) is not None
    return has_tool_output(text) or (chat and _TURN.search(text) is not None)


def of_tools_alone(text: str, spans: Sequence[tuple[int, int]]) -> list[bool]:
    """Whether each span of a text has words, and all of them in one stretch of tool output."""
    if not has_tool_output(text):
        return [False] * len(spans)
    stretches = tool_output_in(text)
    begins = [begin for begin, _ in stretches]
    return [_inside(text, span, begins, stretches) for span in spans]


def _inside(text: str, span: tuple[int, int], begins: Sequence[int], stretches: Sequence[tuple[int, int]]) -> bool:
    words = text[span[0] : span[1]]
    begin = span[0] + len(words) - len(words.lstrip())
    end = span[0] + len(words.rstrip())
    at = bisect_right(begins, begin) - 1
    return begin < end and at >= 0 and end <= stretches[at][1]
