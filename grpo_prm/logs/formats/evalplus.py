"""EvalPlus' `*_eval_results.json`: solutions under their tasks, with the word pass or fail for two sets of tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rollouts import REWARD_PART
from ..rows.values import Bad, described
from ..sources import Source
from .own_run import own_runs, run_of

_STATUS = {"pass": 1.0, "fail": 0.0, "timeout": 0.0}
_SAID = "The reward is base_status: pass = 1, fail and timeout = 0. plus_status is the part plus of the reward."


def _detect(head: Head) -> bool:
    return any(_is_results(record) for record in head.rows)


def _is_results(record: Any) -> bool:
    tasks = record.get("eval") if isinstance(record, Mapping) else None
    lists = list(tasks.values())[:8] if isinstance(tasks, Mapping) else []
    solutions = [one for inner in lists if isinstance(inner, list) for one in inner[:1]]
    return bool(solutions) and all(isinstance(one, Mapping) and "base_status" in one for one in solutions)


def flatten(record: Mapping[str, Any], source: Source) -> Iterator[Row | Bad]:
    """The solutions of all tasks; one without a text or a verdict is a `Bad`.

    Args:
        record: `{"eval": {task: [{"solution", "base_status", "plus_status"}]}}`.
        source: Its file.
    """
    of_file = run_of(source)
    for task, solutions in record["eval"].items():
        for number, one in enumerate(solutions):
            try:
                yield {
                    **of_file,
                    "group": task,
                    "task_id": task,
                    "sample": number,
                    "completion": one["solution"],
                    "reward": _verdict(one["base_status"]),
                    # Only where the second set of tests was run.
                    **({REWARD_PART + "plus": _verdict(plus)} if (plus := one.get("plus_status")) is not None else {}),
                }
            except Bad as bad:
                yield bad
            except (LookupError, TypeError, AttributeError):
                yield Bad("", f"{task}: no solution with its base_status")


def _verdict(status: Any) -> float:
    if status not in _STATUS:
        raise Bad("reward", f"expected pass or fail, got {described(status)}")
    return _STATUS[status]


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    return replace(own_runs(plan, rows), notes=(*plan.notes, _SAID))


FORMAT = Format("evalplus", _detect, flatten, plan=_plan)
