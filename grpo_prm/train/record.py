"""What a run leaves in its folder: for every step a line of metrics and a part of rollouts (the canonical table).

Metrics are one JSON object a line, what depends on the clock under `time` alone; `curves_table` makes a table of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ..errors import InputError
from ..files import atomic
from ..logs.recording import recorded_table
from ..metrics.own_run import HELD_OUT, METRICS

if TYPE_CHECKING:
    from .batch import Batch
    from .data import PromptRow
    from .sample import Sampled

ROLLOUTS = "rollouts"
CURVES = ("reward", "accuracy", "intermediate_proportion", "amplification", "entropy", "length")


def rollouts_table(
    run: str,
    step: int,
    prompts: list[PromptRow],
    sampled: Sampled,
    texts: list[str],
    rewards: Mapping[str, np.ndarray],
    advantages: np.ndarray,
    batch: Batch,
) -> pl.DataFrame:
    """A step's rollouts as the canonical table; rows whose reward is not finite are left out, as `analyze` does."""
    k = batch.k
    return recorded_table(
        run=run,
        step=step,
        group_keys=[f"{step}-{group}" for group in range(len(prompts)) for _ in range(k)],
        samples=np.tile(np.arange(k), len(prompts)),
        tasks=[row.task for row in prompts for _ in range(k)],
        prompts=[row.text for row in prompts for _ in range(k)],
        completions=texts,
        tokens=sampled.completions,
        rewards=rewards["reward"],
        parts={name: values for name, values in rewards.items() if name != "reward"},
        logprobs=sampled.logprobs,
        advantages=advantages,
        truncated=sampled.truncated,
        first_group=step * len(prompts),  # numbered on over the run, so that the parts read together are one table
    )


def write_rollouts(folder: Path, step: int, table: pl.DataFrame) -> None:
    """Write the part of a step, whole or not at all."""
    (folder / ROLLOUTS).mkdir(exist_ok=True)
    with atomic(folder / ROLLOUTS / f"step_{step:06d}.parquet") as part:
        table.write_parquet(part, compression="zstd")


def append_metrics(folder: Path, line: Mapping[str, Any]) -> None:
    """Append a line of metrics; what depends on the clock stands under `time`."""
    with (folder / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")


def cut_back(folder: Path, step: int) -> None:
    """Take away what was recorded from `step` on, torn and temporary files too: the run goes on from there.

    At step 0 nothing stays, the evaluation before training included.
    """
    cut_metrics(folder, step)
    for part in (folder / ROLLOUTS).glob("step_*.parquet"):
        if int(part.stem.removeprefix("step_")) >= step:
            part.unlink()
    for left in (folder / ROLLOUTS).glob(".step_*.parquet"):
        left.unlink()


def cut_metrics(folder: Path, step: int) -> None:
    """Take away the metrics from `step` on, and temporary files of writes that a kill broke off."""
    path = folder / METRICS
    if path.exists():
        # step -1 is the evaluation before training; a torn line has no step and falls away
        kept = [line for line in path.read_bytes().splitlines() if step and -1 <= _step(line) < step]
        with atomic(path) as part:
            part.write_bytes(b"".join(line + b"\n" for line in kept))
    unfinished = (".config.*.yaml", ".method.*.txt", ".model.*.json", ".metrics.*.jsonl")
    for left in (path for pattern in unfinished for path in folder.glob(pattern)):
        left.unlink()


def curves_table(folder: Path) -> pl.DataFrame:
    """What a run's figure of training draws.

    Args:
        folder: Run folder; a torn last line of its metrics is passed over.

    Returns:
        `run`, `step` (updates so far), `statistic` (of `CURVES`), `series` (`observed` in the step's own rollouts, or
        `held_out`), `mean`, `low`, `high` (null but for the Wilson interval of held-out accuracy), in order.

    Raises:
        InputError: There are no metrics.
    """
    try:
        lines = (folder / METRICS).read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{folder}: no metrics of a run ({error.strerror}). Name a run folder.") from None
    rows: list[tuple[Any, ...]] = []
    for known in (json.loads(line) for line in lines if _step(line) >= -1):
        run, step = folder.resolve().name, known["step"]
        if (held := known.get(HELD_OUT)) is not None:
            rows.append((run, step + 1, "accuracy", HELD_OUT, held["mean"], held["low"], held["high"]))
        else:
            rows += [(run, step, name, "observed", known.get(name), None, None) for name in CURVES]
    numbers = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    names = {"run": pl.String, "step": pl.Int64, "statistic": pl.String, "series": pl.String}
    table = pl.DataFrame(rows, schema=names | numbers, orient="row")
    return table.filter(pl.col("mean").is_not_null()).sort("series", "step", maintain_order=True)


def _step(line: bytes) -> float:
    """Step of a line; below all others where the line is torn."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("-inf")
