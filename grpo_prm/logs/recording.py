"""What a trainer has of a step's completions as the canonical table, so that `analyze` reads what was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import UsageError
from .rollouts import BY_LOG, REWARD_PART, SCHEMA
from .rows.values import Bad, completion_of, prompt_of

Values = Sequence[float | None] | NDArray[np.floating]
Lists = Sequence[Any]
OF_TOKENS = ("mask", "logprobs", "trainer_logprobs", "ref_logprobs")  # columns with one value a token


def recorded_table(
    *,
    run: str,
    step: int,
    group_keys: Sequence[str],
    samples: Sequence[int] | NDArray[np.integer],
    prompts: Sequence[Any],
    completions: Sequence[Any],
    tokens: Lists,
    rewards: Values,
    parts: Mapping[str, Values] | None = None,
    masks: Lists | None = None,
    logprobs: Lists | None = None,
    trainer_logprobs: Lists | None = None,
    ref_logprobs: Lists | None = None,
    advantages: Values | None = None,
    truncated: Sequence[bool | None] | NDArray[np.bool_] | None = None,
    tasks: Sequence[str | None] | None = None,
    first_group: int = 0,
) -> pl.DataFrame:
    """Put the completions of one step into the canonical table (docs/output.md: the canonical table).

    Every argument but `run`, `step` and `first_group` has one entry a completion; None, whole or as an entry, is what
    is not known.

    Args:
        run: Name of the run.
        step: Training step that the completions are for.
        group_keys: Name of the group of each; rows of a group need not be neighbours, nor all be here.
        samples: Index of each in its group.
        prompts: Texts or chats.
        completions: Texts or chats; one that is neither leaves the text null, since the ids are what counts.
        tokens: Completion token ids, without prompt and padding.
        rewards: The reward that the advantage is made of; a row whose reward is not finite is left out.
        parts: The named parts of the reward; NaN where a part says nothing of a completion.
        masks: True where a token is in the loss.
        logprobs: Log-probability of each token under the sampler, as long as `tokens`.
        trainer_logprobs: Under the policy before the update.
        ref_logprobs: Under the reference.
        advantages: As the loss has them.
        truncated: Stopped by the length limit.
        tasks: Which task of a mix each is of.
        first_group: Number of the first group.

    Returns:
        `SCHEMA` and `reward/NAME`, rows of a group next to each other, groups in the order in which they come.

    Raises:
        UsageError: Something has not one entry a completion, or not one value a token.

    Examples:
        >>> import grpo_prm
        >>> table = grpo_prm.recorded_table(
        ...     run="mine", step=0, group_keys=["a", "a"], samples=[0, 1], prompts=["1 + 1 ="] * 2,
        ...     completions=["it is 2", "it is 3"], tokens=[[5, 6, 7], [5, 6, 8]], rewards=[1.0, 0.0],
        ... )
        >>> table["tokens"].to_list()
        [[5, 6, 7], [5, 6, 8]]
    """
    number = len(tokens)
    place: dict[str, int] = {}
    group = np.array([place.setdefault(key, len(place)) for key in group_keys], np.int64)
    columns: dict[str, Any] = {
        "run": [run] * number,
        "step": [step] * number,
        "group": group + first_group,
        "group_key": group_keys,
        "problem": [None] * number,
        "task": tasks,
        "sample": samples,
        "prompt": [_prompt(prompt) for prompt in prompts],
        "completion": [_completion(completion) for completion in completions],
        "tokens": tokens,
        "mask": masks,
        "logprobs": logprobs,
        "trainer_logprobs": trainer_logprobs,
        "ref_logprobs": ref_logprobs,
        "reward": rewards,
        "advantage": advantages,
        "truncated": truncated,
        "tokens_from": ["log"] * number,
        "run_from": [BY_LOG] * number,
    }
    named = {REWARD_PART + name: values for name, values in (parts or {}).items()}
    table = pl.DataFrame([_column(name, values, number) for name, values in {**columns, **named}.items()])
    _check_lengths(table)
    # A table holds no NaN: a part that says nothing is null, and without a reward a row has no place in a group.
    table = table.with_columns(pl.col("reward", "advantage", *named).fill_nan(None))
    return table.filter(pl.col("reward").is_finite()).sort("group", maintain_order=True)


def _column(name: str, values: Any, number: int) -> pl.Series:
    dtype = SCHEMA.get(name, pl.Float64())
    if values is None:
        return pl.Series(name, [None] * number, dtype)
    if isinstance(dtype, pl.List):
        values = [list(row) if isinstance(row, np.ndarray) else row for row in values]
    if len(values) != number:
        raise UsageError(f"{name}: {len(values)} for {number} completions. Give one a completion.")
    return pl.Series(name, values, dtype, strict=False)


def _check_lengths(table: pl.DataFrame) -> None:
    """Refuse values of tokens that are not as many as the tokens: the first that is met is named."""
    for name in OF_TOKENS:
        odd = table.with_row_index("row").filter(pl.col(name).list.len() != pl.col("tokens").list.len())
        if len(odd):
            row, given, tokens = odd.select("row", pl.col(name, "tokens").list.len()).row(0)
            raise UsageError(f"{name} of completion {row}: {given} values for {tokens} tokens. Give one a token.")


def _prompt(value: Any) -> str | None:
    try:
        return prompt_of(value, needed=False)
    except Bad:
        return None


def _completion(value: Any) -> str | None:
    try:
        return None if value is None else completion_of(value)[0]
    except Bad:
        return None
