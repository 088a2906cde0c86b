"""One group as a tree that can be read: a row for each process step, with its text, size, reward and advantage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl

from ..core.forest import Floats, Forest, Visits, build_forest, members, visits
from ..core.prm import Signs, Std, group_advantages, signs, step_means, zero_tolerance, zero_variance
from ..errors import UsageError
from ..logs.rollouts import Rollouts, flatten
from ..text.printable import printable
from .step_text import Cutter, StepTexts, step_texts

NAMED = 5000  # names of groups kept to suggest one from


class _Measured(NamedTuple):
    """Groups with the signs of their advantages; `advantages` None where the log has neither rewards nor advantages."""

    forest: Forest
    seen: Visits
    groups: np.ndarray
    advantages: Floats | None
    sign: Signs | None
    origin: str | None


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
        run, step, group_key, prompt, k, unit, tokens_from, text_from, reward_mean, reward_std (sample; null where a
        reward is), zero_variance, advantage_from, good_tokens, suppressed_good_tokens, and `steps`: `tree_rows`.
    """
    part = _measure(table, std, advantage)
    cutter = tokenizer if isinstance(tokenizer, Cutter) else Cutter(tokenizer)
    texts = step_texts(table, part.forest, cutter)
    steps = tree_rows(table, part, texts)
    known = not table["reward"].null_count()
    head = table.row(0, named=True)
    sums = _suppressed(part)
    return {
        **{name: head[name] for name in ("run", "step", "group_key", "prompt")},
        "k": len(table),
        "unit": "piece" if head["tokens_from"] == "pieces" else "token",
        "tokens_from": head["tokens_from"],
        "text_from": texts.text_from,
        "reward_mean": table["reward"].mean() if known else None,
        "reward_std": table["reward"].std() if known else None,
        "zero_variance": bool(part.advantages is not None and not part.advantages.any()),
        "advantage_from": part.origin,
        "good_tokens": sums[0][1] if sums else None,
        "suppressed_good_tokens": sums[0][0] if sums else None,
        "steps": steps,
    }


def tree_rows(table: pl.DataFrame, part: _Measured, texts: StepTexts) -> list[dict[str, Any]]:
    """One row for each process step, parents before children.

    Returns:
        parent (index of a row, -1), depth, kind (`root`, `intermediate`, `terminal`), size, start, end, loss_tokens (of
        all members), text (of the first member), texts (of every member, in the order of samples, where they differ:
        `step_text.StepTexts`), ids (only without text), reward R(λ), advantage A(λ), sign (of A beyond the tolerance),
        samples, ends (the completions that end here: sample, reward, advantage, truncated), suppressed_good_tokens and
        boosted_bad_tokens. What the log does not say is None.
    """
    forest, seen, sign = part.forest, part.seen, part.sign
    number, k = len(forest.size), len(table)
    rewards = None if table["reward"].null_count() else step_means(forest, table["reward"].to_numpy())
    means = None if part.advantages is None else step_means(forest, part.advantages)
    loss = np.bincount(seen.step, seen.tokens, number).astype(int).tolist()
    lowered = raised = [None] * number
    if sign is not None:
        lowered = np.bincount(seen.step, seen.tokens * (sign.good[seen.row] & sign.lowered[seen.step]), number)
        raised = np.bincount(seen.step, seen.tokens * (sign.bad[seen.row] & sign.raised[seen.step]), number)
        lowered, raised = lowered.astype(int).tolist(), raised.astype(int).tolist()
    samples, ends = _samples(table, forest), _ends(table, part)
    own = _own(table, texts, number)
    depth: list[int] = []
    rows = []
    for n, (parent, size, start, end) in enumerate(
        zip(forest.parent.tolist(), forest.size.tolist(), forest.start.tolist(), forest.end.tolist(), strict=True)
    ):
        depth.append(0 if parent < 0 else depth[parent] + 1)
        leader = int(forest.order[forest.first[n]])
        rows.append(
            {
                "parent": parent,
                "depth": depth[n],
                "kind": "root" if size == k else "intermediate" if size > 1 else "terminal",
                "size": size,
                "start": start,
                "end": end,
                "loss_tokens": loss[n],
                "text": texts.text[n],
                "texts": own[n],
                "ids": table["tokens"][leader][start:end].to_list() if texts.text[n] is None else None,
                "reward": None if rewards is None else float(rewards[n]),
                "advantage": None if means is None else float(means[n]),
                "sign": None if sign is None else int(sign.raised[n]) - int(sign.lowered[n]),
                "samples": samples[n],
                "ends": ends[n],
                "suppressed_good_tokens": lowered[n],
                "boosted_bad_tokens": raised[n],
            }
        )
    return rows


def find_groups(batches: Iterable[Rollouts], names: Sequence[str]) -> list[pl.DataFrame]:
    """Collect the groups called `[RUN:]STEP:KEY`, in the order of `names`.

    A name is several groups if runs share it or a prompt was drawn more than once. A step that the log does not know
    is written `-`, or left out. Reads to the end, since a step may come back.

    Raises:
        UsageError: No group has one of the names; the message names near ones.
    """
    step = pl.col("step").cast(pl.String).fill_null("-") + ":" + pl.col("group_key")
    bare = pl.when(pl.col("step").is_null()).then("group_key").otherwise(step)
    spellings = pl.concat_list(step, pl.col("run") + ":" + step, bare)
    found: dict[str, list[pl.DataFrame]] = {name: [] for name in names}
    known: dict[str, None] = {}
    for batch in batches:
        for name, groups in found.items():
            hit = batch.table.filter(spellings.list.contains(name))
            groups += hit.partition_by("group", maintain_order=True) if len(hit) else []
        if len(known) < NAMED:
            known |= dict.fromkeys(batch.table.select(step.unique(maintain_order=True)).to_series())
    for name, groups in found.items():
        if not groups:
            near = get_close_matches(name, known, cutoff=0.5) or list(known)[:3]
            near = ", ".join(map(printable, near))
            raise UsageError(f"No group is called {printable(name)}. Write [RUN:]STEP:KEY; near it: {near}.")
    return [group for groups in found.values() for group in groups]


def worst_groups(
    batches: Iterable[Rollouts],
    count: int,
    std: Std = "sample",
    advantage: Literal["computed", "logged"] = "computed",
) -> list[pl.DataFrame]:
    """Collect the `count` groups with the most suppressed-good tokens, the worst first, in memory that follows a step.

    Groups without such tokens are not among them.
    """
    worst: list[tuple[int, int, pl.DataFrame]] = []
    order = 0
    for batch in batches:
        table = batch.table.filter(pl.len().over("group") > 1)
        if table.is_empty():
            continue
        sums = _suppressed(_measure(table, std, advantage)) or []
        groups = table.partition_by("group", maintain_order=True)
        for (suppressed, _), group in zip(sums, groups, strict=False):
            order += 1
            if suppressed > 0:
                worst.append((-suppressed, order, group))
        worst = sorted(worst, key=lambda entry: entry[:2])[:count]
    return [group for _, _, group in worst]


def _measure(table: pl.DataFrame, std: Std, advantage: Literal["computed", "logged"]) -> _Measured:
    flat = flatten(table)
    groups = np.cumsum(np.diff(flat.groups, prepend=flat.groups[:1]) != 0)
    forest = build_forest(flat.tokens, flat.lengths, groups)
    seen = visits(forest, flat.mask)
    logged = advantage == "logged" or table["reward"].null_count() > 0
    if logged and table["advantage"].null_count():
        return _Measured(forest, seen, groups, None, None, None)
    rewards = table["reward"].to_numpy()
    advantages = table["advantage"].to_numpy() if logged else group_advantages(rewards, groups, std)
    zero = zero_variance(advantages if table["reward"].null_count() else rewards, groups)
    advantages = np.where(zero[groups], 0.0, advantages)
    tolerance = zero_tolerance(advantages, groups, logged=logged)
    sign = signs(forest, advantages, step_means(forest, advantages), tolerance, groups)
    return _Measured(forest, seen, groups, advantages, sign, "logged" if logged else "computed")


def _suppressed(part: _Measured) -> list[tuple[int, int]] | None:
    """Suppressed-good tokens of each group, and tokens of its above-mean completions."""
    if part.sign is None:
        return None
    seen, sign = part.seen, part.sign
    held = seen.tokens * (sign.good[seen.row] & sign.lowered[seen.step])
    number = int(part.groups[-1]) + 1
    suppressed = np.bincount(part.groups[seen.row], held, number).astype(int)
    good = np.bincount(part.groups, seen.completion * sign.good, number).astype(int)
    return list(zip(suppressed.tolist(), good.tolist(), strict=True))


def _samples(table: pl.DataFrame, forest: Forest) -> list[list[int]]:
    """The members of each step, by their index in the group."""
    sample = table["sample"].to_numpy()[forest.order]
    spans = zip(forest.first.tolist(), forest.size.tolist(), strict=True)
    return [sorted(sample[first : first + size].tolist()) for first, size in spans]


def _own(table: pl.DataFrame, texts: StepTexts, number: int) -> list[list[str | None] | None]:
    """The texts of the members of each step in the order of `_samples`, None where all have the same."""
    sample = table["sample"].to_list()
    own: list[list[str | None] | None] = [None] * number
    for step, by_row in texts.own.items():
        own[step] = [by_row[row] for row in sorted(by_row, key=sample.__getitem__)]
    return own


def _ends(table: pl.DataFrame, part: _Measured) -> list[list[dict[str, Any]]]:
    """The completions that end with each step: the last step on their path."""
    steps, rows = members(part.forest)
    last = np.full(len(table), -1)
    np.maximum.at(last, rows, steps)  # steps ascend along a path
    advantages = [None] * len(table) if part.advantages is None else part.advantages.tolist()
    facts = table.select("sample", "reward", "truncated").with_columns(
        advantage=pl.Series(advantages, dtype=pl.Float64)
    )
    ends: list[list[dict[str, Any]]] = [[] for _ in part.forest.size]
    for step, fact in zip(last.tolist(), facts.to_dicts(), strict=True):
        ends[step].append(fact)
    return ends
