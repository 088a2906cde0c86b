"""The sampler at the size of a real model, beside that of another checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tables import at_least, table

HERE = Path(__file__).resolve().parent
# context in the middle of the completions, rank of LoRA, target: times as fast as before prompts were shared
SETTINGS = [(60, 0, 1.5), (60, 16, 1.5), (300, 0, 2.5), (300, 16, 2.5)]


def sampler_table(beside: Path | None, new: int, rounds: int, settings: Sequence[tuple[int, int, float]]) -> str:
    """Tokens per CPU second, and the distance of its log-probabilities from the trainer's.

    Args:
        beside: Another checkout of this project, run in turn; None: this one alone.
        new: Tokens of a completion.
        rounds: The fastest of them is shown.
        settings: Some of `SETTINGS`.
    """
    checkouts = [HERE.parent, *([] if beside is None else [beside])]
    results = np.array([[_sampled(checkout, new, settings) for checkout in checkouts] for _ in range(rounds)])
    speed, gaps = results[..., 0].max(0), results[0, ..., 1:]  # (checkouts, settings), and two gaps of each
    rows = []
    for n, (context, rank, target) in enumerate(settings):
        cells = [f"{context}", f"{rank}"]
        for checkout in range(len(checkouts)):
            mean, tail = gaps[checkout, n]
            cells += [f"{speed[checkout, n]:.0f}", f"{mean:.4f}, {tail:.4f}"]
        if beside is not None:
            ratio = speed[0, n] / speed[1, n]
            cells += [f"{ratio:.2f}", at_least(ratio, target)]
        rows.append(cells)
    head = ["context", "LoRA", "tokens/s", "gap"]
    head += [] if beside is None else ["beside: tokens/s", "gap", "ratio", "target"]
    note = (
        "A model of the shape of SmolLM2-135M with random weights in bfloat16, 4 prompts x 8 rows, time of the prompts"
        f" included, {new} new tokens; tokens per second of CPU on one thread, the best of {rounds} rounds in turn. The"
        " gap is |sampler - trainer| of the tokens' log-probabilities, nats: mean, and 99th percentile."
    )
    return table("The sampler at 135 M", note, head, rows)


def _sampled(checkout: Path, new: int, settings: Sequence[tuple[int, int, float]]) -> list[list[float]]:
    command = [sys.executable, str(HERE / "one_sampling.py"), str(new)]
    command += [f"{context}:{rank}" for context, rank, _ in settings]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return [[float(cell) for cell in line.split()] for line in done.stdout.splitlines()]
