"""verl's dump of rollouts, one `{step}.jsonl` a step: groups are exact prompts, wherever their rows stand.

The trainer balances its batch over ranks before it writes, so the rows of a group are not neighbours. The V1 trainer
logs a `uid` of sample, rollout and output, of which the sample names the group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import polars as pl

from ..columns.matching import with_kinds
from ..columns.parts import columns_of_numbers
from ..columns.plan import LABELS, Plan
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..rollouts import REWARD_PART
from ..rows.records import RowBatch
from ..sources import Source
from . import generic

_OWN = {"step": "step", "prompt": "input", "completion": "output", "reward": "score"}
_TOOLS = ("<tool_response>", "<|tool_response", "<tool_result>", "<information>")  # as the common templates write them
_UNMASKED = (
    "Tool answers stand inside the outputs, and verl does not log which tokens the policy wrote: they are counted as"
    " tokens of the completion."
)


def _detect(head: Head) -> bool:
    return head.container == "jsonl" and head.has(*_OWN.values())


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open a dump folder or one file of it. Numbers that a reward function logs beside the score are its parts."""
    uid = head.has("uid") and "group" not in options.columns
    texts = [text for row in head.rows if isinstance(text := row.get("output"), str)]
    notes = (_UNMASKED,) if any(mark in text for text in texts for mark in _TOOLS) else ()

    def change(plan: Plan) -> Plan:
        # A reward function may log columns that are called like ours (`group`, `tokens`) and mean something else.
        taken = {*_OWN, *LABELS, *options.columns} | ({"group", "sample"} if uid else {"sample"})
        paths = {c: path for c, path in plan.paths.items() if c in taken}
        plan = _with_extras(plan, head, {*paths.values(), "gts", "uid", "request_id"})
        if uid:  # the whole uid tells rows apart, and its start tells groups apart
            paths |= {"group": "uid", "sample": "uid"}
            kinds = {**plan.kinds, "group": "text", "sample": "text"}
            return replace(plan, paths=paths, kinds=kinds, by=("key",), per_draw=True, notes=notes)
        by = plan.by if "group" in options.columns else ("prompt",)
        return replace(plan, paths=paths, by=by, per_draw=False, notes=notes)

    log = generic.open_log(sources, options, head, "verl", _OWN, change)
    return replace(log, row_batches=lambda: _by_sample(log.row_batches())) if uid else log


def _with_extras(plan: Plan, head: Head, taken: Collection[str]) -> Plan:
    """The plan with the extra numbers of the reward function (`acc`, ...) among the parts of the reward."""
    extras = columns_of_numbers(head.rows, {*taken, *plan.reward_weights, *plan.keep})
    optional = (REWARD_PART + name for name in extras if name not in plan.parts)
    plan = replace(plan, parts={**extras, **plan.parts}, optional=(*plan.optional, *optional))
    return with_kinds(plan, head.rows)


def _by_sample(batches: Iterator[RowBatch]) -> Iterator[RowBatch]:
    """Take rollout and output off the uid: `{sample}_{rollout}_{output}`, where the sample may hold underscores."""
    for batch in batches:
        yield batch._replace(rows=batch.rows.with_columns(pl.col("key").str.replace(r"_[^_]*_[^_]*$", "")))


FORMAT = Format("verl", _detect, open=_open)
