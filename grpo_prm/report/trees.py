"""The groups whose text travels with an analysis, as trees: process steps, their texts, and the completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..analysis.table_groups import table_groups
from ..analysis.tables import Tables
from ..analysis.worst_groups import CLEAREST
from ..core.forest import Visits
from ..errors import InputError
from ..logs.rollouts import REWARD_PART
from ..tree.mixed import mixed_prompts
from ..tree.step_text import Cutter, step_texts
from .answers import example_groups
from .commands import tree_of_kept
from .cut import cut
from .embed import numbers
from .token_values import VALUES, token_values

IDS = 48  # token ids of a step, of logs that have no room for all
ALL_IDS = 500_000  # tokens of all groups with text, up to which all ids travel
PROMPT = 20_000  # characters of a prompt
BATCH = 1 << 22  # tokens of the groups that are read at a time
_DIGITS = 6
LOGGED = ("run", "step", "group", "group_key", "problem", "task", "run_from")  # saved with each completion as they are
_EXACT = 17  # as the log has them, since rollouts can be saved from the page
_PLACES = ("parent", "first", "size", "start", "end", "tokens", "unique")
_VALUES = {"reward": "reward", "low": "low", "high": "high", "advantage": "advantage", "local": "local_advantage"}


class Kept(NamedTuple):
    """The groups whose text the analysis kept.

    Attributes:
        order: Those that samples.parquet names, then all others; each the clearest first, but those that a finding
            leads to before all.
        opens: The group that a page opens with: of those in samples.parquet the clearest; None without any.
    """

    order: list[int]
    opens: int | None


def groups_with_text(folder: Tables) -> Kept:
    """The groups that a page can have as trees, in the order in which they get its room."""
    named = set(folder.samples["group"].unique().to_list())
    others = set(folder.texts.select(pl.col("group").unique()).collect()["group"])
    ranked = _clearest_first(folder)
    examples = [group for group in example_groups(folder).values() if group in named]
    chosen = [group for group in ranked if group in named]
    # A group can be in several of the three; its first place counts.
    order = list(dict.fromkeys([*examples, *chosen, *(group for group in ranked if group in others)]))
    return Kept(order, next(iter(chosen), None))


def _clearest_first(folder: Tables) -> list[int]:
    columns = folder.lazy_groups.select("group", *CLEAREST).collect()
    return columns.sort(CLEAREST, descending=True, maintain_order=True, nulls_last=True)["group"].to_list()


def trees(folder: Tables, groups: Sequence[int], tokenizer: str | None = None) -> Iterator[dict[str, Any]]:
    """Trees of groups with text, one after the other: what is not asked for is not made.

    Args:
        folder: Of the analysis.
        groups: Some of `groups_with_text`.
        tokenizer: Of the log, to cut its text exactly (`tree.step_text`).

    Yields:
        For each group: `group`; `kinds` (worst, best, random, finding; example: of a finding that the log does not
        have; none of a group that is there because there was room); `row` (its names, as in the log); `command` (shows
        it whole); `prompt`; `prompts` (how many the group mixes, None: one); `textFrom`; `tokensFrom`; `completions`
        (columns, in tree order; `advantage` as used, `logged` as in the log); `tokens` (`token_values`); `masks` (of
        each completion the lengths of its stretches in the loss and out of it, by turns; None: all in the loss); `own`
        (row of a completion to its text, where those of its steps put together are another); `steps` (columns, parents
        before children); `texts` and `ids` (one for each step, None where not known). Texts are as the log has them,
        and whole.

    Raises:
        InputError: The samples are not those of the process steps.
        UsageError: The tokenizer cannot be opened.
    """
    cutter, findings = Cutter(tokenizer), set(example_groups(folder).values())
    tokens = dict(folder.lazy_groups.select("group", "tokens").collect().iter_rows())
    room = VALUES
    ids = None if sum(tokens[group] for group in groups) <= ALL_IDS else IDS
    for batch in _batches(groups, tokens):
        rows, steps, completions = _read(folder, batch)
        for group in batch:
            tree = _tree(folder, rows[group], completions[group], steps[group], cutter, room)
            # A group without room for its log-probabilities leaves the room to a smaller one after it.
            room -= 0 if tree["tokens"]["left"] else tokens[group]
            # Groups are kept before it is known which findings the log has.
            kinds = ["example" if kind == "finding" and group not in findings else kind for kind in tree["kinds"]]
            shown = tree["ids"] and [some[:ids] for some in tree["ids"]]
            yield tree | {"kinds": kinds, "ids": shown}


def _batches(groups: Sequence[int], tokens: dict[int, int]) -> Iterator[list[int]]:
    """The groups in batches of `BATCH` tokens: what a long log keeps is never in memory at once."""
    batch: list[int] = []
    held = 0
    for group in groups:
        batch.append(group)
        held += tokens[group]
        if held >= BATCH:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _read(folder: Tables, groups: Sequence[int]) -> tuple[_ByGroup, _ByGroup, _ByGroup]:
    """Rollouts, process steps and completions of some groups."""
    some = pl.col("group").is_in(list(groups))
    rows = _by_group(folder.samples.filter(some))
    # texts.parquet is large and lazy: it is opened only for groups that the samples do not have.
    if len(rows) < len(groups):
        further = folder.texts.filter(some & ~pl.col("group").is_in(list(rows))).collect()
        rows |= _by_group(further.with_columns(kind=pl.lit([], pl.List(pl.String))))
    steps, completions = (table.filter(some).collect() for table in (folder.process_steps, folder.completions))
    return rows, _by_group(steps), _by_group(completions)


_ByGroup = dict[int, pl.DataFrame]


def _by_group(table: pl.DataFrame) -> _ByGroup:
    return {group: part for (group,), part in table.group_by("group", maintain_order=True)}


def _tree(
    folder: Tables, table: pl.DataFrame, completions: pl.DataFrame, steps: pl.DataFrame, cutter: Cutter, room: int
) -> dict[str, Any]:
    # In tree order the members of a step are neighbours: the page finds them by `first` and `size` alone.
    table = table.join(completions.select("sample", "tree_rank", "loss_tokens", used="advantage"), on="sample")
    table = table.sort("tree_rank")
    groups = table_groups(table, None)
    forest = groups.forest
    # The tree is built anew of the rollouts, but its numbers come from the analysis: both must be of the same log.
    places = {name: getattr(forest, name) for name in ("first", "size", "start", "end")}
    if not all(np.array_equal(steps[name].to_numpy(), place) for name, place in places.items()):
        raise InputError(
            f"{folder.path or 'analysis'}: samples.parquet is not of the analysis that process_steps.parquet is of. "
            "Write the folder again with grpo-prm analyze."
        )
    texts = step_texts(table, groups, cutter)
    head = table.row(0, named=True)
    has_ids = head["tokens_from"] != "pieces"  # ids of pieces are numbers of ours, which tell a reader nothing
    return {
        "group": head["group"],
        "kinds": head["kind"],
        "row": {name: head[name] for name in LOGGED},
        "command": tree_of_kept(folder, head),
        "prompt": None if head["prompt"] is None else cut(head["prompt"], PROMPT),
        "prompts": None if (mixed := mixed_prompts(table)) is None else len(mixed["each"]),
        "textFrom": texts.text_from,
        "tokensFrom": head["tokens_from"],
        "completions": {
            "sample": table["sample"].to_list(),
            "reward": numbers(table["reward"], _EXACT),
            "advantage": numbers(table["used"], _DIGITS),
            "tokens": table["loss_tokens"].to_list(),
            "truncated": table["truncated"].to_list(),
            "logged": numbers(table["advantage"], _EXACT) if table["advantage"].count() else None,
            "parts": _parts(table),
        },
        "tokens": token_values(table, groups, texts, cutter, room),
        "masks": [_runs(mask) for mask in table["mask"]] if table["mask"].count() else None,
        "own": _own(table, steps, texts.text),
        "steps": {name: steps[name].to_list() for name in _PLACES}
        | {name: numbers(steps[column], _DIGITS) for name, column in _VALUES.items()}
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
    return {name.removeprefix(REWARD_PART): numbers(table[name], _EXACT) for name in names}


def _own(table: pl.DataFrame, steps: pl.DataFrame, texts: Sequence[str | None]) -> dict[str, str | None]:
    """Completions that are not the texts of their steps put together: steps may end inside a character."""
    parts: list[list[str]] = [[] for _ in range(len(table))]
    for first, size, text in zip(steps["first"], steps["size"], texts, strict=True):
        for row in range(first, first + size):
            parts[row].append(text or "")
    whole = enumerate(zip(table["completion"], parts, strict=True))
    return {str(row): text for row, (text, some) in whole if text != "".join(some)}


def _runs(mask: pl.Series | None) -> list[int] | None:
    """How many tokens are in the loss, then out of it, and so on by turns."""
    if mask is None:
        return None
    inside = mask.to_numpy()
    # A true before the first and a change after the last, so that the first length is of the loss, be it 0.
    turns = np.flatnonzero(np.diff(inside, prepend=True, append=~inside[-1:] if len(inside) else True))
    return np.diff(turns, prepend=0).tolist()


def _ids(table: pl.DataFrame, steps: pl.DataFrame) -> list[list[int]]:
    tokens = table["tokens"].to_list()
    # All members have the same ids there, so those of the first stand for the step.
    spans = steps.select("first", "start", "end").iter_rows()
    return [tokens[row][start:end] for row, start, end in spans]
