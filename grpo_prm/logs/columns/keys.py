"""What tells the groups of a log apart, and the rows of a group: a key, the exact prompt, or the row itself."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

from .first_rows import MISSING, Rows, at, exists, kind_of
from .plan import NAMES, PER_DRAW, WEAK, Plan


def with_key(plan: Plan, rows: Rows) -> Plan:
    """Settle what tells the groups apart: the log's own key, the exact prompt, or the row; without any `by` is ()."""
    lengths = [len(value) if isinstance(value := at(row, plan.paths[plan.unit]), list) else 0 for row in rows]
    one_each = len(rows) > 1 and set(lengths) == {1}  # every value stands in a list of one: rows are not groups
    # A row that holds k completions and one prompt is a group by itself, whatever its key says.
    if plan.grouped and not one_each and kind_of(rows, plan.paths.get("prompt", ""), plan.from_text) != "texts":
        key = plan.paths.get("group") or next((n for n in NAMES["group"] if _names(rows, n)), None)
        paths = {**plan.paths, **({"group": key} if key else {})}
        return replace(plan, paths=paths, by=("_file", "_line"), per_draw=True)
    prompt = plan.paths.get("prompt")
    if "group" in plan.paths:
        key = plan.paths["group"]
        return replace(plan, by=("key",), per_draw=key.rpartition(".")[2] in PER_DRAW)
    notes = []
    for key in NAMES["group"]:
        if not _names(rows, key):
            continue
        sizes, contradicted = _buckets(rows, plan.paths.get("step"), key, prompt)
        repeats = max(sizes.values(), default=0) > 1
        # A weak key that numbers the rows, or that two prompts share, is none. A strong one counts even if it never
        # repeats, unless the prompts do: then it numbers the rows all the same.
        if key in WEAK and (not repeats or contradicted):
            if contradicted and repeats:
                notes.append(f"The column {key} mixes different prompts: rows are grouped by exact prompt instead.")
            continue
        if not repeats and prompt and max(_buckets(rows, plan.paths.get("step"), prompt, None)[0].values()) > 1:
            notes.append(f"The column {key} is different in every row: rows are grouped by exact prompt instead.")
            continue
        if key in NAMES["problem"] and contradicted and _prompts_repeat(rows, plan.paths.get("step"), key, prompt):
            notes.append(f"The column {key} holds several prompts a step: rows are grouped by exact prompt instead.")
            continue
        # A weak key may count within each of several data sets, so the prompt must agree as well.
        by = ("key", "prompt") if key in WEAK and prompt else ("key",)
        return replace(plan, paths={**plan.paths, "group": key}, by=by, per_draw=key in PER_DRAW)
    if prompt is None:
        return replace(plan, by=())
    return replace(plan, by=("prompt",), notes=(*plan.notes, *notes))


def _prompts_repeat(rows: Rows, step: str | None, key: str, prompt: str | None) -> bool:
    """Do most prompts under a key have several rows: is the key that of a data set, not of one problem?

    Where the members of a group read prompts of their own, as in games, most prompts stand in one row.
    """
    sizes = Counter(tuple(_dump(at(row, path)) for path in (step, key, prompt) if path) for row in rows)
    return 2 * sum(size > 1 for size in sizes.values()) > len(sizes)


def _names(rows: Rows, path: str) -> bool:
    """Does the log have that column, of names or numbers?"""
    return exists(rows, path) and kind_of(rows, path, False) not in ("object", "objects", "chat", "lists")


def with_sample(plan: Plan, rows: Rows) -> Plan:
    """Leave out a sample index that does not tell the rows of a group apart (the index of a data set, say)."""
    if "sample" not in plan.paths or plan.grouped:
        return plan
    identity = [plan.paths[c] for c in ("run", "step", "group", "sample") if c in plan.paths]
    identity += [plan.paths["prompt"]] if "prompt" in plan.by else []
    values = Counter(tuple(_dump(at(row, path)) for path in identity) for row in rows)
    # A few rows may stand twice in a log, and are rejected as duplicates later; half of them do not.
    if 2 * len(values) >= sum(values.values()):
        return plan
    note = (
        f"The column {plan.paths['sample']} is the same in many rows of a group, so it is not used as a sample index."
    )
    return replace(plan, paths={c: p for c, p in plan.paths.items() if c != "sample"}, notes=(*plan.notes, note))


def _buckets(rows: Rows, step: str | None, key: str, prompt: str | None) -> tuple[Counter[tuple[str, str]], bool]:
    """Rows per (step, key) among the first rows, and whether one of them holds different prompts."""
    sizes: Counter[tuple[str, str]] = Counter()
    prompts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        bucket = (_dump(at(row, step)) if step else "", _dump(at(row, key)))
        sizes[bucket] += 1
        if prompt:
            prompts[bucket].add(_dump(at(row, prompt)))
    return sizes, any(len(p) > 1 for p in prompts.values())


def _dump(value: Any) -> str:
    return "" if value is MISSING else json.dumps(value, sort_keys=True, default=str)
