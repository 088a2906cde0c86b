"""What TRL generated at one time, row by row and without padding, and the whole groups that the rows belong to.

TRL holds a group's completions next to each other, numbered over all processes in rank order; a group may straddle two.
Its padded tensors do not give the ids back, since padding may equal the end token and a mask may be zeroed: they are
taken from `_calculate_rewards`, which sees lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import gather_object
from numpy.typing import NDArray

from ..core.forest import Floats, Ints
from ..core.groups import Groups
from ..errors import UsageError


class Rewarded(NamedTuple):
    """The arguments and the result of TRL's `_calculate_rewards`.

    Attributes:
        prompts, completions: Texts or chats, one of each a row of this process.
        ids: Completion token ids of each row, without padding.
        per_function: Reward of each function for the rows of all processes, shape (all rows, functions); NaN for none.
        tasks: Column `task` of the data, where they have one.
    """

    prompts: list[Any]
    completions: list[Any]
    ids: list[list[int]]
    per_function: torch.Tensor
    tasks: list[str | None] | None = None


@dataclass(frozen=True)
class Generation:
    """The rows that one generation gave this process.

    Attributes:
        prompts, completions: Texts or chats.
        prompt_ids: Token ids of each prompt, one array a row.
        ids: Token ids of each completion.
        mask: True where a token is in the loss, one array a row.
        advantages: As the loss has them, shape (rows,), float64; NaN where each token has one of its own.
        rewards: The reward that they are made of, of the rows of ALL processes, shape (all rows,), float64; NaN where
            no function gave one.
        parts: What each reward function gave to the rows of this process, shape (rows,) each.
        first: Number of the first row among all.
        tasks: Which task of a mix each row is of, where the data say so.
        k: Completions of a group.
    """

    prompts: list[Any]
    completions: list[Any]
    prompt_ids: list[NDArray[np.integer]]
    ids: list[list[int]]
    mask: list[NDArray[np.bool_]]
    advantages: Floats
    rewards: Floats
    parts: dict[str, Floats]
    first: int
    k: int
    tasks: list[str | None] | None = None

    @property
    def rows(self) -> slice:
        """The rows of this process among all."""
        return slice(self.first, self.first + len(self.ids))

    @property
    def straddles(self) -> bool:
        """Whether groups are parted between processes; all processes give one answer, as all have as many rows."""
        return len(self.ids) % self.k > 0


def generation_of(trainer: Any, rewarded: Rewarded, made: Mapping[str, Any]) -> Generation:
    """Put together what TRL knows of the rows.

    Args:
        trainer: A trainer with the attributes of TRL's GRPOTrainer.
        rewarded: What its `_calculate_rewards` saw.
        made: The tensors that its `_generate_and_score_completions` returned.

    Raises:
        UsageError: The rows of the loss are others than those that were rewarded.
    """
    prompts, completions, ids, per_function, tasks = rewarded
    _check_rows(trainer, ids, made["completion_ids"])
    first = trainer.accelerator.process_index * len(ids)
    in_loss = made["completion_mask"]
    if "tool_mask" in made:
        in_loss = in_loss * made["tool_mask"]
    padded_prompts = zip(made["prompt_ids"].cpu().numpy(), made["prompt_mask"].bool().cpu().numpy(), strict=True)
    names = trainer.reward_func_names
    of_function = per_function.double().cpu().numpy()[first : first + len(ids)]
    return Generation(
        prompts=prompts,
        completions=completions,
        prompt_ids=[row[real] for row, real in padded_prompts],
        ids=ids,
        mask=[row[: len(own)] for row, own in zip(in_loss.bool().cpu().numpy(), ids, strict=True)],
        advantages=_of_completions(made["advantages"]),
        rewards=_total(trainer, per_function),
        # two functions may have one name: two lambdas, say
        parts={name if names.index(name) == n else f"{name} {n}": of_function[:, n] for n, name in enumerate(names)},
        first=first,
        k=trainer.num_generations,
        tasks=tasks,
    )


def reads_rows(input_ids: torch.Tensor, inputs: Mapping[str, Any]) -> bool:
    """Whether a model reads the rows of a micro-batch: a subclass may ask for log-probabilities of other text beside.

    Args:
        input_ids: What it reads, shape (B, at most P + T): padding of prompts may be cut off.
        inputs: Of the loss, with `prompt_ids` of shape (B, P) and `completion_ids` of shape (B, T).
    """
    rows = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    rows = rows[:, max(rows.shape[1] - input_ids.shape[1], 0) :]
    return input_ids.shape[1] >= inputs["completion_ids"].shape[1] and torch.equal(input_ids, rows)


def _check_rows(trainer: Any, ids: list[list[int]], padded: torch.Tensor) -> None:
    """Refuse a subclass that filters, reorders or replays rows: weights and records would be those of others."""
    rows = padded.cpu().numpy()
    if len(rows) != len(ids) or any(
        not np.array_equal(row[: len(own)], own) for row, own in zip(rows, ids, strict=True)
    ):
        raise UsageError(
            f"{type(trainer).__name__} trains on other completions than those that were rewarded last (it filters, "
            "reorders or replays them), so their groups are not known. Take a trainer that keeps its rows."
        )


def _of_completions(advantages: torch.Tensor) -> Floats:
    """Advantages in shape (rows,); (rows, T), which TRL allows to subclasses, has none of a completion."""
    if advantages.ndim == 1:
        return advantages.double().cpu().numpy()
    return np.full(len(advantages), np.nan)


def _total(trainer: Any, per_function: torch.Tensor) -> Floats:
    """The reward of each row as TRL adds it up, in its own float32."""
    total = (per_function * trainer.reward_weights.to(per_function.device)).nansum(1)
    total[per_function.isnan().all(1)] = torch.nan
    if bounds := getattr(trainer, "reward_clip_range", None):  # of RLOO
        total = total.clamp(*bounds)
    return total.double().cpu().numpy()


@dataclass(frozen=True)
class WholeGroups:
    """The rows of every group of which this process has one: its own, or those of all processes.

    Attributes:
        ids, mask, advantages, rewards: As in `Generation`, one entry for each of these rows.
        prompt_lengths: Tokens of the prompt of each row, shape (rows,).
        names: Name of the group of each row.
        rows: Where they stand among those of all processes.
        local: The rows of this process among them.
        complete: These are the rows of all processes.
    """

    ids: list[list[int]]
    mask: list[NDArray[np.bool_]]
    advantages: Floats
    rewards: Floats
    prompt_lengths: Ints
    names: list[str]
    rows: slice
    local: slice
    complete: bool


def whole_groups(generation: Generation) -> WholeGroups:
    """Complete the groups; where they straddle processes this is a collective call, which all make."""
    ids, mask, prompts, advantages = generation.ids, generation.mask, generation.prompt_ids, generation.advantages
    rows, local = generation.rows, slice(0, len(ids))
    # Weights need whole groups; where each process has its own nothing is sent.
    if generation.straddles:
        everyone = gather_object(list(zip(ids, mask, prompts, advantages.tolist(), strict=True)))
        ids, mask, prompts, listed = (list(column) for column in zip(*everyone, strict=True))
        advantages, rows, local = np.array(listed), slice(0, len(ids)), generation.rows
    return WholeGroups(
        ids=ids,
        mask=mask,
        advantages=advantages,
        rewards=generation.rewards[rows],
        prompt_lengths=np.array([len(prompt) for prompt in prompts], np.int64),
        names=group_names(prompts, rows.start, generation.k),
        rows=rows,
        local=local,
        complete=len(ids) == len(generation.rewards),
    )


def group_names(prompts: list[NDArray[np.integer]], first: int, k: int) -> list[str]:
    """Name of the group of each row: TRL's number of it, and what read another prompt of its environment is apart.

    Rows that read different prompts share no tree: what seems a common beginning followed another text.

    Args:
        prompts: Token ids of the prompts of consecutive rows, whole groups.
        first: Number of the first row among those of all processes.
        k: Completions of a group.
    """
    read: dict[int, dict[bytes, int]] = {}
    names = []
    for row, prompt in enumerate(prompts, first):
        known = read.setdefault(row // k, {})
        other = known.setdefault(prompt.tobytes(), len(known))
        names.append(f"{row // k}.{other}" if other else f"{row // k}")
    return names


def loss_groups(whole: WholeGroups) -> Groups:
    """The groups with the advantages of the loss: rows without a reward stay members of their process sets."""
    return Groups.of(whole.ids, None, whole.names, whole.mask, advantages=whole.advantages)


def added(sums: Floats, *, alone: bool) -> Floats:
    """Sums over all processes, the same on each.

    Args:
        sums: Those of the groups of this process.
        alone: Every process has these groups, so that there is nothing to add; else all processes make this call.
    """
    return sums if alone else np.sum(gather_object([sums]), axis=0)
