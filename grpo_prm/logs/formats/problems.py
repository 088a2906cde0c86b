"""One prompt text may be that of several problems, as an image or a hidden state leaves no text.

What a framework logs of the problem beside its prompt (a ground truth, the extras of an environment) is the same in all
rollouts of one problem. Where it is another in every row it says something of the rollout, and names no problem.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

APART = "One prompt text stands with several {0}: each is a problem, and rows are grouped by both."


def problem_name(prompt: Any, told: Any) -> str:
    """A hash of a prompt and of what is told of its problem; of the prompt alone where that is null."""
    name = prompt if isinstance(prompt, str) else json.dumps(prompt, sort_keys=True, default=str)
    if told is not None:
        name += "\0" + json.dumps(told, sort_keys=True, default=str)
    return blake2b(name.encode("utf-8", "replace"), digest_size=6).hexdigest()


def name_problems(prompts: Sequence[Any], names: Sequence[str]) -> bool:
    """Do the names of the first rows name problems: does one come again, if a prompt does?

    One is enough: of a large step in which rows are dealt out the first rows hold few of one problem.
    """
    return len(set(names)) < len(names) or len(set(map(str, prompts))) == len(prompts)


def one_text_of_several(prompts: Sequence[Any], names: Sequence[str]) -> bool:
    """Has one prompt several names among the first rows?"""
    first: dict[str, str] = {}
    return any(first.setdefault(str(prompt), name) != name for prompt, name in zip(prompts, names, strict=True))
