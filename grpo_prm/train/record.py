"""What a run leaves in its folder: for every step a line of metrics and a part of rollouts (the canonical table)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..atomic import atomic
from ..rollouts import REWARD_PART, SCHEMA
from .data import PromptRow
from .sample import Sampled
from .update import Batch

METRICS, ROLLOUTS = "metrics.jsonl", "rollouts"
DRAWN = ("reward", "accuracy", "intermediate_proportion", "amplification", "entropy")


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
    rows, k = len(texts), batch.k
    columns: dict[str, Any] = {
        "run": [run] * rows,
        "step": [step] * rows,
        "group": np.repeat(np.arange(len(prompts)) + step * len(prompts), k),
        "group_key": [f"{step}-{group}" for group in range(len(prompts)) for _ in range(k)],
        "sample": np.tile(np.arange(k), len(prompts)),
        "prompt": [row.text for row in prompts for _ in range(k)],
        "completion": texts,
        "tokens": sampled.completions,
        "mask": [None] * rows,
        "logprobs": [values.tolist() for values in sampled.logprobs],
        "ref_logprobs": [None] * rows,
        "reward": rewards["reward"],
        "advantage": advantages,
        "truncated": sampled.truncated,
        "tokens_from": ["log"] * rows,
    }
    parts = {REWARD_PART + name: values for name, values in rewards.items() if name != "reward"}
    schema = SCHEMA | {name: pl.Float64() for name in parts}
    table = pl.DataFrame({**columns, **parts}, schema=schema, strict=False)
    return table.filter(pl.col("reward").is_finite())


def write_rollouts(folder: Path, step: int, table: pl.DataFrame) -> None:
    """Write the part of a step, whole or not at all."""
    (folder / ROLLOUTS).mkdir(exist_ok=True)
    with atomic(folder / ROLLOUTS / f"step_{step:06d}.parquet") as part:
        table.write_parquet(part, compression="zstd")


def append_metrics(folder: Path, line: Mapping[str, Any]) -> None:
    """Append a line of metrics; what depends on the clock stands under `time`."""
    with (folder / METRICS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, allow_nan=False) + "\n")


def curves_table(folder: Path) -> pl.DataFrame:
    """The metrics of a run as `figures.training_curves` draws them; held-out accuracy at the last step before it."""
    rows = []
    for line in map(json.loads, (folder / METRICS).read_text(encoding="utf-8").splitlines()):
        step, held_out = line["step"], line.get("held_out")
        if held_out:
            ends = (held_out["mean"], held_out["low"], held_out["high"])
            rows.append((folder.name, max(step, 0), "accuracy", "held_out", *ends))
        else:
            rows += [(folder.name, step, name, "observed", line.get(name), None, None) for name in DRAWN]
    schema = {"run": pl.String, "step": pl.Int64, "statistic": pl.String, "series": pl.String}
    numbers = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, schema=schema | numbers, orient="row").drop_nulls("mean")


def cut_back(folder: Path, step: int) -> None:
    """Take away what was recorded from `step` on, a torn last line too: the run goes on from there."""
    path = folder / METRICS
    if path.exists():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if _before(line, step)]
        with atomic(path) as part:
            part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    for part in (folder / ROLLOUTS).glob("step_*.parquet"):
        if int(part.stem.removeprefix("step_")) >= step:
            part.unlink()


def _before(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] < step
    except (ValueError, KeyError, TypeError):
        return False
