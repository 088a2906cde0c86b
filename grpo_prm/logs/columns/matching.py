"""Which column of a log is which canonical column: by name, by the user's options, and by what the first rows hold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches

from ...errors import UsageError
from ..memory import NAME, columns_option
from ..options import ReadOptions
from ..rollouts import REWARD_PART
from .alike import begin_alike
from .cut_texts import cut_at_the_end, cut_at_the_front
from .evidence import sampled_first
from .first_rows import Rows, check_present, exists, kind_of
from .hints import perhaps_completion, perhaps_group, perhaps_reward, refusal
from .inside import PROMPT_IDS, inside_of, wrapped
from .keys import with_key, with_sample
from .of_groups import ids_are_of_prompts, reward_is_of_groups
from .plan import LABELS, LISTS, NAMES, Plan
from .reward import left_out, with_parts, with_readings, with_reward
from .reward_of_parts import parts_of, with_reward_of_parts
from .token_lists import lists_of_others, with_labels, with_lists_that_fit, with_logprobs_that_fit
from .verdicts import words_of


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
    _check_named(rows, options, name)
    of_user = {ours: path for ours, path in options.named.items() if not ours.startswith(REWARD_PART)}
    paths = {**_by_name(rows, from_text), **(defaults or {}), **of_user}
    paths = {canonical: path for canonical, path in paths.items() if canonical not in options.off}
    given = {**(defaults or {}), **of_user}
    # A column of ids that is null throughout leaves the text to be cut into units, unless the user insists.
    if "tokens" in paths and "tokens" not in options.columns and not exists(rows, paths["tokens"]):
        del paths["tokens"]
    cautions = list(_tokens_as_texts(rows, paths, from_text, name))
    tokens = paths.get("tokens")
    if tokens and "tokens" not in given and ids_are_of_prompts(rows, tokens, paths.get("completion")):
        cautions.append(f"The ids under {tokens} are the same wherever the prompt is: they are not used.")
        del paths["tokens"]
    plan = Plan(paths, {}, keep=tuple(options.keep), from_text=from_text, cautions=tuple(cautions))
    plan = replace(plan, cautions=(*plan.cautions, *lists_of_others(rows, plan, from_text, options.off)))
    plan = with_reward(plan, rows, options, name)
    # A key that is switched off is one that the rows do not have.
    keyed = _without(rows, NAMES["group"]) if "group" in options.off else rows
    _check_complete(plan, rows, keyed, name)
    plan = replace(plan, grouped=_is_grouped(rows, plan))
    plan = with_parts(with_lists_that_fit(plan), rows, options, name)
    plan = with_labels(with_sample(with_key(plan, keyed, options.columns), rows), rows)
    plan = plan if "reward" in options.off else with_reward_of_parts(plan, rows)
    plan = with_logprobs_that_fit(replace(plan, inside=inside_of(rows, plan)), rows)
    plan = with_readings(plan, rows)
    # Ids of the prompt are read where they tell the groups apart; else they are only in the way.
    if "prompt" not in plan.by and "prompt" not in given and plan.paths.get("prompt") in PROMPT_IDS:
        plan = replace(plan, paths={c: p for c, p in plan.paths.items() if c != "prompt"})
    # Text takes most of the memory; where ids are logged the prompt is needed only to tell groups apart.
    if options.spare_text and "tokens" in plan.paths:
        kept = {c: p for c, p in plan.paths.items() if c != "completion" and (c != "prompt" or "prompt" in plan.by)}
        plan = replace(plan, paths=kept)
    plan = with_kinds(plan, rows)
    chosen = ", ".join(f"{c} = {p}" for c, p in plan.paths.items() if c != p)
    notes = (*((f"Columns: {chosen}.",) if chosen else ()), *plan.notes, *left_out(plan, options.off))
    cautions = (
        *plan.cautions,
        *filter(None, [cut_at_the_end(rows, plan), begin_alike(rows, plan), reward_is_of_groups(rows, plan)]),
    )
    return replace(plan, notes=notes, cautions=cautions, refused=cut_at_the_front(rows, plan) or wrapped(rows, plan))


def with_kinds(plan: Plan, rows: Rows) -> Plan:
    """Note what the first rows hold under each path of the plan."""
    paths = {*plan.columns.values(), *plan.keep}
    return replace(plan, kinds={path: kind_of(rows, path, plan.from_text) for path in paths})


def _check_named(rows: Rows, options: ReadOptions, name: str) -> None:
    """Refuse columns of the user that no log has, or not this one."""
    for canonical in options.columns:
        if canonical not in NAMES and not canonical.startswith(REWARD_PART):
            near = get_close_matches(canonical, NAMES, 1)
            raise UsageError(
                f"--columns {canonical}: no such canonical column. There are {', '.join(NAMES)}, reward/NAME."
                + (f" Did you mean {near[0]}?" if near else "")
            )
    for canonical, path in options.named.items():
        if canonical in NAMES:
            check_present(rows, path, name, columns_option(name, {canonical: path}))
    texts = [options.named[column] for column in ("prompt", "completion") if column in options.named]
    if len(texts) > len(set(texts)):
        raise UsageError(f"{name}: prompt and completion are both {texts[0]}. Name a column for each.")


def _without(rows: Rows, names: Collection[str]) -> Rows:
    return [{key: value for key, value in row.items() if key not in names} for row in rows]


def _by_name(rows: Rows, from_text: bool) -> dict[str, str]:
    """The first name of each list that the log has, with a value of a fitting kind."""
    present = {key for row in rows for key in row}
    paths = {}
    for canonical, names in NAMES.items():
        if canonical == "group":  # `keys` weighs the names against each other
            continue
        if canonical == "problem" and {"head_version", "tail_version"} <= present:
            continue  # AReaL gives every draw a `task_id` of its own
        # A list of numbers may be written as text, by which it is known all the same.
        as_text = from_text or canonical in LISTS
        kinds = {name: kind_of(rows, name, as_text) for name in names if name in present}
        fitting = [name for name, kind in kinds.items() if kind != "none" and _fits(canonical, kind)]
        if canonical == "completion":
            fitting = sampled_first(rows, fitting)
        if canonical == "reward":  # texts that are neither verdicts nor numbers come last
            fitting.sort(key=lambda n: kinds[n] in ("text", "texts") and words_of(rows, n) is None)
        if not fitting and canonical in ("completion", "reward"):
            fitting = [name for name, kind in kinds.items() if kind == "none"]  # null in every row
        if fitting:
            paths[canonical] = fitting[0]
    return paths


def _tokens_as_texts(rows: Rows, paths: Mapping[str, str], from_text: bool, name: str) -> Iterator[str]:
    """Say that tokens which are written as texts are not used; refuse a log that has nothing else."""
    if "tokens" in paths:
        return
    texts = [column for column in NAMES["tokens"] if kind_of(rows, column, from_text) == "texts"]
    if not texts:
        return
    if "completion" not in paths:
        raise UsageError(
            f"{name}: {texts[0]} holds tokens as texts, and units are made of ids or of whole texts."
            " Write the ids of the tokens there, or the text of each completion under completion."
        )
    yield f"The column {texts[0]} holds texts, not ids: it is not used, and units are made of {paths['completion']}."


def _fits(canonical: str, kind: str) -> bool:
    """Can a column of this kind be meant?"""
    if canonical in LISTS:
        return kind in ("ints", "bools", "floats", "lists", "empty", "mixed")
    if canonical in LABELS:
        return kind in ("int", "text")
    if canonical == "completion":
        return kind not in ("int", "float", "bool", "object", "objects")
    if canonical == "prompt":
        return kind in ("text", "texts", "ints", "lists", "chat", "mixed", "empty", "none")
    return kind not in ("object", "objects")


def _check_complete(plan: Plan, rows: Rows, keyed: Rows, name: str) -> None:
    """Refuse a log without completions, rewards or groups (by the columns of `keyed`), with all that it lacks."""
    guesses: dict[str, str | None] = {}
    unit = plan.paths.get("tokens") or plan.paths.get("completion")
    if unit is None:
        guesses["completion"] = unit = perhaps_completion(rows, plan.from_text)
    if not plan.reward_weights and not {"reward", "advantage"} & plan.paths.keys():
        guesses["reward"] = perhaps_reward(rows, plan.from_text, unit or "")
    parts = parts_of(rows, plan) if guesses.keys() == {"reward"} else {}
    if parts and guesses["reward"] in (None, *parts.values()):  # another column may be the reward itself
        from ..rewards import without_total

        form = "reading=grpo_prm.ReadOptions(reward={})" if name == NAME else "--reward {}"
        raise UsageError(f"{name}: {without_total(list(parts), form)}")
    # What would tell the groups apart if the guess at the completions is right?
    trial = replace(plan, paths={"completion": unit or "", **plan.paths})
    if not with_key(replace(trial, grouped=_is_grouped(rows, trial)), keyed).by:
        taken = {*(path for c, path in trial.paths.items() if c not in LABELS), *plan.reward_weights, *guesses.values()}
        guesses["group"] = perhaps_group(keyed, plan.from_text, taken)
    if guesses:
        raise refusal(rows, name, guesses, plan.from_text)


def _is_grouped(rows: Rows, plan: Plan) -> bool:
    """Does a row hold a whole group: a list of texts, of chats, or of lists of ids?"""
    # A list under `tokens` is one completion of ids, so a group is a list of lists there.
    kind = kind_of(rows, plan.paths[plan.unit], plan.from_text)
    return kind == "lists" if plan.unit == "tokens" else kind in ("texts", "lists")
