"""A column that says how many members each group has: fewer rows than that are a sample of the group."""

from __future__ import annotations

from dataclasses import replace

from .first_rows import Rows, at, kind_of
from .plan import Plan

MEMBERS = "_members"  # as the rows call it
LISTS = ("group_rewards", "group_scores", "group_advantages")  # of one value for each member
NUMBERS = (
    *("group_size", "num_generations", "num_samples_per_prompt", "n_samples_per_prompt", "n_samples", "n_rollouts"),
    *("num_rollouts", "rollouts_per_example", "rollouts_per_prompt", "samples_per_prompt", "rollout_n", "k"),
)


def with_members(plan: Plan, rows: Rows) -> Plan:
    """The plan with a column beside that names the size of a group, if the log has one."""
    if plan.grouped:
        return plan
    for name in LISTS:
        if kind_of(rows, name, plan.from_text) in ("floats", "ints"):
            return replace(plan, beside={**plan.beside, MEMBERS: name})
    for name in NUMBERS:
        values = {at(row, name) for row in rows} if kind_of(rows, name, plan.from_text) == "int" else set()
        if len(values) == 1 and type(next(iter(values))) is int:  # else it is something of a row, a pass@k say
            return replace(plan, beside={**plan.beside, MEMBERS: name})
    return plan
