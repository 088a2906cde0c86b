"""Columns that polars read: may `records` reject one of their values, or read it in another way?

polars checks types, but lets null and missing fields, null and negative ids, and lists of unequal length pass.
"""

from __future__ import annotations

import polars as pl

from ..columns.first_rows import HUGE
from ..columns.plan import LISTS, Plan
from ..rollouts import REWARD_PART
from .values import DIGITS

_NEEDED = ("run", "step", "key", "reward")


def may_be_wrong(read: pl.DataFrame, plan: Plan) -> bool:
    """Is a row in doubt?

    Args:
        read: The columns of the plan, under the names that rows have; types of `wire.wire_schema`.
        plan: What they mean.
    """
    needed = [c for c in _NEEDED if c in plan.columns and c not in plan.optional]
    needed += [c for c in ("prompt", "group") if c in plan.by]
    if any(read[c].null_count() for c in (*needed, plan.unit)):
        return True
    scores = [c for c in read.columns if c in ("reward", "advantage") or c.startswith(REWARD_PART)]
    if any((read[c].abs() >= HUGE).any() for c in scores if read[c].dtype.is_float()):
        return True  # NaN is larger than any number here
    weighed = [pl.col(REWARD_PART + name).is_null() for name in plan.reward_weights]
    if weighed and read.select(pl.all_horizontal(weighed)).to_series().any():
        return True
    step = read["step"] if "step" in plan.paths else pl.Series([0])
    if step.dtype == pl.String and not step.drop_nulls().str.contains(f"^(?:{DIGITS})$").all():
        return True
    if any(read[c].str.contains('"role"', literal=True).any() for c in ("prompt", "completion") if c in plan.paths):
        return True  # it may be a chat written as JSON
    return "tokens" in plan.paths and _lists_may_be_wrong(read, plan)


def _lists_may_be_wrong(read: pl.DataFrame, plan: Plan) -> bool:
    ids = read["tokens"]
    flat = ids.list.explode(empty_as_null=False)
    if flat.null_count() or (len(flat) and flat.to_numpy().min() < 0):
        return True
    lengths = ids.list.len()
    if "completion" in plan.paths and ((lengths == 0) & (read["completion"] != "")).any():
        return True
    for name in LISTS[1:]:
        if name not in plan.paths or read[name].null_count() == len(read):
            continue
        flat = read[name].drop_nulls().list.explode(empty_as_null=False)
        if (read[name].list.len() != lengths).any() or flat.null_count():
            return True
        if name == "mask" and flat.dtype != pl.Boolean and not ((flat == 0) | (flat == 1)).all():
            return True
    return False
