"""Texts that the logger shortened: at the front, where prefixes stand, or at the end."""

from __future__ import annotations

from collections import Counter

from .first_rows import Rows, at, flat
from .plan import Plan

_SHORTEST = 50  # characters: a limit below is none that a logger sets, and short answers are often of one length
_FEW = 4  # completions that say nothing about the rest of a log
_END = 2  # characters at the end of a text, by which whole answers of one form are alike
_CUT_SHARE = 0.2  # of the texts have the same largest length by chance in no log


def cut_at_the_front(rows: Rows, plan: Plan) -> str | None:
    """A reason if most completions begin with an ellipsis: their first tokens are gone, and with them the prefixes."""
    texts = _texts(rows, plan)
    cut = sum(text.startswith(("...", "…")) for text in texts)
    return "text cut at the front" if len(texts) >= _FEW and 2 * cut > len(texts) else None


def cut_at_the_end(rows: Rows, plan: Plan) -> str | None:
    """A sentence if many different texts have exactly the length that no text exceeds: the logger cut them there."""
    texts = _texts(rows, plan)
    longest = max(map(len, texts), default=0)
    cut = [text for text in texts if len(text) == longest]
    # Equal texts are of equal length without being cut, and so are whole answers of one form, which end alike.
    ends = Counter(text[-_END:] for text in set(cut))
    if longest < _SHORTEST or len(set(cut)) < max(_FEW, _CUT_SHARE * len(texts)) or 2 * max(ends.values()) > len(cut):
        return None
    many = "Most" if len(cut) >= 0.8 * len(texts) else "Many"
    return (
        f"{many} texts ({len(cut)} of the first {len(texts)}) have exactly {longest} characters, and none has more:"
        f" they were cut there, so all numbers are about the first {longest} characters."
    )


def _texts(rows: Rows, plan: Plan) -> list[str]:
    """The completions of the first rows, where they are text and the units come from them."""
    if "tokens" in plan.paths or "completion" not in plan.paths:
        return []
    return [text for row in rows for text in flat(at(row, plan.paths["completion"])) if isinstance(text, str)]
