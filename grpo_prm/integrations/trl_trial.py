"""Two steps of TRL with λ weights: a tiny random model built in code, on the CPU, in a folder that is taken away."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import GPT2Config, GPT2LMHeadModel

from ..logs.recorder import parts
from ..scratch import scratch
from ..tasks import get_task
from ..train.tiny import word_tokenizer
from .trl import LambdaGRPOConfig, LambdaGRPOTrainer

STEPS = 2


class Counted(LambdaGRPOTrainer):
    """Counts the gradients that come through the log-probabilities of TRL's loss."""

    gradients = 0

    def _on_gradient(self) -> None:
        super()._on_gradient()
        self.gradients += 1


def trial() -> str:
    """Train for two steps.

    Returns:
        A sentence with the numbers.

    Raises:
        UsageError: No gradient came through the log-probabilities.
        RuntimeError: Fewer came than there are steps, or a step was not recorded.
    """
    logging.getLogger("trl").setLevel(logging.ERROR)
    with scratch() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = _trainer(str(folder))
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # TRL prints its log
            trainer.train()
        steps = {part.step for part in parts(Path(folder) / "rollouts")}
    if trainer.gradients < STEPS or len(steps) != STEPS:
        raise RuntimeError(f"{trainer.gradients} gradients were weighted and {len(steps)} of {STEPS} steps recorded")
    return f"{STEPS} steps of a tiny model: {trainer.gradients} gradients went through the λ weights, all recorded."


def _trainer(folder: str) -> Counted:
    task, rng = get_task("chain"), np.random.default_rng(0)
    tokenizer = word_tokenizer(task)
    ends = {"bos_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    torch.manual_seed(0)
    # Peaked, so that completions share their beginnings.
    shape: dict[str, Any] = {"n_positions": 256, "n_embd": 32, "n_layer": 1, "n_head": 2, "initializer_range": 0.4}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **shape, **ends))
    args = LambdaGRPOConfig(
        folder,
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=8,
        max_steps=STEPS,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
    )
    data = Dataset.from_dict({"prompt": [task.draw(rng).text for _ in range(16)]})
    return Counted(model, _length, args, train_dataset=data, processing_class=tokenizer)


def _length(completions: list[str], **_: Any) -> list[float]:
    """A reward that differs inside a group."""
    return [float(len(text) % 7) for text in completions]
