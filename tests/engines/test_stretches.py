"""Stretches of a log in order: every step is taken once, whole, in order; and a log in another order is noticed."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from contextlib import nullcontext

import polars as pl
import pytest
from engines.test_same_bytes import Here, both, same, small_pieces, written
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grpo_prm.engines import analyze as engine
from grpo_prm.engines import stretches
from grpo_prm.engines.opening import Opening
from grpo_prm.engines.stretches import can_be_shared, first_steps, steps_of
from grpo_prm.errors import InputError
from grpo_prm.logs import ReadOptions, chunks
from grpo_prm.logs.grouping import steps as grouping_steps
from grpo_prm.logs.grouping.steps import Disordered
from grpo_prm.logs.stream import open_all

STEPS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 5)), min_size=1, max_size=30)


def a_row(run, step, n):
    return {"run": run, "step": step, "prompt": f"p{n % 2}", "completion_ids": [n, n % 3], "reward": n % 2}


def opened(folder, files):
    return open_all([written(folder, files)], ReadOptions(run="log")).logs[0]


def taken(log, size):
    """The steps that the workers of all stretches take, and what was told and read."""
    found, read = [], 0
    for stretch in stretches.stretches(log, size):
        keys = set()
        for closed in steps_of(log, stretch, Counter(), keys, 1 << 30):
            found += closed.rows
            read += closed.read
        assert keys <= {(rows["run"][0], rows["step"][0]) for rows in found}
    return found, read


@settings(max_examples=60)
@given(
    STEPS,
    st.sets(st.integers(1, 29), max_size=3),
    st.integers(60, 900),
    st.integers(1, 200),
    st.sampled_from([60, 1 << 20]),
    st.booleans(),
)
@example([("a", 1)] * 3 + [("a", 2)] * 3, {3}, 10, 1, 60, True)
def test_each_step_is_taken_once_and_whole(tmp_path_factory, steps, cuts, size, ahead, closed, in_order):
    steps = sorted(steps) if in_order else steps
    rows = [a_row(*step, n) for n, step in enumerate(steps)]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    log = opened(tmp_path_factory.mktemp("log") / "log", [rows[a:b] for a, b in itertools.pairwise(bounds)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stretches, "AHEAD", ahead)
        patch.setattr(stretches, "CLOSED", closed)
        patch.setattr(chunks, "CHUNK", 200)
        parts = list(stretches.stretches(log, size))
        first = sum(part.size or log.sources[part.source].size for part in parts[0].parts)
        one_step = all(step == steps[0] for step in steps[: _rows_of(rows, first) + 1])
        if steps == sorted(steps) and (len(parts) == 1 or not one_step):
            found, read = taken(log, size)
            first = [of for some in first_steps(log, 1 << 30) for of in some]
            assert [of.rows() for of in first] == [of.rows() for of in found]
            assert read == len(rows)
            assert [(of["run"][0], of["step"][0]) for of in found] == sorted(set(steps))
            assert [ids for of in found for ids in of["tokens"].to_list()] == [row["completion_ids"] for row in rows]
        else:
            with pytest.raises(Disordered):
                taken(log, size)


def _rows_of(rows, size):
    """How many rows the first `size` bytes hold."""
    ends = list(itertools.accumulate(len(json.dumps(row)) + 1 for row in rows))
    return sum(end <= size for end in ends)


def in_steps(steps, groups=3):
    return [
        {
            "step": step,
            "group_id": f"g{group}",
            "sample": n,
            "tokens": [step, group, n % 3, n],
            "reward": (n + group) % 2,
        }
        for step in steps
        for group in range(groups)
        for n in range(4)
    ]


def test_a_log_in_order_is_not_sorted(tmp_path, monkeypatch):
    small_pieces(monkeypatch, 2_000, 2_000, 4)
    monkeypatch.setattr(engine, "sorted_logs", None)
    same(*both(written(tmp_path / "log", [in_steps(range(9)), in_steps(range(9, 12))]), tmp_path / "rows"))


@pytest.mark.parametrize("late", [True, False])
def test_a_log_that_is_not_in_order_is_sorted_after_all(tmp_path, monkeypatch, late):
    """Late: all but the last step is measured, and added up, by then."""
    small_pieces(monkeypatch, 2_000, 2_000, 4)
    calls = []
    monkeypatch.setattr(engine, "sorted_logs", lambda *given: calls.append(1) or _sorted_logs(*given))
    rows = in_steps([*range(1, 12), 0] if late else [1, 0, *range(2, 12)])
    same(*both(written(tmp_path / "log", [rows]), tmp_path / "rows", engine.Options(std="sample")))
    assert calls


_sorted_logs = engine.sorted_logs


def test_rejected_rows_and_lines_of_stretches(tmp_path, monkeypatch):
    lines = [json.dumps(row) for row in in_steps(range(12))]
    lines[40], lines[100] = "{torn", json.dumps(in_steps([8])[4] | {"reward": "much"})
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    small_pieces(monkeypatch, 2_000, 2_000, 4)
    monkeypatch.setattr(engine, "sorted_logs", None)
    one, other = both(tmp_path / "log.jsonl", tmp_path / "rows")
    assert other.rejected.select("line").collect()["line"].to_list() == [41, 101]
    same(one, other)


def test_a_step_in_two_logs_is_refused(tmp_path, monkeypatch):
    small_pieces(monkeypatch, 2_000, 2_000, 4)
    for name, first in (("a", 0), ("b", 8)):
        written(tmp_path / name, [[{"run": "r", **row} for row in in_steps(range(first, first + 9))]])
    with pytest.raises(InputError, match="stands in another log too"):
        engine.analyze_with(Here(), [tmp_path / "a", tmp_path / "b"], engine.Options(), ReadOptions(), tmp_path)


@pytest.mark.parametrize("shuffled", [True, False])
def test_a_step_that_a_workers_share_of_memory_cannot_hold_is_refused(tmp_path, monkeypatch, shuffled):
    """In each step 12 rows of a megabyte, but 13 in one."""
    small_pieces(monkeypatch, 2_000, 2_000, 4)
    monkeypatch.setattr(grouping_steps, "OF_BYTES", 0)
    monkeypatch.setattr(grouping_steps, "OF_ROW", 1 << 20)
    rows = [*in_steps(range(12)), *(row | {"group_id": "more"} for row in in_steps([5], 1)[:1])]
    rows.sort(key=lambda row: (row["step"], row["sample"] * shuffled))
    rows = rows[::-1] if shuffled else rows
    written(tmp_path / "log", [rows])
    for megabytes in (13, 12):
        reading = ReadOptions(memory=megabytes << 20)
        refused = pytest.raises(InputError, match="step 5: 13 rows take about 13 MB, more than the 12 MB")
        with nullcontext() if megabytes == 13 else refused:
            engine.analyze_with(Here(1), [tmp_path / "log"], engine.Options(), reading, tmp_path)
    assert Opening((), ReadOptions(memory=12 << 20), 3).memory == 4 << 20


def test_what_cannot_be_shared(tmp_path):
    rows = in_steps(range(9))
    log = opened(tmp_path / "log", [rows])
    size = log.sources[0].size
    assert can_be_shared([log], size // 4, 4)
    assert not can_be_shared([log], size // 3, 4)  # too few stretches
    unnamed = opened(tmp_path / "unnamed", [[{k: v for k, v in row.items() if k != "step"} for row in rows]])
    assert not can_be_shared([unnamed], size // 9, 2)  # a run is one range
    pl.DataFrame(rows).write_parquet(tmp_path / "one.parquet")
    whole = open_all([tmp_path / "one.parquet"], ReadOptions()).logs[0]
    assert not can_be_shared([whole], 100, 2)  # a file that cannot be cut
