"""Which column of a log is which canonical column: by name, by the user's options, and by what the first rows hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...errors import UsageError
from ..memory import columns_option
from ..options import ReadOptions
from ..rollouts import REWARD_PART
from .evidence import sampled_first
from .first_rows import MISSING, Rows, at, check_present, kind_of
from .hints import perhaps_completion, perhaps_group, perhaps_reward, refusal
from .keys import with_key, with_sample
from .parts import found_parts, named_parts
from .plan import LABELS, LISTS, NAMES, Plan

_IGNORED = -100  # the label that loss functions leave out


def make_plan(
    rows: Rows,
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
    of_user = {ours: path for ours, path in options.columns.items() if not ours.startswith(REWARD_PART)}
    paths = {**_by_name(rows, from_text), **(defaults or {}), **of_user}
    for canonical, path in of_user.items():
        if canonical not in NAMES:
            raise UsageError(
                f"--columns {canonical}: no such canonical column. There are {', '.join(NAMES)}, reward/NAME."
            )
        check_present(rows, path, name, columns_option(name, {canonical: path}))
    for path in options.keep:
        check_present(rows, path, name, f"--keep {path}")
    # A column of ids that is null throughout leaves the text to be cut into units, unless the user insists.
    if "tokens" in paths and "tokens" not in options.columns and kind_of(rows, paths["tokens"], from_text) == "none":
        del paths["tokens"]
    plan = _with_reward(Plan(paths, {}, keep=tuple(options.keep), from_text=from_text), rows, options, name)
    _check_complete(plan, rows, name)
    plan = replace(plan, grouped=_is_grouped(rows, plan))
    plan = _with_parts(_with_lists_that_fit(plan, rows, options), rows, options, name)
    plan = _with_labels(with_sample(with_key(plan, rows), rows), rows)
    # Text takes most of the memory; where ids are logged the prompt is needed only to tell groups apart.
    if options.spare_text and "tokens" in plan.paths:
        kept = {c: p for c, p in plan.paths.items() if c != "completion" and (c != "prompt" or "prompt" in plan.by)}
        plan = replace(plan, paths=kept)
    plan = with_kinds(plan, rows)
    chosen = ", ".join(f"{c} = {p}" for c, p in plan.paths.items() if c != p)
    notes = (*((f"Columns: {chosen}.",) if chosen else ()), *plan.notes)
    return replace(plan, notes=notes, refused=_cut_at_the_front(rows, plan))


def with_kinds(plan: Plan, rows: Rows) -> Plan:
    """Note what the first rows hold under each path of the plan."""
    columns = {**plan.columns, **{name: name for name in plan.keep}}
    return replace(plan, kinds={c: kind_of(rows, path, plan.from_text) for c, path in columns.items()})


def _by_name(rows: Rows, from_text: bool) -> dict[str, str]:
    """The first name of each list that the log has, with a value of a fitting kind."""
    present = {key for row in rows for key in row}
    paths = {}
    for canonical, names in NAMES.items():
        if canonical == "group":  # `keys` weighs the names against each other
            continue
        if canonical == "problem" and {"head_version", "tail_version"} <= present:
            continue  # AReaL gives every draw a `task_id` of its own
        kinds = {name: kind_of(rows, name, from_text) for name in names if name in present}
        fitting = [name for name, kind in kinds.items() if kind != "none" and _fits(canonical, kind)]
        if canonical == "completion":
            fitting = sampled_first(rows, fitting)
        if not fitting and canonical in ("completion", "reward"):
            fitting = [name for name, kind in kinds.items() if kind == "none"]  # null in every row
        if fitting:
            paths[canonical] = fitting[0]
    return paths


def _fits(canonical: str, kind: str) -> bool:
    """Can a column of this kind be meant?"""
    if canonical in LISTS:
        return kind in ("ints", "bools", "floats", "lists", "empty", "mixed")
    if canonical in LABELS:
        return kind in ("int", "text")
    if canonical == "completion":
        return kind not in ("int", "float", "bool", "object", "objects")
    if canonical == "advantage":
        return kind != "lists"
    return kind not in ("object", "objects")


def _with_reward(plan: Plan, rows: Rows, options: ReadOptions, name: str) -> Plan:
    """Settle what the reward is made of."""
    if options.reward:
        from ..rewards import parse_weights

        weights = parse_weights(options.reward)
        for column in weights:
            check_present(rows, column, name, f"--reward {options.reward}")
        paths = {c: p for c, p in plan.paths.items() if c != "reward"}
        if list(weights.values()) == [1.0]:  # one column as it is: no sum, and no reward parts
            return replace(plan, paths={**paths, "reward": next(iter(weights))})
        return replace(plan, paths=paths, reward_weights=weights)
    if "reward" not in plan.paths and "advantage" in plan.paths:
        return replace(plan, notes=(*plan.notes, "No reward is logged: only the logged advantages can be used."))
    return plan


def _with_lists_that_fit(plan: Plan, rows: Rows, options: ReadOptions) -> Plan:
    """Leave out lists of one value a token where ids are not logged, and those of the trainer of another length."""
    if "tokens" not in plan.paths:  # units that are made from text are others than those that were sampled
        return replace(plan, paths={c: path for c, path in plan.paths.items() if c not in LISTS})
    path = plan.paths.get("trainer_logprobs")
    if path is None or "trainer_logprobs" in options.columns:
        return plan
    # An optional column that was recognised by its name must not cost rows: it is left out, or null where it misfits.
    plan = replace(plan, optional=(*plan.optional, "trainer_logprobs"))
    pairs = ((at(row, path), at(row, plan.paths["tokens"])) for row in rows)
    if all(_one_value_each(*pair, plan.grouped) for pair in pairs):
        return plan
    note = f"The column {path} does not hold one number for each token id, so it is not used."
    paths = {c: p for c, p in plan.paths.items() if c != "trainer_logprobs"}
    return replace(plan, paths=paths, notes=(*plan.notes, note))


def _one_value_each(values: Any, ids: Any, grouped: bool) -> bool:
    """Is a list as long as the ids, or null; of a group, are all of its lists? Text (CSV) is judged row by row."""
    if values in (None, MISSING) or isinstance(values, str) or not isinstance(ids, list):
        return True
    if not isinstance(values, list) or len(values) != len(ids):
        return False
    return not grouped or all(_one_value_each(*pair, False) for pair in zip(values, ids, strict=True))


def _with_parts(plan: Plan, rows: Rows, options: ReadOptions, name: str) -> Plan:
    """Note the parts of the reward: those that the user named, and those that the log holds in dicts."""
    named = named_parts(options.columns, rows, name)
    taken = {*plan.paths.values(), *plan.reward_weights}
    found = {} if plan.from_text else found_parts(rows, taken, plan.grouped)
    # Parts that are only found may be missing or odd in a row; one that the user names must hold a number or null.
    parts = {part: path for part, path in {**found, **named}.items() if part not in plan.reward_weights}
    optional = (REWARD_PART + part for part in parts if part not in named)
    return replace(plan, parts=parts, optional=(*plan.optional, *optional))


def _check_complete(plan: Plan, rows: Rows, name: str) -> None:
    """Refuse a log without completions, rewards or groups, with all that it lacks."""
    guesses: dict[str, str | None] = {}
    unit = plan.paths.get("tokens") or plan.paths.get("completion")
    if unit is None:
        guesses["completion"] = unit = perhaps_completion(rows, plan.from_text)
    if not plan.reward_weights and not {"reward", "advantage"} & plan.paths.keys():
        guesses["reward"] = perhaps_reward(rows, plan.from_text, unit or "")
    # What would tell the groups apart if the guess at the completions is right?
    trial = replace(plan, paths={"completion": unit or "", **plan.paths})
    if not with_key(replace(trial, grouped=_is_grouped(rows, trial)), rows).by:
        taken = {*(path for c, path in trial.paths.items() if c not in LABELS), *plan.reward_weights, *guesses.values()}
        guesses["group"] = perhaps_group(rows, plan.from_text, taken)
    if guesses:
        raise refusal(rows, name, guesses, plan.from_text)


def _is_grouped(rows: Rows, plan: Plan) -> bool:
    """Does a row hold a whole group: a list of texts, of chats, or of lists of ids?"""
    # A list under `tokens` is one completion of ids, so a group is a list of lists there.
    kind = kind_of(rows, plan.paths[plan.unit], plan.from_text)
    return kind == "lists" if plan.unit == "tokens" else kind in ("texts", "lists")


def _with_labels(plan: Plan, rows: Rows) -> Plan:
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


def _cut_at_the_front(rows: Rows, plan: Plan) -> str | None:
    """A reason if most completions begin with an ellipsis: their first tokens are gone, and with them the prefixes."""
    if "tokens" in plan.paths or "completion" not in plan.paths:
        return None
    texts = [t for row in rows for t in _flat(at(row, plan.paths["completion"])) if isinstance(t, str)]
    cut = sum(t.startswith(("...", "…")) for t in texts)
    return "text cut at the front" if len(texts) >= 4 and 2 * cut > len(texts) else None


def _flat(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else (value,)
