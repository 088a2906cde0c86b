"""Rollouts of the Tinker cookbook as canonical parts, since its own logs hold lengths and rewards but no ids."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..logs.recorder import Recorder
from ..logs.recording import recorded_table
from .method import write_method

IMAGES = 1 << 30  # ids from here on stand for what is no token


def sequence(datum: Any, numbers: dict[str, int]) -> tuple[list[int], int]:
    """Ids of a datum's whole sequence, and where its completion begins: at the first token that is trained.

    Args:
        datum: `tinker.Datum` with `target_tokens` and `mask`.
        numbers: Numbers of what is no text, by content, of all datums that are to be compared; is added to.
    """
    ids: list[int] = []
    for chunk in datum.model_input.chunks:
        if hasattr(chunk, "tokens"):
            ids.extend(chunk.tokens)
        else:
            ids.extend([IMAGES + numbers.setdefault(repr(chunk), len(numbers))] * chunk.length)
    # The input lacks the last token of the sequence, the targets lack the first.
    ids.append(int(datum.loss_fn_inputs["target_tokens"].to_numpy()[-1]))
    trained = np.flatnonzero(datum.loss_fn_inputs["mask"].to_numpy() > 0)
    return ids, int(trained[0]) + 1 if trained.size else len(ids)


class StepRecorder:
    """A recorder that knows the step: the cookbook makes its minibatches without one.

    Args:
        folder: Where the parts are to lie.
        assemble: The cookbook's `assemble_training_data`, without weights.
        advantages: Its `compute_advantages`.
        method: What the run is trained with (`method.method_name`).
    """

    def __init__(self, folder: str | Path, assemble: Callable, advantages: Callable, method: str) -> None:
        self.recorder, self.assemble, self.advantages, self.method = Recorder(folder), assemble, advantages, method
        self.name = Path(folder).resolve().parent.name
        self.step = self.generation = 0

    @contextmanager
    def run(self, checkpoint: Any) -> Generator[None]:
        """Record a run that goes on from a checkpoint of the cookbook, or begins (None)."""
        self.recorder.begin(checkpoint.batch if checkpoint else 0)
        write_method(self.recorder.folder, self.method)
        try:
            yield
        finally:
            self.recorder.close()

    def counting(self, train_step: Callable) -> Callable:
        """The cookbook's training step, of which batch 0 is step 1."""

        @wraps(train_step)
        async def counted(config: Any, i_batch: int, *args: Any, **kwargs: Any) -> Any:
            self.step, self.generation = i_batch + 1, 0
            return await train_step(config, i_batch, *args, **kwargs)

        return counted

    def write(self, groups: list[Any], tokenizer: Any) -> None:
        """Have the trajectory groups of a minibatch written; returns at once."""
        step, generation = self.step, self.generation
        self.generation += 1
        self.recorder.write(step, generation, lambda: self.table(step, generation, groups, tokenizer))

    def table(self, step: int, generation: int, groups: list[Any], tokenizer: Any) -> pl.DataFrame:
        """The canonical table of trajectory groups; of one whose history was rewritten the last datum.

        Rewards and advantages are those before a KL penalty.
        """
        advantages = self.advantages(groups)
        data, places = self.assemble(groups, advantages)
        last = {(place["group_idx"], place["traj_idx"]): datum for place, datum in zip(places, data, strict=True)}
        numbers: dict[str, int] = {}
        rows = [sequence(datum, numbers) for datum in last.values()]
        inputs = [(datum.loss_fn_inputs, start) for datum, (_, start) in zip(last.values(), rows, strict=True)]

        def text(ids: list[int]) -> str:
            return tokenizer.decode([token for token in ids if token < IMAGES])

        return recorded_table(
            run=self.name,
            step=step,
            group_keys=[f"{step}-{generation}-{group}" for group, _ in last],
            samples=[member for _, member in last],
            prompts=[text(ids[:start]) for ids, start in rows],
            completions=[text(ids[start:]) for ids, start in rows],
            tokens=[ids[start:] for ids, start in rows],
            rewards=[groups[group].get_total_rewards()[member] for group, member in last],
            masks=[field["mask"].to_numpy()[start - 1 :] > 0 for field, start in inputs],
            logprobs=[field["logprobs"].to_numpy()[start - 1 :] for field, start in inputs],
            advantages=[float(advantages[group][member]) for group, member in last],
        )
