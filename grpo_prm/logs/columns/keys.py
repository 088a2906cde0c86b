"""What tells the groups of a log apart, and the rows of a group: a key, the exact prompt, or the row itself."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from .apart import kept_apart, with_training_step
from .companions import companion, mixes
from .first_rows import Rows, at, dumped, exists, kind_of
from .members import with_members
from .plan import LABELS, NAMES, PER_DRAW, WEAK, Plan
from .turns import with_rollouts

_NUMBERS_ROWS = "numbers the rows"  # as an index often does: not worth a word
_MANY = 32  # rows of one prompt in a step from which on a group so large is worth a word


def with_key(plan: Plan, rows: Rows, asked: Collection[str] = ()) -> Plan:
    """Settle what tells the groups apart: the log's own key, the exact prompt, or the row; without any `by` is ().

    Where rows are turns, the rollouts that they belong to are settled before (see `turns`), and so is a step that is
    no training step (see `apart`). `asked` are the canonical columns that the user named.
    """
    return with_members(kept_apart(_with_key(plan, rows, asked), rows, asked), rows)


def _with_key(plan: Plan, rows: Rows, asked: Collection[str]) -> Plan:
    lengths = [len(value) if isinstance(value := at(row, plan.paths[plan.unit]), list) else 0 for row in rows]
    one_each = len(rows) > 1 and set(lengths) == {1}  # every value stands in a list of one: rows are not groups
    plan, rollouts = with_rollouts(plan, rows)
    plan, rows = with_training_step(plan, rows, asked), rollouts
    # A row that holds k completions and one prompt is a group by itself, whatever its key says.
    if plan.grouped and not one_each and kind_of(rows, plan.paths.get("prompt", ""), plan.from_text) != "texts":
        key = plan.paths.get("group") or next((n for n in NAMES["group"] if _names(rows, n)), None)
        paths = {**plan.paths, **({"group": key} if key else {})}
        return replace(plan, paths=paths, by=("_file", "_line"), per_draw=True)
    if "group" in plan.paths:
        key = plan.paths["group"]
        return replace(plan, by=("key",), per_draw=key.rpartition(".")[2] in PER_DRAW)
    step, prompt, notes = plan.paths.get("step"), plan.paths.get("prompt"), []
    other = companion(rows, step, prompt, _not_companions(plan), plan.paths.get("reward")) if prompt else None
    for key in NAMES["group"]:
        if not _names(rows, key) or key in plan.beside.values():
            continue
        if reason := _why_not(key, rows, step, prompt, other):
            if reason != _NUMBERS_ROWS:
                notes.append(f"The column {key} {reason}: rows are grouped by exact prompt instead.")
            continue
        # A weak key may count within each of several data sets, so the prompt must agree as well.
        by = ("key", "prompt") if key in WEAK and prompt else ("key",)
        return replace(plan, paths={**plan.paths, "group": key}, by=by, per_draw=key in PER_DRAW)
    return by_prompt(replace(plan, notes=(*plan.notes, *notes)), rows) if prompt else replace(plan, by=())


def by_prompt(plan: Plan, rows: Rows) -> Plan:
    """The plan of a log whose groups are told apart by the exact prompt, and by what tells equal prompts apart.

    Args:
        plan: With a prompt.
        rows: The first rows.
    """
    step, prompt = plan.paths.get("step"), plan.paths["prompt"]
    if other := companion(rows, step, prompt, _not_companions(plan), plan.paths.get("reward")):
        note = f"Several problems have one prompt text: rows are grouped by exact prompt and by {other}."
        paths = {**plan.paths, "problem": other}  # so that they are apart in the intervals as well
        return replace(plan, paths=paths, by=("prompt", "problem"), notes=(*plan.notes, note))
    sizes, _ = _buckets(rows, step, prompt, None)
    steps = {bucket[0] for bucket in sizes}
    alone = len(sizes) == len(steps) and len(rows) >= _MANY * len(steps)
    if alone and "advantage" not in plan.paths:  # which tell draws apart
        note = (
            "All rows of a step have one prompt text and are one group. If they are several problems or draws, name the"
            " column that tells them apart with --columns group=NAME, or the size of a group with --group-size."
        )
        plan = replace(plan, notes=(*plan.notes, note))
    return replace(plan, by=("prompt",))


def key_of_groups(plan: Plan) -> str:
    """What was taken for the key of a group, for messages."""
    names = {"key": f"the column {plan.paths.get('group')}", "prompt": "the exact prompt"}
    names |= {"problem": f"the column {plan.paths.get('problem')}", "_line": "the row of the log that holds it"}
    return " and ".join(names[by] for by in plan.by if by in names)


def _not_companions(plan: Plan) -> tuple[str, ...]:
    """Columns that are something else already: the completion is often called `answer` or `solution`."""
    return (
        *(p for c, p in plan.paths.items() if c not in LABELS),
        *plan.beside.values(),
        *plan.reward_weights,
        *plan.parts.values(),
    )


def _why_not(key: str, rows: Rows, step: str | None, prompt: str | None, other: str | None) -> str | None:
    """Why a column is no key of the groups; None if it is one."""
    sizes, contradicted = _buckets(rows, step, key, prompt)
    repeats = max(sizes.values(), default=0) > 1
    # A weak key that numbers the rows, or that two prompts share, is none. A strong one counts even if it never
    # repeats, unless the prompts do: then it numbers the rows all the same.
    if key in WEAK and (not repeats or contradicted):
        return "mixes different prompts" if repeats else _NUMBERS_ROWS
    if not repeats and prompt and max(_buckets(rows, step, prompt, None)[0].values()) > 1:
        return "is different in every row"
    if key in PER_DRAW:
        return None
    if contradicted and _prompts_repeat(rows, step, key, prompt):
        return "holds several prompts a step"
    if other and other != key and mixes(rows, step, key, other):
        return f"mixes rows of different {other}"
    return None


def _prompts_repeat(rows: Rows, step: str | None, key: str, prompt: str | None) -> bool:
    """Do most prompts under a key have several rows: is the key that of a data set, not of one problem?

    Where the members of a group read prompts of their own, as in games, most prompts stand in one row.
    """
    sizes = Counter(tuple(dumped(at(row, path)) for path in (step, key, prompt) if path) for row in rows)
    return 2 * sum(size > 1 for size in sizes.values()) > len(sizes)


def _names(rows: Rows, path: str) -> bool:
    """Does the log have that column, of names or numbers?"""
    return exists(rows, path) and kind_of(rows, path, False) not in ("object", "objects", "chat", "lists")


def with_sample(plan: Plan, rows: Rows) -> Plan:
    """Leave out a sample index that does not tell the rows of a group apart (the index of a data set, say)."""
    if "sample" not in plan.paths or plan.grouped:
        return plan
    bucket = [plan.paths[c] for c in ("run", "step", "group") if c in plan.paths]
    bucket += [plan.paths["prompt"]] if "prompt" in plan.by else []
    members: dict[tuple[str, ...], dict[str, list[Mapping[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        key = tuple(dumped(at(row, path)) for path in bucket)
        members[key][dumped(at(row, plan.paths["sample"]))].append(row)
    # A few rows may stand twice in a log, and are rejected as duplicates later; a prompt that is drawn again has each
    # index twice. But where most groups have their indices twice these are none of the group.
    again = sum(2 * len(of_key) <= sum(map(_different, of_key.values())) for of_key in members.values())
    # A format that names the sample knows: several rows of one sample are of one rollout.
    known = plan.paths["sample"] == "sample" and 2 * sum(map(len, members.values())) >= len(rows)
    if 2 * again <= len(members) or known:
        return plan
    note = (
        f"The column {plan.paths['sample']} is the same in many rows of a group, so it is not used as a sample index."
    )
    return replace(plan, paths={c: p for c, p in plan.paths.items() if c != "sample"}, notes=(*plan.notes, note))


def _different(rows: list[Mapping[str, Any]]) -> int:
    """Number of rows but for those that are as the first one is."""
    return 1 + sum(row != rows[0] for row in rows[1:])


def _buckets(rows: Rows, step: str | None, key: str, prompt: str | None) -> tuple[Counter[tuple[str, str]], bool]:
    """Rows per (step, key) among the first rows, and whether one of them holds different prompts."""
    sizes: Counter[tuple[str, str]] = Counter()
    prompts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        bucket = (dumped(at(row, step)) if step else "", dumped(at(row, key)))
        sizes[bucket] += 1
        if prompt:
            prompts[bucket].add(dumped(at(row, prompt)))
    return sizes, any(len(p) > 1 for p in prompts.values())
