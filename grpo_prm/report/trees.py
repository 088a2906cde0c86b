"""The groups whose text travels with an analysis, as trees: process steps, their texts, and the completions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from ..analysis.table_groups import table_groups
from ..analysis.tables import Tables
from ..analysis.worst_groups import CLEAREST
from ..core.forest import Visits
from ..errors import InputError
from ..logs.rollouts import REWARD_PART
from ..tree.step_text import Cutter, step_texts
from .answers import example_groups
from .cut import cut, fit
from .embed import numbers

STEPS = 24_000  # process steps of all trees; groups beyond are left out, and the page counts them
IDS = 48  # token ids of a step
PROMPT = 4000  # characters of a prompt
_DIGITS = 6
_PLACES = ("parent", "first", "size", "start", "end", "tokens", "unique")
_VALUES = ("reward", "low", "high", "advantage")


def trees(folder: Tables, tokenizer: str | None = None) -> list[dict[str, Any]]:
    """Trees of the groups with samples, those that show the suppressed-good tokens best first.

    Args:
        folder: Of the analysis.
        tokenizer: Of the log, to cut its text exactly (`tree.step_text`).

    Returns:
        For each group: `group`, `kinds` (worst, best, random, finding; example: of a finding that the log does not
        have), `command` (shows it whole), `prompt`, `textFrom`, `tokensFrom`, `completions` (columns, in tree order),
        `steps` (columns, parents before children), `texts` and `ids` (one for each step, None where not known). Texts
        are whole yet: `fitted` cuts them.

    Raises:
        InputError: The samples are not those of the process steps.
        UsageError: The tokenizer cannot be opened.
    """
    ids = folder.samples["group"].unique().implode()
    steps = folder.process_steps.filter(pl.col("group").is_in(ids)).collect()
    completions = folder.completions.filter(pl.col("group").is_in(ids)).collect()
    steps_of, completions_of = (_by_group(table) for table in (steps, completions))
    made, cutter, room, ranked = [], Cutter(tokenizer), STEPS, _ranked(folder)
    # What a finding at the top of the page leads to has the first claim to the room.
    findings = set(example_groups(folder).values())
    wanted = [group for group in example_groups(folder).values() if group in steps_of]
    chosen: set[int] = set()
    for group in dict.fromkeys([*wanted, *ranked]):
        room -= len(steps_of[group])
        if room < 0 and chosen:  # one tree at least, however large
            break
        chosen.add(group)
    for group in (group for group in ranked if group in chosen):
        table = folder.samples.filter(pl.col("group") == group)
        tree = _tree(folder, table, completions_of[group], steps_of[group], cutter)
        # Groups are kept before it is known which findings the log has.
        kinds = ["example" if kind == "finding" and group not in findings else kind for kind in tree["kinds"]]
        made.append(tree | {"kinds": kinds})
    return made


def fitted(trees: Sequence[dict[str, Any]], budget: int) -> list[dict[str, Any]]:
    """The same trees with their texts cut to about `budget` bytes of the page in all (`cut.fit`)."""
    texts = fit([text for tree in trees for text in tree["texts"]], budget)
    cuts = np.cumsum([0, *(len(tree["texts"]) for tree in trees)]).tolist()
    return [{**tree, "texts": texts[cuts[n] : cuts[n + 1]]} for n, tree in enumerate(trees)]


def _by_group(table: pl.DataFrame) -> dict[int, pl.DataFrame]:
    return {group: part for (group,), part in table.group_by("group", maintain_order=True)}


def _ranked(folder: Tables) -> list[int]:
    sampled = folder.groups.filter(pl.col("group").is_in(folder.samples["group"].unique().implode()))
    return sampled.sort(CLEAREST, descending=True, maintain_order=True, nulls_last=True)["group"].to_list()


def _tree(
    folder: Tables, table: pl.DataFrame, completions: pl.DataFrame, steps: pl.DataFrame, cutter: Cutter
) -> dict[str, Any]:
    table = table.join(completions.select("sample", "tree_rank", "loss_tokens", used="advantage"), on="sample")
    table = table.sort("tree_rank")
    groups = table_groups(table, None)
    forest = groups.forest
    places = {name: getattr(forest, name) for name in ("first", "size", "start", "end")}
    if not all(np.array_equal(steps[name].to_numpy(), place) for name, place in places.items()):
        raise InputError(
            f"{folder.path or 'analysis'}: samples.parquet is not of the analysis that process_steps.parquet is of. "
            "Write the folder again with grpo-prm analyze."
        )
    texts = step_texts(table, groups, cutter)
    head = table.row(0, named=True)
    has_ids = head["tokens_from"] != "pieces"
    return {
        "group": head["group"],
        "kinds": head["kind"],
        "command": _command(folder, head),
        "prompt": None if head["prompt"] is None else cut(head["prompt"], PROMPT),
        "textFrom": texts.text_from,
        "tokensFrom": head["tokens_from"],
        "completions": {
            "sample": table["sample"].to_list(),
            "reward": numbers(table["reward"], _DIGITS),
            "advantage": numbers(table["used"], _DIGITS),
            "tokens": table["loss_tokens"].to_list(),
            "truncated": table["truncated"].to_list(),
            "parts": _parts(table),
        },
        "steps": {name: steps[name].to_list() for name in _PLACES}
        | {name: numbers(steps[name], _DIGITS) for name in _VALUES}
        | {"opposed": _opposed(table, steps, groups.seen)},
        "texts": texts.text,
        "ids": _ids(table, steps) if has_ids else None,
    }


def _opposed(table: pl.DataFrame, steps: pl.DataFrame, seen: Visits) -> list[int]:
    """Members of each step whose advantage has the other sign than the step's, with a token of it in the loss.

    Both are 0 where they are within the tolerance (definitions: Tolerance). Of a step with A < 0 these members hold its
    suppressed-good tokens, of one with A > 0 its boosted-bad ones.
    """
    own, step = (frame.fill_null(0.0).to_numpy() for frame in (table["used"], steps["advantage"]))
    other = (own[seen.row] * step[seen.step] < 0) & (seen.tokens > 0)
    return np.bincount(seen.step, other, len(step)).astype(int).tolist()


def _parts(table: pl.DataFrame) -> dict[str, list[float | int | None]]:
    """Named parts of the reward, those that the group has."""
    names = [name for name in table.columns if name.startswith(REWARD_PART) and table[name].count()]
    return {name.removeprefix(REWARD_PART): numbers(table[name], _DIGITS) for name in names}


def _ids(table: pl.DataFrame, steps: pl.DataFrame) -> list[list[int]]:
    """The first ids of each step."""
    tokens = table["tokens"]
    spans = steps.select("first", "start", pl.min_horizontal("end", pl.col("start") + IDS)).iter_rows()
    return [tokens[row][start:end].to_list() for row, start, end in spans]


def _command(folder: Tables, head: dict[str, Any]) -> str:
    step = "-" if head["step"] is None else head["step"]
    run = f"{head['run']}:" if len(folder.summary["source"]["runs"]) > 1 else ""
    name = f"{run}{step}:{head['group_key']}"
    if folder.path is None:  # nothing that a command could read
        return f"analysis.tree({name!r})"
    return shlex.join(["grpo-prm", "tree", str(folder.path), "--group", name, "--full"])
