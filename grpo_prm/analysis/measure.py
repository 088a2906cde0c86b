"""One batch of whole groups to its tables: the arrays of the core, named and put in columns.

The tables hold sums, so that what a whole log says is a ratio of their columns and batches may be cut anywhere
between groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.credit import credit_sums
from ..core.decisions import Decisions, decisions
from ..core.defects import defect_sums, local_advantages
from ..core.examples import clarity
from ..core.exchange import exchangeable
from ..core.forest import Floats, Ints, depths
from ..core.groups import Groups
from ..core.overlap import CompletionOverlap, completion_overlap, group_overlap
from ..core.permutations import Bounds, PermutedSums, certainty_bounds, permuted_sums
from ..core.prm import sign_split_sums
from ..core.seeds import group_seed
from ..core.sharing import sharing
from ..core.subsample import subsampled
from ..logs.rollouts import group_opens, groups_of_several_prompts
from .decided_table import decided_table
from .logprob_columns import logprob_columns
from .options import Options
from .prompts import PromptLengths
from .table_groups import SLICE, Advantages, advantages_of, slices, table_groups, without_groups_of_one
from .teaching import phantom_columns
from .tool_output import unmasked_tool_output

COUNTS = (
    *("good_tokens", "suppressed_good_tokens", "bad_tokens", "boosted_bad_tokens", "informative_tokens"),
    *("inherited_tokens", "contest_tokens", "certain_wilson", "certain_student"),
)


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


def measure(table: pl.DataFrame, options: Options, prompts: PromptLengths | None = None) -> Iterator[Measured]:
    """Measure whole groups, and whole steps if `std` is `batch`.

    Args:
        table: Canonical rollouts, rows of a group next to each other; groups of one are left out.
        options: What to compute.
        prompts: Counts the tokens of prompts; None: without a tokenizer.

    Yields:
        The tables of some millions of tokens at a time.

    Raises:
        UsageError: Logged advantages are asked for, or needed since rewards are missing, but some are not there.
    """
    table = without_groups_of_one(table)
    advantages = advantages_of(table, options)
    draws: Counter[tuple] = Counter()  # groups so far of one run, step and key: draws of one prompt
    for begin, end in slices(table, SLICE):
        computed = None if advantages.computed is None else advantages.computed[begin:end]
        mine = Advantages(advantages.used[begin:end], computed, advantages.logged)
        yield _measure(table[begin:end], mine, options, prompts or PromptLengths(), draws)


def _measure(
    table: pl.DataFrame, given: Advantages, options: Options, prompts: PromptLengths, draws: Counter[tuple]
) -> Measured:
    groups = table_groups(table, given)
    overlap = completion_overlap(groups.forest, groups.seen)
    rewards = groups.rewards
    bounds = None if rewards is None else certainty_bounds(groups.forest, rewards, groups.groups)
    names = table[group_opens(table), ["run", "step", "group", "group_key", "problem", "prompt", "tokens_from"]]
    decided = decisions(groups, options.seed)
    of_logprobs, gaps = logprob_columns(table, groups)
    added = {
        **sharing(groups.forest, groups.number, prompts.of(names["prompt"], names["tokens_from"]))._asdict(),
        **phantom_columns(table, groups, options.outcome),
        **of_logprobs,
    }
    return Measured(
        _groups_table(table, names, groups, overlap, bounds, given.computed, added),
        _completions_table(table, groups, overlap),
        _steps_table(names, groups, bounds, decided),
        _subsamples_table(names, groups),
        np.stack([decided.p, decided.least]),
        gaps,
        decided_table(names, groups),
        *_permuted(names, groups, bounds, _seeds(names, options.seed, draws)),
    )


def _seeds(names: pl.DataFrame, seed: int, draws: Counter[tuple]) -> NDArray[np.uint64]:
    """Seed of each group by its name; a further draw of one prompt in a step is numbered, so that it has its own."""
    seeds = []
    for key in names[["run", "step", "group_key"]].iter_rows():
        seeds.append(group_seed(seed, *key, draws[key]) if draws[key] else group_seed(seed, *key))
        draws[key] += 1
    return np.array(seeds, np.uint64)


def _permuted(
    names: pl.DataFrame, groups: Groups, bounds: Bounds | None, seeds: NDArray[np.uint64]
) -> tuple[list[tuple[str, int | None]], PermutedSums]:
    """The steps of a slice, and the sums of the permutations over the groups of each."""
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
    of_rewards = np.bincount(groups.groups, np.abs(groups.rewards - _means(groups, groups.rewards)[groups.groups]))
    of_advantages = np.bincount(groups.groups, np.abs(groups.advantages))
    unit = np.divide(of_advantages, of_rewards, out=np.zeros(groups.number), where=~groups.zero)[groups.forest.group]
    return np.multiply(bound, unit, out=np.full(len(bound), np.inf), where=unit > 0)


def _means(groups: Groups, values: Floats) -> Floats:
    """Mean of a value of the completions of each group."""
    return np.bincount(groups.groups, values) / np.bincount(groups.groups)


def _groups_table(
    table: pl.DataFrame,
    names: pl.DataFrame,
    groups: Groups,
    each: CompletionOverlap,
    bounds: Bounds | None,
    computed: Floats | None,
    added: Mapping[str, np.ndarray | pl.Series | None],
) -> pl.DataFrame:
    forest, seen, of_row, number = groups.forest, groups.seen, groups.groups, groups.number
    overlap = group_overlap(forest, seen, each, of_row, number)
    k = np.bincount(of_row)
    columns = {
        "k": k,
        "tokens": np.bincount(of_row, seen.completion).astype(np.int64),
        "reward_mean": None if groups.rewards is None else _means(groups, groups.rewards),
        "reward_std": None if groups.rewards is None else _std(groups, groups.rewards, k),
        "zero_variance": groups.zero,
        "exchangeable": _exchangeable(groups),
        "non_trivial": overlap.intermediate_steps > 0,
        **overlap._asdict(),
        "duplicates": _duplicates(groups),
        "prompts_differ": groups_of_several_prompts(table),
        "tool_output": unmasked_tool_output(table),
        "completions_with_loss": np.bincount(of_row, seen.completion > 0).astype(np.int64),
        "certain_wilson": None if bounds is None else _certain(groups, bounds.wilson),
        "certain_student": None if bounds is None else _certain(groups, bounds.student),
        "advantage_mismatch": _mismatch(table, groups, computed),
        **defect_sums(groups),
        **credit_sums(groups),
        "clarity": clarity(groups),
        **added,
    }
    named = _with_cluster(names)["run", "step", "group", "group_key", "prompt_key", "problem"]
    return named.hstack([_column(name, values, number) for name, values in columns.items()])


def _exchangeable(groups: Groups) -> NDArray[np.bool_]:
    """Groups of mixed reward, or with logged advantages, in which a permutation changes something."""
    changes = exchangeable(groups.forest, groups.advantages)
    if groups.logged and groups.rewards is not None:
        changes |= exchangeable(groups.forest, groups.rewards)
    return changes


def _with_cluster(names: pl.DataFrame) -> pl.DataFrame:
    """The groups with what tells their clusters apart (definitions: Intervals): `prompt_key` and `problem` together.

    Where the log's own key of the problem is coarser than the prompt, the prompt decides, and where it is finer, the
    key. Where neither is known `prompt_key` is the key of the group; it is null where only the problem is.
    """
    key = pl.when(pl.col("problem").is_null()).then("group_key")
    return names.with_columns(prompt_key=pl.coalesce("prompt", key))


def _column(name: str, values: np.ndarray | pl.Series | None, number: int) -> pl.Series:
    """A column of the groups or of the process steps; NaN is null, and so is all of it where there are no values."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    dtype = pl.Int64 if name in COUNTS else pl.Float64
    if values is None:
        return pl.Series(name, [None] * number, dtype)
    return pl.Series(name, values.astype(np.int64) if name in COUNTS else values, nan_to_null=True)


def _std(groups: Groups, values: Floats, k: Ints) -> Floats:
    squares = np.bincount(groups.groups, (values - _means(groups, values)[groups.groups]) ** 2)
    return np.sqrt(squares / (k - 1))


def _duplicates(groups: Groups) -> Ints:
    """Completions of each group that are equal to an earlier one: those that end where another has ended."""
    step, row, ends = groups.seen.step, groups.seen.row, groups.forest.end
    here = groups.lengths[row] == ends[step]
    ending = np.bincount(step[here], minlength=len(ends))
    return np.bincount(groups.forest.group, np.maximum(ending - 1, 0), groups.number).astype(np.int64)


def _certain(groups: Groups, bound: Floats) -> Ints:
    """Intermediate tokens of each group whose step-reward interval leaves the group's mean outside."""
    assert groups.rewards is not None
    forest, seen = groups.forest, groups.seen
    away = np.abs(groups.set_rewards - _means(groups, groups.rewards)[forest.group])
    tokens = np.bincount(seen.step, seen.tokens, len(forest.size))
    return np.bincount(forest.group, tokens * (forest.intermediate & (away > bound)), groups.number)


def _mismatch(table: pl.DataFrame, groups: Groups, computed: Floats | None) -> pl.Series:
    """True for groups whose logged advantages are not the computed ones to 1e-3; null where one is missing."""
    if computed is None:
        return pl.Series([None] * groups.number, dtype=pl.Boolean)
    logged = table["advantage"].to_numpy()  # NaN where none was logged
    off = np.bincount(groups.groups, np.abs(logged - computed) > 1e-3, groups.number) > 0
    whole = np.bincount(groups.groups, np.isnan(logged), groups.number) == 0
    return pl.Series(off).set(pl.Series(~whole), None)


def _completions_table(table: pl.DataFrame, groups: Groups, each: CompletionOverlap) -> pl.DataFrame:
    loss = groups.seen.completion
    share = [
        np.divide(tokens, loss, out=np.full(len(loss), np.nan), where=loss > 0)
        for tokens in (each.intermediate, each.shared)
    ]
    order, roots = groups.forest.order, groups.forest.first[groups.forest.parent < 0]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - roots[groups.groups[order]]
    columns = {
        "tree_rank": rank,  # the members of a process step are those with first <= tree_rank < first + size
        "advantage": groups.advantages,
        "length": groups.lengths,
        "loss_tokens": loss,
        "path_depth": each.path_depth,
        "intermediate_proportion": share[0],
        "shared_proportion": share[1],
    }
    named = table[["run", "step", "group", "group_key", "sample", "reward"]]
    return named.hstack([_column(name, values, len(loss)) for name, values in columns.items()])


def _steps_table(names: pl.DataFrame, groups: Groups, bounds: Bounds | None, decided: Decisions) -> pl.DataFrame:
    forest, seen = groups.forest, groups.seen
    root = np.flatnonzero(forest.parent < 0)
    # In the table a step's parent and first member are counted from the start of its own group.
    opens = np.repeat(root, np.diff(root, append=len(forest.parent)))
    plus, minus = _step_split(groups)
    columns = {
        "parent": np.where(forest.parent < 0, -1, forest.parent - opens),
        "first": forest.first - forest.first[opens],
        "size": forest.size,
        "start": forest.start,
        "end": forest.end,
        "depth": depths(forest),
        "k": forest.k,
        "tokens": np.bincount(seen.step, seen.tokens, len(forest.size)).astype(np.int64),
        "unique": seen.unique,
        "reward": None if groups.rewards is None else groups.set_rewards,
        "advantage": groups.set_advantages,
        "local_advantage": local_advantages(groups),
        "decision_p": _of_decisions(decided.p, decided, len(forest.size)),
        "decision_least_p": _of_decisions(decided.least, decided, len(forest.size)),
        "s_plus": plus,
        "s_minus": minus,
        # Infinite bounds are those of groups of equal rewards, whose interval has no width.
        "half_width": None if bounds is None else np.where(np.isinf(bounds.student), 0, bounds.student),
        "zero_variance": groups.zero[forest.group],
    }
    named = names[forest.group, ["run", "step", "group", "group_key"]]
    return named.hstack([_column(name, values, len(forest.size)) for name, values in columns.items()])


def _of_decisions(values: Floats, decided: Decisions, steps: int) -> Floats:
    """A value of the decisions as one of all steps, NaN where the step is none."""
    column = np.full(steps, np.nan)
    column[decided.step] = values
    return column


def _subsamples_table(names: pl.DataFrame, groups: Groups) -> pl.DataFrame:
    expected = subsampled(groups.forest, groups.seen, groups.groups, groups.number)
    k = pl.Series(np.bincount(groups.groups, minlength=groups.number))
    named = _with_cluster(names).with_columns(k=k)
    named = named[expected.group, ["run", "step", "group", "prompt_key", "problem", "k"]]
    return named.hstack([pl.Series(name, getattr(expected, name), nan_to_null=True) for name in expected._fields[1:]])


def _step_split(groups: Groups) -> tuple[Floats, Floats]:
    """Sign-split sums of each step, NaN where it has no loss token.

    With a mask, where they may differ from one position to the next, their mean over positions with a loss token.
    """
    split, unique = sign_split_sums(groups.forest, groups.advantages, mask=groups.mask), groups.seen.unique
    plus, minus = split.plus, split.minus
    if groups.mask is not None:
        step = np.repeat(np.arange(len(unique)), groups.forest.length)
        plus, minus = (np.bincount(step, sums, len(unique)) / np.maximum(unique, 1) for sums in (plus, minus))
    return np.where(unique > 0, plus, np.nan), np.where(unique > 0, minus, np.nan)
