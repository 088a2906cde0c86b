"""What watching, recording, alarms and λ weights cost inside TRL, as a share of the step in which they happen."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from unittest import mock

import numpy as np
from tables import at_most, table
from train_times import K, Setting, model_of, rewards_of, tokenizer_of, trl_arguments, trl_data

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # `rollout_func` warns otherwise
SETTING = Setting(6, 256, 2_000, 64)
NEW = 128
# Everything of ours that a step waits for; the hook multiplies inside the backward pass, which is timed by itself.
SEAMS = ("generated", "loss_logprobs", "step_ended", "to_log")
IN_TRAINER = ("method_weights", "padded", "reads_rows", "weigh_gradient")


class Spent:
    """Seconds on the way of the training, in the thread that writes, and of the steps."""

    def __init__(self) -> None:
        self.waited = self.written = 0.0
        self.ends: list[float] = []

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, its time added up."""

        @wraps(call)
        def measured(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.waited += time.perf_counter() - begin

        return measured

    def thread(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The work of a thread, its processor time added."""

        def measured(recorder: Any) -> None:
            work(recorder)
            self.written += time.thread_time()

        return measured


def rolled(prompts: list[str], trainer: Any) -> dict[str, Any]:
    """Completions of which each shares a random part with others of its group, in the place of sampling."""
    rng = np.random.default_rng(trainer.state.global_step)
    trunks = rng.integers(3, SETTING.words, (SETTING.groups, NEW))
    rows = rng.integers(3, SETTING.words, (len(prompts), NEW))
    shared = np.arange(NEW) < rng.integers(0, NEW, len(prompts))[:, None]
    rows = np.where(shared, trunks.repeat(K, axis=0), rows)
    asked = [trainer.processing_class(prompt)["input_ids"] for prompt in prompts]
    return {"prompt_ids": asked, "completion_ids": rows.tolist(), "logprobs": None}


def spent_by(name: str, steps: int) -> Spent:
    """One training: `watch`, `watch, alarms` or `λ-GRPO, alarms`."""
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from grpo_prm.integrations import trl as ours
    from grpo_prm.integrations.trl_watching import Watching
    from grpo_prm.logs.recorder import Recorder

    spent = Spent()

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if not spent.ends:  # the first step warms up
                spent.waited = 0.0
            spent.ends.append(time.perf_counter())

    weighted = name.startswith("λ")
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(Recorder, "_work", spent.thread(Recorder._work)):
        patches = [(Watching, seam) for seam in SEAMS] + [(ours, seam) for seam in IN_TRAINER]
        for place, seam in patches:
            setattr(place, seam, spent.timed(getattr(place, seam)))
        config = (ours.LambdaGRPOConfig if weighted else GRPOConfig)(**trl_arguments(SETTING, folder, steps, NEW))
        trainer = (ours.LambdaGRPOTrainer if weighted else GRPOTrainer)(
            model_of(SETTING),
            reward_funcs=lambda completion_ids, **_: rewards_of(completion_ids),
            args=config,
            train_dataset=trl_data(SETTING),
            processing_class=tokenizer_of(SETTING),
            rollout_func=rolled,
        )
        if not weighted:
            ours.watch(trainer, alarms="alarms" in name)
        trainer.add_callback(Clock())  # behind ours: an alarm belongs to the step that it judges
        trainer.train()
        for place, seam in patches:
            setattr(place, seam, getattr(place, seam).__wrapped__)
    return spent


def product_seconds() -> float:
    """The hook's multiplication."""
    import torch

    gradient, weights = torch.rand(64, NEW), torch.rand(64, NEW)
    times = []
    for _ in range(100):
        begin = time.perf_counter()
        _ = gradient * weights
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def trl_overhead_table(steps: int) -> str:
    """Milliseconds a step, and their share of it."""
    rows = []
    for name in ("watch", "watch, alarms", "λ-GRPO, alarms"):
        spent = spent_by(name, steps)
        step = (spent.ends[-1] - spent.ends[0]) / steps
        waited = spent.waited / steps + (product_seconds() if name.startswith("λ") else 0.0)
        written = spent.written / (steps + 1)
        share = waited / step
        cells = [f"{waited * 1e3:.2f}", f"{written * 1e3:.2f}", f"{step * 1e3:.0f}", f"{share:.2%}"]
        rows.append([name, *cells, at_most(share, 0.01)])
    note = (
        f"{SETTING}, {NEW} new tokens, rollouts recorded; {steps} steps. Completions are given, not sampled, so that a "
        "step is shorter than a real one and the shares are above the real ones."
    )
    head = ["", "waited for, ms", "written beside it, ms of a core", "step, ms", "share", "target"]
    return table("What watching and λ weights cost inside TRL", note, head, rows)


if __name__ == "__main__":
    print(trl_overhead_table(5))
