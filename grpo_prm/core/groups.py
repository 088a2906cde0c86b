"""Groups of completions, measured once: trees, advantages, tolerance, step rewards, signs, and λ weights of each token.

The chain from rewards to signs is delicate (zero variance, rounding of A at the root, float32 of logged advantages), so
it stands here alone; the analysis, the tree of one group, the export and the trainer all take it from here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .forest import Floats, Forest, Ints, Visits, build_forest, expand, visits
from .prm import (
    Bools,
    Signs,
    Std,
    beyond,
    countable,
    group_advantages,
    group_means,
    signs,
    step_means,
    zero_tolerance,
    zero_variance,
)
from .weights import Kind, scale_sums, token_factors

Shape = Callable[[NDArray], Any]  # one value a token, completion after completion, to the form of the input
ID_LIMIT = 1 << 31  # the forest sorts by (step, token id) in one integer of 64 bits


@dataclass(frozen=True, eq=False)
class Groups:
    """Whole groups with everything that their tokens and rewards determine; each part is made when first asked for.

    Make one with `Groups.of`. The rows of a group need not be neighbours.

    Attributes:
        forest: The process steps of all groups.
        tokens: Token ids, completion after completion, shape (tokens,).
        lengths: Tokens of each completion, shape (completions,), int64.
        groups: Dense group of each completion, shape (completions,), int64, from 0.
        rewards: r, shape (completions,), float64; None where only advantages are known.
        mask: True where a token is in the loss, shape (tokens,); None: all are.
        std: Divisor of advantages that are computed from the rewards (`prm.group_advantages`).
        given: Advantages to take instead of computing them, shape (completions,), float64; None: compute.
        logged: Whether these come from a log, in float32, which sets the tolerance (`prm.zero_tolerance`).
        shape: Gives per-token values the form in which the completions came.
        names: The caller's own name of each group, as text; None where groups have none.

    Examples:
        >>> import grpo_prm
        >>> g = grpo_prm.Groups.of([[5, 6, 7], [5, 6, 8], [5, 9]], [1.0, 0.0, 1.0], [0, 0, 0])
        >>> [row.tolist() for row in g.sizes]  # how many completions share each token
        [[3, 2, 1], [3, 2, 1], [3, 1]]
        >>> [row.round(2).tolist() for row in g.step_rewards]  # their mean reward
        [[0.67, 0.5, 1.0], [0.67, 0.5, 0.0], [0.67, 1.0]]
        >>> g.lambda_weights(p=1.0)[0]  # what the loss of each token of the first completion is multiplied with
        array([0.33333334, 0.5       , 1.        ], dtype=float32)
    """

    forest: Forest
    tokens: NDArray[np.integer]
    lengths: Ints
    groups: Ints
    rewards: Floats | None
    mask: Bools | None = None
    std: Std = "sample"
    given: Floats | None = None
    logged: bool = False
    shape: Shape = np.asarray
    names: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        tokens: Any,
        rewards: ArrayLike | None,
        groups: Sequence[Any] | NDArray | int,
        mask: Any = None,
        *,
        lengths: ArrayLike | None = None,
        advantages: ArrayLike | None = None,
        std: Std = "sample",
    ) -> Groups:
        """Build groups from one's own completions: lists, numpy arrays or torch tensors.

        Args:
            tokens: Completion token ids without the prompt, each in [0, 2**31): a list with the real tokens of each
                completion (list or array), or a padded array or tensor of shape (completions, T), padded on the right.
            rewards: Outcome reward of each completion, shape (completions,). One that is not finite, or 1e100 or more,
                gives advantage 0 and is left out of its group's mean; R(λ) of a set with such a member is NaN. None:
                only `advantages` are known.
            groups: The group of each completion: numbers or names, shape (completions,); or k, where the k completions
                of a group are next to each other.
            mask: True or 1 where a token is in the loss, in the form of `tokens`; tokens out of it (tool output) still
                part completions. None: all real tokens are. Of a padded array a completion ends with its last True,
                unless `lengths` are given, which a completion wholly out of the loss needs: it stays a member.
            lengths: Real tokens of each completion of a padded array, shape (completions,).
            advantages: Take these, shape (completions,), instead of computing them from the rewards; one that is not
                finite, or 1e100 or more, counts as 0.
            std: Divisor of the advantage: `sample`, `population`, `none` (Dr. GRPO), or `batch`.

        Returns:
            The groups. Per-token values (`sizes`, `step_rewards`, `step_advantages`, `lambda_weights`) have
            the form of `tokens`: a list of arrays, a padded array, or a padded tensor on the same device; 0 on padding.

        Raises:
            ValueError: Shapes or kinds of values do not fit, an id is negative or too large, it cannot be told which
                tokens of a padded array are real, a group has no name, or neither rewards nor advantages are given.
                The message names the argument.
        """
        flat, sizes, in_loss, shape = _flattened(tokens, mask, lengths)
        number = len(sizes)
        if flat.size and not (flat.min() >= 0 and flat.max() < ID_LIMIT):
            raise ValueError(
                f"tokens hold ids from {flat.min()} to {flat.max()}, but an id lies in [0, 2**31). "
                "Leave padding and ignored labels (-100) out with mask or lengths."
            )
        if rewards is None and advantages is None:
            raise ValueError("neither rewards nor advantages are given, so no step has a value: give one of them.")
        if std not in get_args(Std):
            raise ValueError(f"std is {std!r}, but the divisor is one of {', '.join(get_args(Std))}.")
        dense, names = _dense_groups(groups, number)
        return cls(
            forest=build_forest(flat, sizes, dense),
            tokens=flat,
            lengths=sizes,
            groups=dense,
            rewards=None if rewards is None else _column(rewards, number, "rewards"),
            mask=in_loss,
            std=std,
            given=None if advantages is None else _column(advantages, number, "advantages"),
            shape=shape,
            names=names,
        )

    def __repr__(self) -> str:
        """`Groups(64 completions in 8 groups, 32,768 tokens)`."""
        groups = "1 group" if self.number == 1 else f"{self.number:,} groups"
        return f"Groups({len(self.lengths):,} completions in {groups}, {len(self.tokens):,} tokens)"

    @cached_property
    def number(self) -> int:
        """How many groups there are."""
        return int(self.groups.max(initial=-1)) + 1

    @cached_property
    def seen(self) -> Visits:
        """Loss tokens of every completion in every step on its path."""
        return visits(self.forest, self.mask)

    @cached_property
    def zero(self) -> Bools:
        """True for zero-variance groups, by their rewards or, without rewards, by their advantages, shape (groups,)."""
        values = self.given if self.rewards is None else self.rewards
        assert values is not None
        return zero_variance(values, self.groups)

    @cached_property
    def _unrounded(self) -> Floats:
        """Advantages before rounding is taken off, exactly 0 in zero-variance groups."""
        if self.given is not None:
            return np.where(self.zero[self.groups] | ~countable(self.given), 0.0, self.given)
        assert self.rewards is not None
        return group_advantages(self.rewards, self.groups, self.std)

    @cached_property
    def tolerance(self) -> Floats:
        """Bound of each group within which an advantage counts as 0 (definitions: Tolerance), shape (groups,)."""
        return zero_tolerance(self._unrounded, self.groups, logged=self.logged, rewards=self.rewards)

    @cached_property
    def centred(self) -> Bools:
        """True for groups whose advantages have mean 0 but for rounding: A of their root is 0, shape (groups,).

        Given or logged ones need not: a KL term or the baseline of a whole batch leaves a mean, which the root keeps.
        """
        return np.abs(group_means(self._unrounded, self.groups, self.number)) <= self.tolerance

    @cached_property
    def advantages(self) -> Floats:
        """A of each completion, exactly 0 within the tolerance, shape (completions,), float64."""
        return beyond(self.tolerance[self.groups], self._unrounded)

    @cached_property
    def set_rewards(self) -> Floats:
        """R(λ) of each process step, shape (steps,), float64; NaN without rewards."""
        if self.rewards is None:
            return np.full(len(self.forest.size), np.nan)
        return step_means(self.forest, np.where(countable(self.rewards), self.rewards, np.nan))

    @cached_property
    def set_advantages(self) -> Floats:
        """A(λ) of each process step, exactly 0 within the tolerance and at a centred root, shape (steps,), float64."""
        means = beyond(self.tolerance[self.forest.group], step_means(self.forest, self.advantages))
        # Advantages that were set to 0 leave the others with a mean of their own, which may pass the tolerance.
        means[(self.forest.parent < 0) & self.centred[self.forest.group]] = 0.0
        return means

    @cached_property
    def sign(self) -> Signs:
        """Signs of a and A beyond the tolerance."""
        return signs(self.forest, self.advantages, self.set_advantages, self.tolerance, self.groups)

    @cached_property
    def sizes(self) -> Any:
        """Process-set size |λ(i,t)| of each token, int64, in the form of the input; 0 on padding."""
        return self.shape(expand(self.forest, self.forest.size))

    @cached_property
    def step_rewards(self) -> Any:
        """R(λ(i,t)) of each token: the reward of the hidden PRM (Theorem 1), float64, in the form of the input."""
        return self.shape(expand(self.forest, self.set_rewards))

    @cached_property
    def step_advantages(self) -> Any:
        """A(λ(i,t)) of each token, float64, in the form of the input; 0 on padding."""
        return self.shape(expand(self.forest, self.set_advantages))

    def lambda_weights(self, p: float = 1.0, kind: Kind = "process-set", weights: ArrayLike | None = None) -> Any:
        """Factor of each token's whole loss term under λ-GRPO (definitions: λ-GRPO; parent weights; Controls).

        Args:
            p: At least 0; 0 is GRPO, 1 the paper's λ-GRPO.
            kind: `process-set` is |λ(i,t)|^-p. `parent` is |λ(i,t-1)|^-p, how many completions reached the decision;
                k^-p at t = 0. `position` is the placebo: the weighted mean of |λ|^-p over the completions of the group
                that have a token at this position. `none` is 1.
            weights: w_i of each completion in the loss, shape (completions,), which weigh that mean; None: 1.

        Returns:
            Factors in [0, 1], float32, in the form of the input; 0 on padding.

        Raises:
            ValueError: p is negative, or the kind is unknown.
        """
        return self.shape(token_factors(self.forest, self.groups, p, kind, self._token_weights(weights)))

    def scale_sums(self, p: float = 1.0, weights: ArrayLike | None = None) -> tuple[float, float]:
        """Σ w |λ|^-p |a| and Σ w |a| over the loss tokens, which add up over parts of a batch (definitions: Controls).

        The first over the second is the factor of GRPO whose loss is as small as that of λ-GRPO (scale-matched).

        Args:
            p: At least 0.
            weights: w_i of each completion in the loss, shape (completions,); None: 1.
        """
        return scale_sums(self.forest, p, self._token_weights(weights), self.advantages)

    def _token_weights(self, weights: ArrayLike | None) -> Floats:
        """w_i m_it of each token, shape (tokens,)."""
        each = np.ones(len(self.lengths)) if weights is None else _column(weights, len(self.lengths), "weights")
        of_token = np.repeat(each, self.lengths)
        return of_token if self.mask is None else of_token * self.mask


def _flattened(tokens: Any, mask: Any, lengths: ArrayLike | None) -> tuple[NDArray, Ints, Bools | None, Shape]:
    """Ids completion after completion, their lengths, the loss mask, and the way back to the form of the input."""
    if getattr(tokens, "ndim", 1) == 2:
        return _from_padded(tokens, mask, lengths)
    if lengths is not None:
        raise ValueError("lengths belong to a padded array, but tokens are a list of completions.")
    rows = [_ids(row, n) for n, row in enumerate(tokens)]
    sizes = np.array([len(row) for row in rows], np.int64)
    flat = np.concatenate(rows) if rows else np.zeros(0, np.int64)
    ends = np.cumsum(sizes)

    def shape(values: NDArray) -> list[NDArray]:
        return np.split(values, ends[:-1]) if len(ends) else []

    if mask is None:
        return flat, sizes, None, shape
    inside = [_flags(row) for row in mask]
    if [row.shape for row in inside] != [row.shape for row in rows]:
        raise ValueError("mask has other lengths than tokens: give one value for each token of each completion.")
    return flat, sizes, np.concatenate(inside) if inside else np.zeros(0, bool), shape


def _ids(row: Any, n: int) -> NDArray:
    """Ids of one completion."""
    ids = _numpy(row)
    if ids.ndim != 1 or (ids.size and not np.issubdtype(ids.dtype, np.integer)):
        raise ValueError(f"tokens[{n}] is {ids.dtype} of shape {ids.shape}, but a completion is a list of token ids.")
    return ids.astype(np.int64, copy=False)


def _from_padded(tokens: Any, mask: Any, lengths: ArrayLike | None) -> tuple[NDArray, Ints, Bools | None, Shape]:
    """The same of an array or tensor of shape (completions, T)."""
    ids = _numpy(tokens)
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"tokens are {ids.dtype}, but token ids are integers.")
    in_loss = None if mask is None else _flags(mask)
    if in_loss is not None and in_loss.shape != ids.shape:
        raise ValueError(f"mask has shape {in_loss.shape}, but tokens have {ids.shape}.")
    if lengths is not None:
        given = _column(lengths, len(ids), "lengths")
        sizes = np.nan_to_num(given).astype(np.int64)
        if ((sizes < 0) | (sizes > ids.shape[1]) | (sizes != given)).any():
            raise ValueError(f"lengths are whole numbers from 0 to {ids.shape[1]}, the width of tokens.")
        if in_loss is not None and (in_loss & (np.arange(ids.shape[1]) >= sizes[:, None])).any():
            raise ValueError("mask is True behind the length of a completion: mask and lengths do not fit.")
    elif in_loss is None:
        raise ValueError(
            "tokens are a padded array, so it must be known which of them are real: give mask (True on the tokens in "
            "the loss) or lengths."
        )
    else:
        if (wrong := np.flatnonzero(~in_loss[:, :1].any(axis=1))).size:
            # Padding on the left, a completion that opens with tool output, one that is out of the loss as a whole but
            # still a member of its sets, or an empty one: readings with other trees.
            raise ValueError(
                f"mask is False at the first token of row {wrong[0]}: padding must be on the right. If the row is "
                "empty, opens with real tokens out of the loss, or is out of it as a whole, give lengths too."
            )
        sizes = ids.shape[1] - in_loss[:, ::-1].argmax(axis=1) if ids.shape[1] else np.zeros(len(ids), np.int64)
    real = np.arange(ids.shape[1]) < sizes[:, None]

    def shape(values: NDArray) -> Any:
        padded = np.zeros(ids.shape, values.dtype)
        padded[real] = values
        return padded if isinstance(tokens, np.ndarray) else _tensor_like(tokens, padded)

    return ids[real], sizes, None if in_loss is None else in_loss[real], shape


def _numpy(values: Any) -> NDArray:
    """A list, an array or a tensor as numpy; torch itself is not needed for that."""
    if not hasattr(values, "detach"):
        try:
            return np.asarray(values)
        except (TypeError, RuntimeError):  # a list of tensors with a gradient, or of bfloat16
            return np.array([_numpy(value) for value in values])
    values = values.detach().cpu()
    # numpy has no bfloat16; float32 holds all its values.
    return values.float().numpy() if "bfloat16" in str(values.dtype) else values.numpy()


def _flags(mask: Any) -> Bools:
    """A mask of 0 and 1 or False and True; labels with -100 are none, and would count padding as tokens."""
    flags = _numpy(mask)
    if flags.dtype != bool and not np.isin(flags, (0, 1)).all():
        raise ValueError("mask holds other values than 0 and 1: give True where a token is in the loss.")
    return flags.astype(bool)


def _tensor_like(tensor: Any, values: NDArray) -> Any:
    """A tensor of the dtype of `values` on the device of `tensor`."""
    empty = tensor[:0]  # its methods make tensors, so that this module never imports torch
    kind = {"f4": empty.float, "f8": empty.double}.get(values.dtype.str[1:], empty.long)
    return kind().new_tensor(values)


def _column(values: ArrayLike, number: int, name: str) -> Floats:
    column = _numpy(values)
    if column.size and column.dtype.kind not in "biuf":
        raise ValueError(f"{name} holds other values than numbers ({column.dtype}).")
    column = column.astype(np.float64)
    if column.shape != (number,):
        raise ValueError(f"{name} has shape {column.shape}, but there are {number} completions.")
    return column


def _dense_groups(groups: Any, number: int) -> tuple[Ints, tuple[str, ...] | None]:
    """Groups numbered from 0 in the order in which they come, and their names."""
    if isinstance(groups, int | np.integer) and not isinstance(groups, bool):
        if groups < 1 or number % groups:
            raise ValueError(f"groups = {groups}: {number} completions are not groups of that many.")
        return np.arange(number) // int(groups), None
    # Through Python values: one numpy array of mixed names would make 1 and "1" the same.
    values = groups if isinstance(groups, list | tuple) else _numpy(groups).tolist()
    if not isinstance(values, list | tuple) or len(values) != number:
        count = len(values) if isinstance(values, list | tuple) else repr(groups)
        raise ValueError(f"groups are {count}, but there are {number} completions.")
    values = [value.item() if hasattr(value, "item") else value for value in values]
    if (missing := next((n for n, value in enumerate(values) if value is None or value != value), None)) is not None:
        raise ValueError(f"groups[{missing}] is {values[missing]}: the group of each completion must be known.")
    place: dict[Any, int] = {}
    try:
        dense = [place.setdefault(value, len(place)) for value in values]
    except TypeError:
        raise ValueError("groups hold values that are no names: give numbers or texts.") from None
    return np.array(dense, np.int64), tuple(map(str, place))
