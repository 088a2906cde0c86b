"""Tables in parts hold what was put in, in order, wherever it lies."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from grpo_prm.analysis import spill as module
from grpo_prm.analysis.spill import Spill


def rows(begin, end):
    return pl.DataFrame({"at": range(begin, end), "name": [f"row {n}" for n in range(begin, end)]})


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5), max_size=8), st.booleans())
@example([4, 4, 3], True)  # a part exactly full, and one not
@example([], True)
def test_all_rows_are_there_in_order(tmp_path_factory, sizes, spill):
    folder = tmp_path_factory.mktemp("parts") if spill else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART", 4)
        table, at, held, files = Spill("steps", folder), 0, 0, 0
        for size in sizes:
            table.add(rows(at, at + size))
            at, held = at + size, held + size
            if held >= 4:
                files, held = files + 1, 0
            if folder is not None:
                assert len(list(folder.iterdir())) == files
    assert table.rows == at
    if at:
        assert_frame_equal(table.table().collect(), rows(0, at))
    else:
        assert table.table().collect_schema().names() == []


def test_full_parts_leave_memory_and_lie_under_the_name_of_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART", 2)
    one, other = Spill("steps", tmp_path), Spill("rejected", tmp_path)
    for n in range(12):
        one.add(rows(2 * n, 2 * n + 2))
    other.add(rows(0, 2))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["rejected.000000.parquet", *(f"steps.{n:06}.parquet" for n in range(12))]
    assert pl.read_parquet(tmp_path / "steps.000011.parquet")["at"].to_list() == [22, 23]
    assert one.table().collect()["at"].to_list() == [*range(24)]


def test_types_may_widen_from_part_to_part(tmp_path, monkeypatch):
    """A column that is null throughout one batch has no type there. The table may be asked for twice."""
    monkeypatch.setattr(module, "PART", 1)
    table = Spill("steps", tmp_path)
    table.add(pl.DataFrame({"reward": [None]}))
    table.add(pl.DataFrame({"reward": [0.5]}))
    assert table.table().collect()["reward"].to_list() == [None, 0.5] == table.table().collect()["reward"].to_list()
    held = Spill("steps")
    held.add(pl.DataFrame({"reward": [None]}))
    held.add(pl.DataFrame({"reward": [0.5]}))
    assert held.table().collect()["reward"].to_list() == [None, 0.5]
