"""What a rollout log holds, counted the slow and obvious way: `python describe_chain_log.py chain.jsonl`.

Every prefix of every completion is a key of one dictionary, so the numbers check those of `grpo-prm analyze`.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

Row = dict
Group = list[Row]


def describe(rows: list[Row]) -> str:
    """Make the table that README.md quotes: one line a logged step, and one for all.

    Args:
        rows: Canonical rows of a log, the completions of a group next to each other, steps in order.
    """
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["group"])]
    lines = [
        f"{len(rows)} completions, {sum(len(row['tokens']) for row in rows)} tokens, "
        f"{sum(row['truncated'] for row in rows)} truncated",
        "step        differ  answer  steps   depth  interm.  copies  to-end",
    ]
    for step, some in groupby(groups, key=lambda group: group[0]["step"]):
        lines.append(f"{step:4d}  {describe_groups(list(some))}")
    return "\n".join([*lines, f" all  {describe_groups(groups)}\n"])


def describe_groups(groups: list[Group]) -> str:
    """One line: groups whose rewards differ, means over groups, and the share of copies of an earlier completion."""
    mixed = sum(len({row["reward"] for row in group}) > 1 for group in groups)
    copies = sum(len(group) - len({tuple(row["tokens"]) for row in group}) for group in groups)
    rows = [row for group in groups for row in group]
    depth, inner, same = zip(*map(overlap, groups), strict=True)
    numbers = [statistics.fmean(row[name] for row in rows) for name in ("reward", "reward/steps")]
    numbers += [statistics.fmean(depth), statistics.fmean(inner), copies / len(rows), sum(same) / len(rows)]
    return f"{mixed:4d} of {len(groups):3d} " + "".join(f"{x:8.3f}" for x in numbers)


def overlap(group: Group) -> tuple[float, float, float]:
    """Mean path depth, mean intermediate proportion, and completions that share their last token, of one group."""
    paths = [[tuple(row["tokens"][: t + 1]) for t in range(len(row["tokens"]))] for row in group]
    size = Counter(prefix for path in paths for prefix in path)
    inner = [[size[prefix] for prefix in path if 1 < size[prefix] < len(group)] for path in paths]
    # Sets along a path are nested: those of one size are one set.
    depth = statistics.fmean(len(set(sizes)) for sizes in inner)
    share = statistics.fmean(len(sizes) / len(path) for sizes, path in zip(inner, paths, strict=True))
    return depth, share, sum(size[path[-1]] > 1 for path in paths)


if __name__ == "__main__":
    sys.stdout.write(describe([json.loads(line) for line in Path(sys.argv[1]).read_text().splitlines()]))
