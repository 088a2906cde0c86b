"""One batch of whole groups to its tables: the arrays of the core, named and put in columns.

The tables hold sums, so that what a whole log says is a ratio of their columns and batches may be cut anywhere
between groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.decisions import decisions
from ..core.forest import Floats
from ..core.groups import Groups
from ..core.overlap import completion_overlap
from ..core.permutations import Bounds, PermutedSums, certainty_bounds, permuted_sums
from ..core.prm import group_means
from ..core.seeds import group_seeds
from ..core.sharing import sharing
from ..logs.prefetch import parallel
from ..logs.rollouts import group_opens
from .clusters import ID, ids_of, without_file_names
from .completion_columns import completions_table
from .content import CONTENT, names_of, with_content
from .decided_table import decided_table
from .group_columns import groups_table
from .logprob_columns import logprob_columns
from .options import Options
from .prompts import PromptLengths
from .states_table import MeasuredStates, measured_states
from .step_columns import steps_table
from .subsample_columns import subsamples_table
from .table_groups import SLICE, Advantages, advantages_of, slices, table_groups, without_groups_of_one
from .teaching import phantom_columns

T = TypeVar("T")
TABLES = ("groups", "completions", "process_steps", "subsamples", "decided")


class Measured(NamedTuple):
    """Tables of a slice of groups, and what their rewards give when permuted.

    Attributes:
        groups, completions, process_steps: One row per group, completion, process step.
        subsamples: One row per group and size of subset.
        decisions: p and least attainable p of every decision, shape (2, decisions).
        gaps: Sampler and trainer, one row per bin of process-set sizes (`logprob_columns`).
        decided: One row per group, axis and point of the curve.
        steps: (run, step) of each bin of `permuted`.
        permuted: Sums of the permutations, one bin per training step.
        states: Where they are asked for.
    """

    groups: pl.DataFrame
    completions: pl.DataFrame
    process_steps: pl.DataFrame
    subsamples: pl.DataFrame
    decisions: Floats
    gaps: pl.DataFrame
    decided: pl.DataFrame
    steps: list[tuple[str, int | None]]
    permuted: PermutedSums
    states: MeasuredStates | None = None


def measure(table: pl.DataFrame, options: Options, prompts: PromptLengths | None = None) -> Iterator[Measured]:
    """Measure whole groups, and whole steps if `std` is `batch`.

    Args:
        table: Canonical rollouts, rows of a group next to each other; groups of one are left out.
        options: What to compute.
        prompts: Counts the tokens of prompts; None: without a tokenizer.

    Yields:
        The tables of some millions of tokens at a time, two slices being measured at once.

    Raises:
        UsageError: Logged advantages are asked for, or needed since rewards are missing, but some are not there.
    """
    yield from parallel(measure_slice, slices_of(table, options, prompts or PromptLengths()))


NAMES = ["run", "step", "group", "group_key", "problem", "task", "prompt", "tokens_from", CONTENT]


class Slice(NamedTuple):
    """Rows of whole groups, their advantages, and of each group its names, the units of its prompt and its seed."""

    table: pl.DataFrame
    given: Advantages
    names: pl.DataFrame
    prompts: Floats
    seeds: NDArray[np.uint64]
    options: Options


def slices_of(table: pl.DataFrame, options: Options, prompts: PromptLengths) -> Iterator[Slice]:
    """What `measure_slice` takes, of a table and with errors as for `measure`."""
    table = with_content(without_groups_of_one(table))
    # Before slices are cut: a divisor of the whole step needs all groups of it.
    advantages = advantages_of(table, options)
    opens = group_opens(table)
    # Of all groups at once: draws of one prompt are numbered through slices.
    seeds = seeds_of(table[opens, ["run", "step", "group_key", CONTENT]], options.seed)
    for begin, end in slices(table, SLICE):
        part = table[begin:end]
        names = part[group_opens(part), NAMES]
        names = with_cluster(names)
        length = prompts.of(names["prompt"], names["tokens_from"])
        own = seeds[np.searchsorted(opens, begin) : np.searchsorted(opens, end)]
        yield Slice(part, advantages.at(slice(begin, end)), names, length, own, options)


def measure_slice(part: Slice) -> Measured:
    """Measure some groups."""
    table, names, options = part.table, part.names, part.options
    groups = table_groups(table, part.given)
    overlap = completion_overlap(groups.forest, groups.seen)
    rewards = groups.rewards
    bounds = None if rewards is None else certainty_bounds(groups.forest, rewards, groups.groups)
    decided = decisions(groups, options.seed)
    of_logprobs, gaps = logprob_columns(table, groups)
    added = {
        **sharing(groups.forest, groups.number, part.prompts)._asdict(),
        **phantom_columns(table, groups, options.outcome),
        **of_logprobs,
        ID: pl.Series(ids_of(without_file_names(names))),
        CONTENT: names[CONTENT],
    }
    states = None
    if options.share == "state":
        states, of_states = measured_states(table, names, groups, part.seeds, options.seed)
        added |= of_states
    std = None if groups.logged else options.std
    return Measured(
        groups_table(table, names, groups, overlap, bounds, part.given.computed, std, added),
        completions_table(table, groups, overlap),
        steps_table(names, groups, bounds, decided),
        subsamples_table(names, groups),
        np.stack([decided.p, decided.least]),
        gaps,
        decided_table(names, groups),
        *_permuted(names, groups, bounds, part.seeds),
        states,
    )


def with_cluster(names: pl.DataFrame) -> pl.DataFrame:
    """The groups with what tells their clusters apart (definitions: Intervals): `prompt_key` and `problem` together.

    Where the log's own key of the problem is coarser than the prompt, the prompt decides, and where it is finer, the
    key. Where neither is known `prompt_key` is the key of the group; it is null where only the problem is.
    """
    key = pl.when(pl.col("problem").is_null()).then("group_key")
    return names.with_columns(prompt_key=pl.coalesce("prompt", key))


def seeds_of(heads: pl.DataFrame, seed: int) -> NDArray[np.uint64]:
    """Seed of each group by its name; a further draw of one prompt in a step is numbered, so that it has its own.

    Args:
        heads: `run`, `step`, `group_key` and `CONTENT` of all groups of some steps, in order.
        seed: Of the log.
    """
    # Draws of one content are the same draw twice: which of them is numbered changes nothing.
    name = ("run", "step", "group_key", CONTENT)
    draw = heads.select(pl.int_range(pl.len()).over(name)).to_series().to_numpy()
    seeds = group_seeds(seed, *names_of(heads))
    again = np.flatnonzero(draw)
    seeds[again] = group_seeds(seed, *names_of(heads[again]), draw[again].tolist())
    return seeds


def _permuted(
    names: pl.DataFrame, groups: Groups, bounds: Bounds | None, seeds: NDArray[np.uint64]
) -> tuple[list[tuple[str, int | None]], PermutedSums]:
    """The steps of a slice, and the sums of the permutations over the groups of each."""
    # By step, since each has a null of its own beside that of the log, which is their sum.
    keys = list(names[["run", "step"]].iter_rows())
    steps = {step: n for n, step in enumerate(dict.fromkeys(keys))}
    if bounds is not None and not groups.logged:
        bounds = Bounds(*(_in_units_of_advantages(groups, bound) for bound in bounds))
    permuted = permuted_sums(
        groups.forest,
        groups.seen,
        groups.advantages,
        groups.tolerance,
        seeds,
        bounds,
        groups.rewards if groups.logged else None,
        np.array([steps[key] for key in keys]),
    )
    return list(steps), permuted


def _in_units_of_advantages(groups: Groups, bound: Floats) -> Floats:
    """A distance of rewards as one of advantages, which are rewards in another unit: so one of them is permuted only.

    The unit is the ratio of mean deviations, which the small constant in the divisor of the advantage does not bias.
    """
    assert groups.rewards is not None
    mean = group_means(groups.rewards, groups.groups)
    of_rewards = np.bincount(groups.groups, np.abs(groups.rewards - mean[groups.groups]))
    of_advantages = np.bincount(groups.groups, np.abs(groups.advantages))
    unit = np.divide(of_advantages, of_rewards, out=np.zeros(groups.number), where=~groups.zero)[groups.forest.group]
    return np.multiply(bound, unit, out=np.full(len(bound), np.inf), where=unit > 0)
