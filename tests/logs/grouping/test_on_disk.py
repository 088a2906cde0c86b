"""Rows sorted on disk: ranges give what a plain sort gives, and a step lies in one range."""

import pickle
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm.logs.grouping import on_disk
from grpo_prm.logs.grouping.disk_ranges import ranges
from grpo_prm.logs.grouping.on_disk import read_range, write_sorted

SCHEMA = {
    "_file": pl.Int32(),
    "_line": pl.Int64(),
    "run": pl.String(),
    "step": pl.Int64(),
    "key": pl.String(),
    "group": pl.Int64(),
    "prompt": pl.String(),
    "tokens": pl.List(pl.Int32()),
    "mask": pl.List(pl.Boolean()),
    "reward": pl.Float64(),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "run": st.sampled_from(["a", "b", "ab"]),
            "step": st.sampled_from([None, -1, 0, 2, 10]),
            "key": st.none() | st.text(max_size=2),
            "group": st.sampled_from([None, 0, 1, 12]),
            "prompt": st.none() | st.text(max_size=3),
            "tokens": st.none() | st.lists(st.integers(0, 9), max_size=9),
            "mask": st.none() | st.lists(st.booleans(), max_size=2),
            "reward": st.none() | st.sampled_from([0.0, 1.0]),
        }
    ),
    min_size=1,
    max_size=30,
)


def null_first(value):
    return (value is not None, value if value is not None else 0)


def place(row):
    return [row["run"].encode(), null_first(row["step"]), row["_file"], row["_line"]]


def numbered(rows, files):
    return [{"_file": n % files, "_line": n, **row} for n, row in enumerate(rows)]


def write(folder, rows, cuts):
    frame = pl.DataFrame(rows, schema=SCHEMA)
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    return pl.concat([write_sorted(frame[a:b], folder / f"{a}.arrow") for a, b in pairwise(bounds)])


@pytest.mark.slow
@settings(max_examples=60)
@given(ROWS, st.lists(st.integers(1, 29), max_size=5), st.sampled_from([1, 300, 900, 9000]), st.data())
def test_the_ranges_are_the_sorted_rows(tmp_path_factory, rows, cuts, memory, data):
    rows = data.draw(st.permutations(numbered(rows, data.draw(st.integers(1, 3)))))
    with pytest.MonkeyPatch.context() as patch:  # slices across batches
        patch.setattr(on_disk, "_BATCH", data.draw(st.sampled_from([1, on_disk._BATCH])))
        patch.setattr(on_disk, "_OPEN", 2)
        index = write(tmp_path_factory.mktemp("chunks"), rows, cuts)
        found = pickle.loads(pickle.dumps(ranges(index, memory)))  # noqa: S301 - our own
        frames = [read_range(one) for one in found]
    assert pl.concat(frames).rows(named=True) == sorted(rows, key=place)
    assert all(frame.schema == pl.Schema(SCHEMA) for frame in frames)
    assert index["_bytes"].sum() == sum(one.bytes for one in found)
    steps = [set(frame.select("run", "step").iter_rows()) for frame in frames]
    assert sum(map(len, steps)) == len(set().union(*steps))  # no step lies in two ranges
    # A range is within memory by its own estimate, or a single step; and as long as it can be.
    assert all(len(own) == 1 or one.bytes <= memory for own, one in zip(steps, found, strict=True))
    ahead = zip(pairwise(found), steps[1:], strict=True)
    assert all(one.bytes + other.bytes > memory for (one, other), own in ahead if len(own) == 1)


ONE_STEP = [{"run": "r", "step": 1, "key": str(n), "tokens": list(range(50)), "reward": 0.0} for n in range(400)]


def test_what_a_range_takes_is_estimated(tmp_path):
    rows = [
        {**row, "step": n // 40, "_file": 0, "_line": n, "group": None, "prompt": "", "mask": None}
        for n, row in enumerate(ONE_STEP)
    ]
    (one,) = ranges(write(tmp_path, rows, []), 1 << 30)
    ids = read_range(one)["tokens"].list.len().sum() * 4
    assert ids < one.bytes < 2 * ids


def test_a_range_names_only_the_files_and_rows_that_it_needs(tmp_path):
    rows = [
        {**row, "step": n // 40, "_file": 0, "_line": n, "group": None, "prompt": "", "mask": None}
        for n, row in enumerate(ONE_STEP)
    ]
    index = write(tmp_path, rows, [100, 200, 300])
    of_steps = {n: one for one in ranges(index, 1) for n in read_range(one)["step"].unique()}
    for step, one in of_steps.items():
        read = sum(rows for _, _, rows in one.slices)
        assert read == 40 and {file for file, _, _ in one.slices} == {
            str(tmp_path / f"{n // 100 * 100}.arrow") for n in range(step * 40, step * 40 + 40)
        }


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_cannot_be_written_is_an_error(tmp_path):
    rows = pl.DataFrame(numbered([{**ONE_STEP[0]}], 1), schema=SCHEMA)
    with pytest.raises(OSError, match="No space left"):
        write_sorted(rows, Path("/dev/full"))


def test_no_rows_make_no_ranges(tmp_path):
    assert ranges(write_sorted(pl.DataFrame(schema=SCHEMA), tmp_path / "none.arrow"), 1) == []


MEMORY = Path("/proc/self/status")


def held_bytes():
    return next(int(line.split()[1]) << 10 for line in MEMORY.read_text().splitlines() if line.startswith("RssAnon"))


@pytest.mark.skipif(not MEMORY.exists(), reason="no count of the memory of this process")
def test_an_index_does_not_keep_the_texts_of_its_chunk(tmp_path):
    rows = [{"_file": 0, "_line": n, "run": "r", "prompt": f"{n} " + "x" * 8000} for n in range(1000)]
    indexes, before = [], 0
    for number in range(40):
        frame = pl.DataFrame(rows, schema={name: SCHEMA[name] for name in ("_file", "_line", "run", "prompt")})
        indexes.append(write_sorted(frame, tmp_path / f"{number % 2}.arrow"))
        before = held_bytes() if number == 9 else before  # what every chunk takes for a while is there by then
    assert held_bytes() - before < 10 * frame.estimated_size()  # the texts of the 30 chunks since are 30 times as much
