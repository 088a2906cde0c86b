"""Where the prompts of a group that mixes several differ: which completions read which, and how each goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import polars as pl

from ..logs.rollouts import IDS, PROMPT_HASH, groups_of_several_prompts

BEFORE = 20  # characters or ids of what is alike that stand before a difference


def mixed_prompts(table: pl.DataFrame) -> dict[str, Any] | None:
    """The prompts of one group, where its members read several.

    Args:
        table: Canonical rollouts of one group.

    Returns:
        None where they read one. Else `alike`, with how much all begin alike (null where the log does not have them
        all); `unit`, `character` or `id`; and `each` of the prompts: `samples` that read it, and `text` from `BEFORE`
        units before the difference on (null where the log has only that it is another).
    """
    if not groups_of_several_prompts(table)[0]:
        return None
    names = [name for name in ("prompt", PROMPT_HASH) if name in table.columns]
    each = table.group_by(names, maintain_order=True).agg("sample")
    prompts = each["prompt"].to_list()
    if each["prompt"].null_count() or len(set(prompts)) < len(prompts):  # those of ids alone are known by a hash
        return _said(each, None, "id", [None] * len(each))
    ids = all(re.match(IDS, prompt) for prompt in prompts)
    units: list[Sequence[Any]] = [json.loads(prompt) for prompt in prompts] if ids else prompts
    alike = next((at for at, some in enumerate(zip(*units, strict=False)) if len(set(some)) > 1), min(map(len, units)))
    rests = [unit[max(0, alike - BEFORE) :] for unit in units]
    texts = [" ".join(map(str, rest)) if ids else str(rest) for rest in rests]
    return _said(each, alike, "id" if ids else "character", texts)


def _said(each: pl.DataFrame, alike: int | None, unit: str, texts: Sequence[str | None]) -> dict[str, Any]:
    of = [{"samples": some, "text": text} for some, text in zip(each["sample"].to_list(), texts, strict=True)]
    return {"alike": alike, "unit": unit, "each": of}
