"""A page without prompts and completions, to share: what is taken out of everything that it is made of."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import polars as pl

from ..analysis.tables import Tables

# A number or a hash, perhaps with a word before it: p0010, train-123, 5f3e...; and which draw of it.
_ID = re.compile(r"[A-Za-z]{0,12}[-_.]?(\d+|[0-9a-fA-F]{6,}(-[0-9a-fA-F]{2,})*)(#\d+)?")
TEXT_FIGURES = ("group_tree",)  # figures that show texts


def without_texts(folder: Tables) -> Tables:
    """The same analysis with keys that may be a prompt, or a part of one, replaced by g and the number of the group.

    Args:
        folder: Of the analysis.

    Returns:
        Without a path: no command that names a group can be made of it. Without prompts in its groups table, and
        without the notes of the reader, since these quote values.
    """
    keys = folder.lazy_groups.select("group", "group_key", "prompt_key").collect()
    names = {group: key if _tells_nothing(key, prompt) else f"g{group}" for group, key, prompt in keys.iter_rows()}
    new = pl.col("group").replace_strict(list(names), list(names.values()), return_dtype=pl.String)
    # `group_columns` takes a prompt that is the key for none.
    groups = folder.lazy_groups.with_columns(group_key=new).with_columns(prompt_key="group_key")
    source = folder.summary["source"] | {"notes": []}
    return replace(folder, path=None, lazy_groups=groups, summary=folder.summary | {"source": source})


def _tells_nothing(key: str, prompt: str | None) -> bool:
    if not _ID.fullmatch(key):
        return False
    return prompt is None or prompt == key or key not in prompt


def tree_without_texts(tree: dict[str, Any], key: str) -> dict[str, Any]:
    """A tree with its numbers alone; `textFrom` is `withheld`."""
    tokens = tree["tokens"] | {"lengths": None}  # lengths tell words
    nothing = {"prompt": None, "ids": None, "own": {}, "command": "", "textFrom": "withheld", "tokens": tokens}
    row = tree["row"] | {"group_key": key, "problem": None, "task": None}
    return {**tree, **nothing, "row": row, "texts": [None] * len(tree["texts"])}
