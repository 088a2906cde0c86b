"""Canonical tables of invented logs."""

from __future__ import annotations

from collections import Counter

import polars as pl
from oracle import Log

from grpo_prm.logs.rollouts import REWARD_PART, SCHEMA, Rollouts


def table_of(log: Log) -> pl.DataFrame:
    """The canonical table of a log; every row's prompt is its group's key."""
    rows = [
        {
            "run": run,
            "step": step,
            "group": number,
            "group_key": key,
            "sample": sample,
            "prompt": None,
            "completion": None,
            "tokens": row.tokens,
            "mask": row.mask,
            "logprobs": row.logprobs,
            "ref_logprobs": None,
            "reward": row.reward,
            "advantage": row.advantage,
            "truncated": None,
            "tokens_from": "log",
        }
        for number, (run, step, key, group) in enumerate(log)
        for sample, row in enumerate(group)
    ]
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    every = [row for _, _, _, group in log for row in group]
    more = {}
    if any(row.trainer_logprobs is not None for row in every):
        more["trainer_logprobs"] = pl.Series([row.trainer_logprobs for row in every], dtype=pl.List(pl.Float32))
    for name in dict.fromkeys(name for row in every for name in row.parts or {}):
        more[f"{REWARD_PART}{name}"] = pl.Series([(row.parts or {}).get(name) for row in every], dtype=pl.Float64)
    return table.with_columns(**more)


def batch_of(log: Log) -> Rollouts:
    """The log as one batch."""
    table = table_of(log)
    return Rollouts(table, counts=Counter(rows_read=len(table)))
