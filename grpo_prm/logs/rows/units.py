"""The units of a row: its text, or its ids and the values of each id, without the prompt and the padding in them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from ..bounds import TEXT
from ..columns.first_rows import MISSING
from ..columns.plan import LISTS, Plan
from ..rollouts import ENDS_WITH, PROMPT_CUT, PROMPT_HASH
from .inside import span_of, without_prompt
from .members import CHAT
from .roles import other_at_the_end, taken_for_the_model
from .values import Bad, completion_of, described, flags_of, floats_of, ids_of, json_list


def add_units(values: Mapping[str, Any], row: dict[str, Any], plan: Plan, said: list[str]) -> None:
    """The completion as text or ids, and the values of each token.

    Args:
        values: Canonical column to value, of one completion.
        row: Gets `completion` and `_segments`; or `tokens`, and where they are logged `completion` and the other
            lists.
        plan: What the columns mean.
        said: Gets what was done to the row.

    Raises:
        Bad: The units or the mask cannot be used.
    """
    if "tokens" not in values:
        text = _cut(values, plan, said)
        row["completion"], row["_segments"] = completion_of(text)
        if row["_segments"] is not None and "<assistant>\n" not in row["completion"]:
            said.extend(taken_for_the_model(text))
        if len(row["completion"]) > TEXT // 4 and len(row["completion"].encode()) > TEXT:
            raise Bad("completion", f"a text of more than {TEXT >> 20} MB")
        return
    logged = ids_of(values["tokens"])
    start, stop = span_of(logged, values, plan.inside, said)
    row["tokens"] = logged[start:stop]
    if plan.inside.front:
        _say_prompt(row, logged[:start])
    if values.get("completion", MISSING) not in (None, MISSING):
        _add_text(values, row, plan, said)
        if not len(logged) and row["completion"]:
            raise Bad("tokens", "no ids beside a completion that is not empty")
    for name in LISTS[1:]:
        value = json_list(values.get(name))
        if value is not None and value is not MISSING:
            _add_list(name, value, row, slice(start, stop), len(logged), plan, said)
    if plan.chat and "mask" in row:
        row[ENDS_WITH] = other_at_the_end(values.get(CHAT, MISSING), row["mask"])
    if plan.labels and "mask" in row:
        _without_labelled_prompt(row)


def _cut(values: Mapping[str, Any], plan: Plan, said: list[str]) -> Any:
    """The completion without its prompt; of a chat that cannot be read it is left to `completion_of` to say so."""
    try:
        return without_prompt(values["completion"], values.get("prompt", MISSING), plan.inside, said)
    except (TypeError, ValueError, KeyError, AttributeError):
        return values["completion"]


def _add_text(values: Mapping[str, Any], row: dict[str, Any], plan: Plan, said: list[str]) -> None:
    """The text beside ids, which no number is made of: one that cannot be read is left out."""
    try:
        row["completion"] = completion_of(_cut(values, plan, []))[0]
    except Bad:
        row["completion"] = None
        said.append("The text of {completions} cannot be read and is left out; their ids are used.")


def _add_list(
    name: str, value: Any, row: dict[str, Any], span: slice, logged: int, plan: Plan, said: list[str]
) -> None:
    """The mask, or log-probabilities: one value for each token.

    Without its mask a row would be read wrong; without log-probabilities it is as good as any other.
    """
    if isinstance(value, list | np.ndarray) and len(value) == logged:
        value = value[span]  # else it may have no value for what is cut off the ids
    try:
        row[name] = _beside_tokens(value, name, len(row["tokens"]), plan)
    except Bad as bad:
        if name == "mask":
            raise Bad(name, f"{bad.reason}; --columns mask=- reads the log without it") from None
        said.append(f"The {name} of {{rows}} are not one number for each token id, and are left out.")
        return
    if name != "mask" and isinstance(value, list) and None in value:
        said.append(f"The {name} of {{rows}} hold nulls: these tokens have none.")


def _beside_tokens(value: Any, name: str, tokens: int, plan: Plan) -> np.ndarray:
    """See `_add_list`."""
    if not isinstance(value, list | np.ndarray):
        raise Bad(name, f"expected a list, got {described(value)}")
    if len(value) != tokens:
        raise Bad(name, f"{len(value)} values for {tokens} tokens")
    return flags_of(value, plan.labels) if name == "mask" else floats_of(value, name)


def _without_labelled_prompt(row: dict[str, Any]) -> None:
    """Leave out the tokens before the first one in the loss, but for a hash that tells prompts apart."""
    opens = int(row["mask"].argmax()) if row["mask"].any() else len(row["mask"])
    _say_prompt(row, row["tokens"][:opens])
    row.update({name: row[name][opens:] for name in LISTS if name in row})


def _say_prompt(row: dict[str, Any], ids: np.ndarray) -> None:
    """What is left of a prompt that is cut off: a hash, and how many ids it had."""
    digest = blake2b(ids.tobytes(), digest_size=8).digest()
    row[PROMPT_HASH] = int.from_bytes(digest, "little", signed=True)  # of 64 bits, which a column of int64 holds
    row[PROMPT_CUT] = len(ids)
