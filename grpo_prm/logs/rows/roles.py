"""Who speaks last in a chat whose ids are logged beside it, and whose words are taken for the model's.

A role that is not known is nobody's: it is neither taken for the model's nor said to be another's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from ..rollouts import ENDS_WITH, group_opens
from .chat import MODEL, messages_of, model_roles, role_of

OTHERS = (
    *("user", "human", "system", "developer", "environment", "env", "observation"),
    *("tool", "tool_response", "tool_result", "function", "function_call_output", "ipython"),
)


def other_at_the_end(chat: Any, mask: np.ndarray) -> str | None:
    """The role of the last message where it is not the model's, though the last token is in the loss.

    Args:
        chat: The messages whose ids were logged, as JSON or as its text; anything else is not judged.
        mask: True where a token is in the loss, as the log has it, shape (tokens,).

    Returns:
        One of `OTHERS`. None where nothing contradicts, and of a chat without a turn of the model, such as a prompt.
    """
    messages = messages_of(chat)
    if not messages or not len(mask) or not mask[-1]:
        return None
    last, role = messages[-1], role_of(messages[-1])
    if role not in OTHERS or last.get("trainable") is True or not any(role_of(m) in MODEL for m in messages):
        return None
    return role


def ends_of_others(table: pl.DataFrame) -> Counter[str]:
    """How many completions of groups of two or more end with a message of each role, as `other_at_the_end` found.

    Args:
        table: Columns `group`, and `ENDS_WITH` where the log had what it tells; rows of a group are neighbours.
    """
    if ENDS_WITH not in table.columns:
        return Counter()
    opens = group_opens(table)
    k = np.diff(opens, append=len(table))
    roles = table[ENDS_WITH].filter(pl.Series(np.repeat(k, k) > 1))
    return Counter(role for role in roles.drop_nulls().to_list() if role in OTHERS)


def end_counts(roles: Counter[str]) -> Counter[str]:
    """What `counts` has of `ends_of_others`: nothing where there is none."""
    return Counter(ends_with_others=roles.total()) if roles else Counter()


def taken_for_the_model(chat: Any) -> Iterator[str]:
    """A sentence where a chat has no assistant, and other turns are taken for the model's by their role."""
    messages = [m for m in messages_of(chat) or () if not isinstance(m.get("trainable"), bool)]
    if roles := sorted(model_roles(messages) - {MODEL[0]}):
        yield f"No message of {{rows}} is the assistant's: those of {' and '.join(roles)} are taken for the model's."
