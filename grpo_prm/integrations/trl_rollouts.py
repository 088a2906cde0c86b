"""The rollouts of a training as `analyze` reads them: each generation waits until its log-probabilities are known.

With vLLM the sampler gives them; where TRL needs them before the update it computes them; else they are those of the
first pass of the loss, whose weights are still the sampler's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from ..logs.recorder import Recorder
from ..logs.recording import recorded_table
from .trl_generation import Generation

Rows = list[NDArray[np.float32]]


@dataclass
class Pending:
    """A generation on its way to the disk.

    Attributes:
        run: Name of the run.
        step: Optimizer step that it is for, counted from 1 as trackers count.
        number: 0 for the first of this step.
        generation: Its rows on this process.
        names: Name of the group of each row.
        truncated: Stopped by the length limit, one a row.
        sampler: Log-probabilities of each row under the sampler, where this is another program.
        reference: Under the reference model.
        trainer: Under the trained model; None for a row whose are not known yet.
    """

    run: str
    step: int
    number: int
    generation: Generation
    names: list[str]
    truncated: list[bool]
    sampler: Rows | None = None
    reference: Rows | None = None
    trainer: list[NDArray[np.float32] | None] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """Whether nothing more is to come."""
        return all(row is not None for row in self.trainer)

    @property
    def table(self) -> pl.DataFrame:
        """The canonical table."""
        generation = self.generation
        texts = {"prompts": generation.prompts, "completions": generation.completions}
        return self._table(len(self.names), **texts, ref_logprobs=self.reference, truncated=self.truncated)

    def without_texts(self, rows: int) -> pl.DataFrame:
        """What findings are judged by: no completion texts, no reference, and a digest of the prompt for its text.

        Args:
            rows: How many, from the first of this process.
        """
        digests = [blake2b(ids.tobytes(), digest_size=8).hexdigest() for ids in self.generation.prompt_ids[:rows]]
        return self._table(rows, prompts=digests, completions=[None] * rows)

    def _table(self, rows: int, **more: Any) -> pl.DataFrame:
        generation, first, rewards = self.generation, self.generation.first, self.generation.rewards
        trainer, sampler = _finite(self.trainer[:rows]), self.sampler and _finite(self.sampler[:rows])
        groups = len(rewards) // generation.k  # of all processes, so that numbers go on over generations
        return recorded_table(
            run=self.run,
            step=self.step,
            group_keys=[f"{self.step}-{self.number}-{name}" for name in self.names[:rows]],
            samples=np.arange(first, first + rows) % generation.k,
            tasks=generation.tasks and generation.tasks[:rows],
            tokens=generation.ids[:rows],
            rewards=rewards[first : first + rows],
            parts={name: values[:rows] for name, values in generation.parts.items()},
            # a mask that hides nothing says nothing
            masks=[None if row.all() else row.tolist() for row in generation.mask[:rows]],
            logprobs=trainer if sampler is None else sampler,
            trainer_logprobs=None if sampler is None else trainer,
            advantages=generation.advantages[:rows],
            first_group=self.number * groups + first // generation.k,
            **more,
        )


class Rollouts:
    """Keeps a generation until it is known, then gives it to the recorder and to whoever takes it.

    Args:
        recorder: Of this process; None: nothing is written.
        run: Name of the run.
    """

    def __init__(self, recorder: Recorder | None, run: str) -> None:
        self.recorder, self.run = recorder, run
        self._pending: Pending | None = None
        self._done: list[Pending] = []
        self._last = (0, 0)  # step and number of the generation before

    def add(
        self,
        step: int,
        generation: Generation,
        names: list[str],
        truncated: list[bool],
        made: Mapping[str, Any],
        old: torch.Tensor | None,
    ) -> None:
        """Take a generation.

        Args:
            step: Optimizer step that it is for, from 1.
            generation: Its rows on this process.
            names: Name of the group of each row.
            truncated: Stopped by the length limit, one a row.
            made: The tensors that TRL made of it.
            old: Log-probabilities of the trained model where they are known, shape (rows, T).
        """
        self.flush()  # TRL did not use up the one before, or its loss asks for no log-probabilities
        number = self._last[1] + 1 if self._last[0] == step else 0
        self._last = (step, number)
        self._pending = Pending(
            self.run,
            step,
            number,
            generation,
            names,
            truncated,
            sampler=_rows(made.get("sampling_per_token_logps"), generation),
            reference=_rows(made.get("ref_per_token_logps"), generation),
            trainer=list(_rows(old, generation) or [None] * len(names)),
        )
        if self._pending.known:
            self.flush()

    def logprobs(self, rows: torch.Tensor, values: torch.Tensor) -> None:
        """Take the log-probabilities of a micro-batch in the first pass of the loss.

        Args:
            rows: Which rows of the generation, shape (B,).
            values: Shape (B, T).
        """
        pending = self._pending
        if pending is None:
            return
        for row, of_tokens in zip(rows.tolist(), values.detach().float().cpu().numpy(), strict=True):
            if pending.trainer[row] is None:  # of a later pass the weights may be others
                pending.trainer[row] = of_tokens[: len(pending.generation.ids[row])].copy()
        if pending.known:
            self.flush()

    def flush(self) -> None:
        """Give what waits to the recorder as it is."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        self._done.append(pending)
        if self.recorder is not None:
            self.recorder.write(pending.step, pending.number, lambda: pending.table)

    def take(self) -> list[Pending]:
        """Generations that are known since the last call."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Give what waits to the recorder, and wait until all is written."""
        self.flush()
        if self.recorder is not None:
            self.recorder.close()


def _rows(values: torch.Tensor | None, generation: Generation) -> Rows | None:
    """A padded tensor as one array a row."""
    if values is None:
        return None
    padded = values.detach().float().cpu().numpy()
    return [row[: len(ids)].copy() for row, ids in zip(padded, generation.ids, strict=True)]


def _finite(rows: Sequence[NDArray[np.float32] | None]) -> list[NDArray[np.float32] | None]:
    """The rows that are known; vLLM has no log-probability of some tokens, and a row is whole or not there."""
    return [row if row is not None and np.isfinite(row).all() else None for row in rows]


def run_name(output_dir: str | Path) -> str:
    """What tables call the run: the name of its folder, also where that is `.`."""
    return Path(output_dir).resolve().name


def truncated_rows(trainer: Any, ids: list[list[int]]) -> list[bool]:
    """Which completions the length limit stopped, as TRL tells: their last token neither ends nor pads."""
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    # `eos_token_ids` since TRL 1.9: a model may have several
    ends = {*(getattr(trainer, "eos_token_ids", None) or [tokenizer.eos_token_id]), tokenizer.pad_token_id}
    return [bool(row) and row[-1] not in ends for row in ids]
