"""Logs for the tests of the reader."""

import json

from grpo_prm.errors import InputError
from grpo_prm.logs import ReadOptions, collect


def row(step=1, group="a", tokens=(1, 2), reward=0.5, **more):
    return {"step": step, "group": group, "tokens": list(tokens), "reward": reward, **more}


def write(path, rows, end="\n"):
    """JSON lines; a row given as text or bytes is written as it stands."""
    lines = [r if isinstance(r, bytes) else r.encode() if isinstance(r, str) else json.dumps(r).encode() for r in rows]
    path.write_bytes(b"\n".join(lines) + end.encode())
    return path


def read_log(tmp_path, rows, name="log.jsonl", end="\n", **options):
    return collect(write(tmp_path / name, rows, end), ReadOptions(**options))


def groups(rollouts):
    """Rows of each group as lists of ids, by (run, step, key)."""
    by_group = {}
    for run, step, key, ids in rollouts.table.select("run", "step", "group_key", "tokens").iter_rows():
        by_group.setdefault((run, step, key), []).append(ids)
    return by_group


def reasons(rollouts):
    return rollouts.rejected.select("line", "field", "reason").rows()


def balanced(rollouts):
    """Nothing is lost silently."""
    return rollouts.counts["rows_read"] == len(rollouts.table) + len(rollouts.rejected)


def message(call):
    try:
        call()
    except InputError as error:
        return str(error)
    raise AssertionError("nothing was raised")
