"""The rollouts of a training as `analyze` reads them: each generation is held until its log-probabilities are known.

With vLLM the sampler gives them; where TRL needs them before the update it computes them; else they are those of the
first pass of the loss, whose weights are still the sampler's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
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
class Held:
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

    @cached_property
    def table(self) -> pl.DataFrame:
        """The canonical table; what is not finite (vLLM has no log-probability of some tokens) leaves a row without."""
        generation, rows = self.generation, self.generation.rows
        trainer = [_finite(row) for row in self.trainer]
        sampler = None if self.sampler is None else [_finite(row) for row in self.sampler]
        groups = len(generation.rewards) // generation.k  # of all processes, so that numbers go on over generations
        return recorded_table(
            run=self.run,
            step=self.step,
            group_keys=[f"{self.step}-{self.number}-{name}" for name in self.names],
            samples=np.arange(rows.start, rows.stop) % generation.k,
            prompts=generation.prompts,
            completions=generation.completions,
            tokens=generation.ids,
            rewards=generation.rewards[rows],
            parts=generation.parts,
            # a mask that hides nothing says nothing
            masks=[None if row.all() else row.tolist() for row in generation.mask],
            logprobs=trainer if sampler is None else sampler,
            trainer_logprobs=None if sampler is None else trainer,
            ref_logprobs=self.reference,
            advantages=generation.advantages,
            truncated=self.truncated,
            first_group=self.number * groups + rows.start // generation.k,
        )


class Rollouts:
    """Holds generations and hands them to the recorder, and to whoever takes them.

    Args:
        recorder: Of this process; None: nothing is written.
        run: Name of the run.
    """

    def __init__(self, recorder: Recorder | None, run: str) -> None:
        self.recorder, self.run = recorder, run
        self._held: Held | None = None
        self._done: list[Held] = []
        self._last = (0, 0)  # step and number of the generation before

    def hold(
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
        self._held = Held(
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
        if self._held.known:
            self.flush()

    def logprobs(self, rows: torch.Tensor, values: torch.Tensor) -> None:
        """Take the log-probabilities of a micro-batch in the first pass of the loss.

        Args:
            rows: Which rows of the generation, shape (B,).
            values: Shape (B, T).
        """
        held = self._held
        if held is None:
            return
        for row, of_tokens in zip(rows.tolist(), values.detach().float().cpu().numpy(), strict=True):
            held.trainer[row] = of_tokens[: len(held.generation.ids[row])].copy()
        if held.known:
            self.flush()

    def flush(self) -> None:
        """Hand on what is held as it is."""
        held, self._held = self._held, None
        if held is None:
            return
        self._done.append(held)
        if self.recorder is not None:
            self.recorder.write(held.step, held.number, lambda: held.table)

    def take(self) -> list[Held]:
        """What was handed on since the last call."""
        done, self._done = self._done, []
        return done

    def close(self) -> None:
        """Hand on what is held, and wait until all is written."""
        self.flush()
        if self.recorder is not None:
            self.recorder.close()


def _rows(values: torch.Tensor | None, generation: Generation) -> Rows | None:
    """A padded tensor as one array a row."""
    if values is None:
        return None
    padded = values.detach().float().cpu().numpy()
    return [row[: len(ids)].copy() for row, ids in zip(padded, generation.ids, strict=True)]


def _finite(row: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    return row if row is not None and np.isfinite(row).all() else None


def run_name(output_dir: str | Path) -> str:
    """What tables call the run: the name of its folder, also where that is `.`."""
    return Path(output_dir).resolve().name


def truncated_rows(trainer: Any, ids: list[list[int]]) -> list[bool]:
    """Which completions the length limit stopped, as TRL tells: their last token neither ends nor pads."""
    tokenizer = getattr(trainer.processing_class, "tokenizer", trainer.processing_class)
    # `eos_token_ids` since TRL 1.9: a model may have several
    ends = {*(getattr(trainer, "eos_token_ids", None) or [tokenizer.eos_token_id]), tokenizer.pad_token_id}
    return [bool(row) and row[-1] not in ends for row in ids]
