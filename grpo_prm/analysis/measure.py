"""One batch of whole groups to its tables: the arrays of the core, named and put in columns.

The tables hold sums, so that what a whole log says is a ratio of their columns and batches may be cut anywhere
between groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.defects import defect_sums, signs
from ..core.forest import Floats, Forest, Ints, Visits, build_forest, depths, visits
from ..core.identity import logprob_check
from ..core.overlap import CompletionOverlap, completion_overlap, group_overlap
from ..core.permutations import Bounds, PermutedSums, certainty_bounds, permuted_sums
from ..core.prm import Std, beyond, group_advantages, sign_split_sums, step_means, zero_tolerance, zero_variance
from ..core.seeds import group_seed
from ..core.subsample import subsampled
from ..errors import UsageError
from ..logs.rollouts import Flat, flatten, group_opens

COUNTS = (
    *("good_tokens", "suppressed_good_tokens", "bad_tokens", "boosted_bad_tokens", "informative_tokens"),
    *("contest_tokens", "certain_wilson", "certain_student"),
)
SLICE = 1 << 22  # tokens measured at a time, which bounds the memory of a large step


@dataclass(frozen=True, slots=True)
class Options:
    """What changes the numbers of an analysis.

    Attributes:
        std: Divisor of the group advantage (`prm.group_advantages`).
        advantage: `computed` from the rewards, or as `logged`.
        seed: Of bootstrap, permutations and pseudo-groups.
    """

    std: Std = "sample"
    advantage: Literal["computed", "logged"] = "computed"
    seed: int = 0


class Measured(NamedTuple):
    """Tables of a slice of groups, and what chance gives.

    Attributes:
        groups, completions, process_steps: One row per group, completion, process step.
        subsamples: One row per group and size of subset.
        steps: (run, step) of each bin of `dealt`.
        dealt: Sums of the permutations, one bin per training step.
    """

    groups: pl.DataFrame
    completions: pl.DataFrame
    process_steps: pl.DataFrame
    subsamples: pl.DataFrame
    steps: list[tuple[str, int | None]]
    dealt: PermutedSums


class Advantages(NamedTuple):
    """Advantages to analyse; those computed from the rewards, None without; and whether the first are logged."""

    used: Floats
    computed: Floats | None
    logged: bool


def advantages_of(table: pl.DataFrame, options: Options) -> Advantages:
    """Advantages of whole groups of two or more, and whole steps if `std` is `batch`, before any is set to 0.

    Raises:
        UsageError: Logged advantages are asked for, or needed since rewards are missing, but some are not there.
    """
    computed = None if table["reward"].null_count() else _computed(table, options.std)
    if computed is not None and options.advantage == "computed":
        return Advantages(computed, computed, False)
    if table["advantage"].null_count():
        raise UsageError(
            "The log has no advantage for some completions. Leave out --advantage logged to compute them from the "
            "rewards, or name the column with --columns advantage=COLUMN."
        )
    return Advantages(table["advantage"].to_numpy(), computed, True)


def _computed(table: pl.DataFrame, std: Std) -> Floats:
    groups, rewards = _dense(table["group"].to_numpy()), table["reward"].to_numpy()
    if std != "batch":
        return group_advantages(rewards, groups, std)
    advantages = np.empty(len(table))
    for rows in table.with_row_index("row").group_by("run", "step").agg("row")["row"]:
        at = rows.to_numpy()
        advantages[at] = group_advantages(rewards[at], _dense(groups[at]), std)
    return advantages


def measure(table: pl.DataFrame, options: Options) -> Iterator[Measured]:
    """Measure whole groups, and whole steps if `std` is `batch`.

    Args:
        table: Canonical rollouts, rows of a group next to each other; groups of one are left out.
        options: What to compute.

    Yields:
        The tables of some millions of tokens at a time.

    Raises:
        UsageError: Logged advantages are asked for, or needed since rewards are missing, but some are not there.
    """
    table = without_groups_of_one(table)
    advantages = advantages_of(table, options)
    drawn: Counter[tuple] = Counter()  # groups so far of one run, step and key: draws of one prompt
    for begin, end in slices(table, SLICE):
        computed = None if advantages.computed is None else advantages.computed[begin:end]
        mine = Advantages(advantages.used[begin:end], computed, advantages.logged)
        yield _measure(table[begin:end], mine, options.seed, drawn)


def without_groups_of_one(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of groups of two or more; the rows of a group are neighbours."""
    size = np.diff(group_opens(table), append=len(table))
    return table[np.flatnonzero(np.repeat(size > 1, size))] if (size == 1).any() else table


def slices(table: pl.DataFrame, tokens: int) -> Iterator[tuple[int, int]]:
    """Rows [begin, end) of whole groups with about so many tokens at a time."""
    opens = group_opens(table)
    piece = np.cumsum(table["tokens"].list.len().to_numpy().astype(np.int64))[opens] // tokens if len(opens) else opens
    cuts = np.append(opens[np.flatnonzero(np.diff(piece, prepend=-1))], len(table))
    yield from pairwise(cuts.tolist())


def _dense(groups: Ints) -> Ints:
    return np.unique(groups, return_inverse=True)[1]


class _Slice(NamedTuple):
    """A slice of the log, measured: what its tables are made of."""

    flat: Flat
    groups: Ints
    number: int
    forest: Forest
    seen: Visits
    overlap: CompletionOverlap
    rewards: Floats | None
    advantages: Floats
    step_advantages: Floats
    tolerance: Floats
    zero: np.ndarray
    bounds: Bounds | None


def _measure(table: pl.DataFrame, given: Advantages, seed: int, drawn: Counter[tuple]) -> Measured:
    flat = flatten(table)
    groups = np.cumsum(np.diff(flat.groups, prepend=flat.groups[0]) != 0)
    forest = build_forest(flat.tokens, flat.lengths, groups)
    seen = visits(forest, flat.mask)
    rewards = None if table["reward"].null_count() else table["reward"].to_numpy()
    zero = zero_variance(given.used if rewards is None else rewards, groups)
    advantages = np.where(zero[groups], 0.0, given.used)
    tolerance = zero_tolerance(advantages, groups, logged=given.logged)
    advantages = beyond(tolerance[groups], advantages)
    part = _Slice(
        flat=flat,
        groups=groups,
        number=len(zero),
        forest=forest,
        seen=seen,
        overlap=completion_overlap(forest, seen),
        rewards=rewards,
        advantages=advantages,
        step_advantages=beyond(tolerance[forest.group], step_means(forest, advantages)),
        tolerance=tolerance,
        zero=zero,
        bounds=None if rewards is None else certainty_bounds(forest, rewards, groups),
    )
    names = table[group_opens(table), ["run", "step", "group", "group_key", "prompt"]]
    return Measured(
        _groups_table(table, names, part, given.computed),
        _completions_table(table, part),
        _steps_table(names, part),
        _subsamples_table(names, part),
        *_deal(names, part, given.logged, _seeds(names, seed, drawn)),
    )


def _seeds(names: pl.DataFrame, seed: int, drawn: Counter[tuple]) -> NDArray[np.uint64]:
    """Seed of each group by its name; a further draw of one prompt in a step is numbered, so that it has its own."""
    seeds = []
    for key in names[["run", "step", "group_key"]].iter_rows():
        seeds.append(group_seed(seed, *key, drawn[key]) if drawn[key] else group_seed(seed, *key))
        drawn[key] += 1
    return np.array(seeds, np.uint64)


def _deal(
    names: pl.DataFrame, part: _Slice, logged: bool, seeds: NDArray[np.uint64]
) -> tuple[list[tuple[str, int | None]], PermutedSums]:
    keys = list(names[["run", "step"]].iter_rows())
    steps = {step: n for n, step in enumerate(dict.fromkeys(keys))}
    bounds, rewards = part.bounds, part.rewards if logged else None
    if bounds is not None and part.rewards is not None and not logged:
        # Advantages are rewards in another unit: it is enough to deal one of them.
        deviation = np.abs(part.rewards - _group_means(part, part.rewards)[part.groups])
        unit = np.bincount(part.groups, deviation), np.bincount(part.groups, np.abs(part.advantages))
        unit = np.divide(unit[1], unit[0], out=np.zeros(part.number), where=~part.zero)[part.forest.group]
        bounds = Bounds(*(np.multiply(b, unit, out=np.full(len(b), np.inf), where=unit > 0) for b in bounds))
    bins = np.array([steps[key] for key in keys])
    dealt = permuted_sums(part.forest, part.seen, part.advantages, part.tolerance, seeds, bounds, rewards, bins)
    return list(steps), dealt


def _group_means(part: _Slice, values: Floats) -> Floats:
    return np.bincount(part.groups, values) / np.bincount(part.groups)


def _groups_table(table: pl.DataFrame, names: pl.DataFrame, part: _Slice, computed: Floats | None) -> pl.DataFrame:
    forest, seen, groups = part.forest, part.seen, part.groups
    overlap = group_overlap(forest, seen, part.overlap, groups, part.number)
    k = np.bincount(groups)
    sign = signs(forest, part.advantages, part.step_advantages, part.tolerance, groups)
    columns = {
        "k": k,
        "tokens": np.bincount(groups, seen.completion).astype(np.int64),
        "reward_mean": None if part.rewards is None else _group_means(part, part.rewards),
        "reward_std": None if part.rewards is None else _std(part, part.rewards, k),
        "zero_variance": part.zero,
        "non_trivial": overlap.intermediate_steps > 0,
        **overlap._asdict(),
        "duplicates": _duplicates(part),
        "completions_with_loss": np.bincount(groups, seen.completion > 0).astype(np.int64),
        "certain_wilson": _certain(part, 0),
        "certain_student": _certain(part, 1),
        "advantage_mismatch": _mismatch(table, part, computed),
        **defect_sums(forest, seen, part.advantages, part.step_advantages, sign, groups, part.zero, part.flat.mask),
        **_logprob_columns(table, part),
    }
    prompt = [key if prompt is None else prompt for key, prompt in names[["group_key", "prompt"]].iter_rows()]
    named = names[["run", "step", "group", "group_key"]].hstack([pl.Series("prompt_key", prompt, pl.String)])
    return named.hstack([_column(name, values, part.number) for name, values in columns.items()])


def _column(name: str, values: np.ndarray | None, number: int) -> pl.Series:
    """A column of the groups or of the process steps; NaN is null, and so is all of it where there are no values."""
    dtype = pl.Int64 if name in COUNTS else pl.Float64
    if values is None:
        return pl.Series(name, [None] * number, dtype)
    return pl.Series(name, values.astype(np.int64) if name in COUNTS else values, nan_to_null=True)


def _std(part: _Slice, values: Floats, k: Ints) -> Floats:
    squares = np.bincount(part.groups, (values - _group_means(part, values)[part.groups]) ** 2)
    return np.sqrt(squares / (k - 1))


def _duplicates(part: _Slice) -> Ints:
    """Completions of each group that are equal to an earlier one: those that end where another has ended."""
    step, row, ends = part.seen.step, part.seen.row, part.forest.end
    here = part.flat.lengths[row] == ends[step]
    ending = np.bincount(step[here], minlength=len(ends))
    return np.bincount(part.forest.group, np.maximum(ending - 1, 0), part.number).astype(np.int64)


def _certain(part: _Slice, which: int) -> Ints | None:
    """Intermediate tokens of each group whose step-reward interval leaves the group's mean outside."""
    if part.bounds is None or part.rewards is None:
        return None
    forest = part.forest
    away = np.abs(step_means(forest, part.rewards) - _group_means(part, part.rewards)[forest.group])
    tokens = np.bincount(part.seen.step, part.seen.tokens, len(forest.size))
    return np.bincount(forest.group, tokens * (forest.intermediate & (away > part.bounds[which])), part.number)


def _mismatch(table: pl.DataFrame, part: _Slice, computed: Floats | None) -> np.ndarray | None:
    """True for groups whose logged advantages are not the computed ones to 1e-3; None where either is missing."""
    if computed is None or table["advantage"].null_count():
        return None
    off = np.abs(table["advantage"].to_numpy() - computed) > 1e-3
    return np.bincount(part.groups, off, part.number) > 0


def _logprob_columns(table: pl.DataFrame, part: _Slice) -> dict[str, np.ndarray | None]:
    names = ("with_outcome", "with_step", "absolute", "spread", "shared", "largest")
    if table["logprobs"].null_count():
        return {f"logprob_{name}": None for name in names}
    logprobs = table["logprobs"].explode(empty_as_null=False).to_numpy().astype(np.float64)
    check = logprob_check(part.forest, part.advantages, logprobs, part.groups, part.number, part.flat.mask)
    return {f"logprob_{name}": values for name, values in check._asdict().items()}


def _completions_table(table: pl.DataFrame, part: _Slice) -> pl.DataFrame:
    loss = part.seen.completion
    share = [
        np.divide(tokens, loss, out=np.full(len(loss), np.nan), where=loss > 0)
        for tokens in (part.overlap.intermediate, part.overlap.shared)
    ]
    order, roots = part.forest.order, part.forest.first[part.forest.parent < 0]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - roots[part.groups[order]]
    columns = {
        "tree_rank": rank,  # the members of a process step are those with first <= tree_rank < first + size
        "advantage": part.advantages,
        "length": part.flat.lengths,
        "loss_tokens": loss,
        "path_depth": part.overlap.path_depth,
        "intermediate_proportion": share[0],
        "shared_proportion": share[1],
    }
    named = table[["run", "step", "group", "group_key", "sample", "reward"]]
    return named.hstack([_column(name, values, len(loss)) for name, values in columns.items()])


def _steps_table(names: pl.DataFrame, part: _Slice) -> pl.DataFrame:
    forest, seen = part.forest, part.seen
    root = np.flatnonzero(forest.parent < 0)
    opens = np.repeat(root, np.diff(root, append=len(forest.parent)))  # parent and first are said inside the group
    plus, minus = _step_split(part)
    columns = {
        "parent": np.where(forest.parent < 0, -1, forest.parent - opens),
        "first": forest.first - forest.first[opens],
        "size": forest.size,
        "start": forest.start,
        "end": forest.end,
        "depth": depths(forest),
        "k": forest.k,
        "tokens": np.bincount(seen.step, seen.tokens, len(forest.size)).astype(np.int64),
        "unique": part.seen.unique,
        "reward": None if part.rewards is None else step_means(forest, part.rewards),
        "advantage": part.step_advantages,
        "s_plus": plus,
        "s_minus": minus,
        "half_width": None if part.bounds is None else np.where(np.isinf(part.bounds.student), 0, part.bounds.student),
        "zero_variance": part.zero[forest.group],
    }
    named = names[forest.group, ["run", "step", "group", "group_key"]]
    return named.hstack([_column(name, values, len(forest.size)) for name, values in columns.items()])


def _subsamples_table(names: pl.DataFrame, part: _Slice) -> pl.DataFrame:
    found = subsampled(part.forest, part.seen, part.groups, part.number)
    named = names.with_columns(
        prompt_key=pl.coalesce("prompt", "group_key"), k=pl.Series(np.bincount(part.groups, minlength=part.number))
    )[found.group, ["run", "step", "group", "prompt_key", "k"]]
    return named.hstack([pl.Series(name, getattr(found, name), nan_to_null=True) for name in found._fields[1:]])


def _step_split(part: _Slice) -> tuple[Floats, Floats]:
    """Sign-split sums of each step, NaN where it has no loss token.

    With a mask, where they may differ from one position to the next, their mean over positions with a loss token.
    """
    split, unique = sign_split_sums(part.forest, part.advantages, mask=part.flat.mask), part.seen.unique
    plus, minus = split.plus, split.minus
    if part.flat.mask is not None:
        step = np.repeat(np.arange(len(unique)), part.forest.length)
        plus, minus = (np.bincount(step, sums, len(unique)) / np.maximum(unique, 1) for sums in (plus, minus))
    return np.where(unique > 0, plus, np.nan), np.where(unique > 0, minus, np.nan)
