"""atropos' `data_path_to_save_groups`: a line is one ScoredDataGroup, k completions with their prompts in the ids.

`masks` are labels: -100 where a token is out of the loss. Tokens before the first other label are the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..columns.first_rows import dumped
from ..columns.plan import Inside, Plan
from ..format import Format, Head, Log, Row
from ..options import ReadOptions
from ..rows.values import Bad
from ..sources import Source
from . import generic

_IGNORED = -100
_LISTS = {"logprobs": "inference_logprobs", "ref_logprobs": "ref_logprobs"}
_SKIPPED = "atropos skips groups of equal scores unless ensure_scores_are_not_same is off."
_OURS = {"prompt", "tokens", "mask", "reward", "advantage", "messages", *_LISTS}
_NAMED = "A line is a group, whatever {name} says: it gives the groups their names."


def _detect(head: Head) -> bool:
    """Lists of ids with labels and scores, beside a key that only atropos writes."""
    own = any(head.has(name) for name in ("group_overrides", "overrides", "messages"))
    return own and head.has("tokens", "masks", "scores") and any(map(_is_group, head.rows))


def _is_group(record: Any) -> bool:
    lists = [record.get(name) for name in ("tokens", "masks")] if isinstance(record, Mapping) else []
    return all(isinstance(value, list) and value and all(isinstance(v, list) for v in value) for value in lists) and (
        bool(lists) and any(_IGNORED in labels for labels in lists[1])
    )


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row | Bad]:
    """The completions of a group; one whose mask does not fit is a `Bad`.

    Args:
        record: `tokens` and `masks` [k][T], `scores` [k]; where logged `advantages` [k] or [k][T], and
            log-probabilities [k][T].
    """
    tokens, scores = record["tokens"], record["scores"]
    for name in ("masks", "scores"):
        if len(record[name]) != len(tokens):
            raise Bad(name, f"{len(record[name])} values for {len(tokens)} completions")
    advantages = _of_members(record.get("advantages"), len(tokens))
    chats = _of_members(record.get("messages"), len(tokens))
    if chats and all(chat == chats[0] for chat in chats):
        chats = None  # of the prompt alone, as far as one can see
    lists = {ours: _of_members(record.get(name), len(tokens)) for ours, name in _LISTS.items()}
    for member, (ids, labels) in enumerate(zip(tokens, record["masks"], strict=True)):
        if len(ids) != len(labels):
            yield Bad("mask", f"{len(labels)} values for {len(ids)} tokens")
            continue
        mask = np.array(labels) != _IGNORED
        opens = int(mask.argmax()) if mask.any() else len(ids)
        # The prompt is named here, and cut off all lists where that of other labels is (`_plan`).
        row: Row = {"prompt": ids[:opens], "tokens": ids, "mask": labels}
        row |= {ours: values[member] for ours, values in lists.items() if values}
        row["reward"] = scores[member]
        if chats:
            row["messages"] = chats[member]
        if advantages:
            row["advantage"] = _in_loss(advantages[member], mask)
        yield row


def _of_members(values: Any, k: int) -> Any:
    """One value a completion, or None."""
    return values if isinstance(values, list) and len(values) == k else None


def _in_loss(advantage: Any, mask: np.ndarray) -> Any:
    """The advantage; of one a token those in the loss, and their value alone where it is the same."""
    if not isinstance(advantage, list) or len(advantage) != len(mask):
        return advantage
    values = np.array(advantage, object)[mask].tolist()
    return values[0] if values and values.count(values[0]) == len(values) else values or None


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open the files; a column that the user names is one of the line, or a list with a value for each completion."""
    paths = (*options.named.values(), *options.keep)
    wanted = {name for path in paths for name in (path, path.partition(".")[0])}
    known = {key for record in head.rows if isinstance(record, Mapping) for key in record}
    if any(not {path, path.partition(".")[0]} & (known | _OURS) for path in paths):
        wanted |= known  # the message that refuses it lists them

    def of_log(record: Mapping[str, Any], source: Source) -> Iterator[Row | Bad]:
        further = {name: record[name] for name in sorted(wanted) if name in record}
        for member, row in enumerate(flatten(record, source)):
            if isinstance(row, Bad):
                yield row
                continue
            k = len(record["tokens"])
            own = {name: values[member] if _of_members(values, k) else values for name, values in further.items()}
            yield own | row

    return generic.open_log(sources, options, head, format_=replace(FORMAT, flatten=of_log))


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """A line is a group, whatever its prompt."""
    scores: dict[str, list[Any]] = {}
    for row in rows:
        scores.setdefault(dumped(row["prompt"]), []).append(row["reward"])
    equal = any(len(of_one) > 1 and of_one.count(of_one[0]) == len(of_one) for of_one in scores.values())
    notes = plan.notes if equal else (*plan.notes, _SKIPPED)
    if name := plan.paths.get("group"):
        notes = (*notes, _NAMED.format(name=name))
    # Without its mask (--columns mask=-) a completion still begins where the labels do.
    cut = {"labels": True} if "mask" in plan.paths else {"inside": Inside(prompt_ids="prompt")}
    chat = "messages" if "mask" in plan.paths else None
    return replace(plan, by=("_file", "_line"), per_draw=True, notes=notes, chat=chat, **cut)


FORMAT = Format("atropos", _detect, flatten, plan=_plan, open=_open)
