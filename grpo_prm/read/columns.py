"""Which column of a log is which canonical column: by name, by the user's word, and by what the first rows hold."""

from __future__ import annotations

import difflib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import UsageError
from .options import ReadOptions

# Names that are recognised; the first that exists in a log wins. `scores` and `masks` stand in rows that hold a group.
NAMES: dict[str, tuple[str, ...]] = {
    "run": ("run", "run_id", "run_name"),
    "step": ("step", "global_step", "iteration", "gen_step"),
    "group": (
        *("group", "group_key", "uid", "group_id", "prompt_id", "prompt_idx", "problem_id", "example_id", "task_id"),
        *("group_index", "_ng_task_index", "index", "idx", "id"),
    ),
    "sample": ("sample", "sample_id", "sample_index", "sample_idx", "request_id", "rollout_id"),
    "prompt": ("prompt", "input", "question", "problem", "query"),
    "completion": ("completion", "response", "output", "generation", "text"),
    "tokens": ("completion_ids", "response_ids", "response_tokens", "token_ids", "output_ids", "tokens"),
    "mask": ("mask", "completion_mask", "response_mask", "loss_mask", "masks"),
    "logprobs": ("logprobs", "completion_logprobs", "response_logprobs", "rollout_log_probs", "inference_logprobs"),
    "ref_logprobs": ("ref_logprobs",),
    "reward": ("reward", "score", "rewards", "scores"),
    "advantage": ("advantage", "advantages"),
    "truncated": ("truncated", "is_truncated", "finish_reason", "stop_reason"),
}
PER_DRAW = ("uid", "group_id", "group_index")  # keys that a trainer makes anew for every draw of a prompt
WEAK = ("index", "idx", "id")  # may as well number the rows
LISTS = ("tokens", "mask", "logprobs", "ref_logprobs")
_IGNORED = -100  # the label that loss functions leave out
MISSING: Any = object()


@dataclass(frozen=True, slots=True)
class Plan:
    """How the rows of a log become canonical rows.

    Attributes:
        paths: Canonical column to dotted path in the log.
        kinds: What the first rows hold under each path: int, float, bool, text, ints, bools, ..., `mixed`.
        parts: Reward column to its weight, where the reward is a sum of them.
        keep: Further columns, under their own names.
        by: Row columns that, with run and step, tell the buckets apart.
        per_draw: The key is one per draw, so a bucket is never split.
        grouped: A row of the log holds a whole group, in lists.
        from_text: Values are text (CSV) and are read as JSON where a number or a list is needed.
        labels: The mask is one of labels: -100 is out of the loss, and leading ones are the prompt, which is left out.
        optional: Canonical columns that may be null in a row.
        refused: Why no row can be used, else None.
        notes: What was inferred, as sentences.
    """

    paths: Mapping[str, str]
    kinds: Mapping[str, str]
    parts: Mapping[str, float] = field(default_factory=dict)
    keep: tuple[str, ...] = ()
    by: tuple[str, ...] = ("key",)
    per_draw: bool = False
    grouped: bool = False
    from_text: bool = False
    labels: bool = False
    optional: tuple[str, ...] = ()
    refused: str | None = None
    notes: tuple[str, ...] = ()


def at(row: Any, path: str) -> Any:
    """Value under a dotted path, `MISSING` without one. A key with dots in it comes first; lists are mapped over."""
    if isinstance(row, dict):
        if path in row:
            return row[path]
        head, _, rest = path.partition(".")
        return at(row[head], rest) if rest and head in row else MISSING
    if isinstance(row, list):
        values = [at(item, path) for item in row]
        return MISSING if not values or any(v is MISSING for v in values) else values
    return MISSING


def make_plan(
    rows: Sequence[Mapping[str, Any]],
    options: ReadOptions,
    name: str,
    defaults: Mapping[str, str] | None = None,
    from_text: bool = False,
) -> Plan:
    """Decide what the columns of a log mean.

    Args:
        rows: The first rows of the log as JSON values.
        options: `columns`, `reward`, `keep` and `spare_text` are used.
        name: The file, for messages.
        defaults: Canonical column to path, where the format is known; the user's columns come before.
        from_text: The log is CSV.

    Returns:
        The plan.

    Raises:
        UsageError: A named column does not exist, or no column holds completions, rewards or groups.
    """
    paths = {**_by_name(rows, from_text), **(defaults or {}), **options.columns}
    for canonical, path in options.columns.items():
        if canonical not in NAMES:
            raise UsageError(f"--columns {canonical}: no such canonical column. There are {', '.join(NAMES)}.")
        _present(rows, path, name, f"--columns {canonical}={path}")
    for path in options.keep:
        _present(rows, path, name, f"--keep {path}")
    if "tokens" in paths and "tokens" not in options.columns and _kind(rows, paths["tokens"], from_text) == "none":
        del paths["tokens"]
    if not {"completion", "tokens"} & paths.keys():
        raise UsageError(
            f"{name}: no column holds completions; there are {_listed(rows)}."
            " Name it with --columns completion=NAME, or tokens=NAME for ids."
        )
    plan = _with_reward(Plan(paths, {}, keep=tuple(options.keep), from_text=from_text), rows, options, name)
    plan = replace(plan, grouped=_is_grouped(rows, plan))
    plan = _with_labels(_with_sample(_with_key(plan, rows, name), rows), rows)
    if options.spare_text and "tokens" in plan.paths:
        kept = {c: p for c, p in plan.paths.items() if c != "completion" and (c != "prompt" or "prompt" in plan.by)}
        plan = replace(plan, paths=kept)
    used = {**plan.paths, **{f"reward/{p}": p for p in plan.parts}, **{p: p for p in plan.keep}}
    plan = replace(plan, kinds={c: _kind(rows, path, from_text) for c, path in used.items()})
    chosen = ", ".join(f"{c} = {p}" for c, p in plan.paths.items() if c != p)
    notes = (*((f"Columns: {chosen}.",) if chosen else ()), *plan.notes)
    return replace(plan, notes=notes, refused=_cut_at_the_front(rows, plan))


def _by_name(rows: Sequence[Mapping[str, Any]], from_text: bool) -> dict[str, str]:
    """The first name of each list that the log has, with a value of a fitting kind."""
    present = {key for row in rows for key in row}
    paths = {}
    for canonical, names in NAMES.items():
        if canonical == "group":
            continue
        for name in names:
            if name not in present:
                continue
            kind = _kind(rows, name, from_text)
            if kind == "none" and canonical not in ("completion", "reward"):
                continue
            if canonical in LISTS and kind not in ("ints", "bools", "floats", "lists", "empty", "mixed"):
                continue
            if canonical == "completion" and kind in ("int", "float", "bool"):
                continue
            if canonical == "advantage" and kind == "lists":
                continue
            paths[canonical] = name
            break
    return paths


def _with_reward(plan: Plan, rows: Sequence[Mapping[str, Any]], options: ReadOptions, name: str) -> Plan:
    """Settle what the reward is made of."""
    if options.reward:
        from .rewards import parse

        weights = parse(options.reward)
        for part in weights:
            _present(rows, part, name, f"--reward {options.reward}")
        paths = {c: p for c, p in plan.paths.items() if c != "reward"}
        if list(weights.values()) == [1.0]:
            return replace(plan, paths={**paths, "reward": next(iter(weights))})
        return replace(plan, paths=paths, parts=weights)
    if "reward" in plan.paths:
        return plan
    if "advantage" in plan.paths:
        return replace(plan, notes=(*plan.notes, "No reward is logged: only the logged advantages can be used."))
    raise UsageError(
        f"{name}: no column holds the reward; there are {_listed(rows)}."
        " Name it with --columns reward=NAME, or a weighted sum with --reward."
    )


def _is_grouped(rows: Sequence[Mapping[str, Any]], plan: Plan) -> bool:
    """Does a row hold a whole group: a list of texts, of chats, or of lists of ids?"""
    if "tokens" in plan.paths:
        return _kind(rows, plan.paths["tokens"], plan.from_text) == "lists"
    return _kind(rows, plan.paths["completion"], plan.from_text) in ("texts", "lists")


def _with_key(plan: Plan, rows: Sequence[Mapping[str, Any]], name: str) -> Plan:
    """Settle what tells the groups apart: the log's own key, the exact prompt, or the row."""
    if plan.grouped and _kind(rows, plan.paths.get("prompt", ""), plan.from_text) != "texts":
        key = plan.paths.get("group") or next((n for n in NAMES["group"] if _exists(rows, n)), None)
        paths = {**plan.paths, **({"group": key} if key else {})}
        return replace(plan, paths=paths, by=("_file", "_line"), per_draw=True)
    prompt = plan.paths.get("prompt")
    if "group" in plan.paths:
        key = plan.paths["group"]
        return replace(plan, by=("key",), per_draw=key.rpartition(".")[2] in PER_DRAW)
    notes = []
    for key in NAMES["group"]:
        if not _exists(rows, key):
            continue
        sizes, contradicted = _buckets(rows, plan.paths.get("step"), key, prompt)
        repeats = max(sizes.values(), default=0) > 1
        if key in WEAK and (not repeats or contradicted):
            if contradicted and repeats:
                notes.append(f"The column {key} mixes different prompts: rows are grouped by exact prompt instead.")
            continue
        if not repeats and prompt and max(_buckets(rows, plan.paths.get("step"), prompt, None)[0].values()) > 1:
            notes.append(f"The column {key} is different in every row: rows are grouped by exact prompt instead.")
            continue
        by = ("key", "prompt") if key in WEAK and prompt else ("key",)
        return replace(plan, paths={**plan.paths, "group": key}, by=by, per_draw=key in PER_DRAW)
    if prompt is None:
        raise UsageError(
            f"{name}: neither a group key nor a prompt tells the groups apart; there are {_listed(rows)}."
            " Name a column with --columns group=NAME."
        )
    return replace(plan, by=("prompt",), notes=(*plan.notes, *notes))


def _with_sample(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> Plan:
    """Leave out a sample index that does not tell the rows of a group apart (the index of a data set, say)."""
    if "sample" not in plan.paths or plan.grouped:
        return plan
    told = [plan.paths[c] for c in ("run", "step", "group", "sample") if c in plan.paths]
    told += [plan.paths["prompt"]] if "prompt" in plan.by else []
    values = Counter(tuple(_dump(at(row, path)) for path in told) for row in rows)
    if 2 * len(values) >= sum(values.values()):
        return plan
    note = (
        f"The column {plan.paths['sample']} is the same in many rows of a group, so it is not used as a sample index."
    )
    return replace(plan, paths={c: p for c, p in plan.paths.items() if c != "sample"}, notes=(*plan.notes, note))


def _with_labels(plan: Plan, rows: Sequence[Mapping[str, Any]]) -> Plan:
    """Note whether the mask holds labels, as a loss function takes them."""
    masks = (at(row, plan.paths["mask"]) for row in rows) if "mask" in plan.paths else ()
    if not any(
        _IGNORED in mask or any(isinstance(m, list) and _IGNORED in m for m in mask)
        for mask in masks
        if isinstance(mask, list)
    ):
        return plan
    note = "The mask holds labels: -100 is out of the loss, and tokens before the first other label are the prompt."
    return replace(plan, labels=True, notes=(*plan.notes, note))


def _buckets(
    rows: Sequence[Mapping[str, Any]], step: str | None, key: str, prompt: str | None
) -> tuple[Counter[tuple[str, str]], bool]:
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


def _cut_at_the_front(rows: Sequence[Mapping[str, Any]], plan: Plan) -> str | None:
    """A reason if most completions begin with an ellipsis: their first tokens are gone, and with them the prefixes."""
    if "tokens" in plan.paths or "completion" not in plan.paths:
        return None
    texts = [t for row in rows for t in _flat(at(row, plan.paths["completion"])) if isinstance(t, str)]
    cut = sum(t.startswith(("...", "…")) for t in texts)
    return "text cut at the front" if len(texts) >= 4 and 2 * cut > len(texts) else None


def _flat(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else (value,)


def _exists(rows: Iterable[Mapping[str, Any]], path: str) -> bool:
    return any(at(row, path) not in (MISSING, None) for row in rows)


def _present(rows: Sequence[Mapping[str, Any]], path: str, name: str, said: str) -> None:
    if any(at(row, path) is not MISSING for row in rows):
        return
    near = difflib.get_close_matches(path, _columns(rows), 1, 0.5)
    hint = f" Did you mean {near[0]}?" if near else " Name one of them."
    raise UsageError(f"{name}: {said}: there is no column {path}; there are {_listed(rows)}.{hint}")


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the log, those one level down too, in the order of the log."""
    names: dict[str, None] = {}
    for row in rows:
        for key, value in row.items():
            names[key] = None
            inner = value[0] if isinstance(value, list) and value else value
            if isinstance(inner, dict) and "role" not in inner:
                names.update(dict.fromkeys(f"{key}.{k}" for k in inner))
    return list(names)


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    names = _columns(rows)
    return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "") if names else "none"


_SCALARS = {bool: "bool", int: "int", float: "float", str: "text"}
_OF_LIST = {bool: "bools", int: "ints", float: "floats", str: "texts", dict: "chat", list: "lists"}


def _kind(rows: Iterable[Mapping[str, Any]], path: str, from_text: bool) -> str:
    """What the rows hold under a path: the name of one kind, `none`, or `mixed`."""
    kinds = {_kind_of(_parsed(v) if from_text else v) for row in rows if (v := at(row, path)) not in (None, MISSING)}
    if len(kinds) > 1 and "empty" in kinds:
        kinds.discard("empty")
    for narrow, wide in (("int", "float"), ("ints", "floats")):
        if kinds == {narrow, wide}:
            kinds = {wide}
    return next(iter(kinds)) if len(kinds) == 1 else "mixed" if kinds else "none"


def _kind_of(value: Any) -> str:
    if isinstance(value, list):
        types = set(map(type, value)) - {type(None)}
        if types == {int, float}:
            return "floats"
        return _OF_LIST.get(next(iter(types)), "mixed") if len(types) == 1 else "mixed" if types else "empty"
    return "chat" if isinstance(value, dict) else _SCALARS.get(type(value), "mixed")


def _parsed(value: Any) -> Any:
    """A cell of a CSV as the JSON value that it spells, else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return {"true": True, "false": False}.get(value.lower(), value)
