"""Folders of invented runs to compare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from canonical import batch_of
from oracle import Log
from oracle_sets import Row

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.write import output_folder, write_tables


def log(
    steps=range(24), k=4, prompts=2, success=lambda step, rng: 0.5, rewards=(0.0, 1.0), seed=0, run="run", same=False
) -> Log:
    """Groups of short random completions; a completion has the better reward with probability `success`."""
    rng, made = np.random.default_rng(seed), []
    for step in steps:
        for p in range(prompts):
            group = [
                Row(rng.integers(0, 2, 5).tolist(), reward=rewards[int(rng.random() < success(step, rng))])
                for _ in range(k)
            ]
            made.append((run, step, f"p{p}" if same else f"p{step}.{p}", group))
    return made


def folder(path: Path, made: Log, prompts: bool = True, methods=None, columns=None, **options) -> Path:
    """What `analyze` writes of a log, without figures; with a prompt for each key, unless it has none or `columns`."""
    named = {run: frozenset([method]) for run, method in (methods or {}).items()}
    batch = batch_of(made)._replace(methods=named)
    if columns:
        batch = batch._replace(table=batch.table.with_columns(**columns))
    elif prompts:
        batch = batch._replace(table=batch.table.with_columns(prompt="What is " + pl.col("group_key") + "?"))
    analysis = analyze([batch], **options)
    with output_folder(path) as staging:
        write_tables(analysis, staging)
    return path
