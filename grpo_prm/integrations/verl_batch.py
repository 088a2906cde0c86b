"""A batch of verl as groups: the λ weight of every token, the figures that verl logs, and the table that is recorded.

verl balances its batch over ranks, so the rows of a group stand anywhere in it. A group is what was sampled for one
draw of a prompt: rows with the same uid and the same prompt ids. An agent loop that gives several outputs for one
rollout continues each from a prompt of its own, and such a group may have a single row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..analysis.divisor import fitting
from ..analysis.group_sums import group_sums, metric_names, statistics_of
from ..core.forest import Floats
from ..core.groups import Groups
from ..core.prm import Std
from ..core.weights import scale_sums
from ..logs.recording import recorded_table
from .rows import only_value

LambdaKind = Literal["process-set", "parent", "position", "scale-matched"]
PER_ROW_MEAN = "seq-mean-token-mean"  # the one aggregation of verl that divides by the tokens of a row
Rows = list[NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Batch:
    """The rows that were sampled; verl's synthetic padding rows are none of them.

    Attributes:
        keys: "{uid}_{session}_{output}", `as_sampled`, whatever order verl balanced them into.
        uids: verl's name of one draw of a prompt.
        prompts: Token ids of each prompt, int64.
        responses: Token ids of each response, int64.
        masks: True where a token is in the loss, after rollout correction rejected what it rejects.
        rewards: The outcome reward of each row, shape (rows,), float64.
        advantages: As verl computed them, one value a token, float32.
        logprobs: By name what verl kept of `rollout_log_probs`, `old_log_probs` and `ref_log_prob`.
        parts: Numbers that the reward function gave beside the reward, by name, one a row; None where it gave none.
    """

    keys: list[str]
    uids: list[str]
    prompts: Rows
    responses: Rows
    masks: Rows
    rewards: NDArray[np.float64]
    advantages: Rows
    logprobs: dict[str, Rows] = field(default_factory=dict)
    parts: dict[str, list[float | None]] = field(default_factory=dict)

    @cached_property
    def group_keys(self) -> list[str]:
        """The group of each row: its uid, and `uid/1`, `uid/2`, ... for further prompts under one uid."""
        prompts: dict[str, dict[bytes, int]] = {}
        keys = []
        for uid, prompt in zip(self.uids, self.prompts, strict=True):
            under = prompts.setdefault(uid, {})
            number = under.setdefault(prompt.tobytes(), len(under))
            keys.append(f"{uid}/{number}" if number else uid)
        return keys

    @cached_property
    def groups(self) -> Groups:
        """All rows as groups; their advantages are computed from the rewards, as `analyze` does."""
        return Groups.of(self.responses, self.rewards, self.group_keys, self.masks)

    def advantage_of_rows(self) -> list[float | None]:
        """The one advantage of each row; None where no token is in the loss, or its tokens have several."""
        return [only_value(values[mask]) for values, mask in zip(self.advantages, self.masks, strict=True)]


def as_sampled(keys: Sequence[str]) -> list[str]:
    """Keys "{uid}_{session}_{output}" by rollout and output under each uid; uids in the order in which they come."""
    split = {key: key.rsplit("_", 2) for key in keys}
    first = {uid: n for n, (uid, _, _) in reversed(list(enumerate(split.values())))}
    place = {key: (first[uid], int(rollout), int(output)) for key, (uid, rollout, output) in split.items()}
    return sorted(keys, key=place.__getitem__)


def token_weights(batch: Batch, power: float, kind: LambdaKind, aggregation: str) -> Rows:
    """The factor of each response token's loss term (definitions: λ-GRPO; parent weights; Controls).

    Args:
        batch: The whole batch, so that groups are whole.
        power: p >= 0.
        kind: `process-set`, `parent`, `position` or `scale-matched`.
        aggregation: verl's `loss_agg_mode`: what the tokens of a row count, for the two controls that average.

    Returns:
        One array for each row, float32, as long as its response. `scale-matched` is one number for the whole batch.
    """
    of_row = _row_weights(batch, aggregation)
    if kind != "scale-matched":
        return batch.groups.lambda_weights(power, kind, of_row)
    # By verl's own advantages, which are not 0 in a group of one: it is their loss whose size is matched.
    given = np.array([value or 0.0 for value in batch.advantage_of_rows()])
    counted = np.concatenate([mask * weight for mask, weight in zip(batch.masks, of_row, strict=True)])
    top, bottom = scale_sums(batch.groups.forest, power, counted, given)
    factor = np.float32(top / bottom if bottom else 1.0)
    return [np.full(len(row), factor) for row in batch.responses]


def _row_weights(batch: Batch, aggregation: str) -> Floats:
    """What each loss token of a row counts in verl's loss, up to one factor for the batch, shape (rows,)."""
    if aggregation != PER_ROW_MEAN:
        return np.ones(len(batch.masks))
    return np.array([1 / max(1, mask.sum()) for mask in batch.masks])


def figures(batch: Batch) -> dict[str, float]:
    """Overlap, report card and sharing of the batch, as `grpo-prm analyze` finds them in the recorded table.

    Groups of one and rows without a finite reward are left out, as there; so is a ratio that has nothing below the bar.
    """
    usable = np.isfinite(batch.rewards)
    names, counts = np.unique(np.array(batch.group_keys)[usable], return_counts=True)
    several = np.isin(batch.group_keys, names[counts > 1]) & usable
    if not several.any():
        return {}
    rows = np.flatnonzero(several)
    groups = batch.groups if several.all() else _selected(batch, rows)
    groups = replace(groups, std=_divisor(batch, groups, rows))
    lengths = np.array([len(batch.prompts[row]) for row in _first_of_groups(groups, rows)])
    found = statistics_of(group_sums(groups, lengths))
    return {metric: value for name, metric in metric_names().items() if (value := found[name]) is not None}


def _selected(batch: Batch, rows: NDArray[np.int64]) -> Groups:
    def some(column: Sequence[Any]) -> list[Any]:
        return [column[row] for row in rows]

    return Groups.of(some(batch.responses), batch.rewards[rows], some(batch.group_keys), some(batch.masks))


def _divisor(batch: Batch, groups: Groups, rows: NDArray[np.int64]) -> Std:
    """What `analyze` will find that verl's estimator divides r - mean by; `sample` where nothing fits."""
    every = batch.advantage_of_rows()
    facts = {"group": groups.groups, "reward": batch.rewards[rows], "advantage": [every[row] for row in rows]}
    table = pl.DataFrame(facts, {"group": pl.Int64, "reward": pl.Float64, "advantage": pl.Float64})
    of_step = table.with_columns(run=pl.lit(""), step=pl.lit(0)).sort("group", maintain_order=True)
    return fitting(of_step) or "sample"


def _first_of_groups(groups: Groups, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """A row of each group, for what all its rows have in common."""
    return rows[np.unique(groups.groups, return_index=True)[1]]


def table(batch: Batch, run: str, step: int, first_group: int) -> pl.DataFrame:
    """The batch as the canonical table, without text.

    Args:
        batch: The rows.
        run: Name of the run.
        step: The training step that they are for, from 1, as verl counts.
        first_group: Number of the first group.

    Returns:
        `logs.rollouts.SCHEMA` and `reward/NAME`, rows of a group next to each other. `logprobs` are the sampler's and
        `trainer_logprobs` the trainer's where verl kept both, else `logprobs` are the trainer's.
    """
    sampler, trainer = batch.logprobs.get("rollout_log_probs"), batch.logprobs.get("old_log_probs")
    no_text = [None] * len(batch.keys)
    return recorded_table(
        run=run,
        step=step,
        group_keys=batch.group_keys,
        samples=_numbered(batch.group_keys),
        prompts=no_text,
        completions=no_text,
        tokens=batch.responses,
        rewards=batch.rewards,
        parts=batch.parts,
        masks=batch.masks,
        logprobs=trainer if sampler is None else sampler,
        trainer_logprobs=None if sampler is None else trainer,
        ref_logprobs=batch.logprobs.get("ref_log_prob"),
        advantages=batch.advantage_of_rows(),
        first_group=first_group,
    )


def with_text(table: pl.DataFrame, batch: Batch, text: Callable[[Any], str]) -> pl.DataFrame:
    """The table with the text of prompts and completions; `text` decodes token ids."""
    of_group = dict(zip(batch.group_keys, batch.prompts, strict=True))
    prompts = {key: text(prompt) for key, prompt in of_group.items()}  # each is decoded once
    return table.with_columns(
        pl.Series("prompt", [prompts[key] for key in table["group_key"]], pl.String),
        pl.Series("completion", [text(ids) for ids in table["tokens"]], pl.String),
    )


def _numbered(keys: Sequence[str]) -> list[int]:
    """0, 1, 2, ... within each group."""
    seen: Counter[str] = Counter()
    numbers = []
    for key in keys:
        numbers.append(seen[key])
        seen[key] += 1
    return numbers
