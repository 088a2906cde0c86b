"""What is done with a generation of TRL at each seam of its trainer: measured, recorded, and where asked for weighted.

Nothing here draws a random number or touches a tensor of TRL's, so a training that is only watched stays what it was to
the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from ..core.groups import Groups
from ..logs.recorder import Recorder
from .method import write_method
from .trl_alarms import AlarmJudge
from .trl_figures import Figures, divisor_of
from .trl_generation import Generation, Rewarded, WholeGroups, generation_of, loss_groups, whole_groups
from .trl_rollouts import Rollouts, run_name, truncated_rows

ROW = "rollout_row"  # beside TRL's tensors, so that it is shuffled and cut with them: the row in the generation


class Watching:
    """The state of one watched training on one process.

    Args:
        trainer: The trainer, made.
        folder: Where rollouts are recorded, inside the output folder unless absolute; None: nowhere.
        method: What the run is trained with, for `method.txt`; None: not named.
        alarm_judge: Raises alarms; None: there are none.
    """

    def __init__(
        self, trainer: Any, folder: str | Path | None, method: str | None, alarm_judge: AlarmJudge | None
    ) -> None:
        self.rewarded: Rewarded | None = None
        self.generation_logprobs: list[torch.Tensor] = []  # that TRL computed while it generated, each (rows, T)
        self.alarm_judge = alarm_judge
        self._accelerator, self._method = trainer.accelerator, method
        self._figures, self._alarm_values = Figures(), dict[str, float]()
        recorder = None
        if folder is not None:
            process, processes = self._accelerator.process_index, self._accelerator.num_processes
            recorder = Recorder(Path(trainer.args.output_dir) / folder, process, processes)
        self._rollouts = Rollouts(recorder, run_name(trainer.args.output_dir))

    def begin(self, step: int) -> None:
        """Take the folder for a run that has done `step` steps; a new run in a folder that holds one is refused."""
        recorder = self._rollouts.recorder
        if recorder is None:
            return
        recorder.begin(step)
        if self._method and not recorder.rank:
            write_method(recorder.folder, self._method)

    def generated(self, trainer: Any, made: dict[str, Any]) -> tuple[WholeGroups, Groups]:
        """Measure a generation and keep it until it can be recorded.

        Args:
            trainer: The trainer.
            made: What its `_generate_and_score_completions` returned; gets a tensor more where it is recorded.

        Returns:
            The whole groups, as rows and measured.
        """
        assert self.rewarded is not None
        generation = generation_of(trainer, self.rewarded, made)
        whole = whole_groups(generation)
        groups = loss_groups(whole)
        self._figures.add(generation, whole, groups, divisor_of(trainer))
        if self._needs_rows:
            self._keep(trainer, generation, whole.names[whole.local], made)
        self.generation_logprobs.clear()
        return whole, groups

    def _keep(self, trainer: Any, generation: Generation, names: list[str], made: dict[str, Any]) -> None:
        old = made.get("old_per_token_logps")
        if "old_logps" in made and self.generation_logprobs:  # RLOO keeps only their sums; the policy's come first
            old = self.generation_logprobs[0]
        self._rollouts.add(
            trainer.state.global_step + 1,
            generation,
            names,
            truncated_rows(trainer, generation.ids),
            made,
            old,
        )
        made[ROW] = torch.arange(len(generation.ids), device=made["completion_ids"].device)

    def loss_logprobs(self, inputs: Mapping[str, Any], logprobs: torch.Tensor) -> None:
        """Take the log-probabilities of a micro-batch in the loss, shape (B, T)."""
        if ROW in inputs:
            self._rollouts.logprobs(inputs[ROW], logprobs)

    def step_ended(self) -> bool:
        """Judge what the step was made of; whether training shall stop, the same on all processes."""
        done = self._rollouts.take()
        changes = [] if self.alarm_judge is None else self.alarm_judge.judge(done, self._accelerator)
        self._alarm_values |= {f"alarm/{alarm.code}": float(alarm.began) for alarm in changes}
        return any(alarm.halts for alarm in changes)

    def to_log(self) -> dict[str, float]:
        """Figures since the last call, and which alarms began (1) or ended (0)."""
        alarms, self._alarm_values = self._alarm_values, {}
        return self._figures.take() | alarms

    def close(self) -> None:
        """Wait until all rollouts so far are written."""
        self._rollouts.close()

    @property
    def _needs_rows(self) -> bool:
        return self._rollouts.recorder is not None or self.alarm_judge is not None


class Steps(TrainerCallback):
    """Takes the folder when the training starts, which is when the step it goes on from is known; judges each step."""

    def __init__(self, watching: Watching) -> None:
        self._watching = watching

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Begin."""
        self._watching.begin(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Stop where an alarm says so."""
        if self._watching.step_ended():
            control.should_training_stop = True
