"""Make `smollm2.jsonl.gz`: of every prompt the first 16 completions at temperature 0.75 that a claim has sampled.

    grpo-prm reproduce overlap --budget standard --out overlap.claims
    python examples/make_smollm2_log.py overlap.claims smollm2.jsonl.gz

The first command samples them, with its own model and prompts, and leaves a record of each part; nothing is drawn here.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

import polars as pl

from grpo_prm.files import atomic

RECORDS = "runs/overlap/smollm2-T0.75-*.parquet"
COMPLETIONS = 16  # of each prompt
DIGITS = 5  # of a log-probability


def main() -> None:
    """Write the log, and print the table of its tasks."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("claims", type=Path, help="folder of the claim")
    parser.add_argument("out", type=Path, help="file to write")
    options = parser.parse_args()
    parts = sorted(options.claims.glob(RECORDS))
    if not parts:
        parser.error(f"{options.claims} has no {RECORDS}. Run grpo-prm reproduce overlap --budget standard first.")
    table = log_of(pl.concat(map(pl.read_parquet, parts)))
    with atomic(options.out) as staged:
        staged.write_bytes(packed(table))
    print(described(table))


def log_of(table: pl.DataFrame) -> pl.DataFrame:
    """The first completions of each prompt, by prompt, without the columns that hold nothing."""
    table = table.filter(pl.col("sample") < COMPLETIONS).sort("group", "sample")
    return table.drop(name for name in table.columns if table[name].null_count() == len(table))


def packed(table: pl.DataFrame) -> bytes:
    """Rows as JSON lines, packed without the time, so that the same rows give the same bytes."""
    lines = []
    for row in table.iter_rows(named=True):
        row["logprobs"] = [round(logprob, DIGITS) for logprob in row["logprobs"]]
        lines.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
    return gzip.compress("".join(lines).encode(), 9, mtime=0)


def described(table: pl.DataFrame) -> str:
    """Groups, groups whose rewards differ, right answers, copies and truncated answers of each task, as Markdown."""
    groups = table.group_by("task", "group").agg(
        completions=pl.len(),
        mixed=pl.col("reward").n_unique() > 1,
        right=pl.col("reward").sum(),
        copies=pl.len() - pl.col("tokens").n_unique(),
        truncated=pl.col("truncated").sum(),
    )
    lines = ["| task | groups | whose rewards differ | right | copies | truncated |", "|---|---|---|---|---|---|"]
    for task, some in [*((task, groups.filter(task=task)) for task in sorted(set(groups["task"]))), ("all", groups)]:
        right = some["right"].sum() / some["completions"].sum()
        counts = (some["copies"].sum(), some["truncated"].sum())
        lines.append(f"| {task} | {len(some)} | {some['mixed'].sum()} | {right:.3f} | {counts[0]} | {counts[1]} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
