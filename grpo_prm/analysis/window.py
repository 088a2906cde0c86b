"""The most recent steps of a running training: of their groups only the sums by which findings are judged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..core.group_size import modal_size
from ..core.groups import Groups
from ..core.identity import logprob_check
from ..core.overlap import completion_overlap, group_overlap
from ..core.prm import Bools, Std
from ..core.reliability import reliability_sums
from ..core.sampler_gap import effective_sample_size, gap_sums, groups_of_tokens
from ..logs.rollouts import group_opens, groups_of_several_fronts, groups_of_several_prompts
from .clusters import CLUSTER
from .columns import column
from .cross_prompt import PseudoGroups
from .divisor import fitting
from .findings import Figures
from .group_columns import duplicates
from .logprob_columns import logged_logprobs
from .measure import with_cluster
from .options import Options
from .ratios import Sums
from .table_groups import SLICE, advantages_of, slices, table_groups, with_rewards, without_groups_of_one
from .teaching import phantom_columns
from .tool_output import unmasked_tool_output

PROPORTION = "intermediate_proportion"
NAMES = ["run", "step", "group", "group_key", "problem", "prompt"]


class Window:
    """Groups of the last steps, added step by step.

    Args:
        steps: How many steps it holds.
        outcome: As in `Options`.
        seed: Of resamples and pseudo-groups.

    Attributes:
        groups: One row per group of two or more of those steps, with the sums of `_sums`.
    """

    def __init__(self, steps: int, outcome: str | None = None, seed: int = 0) -> None:
        self._room, self._outcome, self._seed = steps, outcome, seed
        self._std: Std | None = None  # found in the first step that tells
        self._groups: dict[int, pl.DataFrame] = {}
        self._baseline: list[tuple[int, float | None]] = []  # step and proportion of each pseudo-group
        self._pseudo_groups = PseudoGroups(seed)
        self.groups = pl.DataFrame()

    @property
    def span(self) -> tuple[int, int]:
        """First and last step that it holds."""
        steps = list(self._groups)
        return steps[0], steps[-1]

    def add(self, step: int, table: pl.DataFrame) -> None:
        """Add rollouts of a step: a new one pushes the oldest out; of the newest further groups may come.

        An older one is made again, as in a run that was set back: it is a new one in place of what it was.

        Args:
            step: Optimizer step that they are for.
            table: Canonical rollouts of whole groups.
        """
        table = with_values(without_groups_of_one(table)).with_columns(step=pl.lit(step, pl.Int64))
        if len(table) and self._std is None:
            self._std = fitting(table)
        options = Options(self._std or "sample", "computed", self._seed, self._outcome)
        if step in self._groups and step != self.span[1]:
            self._take_out(step)
        # A table without a usable row must not take out the groups that the step has already.
        before = [of_step] if len(of_step := self._groups.get(step, pl.DataFrame())) else []
        fresh = _sums(table, options) if len(table) else ()
        self._groups[step] = pl.concat([*before, *fresh] or [pl.DataFrame()])
        while len(self._groups) > self._room:
            self._take_out(next(iter(self._groups)))
        pseudo_groups = self._pseudo_groups.add(table)["step", PROPORTION].iter_rows() if len(table) else ()
        # Those of steps that were put together count for the first of them, which may have left already.
        self._baseline += [one for one in pseudo_groups if one[0] in self._groups]
        self.groups = pl.concat([of_step for of_step in self._groups.values() if len(of_step)] or [pl.DataFrame()])

    def _take_out(self, step: int) -> None:
        del self._groups[step]
        self._baseline = [one for one in self._baseline if one[0] != step]

    def figures(self) -> Figures:
        """What findings are judged by, over the groups of the window; at least one group."""
        # A group without a named outcome has no part in the denominator either.
        known = pl.col("phantom_advantage").is_not_null()
        sums = self.groups.select(
            pl.exclude("run", "prompt_key", "problem", PROPORTION, "abs_advantage").sum(),
            pl.col("abs_advantage").filter(known).sum(),
            pl.col(PROPORTION).mean(),
        ).row(0, named=True)
        number, completions = len(self.groups), sums["k"]
        reliability = Sums(self.groups, CLUSTER, ("reliability",)).drawn(self._seed)["reliability"]
        sample_size = effective_sample_size(sums["gap_tokens"], sums["weight_sum"], sums["weight_squares"])
        baseline = [value for _, value in self._baseline if value is not None]
        return Figures(
            prompts_differ=sums["prompts_differ"] / number,
            tool_output=sums["tool_output"] / completions,
            effective_sample_size=float(sample_size) if np.isfinite(sample_size) else None,
            logprob_spread=_share(sums["spread"], sums["shared"]),
            phantom_advantage=_share(sums["phantom_advantage"], sums["abs_advantage"]),
            zero_variance=sums["zero_variance"] / number,
            copies=sums["duplicates"] / completions,
            intermediate_proportion=sums[PROPORTION],
            baseline=sum(baseline) / len(baseline) if baseline else None,
            reliability=reliability,
            k=modal_size(self.groups["k"].to_numpy()),
            fronts_differ=sums["fronts_differ"] / number,
        )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def with_values(table: pl.DataFrame) -> pl.DataFrame:
    """The groups in which all rewards are known, or else all logged advantages: of others no step has a value."""
    rewarded = with_rewards(table)
    if rewarded.all():  # also of no rows
        return table
    missing = np.isnan(table["advantage"].to_numpy())
    opens = group_opens(table)
    advised = np.repeat(~np.logical_or.reduceat(missing, opens), np.diff(opens, append=len(table)))
    return table.filter(rewarded | advised)


def _sums(table: pl.DataFrame, options: Options) -> Iterator[pl.DataFrame]:
    """The groups of a step with the sums behind every finding, a slice at a time."""
    advantages = advantages_of(table, options)
    for begin, end in slices(table, SLICE):
        part = table[begin:end]
        yield _of_slice(part, table_groups(part, advantages.at(slice(begin, end))), options.outcome)


def _of_slice(table: pl.DataFrame, groups: Groups, outcome: str | None) -> pl.DataFrame:
    overlap = completion_overlap(groups.forest, groups.seen)
    of_groups = group_overlap(groups.forest, groups.seen, overlap, groups.groups, groups.number)
    columns = {
        "k": np.bincount(groups.groups),
        "zero_variance": groups.zero,
        "duplicates": duplicates(groups),
        "prompts_differ": groups_of_several_prompts(table),
        "fronts_differ": groups_of_several_fronts(table),
        "tool_output": unmasked_tool_output(table),
        PROPORTION: of_groups.intermediate_proportion,
        **reliability_sums(groups),
        **phantom_columns(table, groups, outcome),
        **_of_logprobs(table, groups),
    }
    names = with_cluster(table[group_opens(table), NAMES]).select(CLUSTER)
    return names.hstack([column(name, values, groups.number) for name, values in columns.items()])


def _of_logprobs(table: pl.DataFrame, groups: Groups) -> dict[str, Floats | None]:
    """Sums of the spread inside steps and of the gap between sampler and trainer; null where they are not logged."""
    whole, both, sampler, trainer = logged_logprobs(table, groups)
    sums: dict[str, Floats | None] = dict.fromkeys(("spread", "shared", "gap_tokens", "weight_sum", "weight_squares"))
    if sampler is not None:
        check = logprob_check(groups.forest, groups.advantages, sampler, groups.groups, groups.number, groups.mask)
        sums |= _where(whole, spread=check.spread, shared=check.shared)
    if sampler is not None and trainer is not None:
        gap = gap_sums(groups, sampler, trainer, groups_of_tokens(groups), groups.number)
        sums |= _where(both, gap_tokens=gap.gap_tokens, weight_sum=gap.weight_sum, weight_squares=gap.weight_squares)
    return sums


def _where(known: Bools, **columns: Floats) -> dict[str, Floats]:
    return {name: np.where(known, values, np.nan) for name, values in columns.items()}
