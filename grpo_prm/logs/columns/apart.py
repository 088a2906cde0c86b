"""What keeps rows of one key apart beside the step: epoch, evaluation, task. And steps that are none.

A key and a step name a group only as long as neither begins anew for something else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from .first_rows import Rows, at, dumped, exists, kind_of, parsed
from .plan import NAMES, Plan
from .turns import ROLLOUT

EPOCH, SPLIT = "_epoch", "_split"  # as the rows call them
_EPOCHS = ("epoch", "epoch_idx", "epoch_id", "epoch_num", "num_epoch")
_SPLITS = ("split", "mode", "phase", "stage", "is_eval", "is_train", "is_training", "is_validation", "train", "eval")
_WORDS = {"train", "training", "eval", "evaluation", "val", "valid", "validation", "test", "dev", "true", "false"}
_FEW = 3  # stretches of rows of one step: of two, rows in any order may look like steps that begin anew


def with_training_step(plan: Plan, rows: Rows, asked: Collection[str]) -> Plan:
    """Settle what happens where the step begins anew inside the log, as turns do, or steps of an epoch.

    Args:
        plan: With what was recognised under `step`.
        rows: The first rows.
        asked: Canonical columns that the user named: a step among them stands.

    Returns:
        The plan with another column as its step, one that only goes up; or with `_epoch` beside; or with a caution.
    """
    path = plan.paths.get("step")
    if path is None or "step" in asked or ROLLOUT in plan.beside:
        return plan
    steps = _numbers(plan, rows, path)
    again = sum(_begins_anew(of_run) for of_run in _by_run(plan, rows, steps))
    if not again:
        return plan
    for other in (name for name in NAMES["step"] if name != path):
        if _rises(_numbers(plan, rows, other)):
            note = f"The column {path} begins anew {again} times where {other} goes up: {other} is the step."
            return replace(plan, paths={**plan.paths, "step": other}, cautions=(*plan.cautions, note))
    for epoch in _EPOCHS:
        values = _numbers(plan, rows, epoch)
        within = pairwise(zip(values, steps, strict=True)) if _rises(values) else ()
        if within and all(a <= b for a, b in within):
            note = f"The column {path} begins anew in each {epoch}: rows of two are never one group."
            return replace(plan, beside={**plan.beside, EPOCH: epoch}, cautions=(*plan.cautions, note))
    note = (
        f"The column {path} begins anew inside the log ({again} times in the first {len(rows)} rows), and rows of one"
        f" {path} and key were put together. If it counts turns, samples or steps of another run, name the training"
        " step with --columns step=NAME, or switch it off with step=-."
    )
    return replace(plan, cautions=(*plan.cautions, note))


def kept_apart(plan: Plan, rows: Rows, asked: Collection[str]) -> Plan:
    """The plan with what cuts its buckets further: the epoch, training or evaluation, the task of a key.

    Args:
        plan: With `by`.
        rows: The first rows.
        asked: Canonical columns that the user named: a group among them stands.
    """
    if plan.grouped or not plan.by or "_line" in plan.by:
        return plan
    plan = replace(plan, by=(*plan.by, EPOCH)) if EPOCH in plan.beside else plan
    if "group" in asked:
        return plan
    for name in _SPLITS:
        words = {str(at(row, name)).lower() for row in rows} if kind_of(rows, name, False) in ("text", "bool") else ()
        if len(words) > 1 and words <= _WORDS and _cut(plan, rows, name):
            note = f"The column {name} tells training from evaluation: each is a run of its own."
            beside = {**plan.beside, SPLIT: name}
            plan = replace(plan, beside=beside, by=(*plan.by, SPLIT), cautions=(*plan.cautions, note))
            break
    task = plan.paths.get("task")
    if task is None or "prompt" in plan.by or plan.per_draw or not exists(rows, task):
        return plan
    sizes = _cut(plan, rows, task)
    if kind_of(rows, task, False) != "text" or not sizes or min(sizes) < 2 or len(set(sizes)) > 1:
        return plan
    note = f"Rows of different {task} have one {plan.paths['group']}, so rows are grouped by both."
    return replace(plan, by=(*plan.by, "task"), cautions=(*plan.cautions, note))


def _cut(plan: Plan, rows: Rows, path: str) -> list[int]:
    """Sizes of the parts into which a column cuts the buckets; none if it cuts fewer than half of them."""
    names = {"key": "group", EPOCH: EPOCH, SPLIT: SPLIT}
    columns = {**plan.paths, **plan.beside}
    paths = [columns.get(name) for name in ("run", "step", *(names.get(by, by) for by in plan.by))]
    parts: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        parts[tuple(dumped(at(row, p)) for p in paths if p)][dumped(at(row, path))] += 1
    cut = [list(sizes.values()) for sizes in parts.values() if len(sizes) > 1]
    return [size for sizes in cut for size in sizes] if 2 * len(cut) >= len(parts) else []


def _numbers(plan: Plan, rows: Rows, path: str) -> list[int]:
    """The whole numbers of a column; none if a row has another value."""
    values: list[Any] = [at(row, path) for row in rows]
    values = [parsed(value) for value in values] if plan.from_text else values
    return values if all(type(value) is int for value in values) else []


def _by_run(plan: Plan, rows: Rows, steps: Sequence[int]) -> list[list[int]]:
    """The steps of each run, where a column names it: another run begins its own."""
    path, found = plan.paths.get("run"), defaultdict(list)
    for row, step in zip(rows, steps, strict=False):
        found[str(at(row, path)) if path else ""].append(step)
    return list(found.values())


def _rises(values: Sequence[int]) -> bool:
    """Do they go up, and never down?"""
    return len(set(values)) > 1 and all(a <= b for a, b in pairwise(values))


def _begins_anew(steps: Sequence[int]) -> int:
    """How often the steps go back to the first one; 0 if they ever go back to another, or rise hardly at all."""
    passes = list(_passes(steps))
    whole = all(len(rising) >= _FEW for rising in passes[:-1])
    return len(passes) - 1 if whole and len({rising[0] for rising in passes}) == 1 else 0


def _passes(steps: Sequence[int]) -> Iterator[list[int]]:
    """The steps without repeats, cut where they go down."""
    rising = [steps[0]]
    for before, step in pairwise(steps):
        if step < before:
            yield rising
            rising = [step]
        elif step > before:
            rising.append(step)
    yield rising
