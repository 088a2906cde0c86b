"""Canonical tables of invented logs."""

from __future__ import annotations

from collections import Counter

import polars as pl
from oracle import Log

from grpo_prm.logs.rollouts import SCHEMA, Rollouts


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
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def batch_of(log: Log) -> Rollouts:
    """The log as one batch."""
    table = table_of(log)
    return Rollouts(table, counts=Counter(rows_read=len(table)))
