"""One group as a tree that can be read: a row for each process step, with its text, size, reward and advantage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import polars as pl

from ..analysis.options import Options
from ..analysis.table_groups import SLICE, advantages_of, slices, table_groups, with_rewards
from ..core.defects import boosted_bad, suppressed_good
from ..core.examples import clarity
from ..core.forest import Forest, Ints, add_up, depths, members
from ..core.groups import Groups
from ..core.prm import Std
from ..errors import UsageError
from ..logs.rollouts import Rollouts
from ..text.printable import printable
from .mixed import mixed_prompts
from .step_text import Cutter, StepTexts, step_texts

NAMED = 5000  # names of groups kept to suggest one from


def group_tree(
    table: pl.DataFrame,
    std: Std = "sample",
    advantage: Literal["computed", "logged"] = "computed",
    tokenizer: str | Cutter | None = None,
) -> dict[str, Any]:
    """Describe one group, ready for JSON.

    Args:
        table: Canonical rollouts of one group.
        std: Divisor of the advantage, `sample`, `population` or `none`.
        advantage: `computed` from the rewards, or as `logged`; without rewards always logged.
        tokenizer: Of the log, to cut its text exactly; a `Cutter` keeps it open from group to group.

    Returns:
        run, step, group_key, prompt, mixed_prompts (`mixed.mixed_prompts`), k, unit, tokens_from, text_from,
        reward_mean, reward_std (sample; null where a reward is), zero_variance, advantage_from, good_tokens,
        suppressed_good_tokens, and `steps`: `tree_rows`.
    """
    groups = _measured(table, std, advantage)
    known = groups.given is not None
    cutter = tokenizer if isinstance(tokenizer, Cutter) else Cutter(tokenizer)
    texts = step_texts(table, groups, cutter)
    head = table.row(0, named=True)
    suppressed, good = _suppressed(groups) if known else (None, None)
    return {
        **{name: head[name] for name in ("run", "step", "group_key", "prompt")},
        "mixed_prompts": mixed_prompts(table),
        "k": len(table),
        "unit": "piece" if head["tokens_from"] == "pieces" else "token",
        "tokens_from": head["tokens_from"],
        "text_from": texts.text_from,
        "reward_mean": table["reward"].mean() if groups.rewards is not None else None,
        "reward_std": table["reward"].std() if groups.rewards is not None else None,
        "zero_variance": known and bool(groups.zero[0]),
        "advantage_from": ("logged" if groups.logged else "computed") if known else None,
        "good_tokens": None if good is None else int(good[0]),
        "suppressed_good_tokens": None if suppressed is None else int(suppressed[0]),
        "steps": tree_rows(table, groups, texts),
    }


def tree_rows(table: pl.DataFrame, groups: Groups, texts: StepTexts) -> list[dict[str, Any]]:
    """One row for each process step, parents before children.

    Returns:
        parent (index of a row, -1), depth, kind (`root`, `intermediate`, `terminal`), size, start, end, loss_tokens (of
        all members), text (of the first member), texts (of every member, in the order of samples, where they differ:
        `step_text.StepTexts`), ids (only without text), reward R(λ), advantage A(λ), sign (of A beyond the tolerance),
        samples, ends (the completions that end here: sample, reward, advantage, truncated), suppressed_good_tokens and
        boosted_bad_tokens. What the log does not say is None.
    """
    forest, seen = groups.forest, groups.seen
    number, k = len(forest.size), len(table)
    nothing = [None] * number
    of_size = np.select([forest.size == k, forest.size > 1], ["root", "intermediate"], "terminal")
    columns: dict[str, list[Any]] = {
        "parent": forest.parent.tolist(),
        "depth": depths(forest).tolist(),
        "kind": of_size.tolist(),
        "size": forest.size.tolist(),
        "start": forest.start.tolist(),
        "end": forest.end.tolist(),
        "loss_tokens": add_up(seen.step, seen.tokens, number).astype(int).tolist(),
        "text": texts.text,
        "texts": _own(table, texts, number),
        "ids": _ids(table, forest, texts.text),
        "reward": nothing if groups.rewards is None else groups.set_rewards.tolist(),
        "advantage": nothing,
        "sign": nothing,
        "samples": _samples(table, forest),
        "ends": _ends(table, groups),
        "suppressed_good_tokens": nothing,
        "boosted_bad_tokens": nothing,
    }
    if groups.given is not None:
        columns["advantage"] = groups.set_advantages.tolist()
        columns["sign"] = np.sign(groups.set_advantages).astype(int).tolist()  # exactly 0 within the tolerance
        for name, pairs in (("suppressed_good", suppressed_good(groups)), ("boosted_bad", boosted_bad(groups))):
            columns[f"{name}_tokens"] = add_up(seen.step, seen.tokens * pairs, number).astype(int).tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def find_groups(batches: Iterable[Rollouts], names: Sequence[str]) -> list[pl.DataFrame]:
    """Collect the groups called `[RUN:]STEP:KEY`, in the order of `names`.

    A name is several groups if runs share it or a prompt was drawn more than once. A step that the log does not know
    is written `-`, or left out. Reads to the end, since a step may come back.

    Raises:
        UsageError: No group has one of the names; the message names near ones.
    """
    step, spellings = _spellings()
    by_name: dict[str, list[pl.DataFrame]] = {name: [] for name in names}
    known: dict[str, None] = {}
    for batch in batches:
        for name, groups in by_name.items():
            rows = batch.table.filter(spellings.list.contains(name))
            groups += rows.partition_by("group", maintain_order=True) if len(rows) else []
        if len(known) < NAMED:
            known |= dict.fromkeys(batch.table.select(step.unique(maintain_order=True)).to_series())
    for name, groups in by_name.items():
        if not groups:
            near = get_close_matches(name, known, cutoff=0.5) or list(known)[:3]
            near = ", ".join(map(printable, near))
            raise UsageError(f"No group is called {printable(name)}. Write [RUN:]STEP:KEY; near it: {near}.")
    return [group for groups in by_name.values() for group in groups]


def named(names: Sequence[str]) -> pl.Expr:
    """Whether a row is of a group with one of these names, as `find_groups` reads them."""
    return pl.any_horizontal(_spellings()[1].list.contains(name) for name in names)


def _spellings() -> tuple[pl.Expr, pl.Expr]:
    """STEP:KEY of a row; and a list of all its names."""
    step = pl.col("step").cast(pl.String).fill_null("-") + ":" + pl.col("group_key")
    bare = pl.when(pl.col("step").is_null()).then("group_key").otherwise(step)
    return step, pl.concat_list(step, pl.col("run") + ":" + step, bare)


def worst_groups(
    batches: Iterable[Rollouts],
    count: int,
    std: Std = "sample",
    advantage: Literal["computed", "logged"] = "computed",
) -> list[pl.DataFrame]:
    """Collect the `count` groups that show their suppressed-good tokens best, in memory that follows a step.

    The clearest comes first (`clarity`), among equals the one with more such tokens, then the first of the log. Groups
    without such tokens are not among them.
    """
    worst: list[tuple[float, int, int, pl.DataFrame]] = []
    order = 0
    for batch in batches:
        table = _with_advantages(batch.table.filter(pl.len().over("group") > 1), advantage)
        given = advantages_of(table, Options(std, advantage))
        for begin, end in slices(table, SLICE):
            part = table[begin:end]
            groups = table_groups(part, given.at(slice(begin, end)))
            found = clarity(groups).tolist(), _suppressed(groups)[0].tolist(), part.partition_by("group")
            for clear, suppressed, group in zip(*found, strict=True):
                order += 1
                if suppressed > 0:
                    worst.append((-clear, -suppressed, order, group))
        worst = sorted(worst, key=lambda entry: entry[:3])[:count]
    return [group for *_, group in worst]


def _with_advantages(table: pl.DataFrame, advantage: Literal["computed", "logged"]) -> pl.DataFrame:
    """The groups whose advantages can be computed, or else are logged."""
    missing = table["advantage"].is_null().to_numpy()
    if advantage == "computed":
        missing &= ~with_rewards(table)
    flagged = table.with_columns(_missing=pl.Series(missing, dtype=pl.Boolean))
    return flagged.filter(~pl.col("_missing").any().over("group")).drop("_missing")


def _measured(table: pl.DataFrame, std: Std, advantage: Literal["computed", "logged"]) -> Groups:
    """The groups of a table; `given` is None where their advantages are neither logged nor can be computed."""
    logged = advantage == "logged" or table["reward"].null_count() > 0
    if logged and table["advantage"].null_count():
        return table_groups(table, None)
    return table_groups(table, advantages_of(table, Options(std, advantage)))


def _suppressed(groups: Groups) -> tuple[Ints, Ints]:
    """Suppressed-good tokens of each group, and tokens of its above-mean completions, shape (groups,) each."""
    seen = groups.seen
    suppressed = np.bincount(groups.groups[seen.row], seen.tokens * suppressed_good(groups), groups.number)
    good = np.bincount(groups.groups, seen.completion * groups.sign.good, groups.number)
    return suppressed.astype(np.int64), good.astype(np.int64)


def _samples(table: pl.DataFrame, forest: Forest) -> list[list[int]]:
    """The members of each step, by their index in the group."""
    sample = table["sample"].to_numpy()[forest.order]
    spans = zip(forest.first.tolist(), forest.size.tolist(), strict=True)
    return [sorted(sample[first : first + size].tolist()) for first, size in spans]


def _ids(table: pl.DataFrame, forest: Forest, texts: list[str | None]) -> list[list[int] | None]:
    """The token ids of each step without a text."""
    tokens = table["tokens"]
    leaders = forest.order[forest.first].tolist()
    spans = zip(leaders, forest.start.tolist(), forest.end.tolist(), texts, strict=True)
    return [tokens[row][start:end].to_list() if text is None else None for row, start, end, text in spans]


def _own(table: pl.DataFrame, texts: StepTexts, number: int) -> list[list[str | None] | None]:
    """The texts of the members of each step in the order of `_samples`, None where all have the same."""
    sample = table["sample"].to_list()
    own: list[list[str | None] | None] = [None] * number
    for step, by_row in texts.own.items():
        own[step] = [by_row[row] for row in sorted(by_row, key=sample.__getitem__)]
    return own


def _ends(table: pl.DataFrame, groups: Groups) -> list[list[dict[str, Any]]]:
    """The completions that end with each step: the last step on their path."""
    steps, rows = members(groups.forest)
    last = np.full(len(table), -1)
    np.maximum.at(last, rows, steps)  # steps ascend along a path
    advantages = [None] * len(table) if groups.given is None else groups.advantages.tolist()
    facts = table.select("sample", "reward", "truncated").with_columns(
        advantage=pl.Series(advantages, dtype=pl.Float64)
    )
    ends: list[list[dict[str, Any]]] = [[] for _ in groups.forest.size]
    for step, fact in zip(last.tolist(), facts.to_dicts(), strict=True):
        ends[step].append(fact)
    return ends
