"""verl's dump of rollouts, one `{step}.jsonl` a step: groups are exact prompts, wherever their rows stand.

The legacy trainer balances its batch over ranks before it writes, so the rows of a group are not neighbours. One prompt
text may be that of several problems, as images leave no text: `gts`, the ground truth, tells them apart. The V1 trainer
logs a `uid` of sample, rollout and output, of which the sample names the group; see `verl_outputs` for several outputs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.matching import with_kinds
from ..columns.parts import columns_of_numbers
from ..columns.plan import LABELS, Plan
from ..format import Format, Head, Log, Row
from ..options import ReadOptions
from ..rollouts import REWARD_PART
from ..sources import Source
from . import generic
from .problems import APART, name_problems, one_text_of_several, problem_name
from .verl_outputs import UID, by_rollout, outputs_note

_OWN = {"step": "step", "prompt": "input", "completion": "output", "reward": "score"}
_PROBLEM = "\0problem"  # in a row: hash of prompt and ground truth
_TOOLS = ("<tool_response>", "<|tool_response", "<tool_result>", "<information>")  # as the common templates write them
_UNMASKED = (
    "Tool answers stand inside the outputs, and verl does not log which tokens the policy wrote: they are counted as"
    " tokens of the completion."
)
_APART = APART.format("ground truths (gts)")
_VALIDATION = "Every row has a reward equal to its score, as in verl's validation dumps: these may be evaluations."
_ONE_PROMPT = (
    "All rows of a step have one prompt text and no ground truth (gts) tells problems apart: they are one group. If"
    " they are several problems, as images leave no text, this log cannot tell them apart."
)


def _detect(head: Head) -> bool:
    """Its four columns, and no key of the group that verl does not log."""
    keys = any(map(head.has, ("group_id", "group_index", "prompt_id")))
    return head.container == "jsonl" and head.has(*_OWN.values()) and not keys


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row]:
    """The row of a record, with the name of its problem."""
    yield {**record, _PROBLEM: problem_name(record["input"], record.get("gts"))}


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open a dump folder or one file of it. Numbers that a reward function logs beside the score are its parts."""
    rows = [row for row in head.rows if isinstance(row, Mapping)]
    named = "group" in options.columns
    uid = not named and any(re.fullmatch(UID, str(row.get("uid"))) for row in rows)
    prompts = [row.get("input") for row in rows]
    problems = [problem_name(row.get("input"), row.get("gts")) for row in rows]
    told = any(row.get("gts") is not None for row in rows) and not (named or head.has("uid"))
    gts = told and name_problems(prompts, problems)
    several = gts and one_text_of_several(prompts, problems)
    notes = (*_notes(rows, head), *((_APART,) if several else ()), *(outputs_note(rows) if uid else ()))
    if not (told or named or head.has("uid")) and _one_prompt_a_step(rows):
        notes = (*notes, _ONE_PROMPT)
    group = {"group": _PROBLEM} if gts else {"group": "uid"} if head.has("uid") and not named else {}
    problem = {"problem": _PROBLEM} if several else {}
    samples = {"sample": "uid"} if uid else {}  # the whole uid tells rows apart, and its start tells groups apart

    def change(plan: Plan) -> Plan:
        # A reward function may log columns that are called like ours (`group`, `tokens`) and mean something else.
        taken = {*_OWN, *LABELS, *options.columns, "sample"}
        paths = {c: path for c, path in plan.paths.items() if c in taken} | group | problem | samples
        beside = {*paths.values(), "gts", "uid", "request_id", _PROBLEM}
        plan = _with_extras(replace(plan, paths=paths), rows, beside)
        named_here = (group | problem | samples).values()
        plan = replace(plan, kinds={**plan.kinds, **dict.fromkeys(named_here, "text")})
        by = plan.by if named else ("key",) if group else ("prompt",)
        return replace(plan, by=by, per_draw=group.get("group") == "uid", notes=(*_of_rows(plan), *notes))

    known = replace(FORMAT, flatten=flatten if gts else None)
    log = generic.open_log(sources, options, head, "verl", _OWN, change, known)
    return replace(log, row_batches=lambda: by_rollout(log.row_batches())) if uid else log


def _one_prompt_a_step(rows: Sequence[Mapping[str, Any]]) -> bool:
    prompts: dict[str, set[str]] = {}
    for row in rows:
        prompts.setdefault(str(row.get("step")), set()).add(str(row.get("input")))
    return all(len(of_step) == 1 for of_step in prompts.values()) and len(rows) > len(prompts)


def _of_rows(plan: Plan) -> Iterator[str]:
    """Notes of the plan but for those about columns and keys, which are settled here."""
    return (note for note in plan.notes if not note.startswith(("Columns: ", "The column ")))


def _notes(rows: Sequence[Mapping[str, Any]], head: Head) -> Iterator[str]:
    texts = [text for row in rows if isinstance(text := row.get("output"), str)]
    if any(mark in text for text in texts for mark in _TOOLS):
        yield _UNMASKED
    if head.source.split != "eval" and all("reward" in row and row["reward"] == row.get("score") for row in rows):
        yield _VALIDATION


def _with_extras(plan: Plan, rows: Sequence[Mapping[str, Any]], taken: Collection[str]) -> Plan:
    """The plan with the extra numbers of the reward function (`acc`, ...) among the parts of the reward."""
    extras = columns_of_numbers(rows, {*taken, *plan.reward_weights, *plan.keep})
    optional = (REWARD_PART + name for name in extras if name not in plan.parts)
    plan = replace(plan, parts={**extras, **plan.parts}, optional=(*plan.optional, *optional))
    return with_kinds(plan, rows)


FORMAT = Format("verl", _detect, open=_open)
