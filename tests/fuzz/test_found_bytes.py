"""Bytes that look like those of another kind of file, and cells of tables that nest without end."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma

import polars as pl
import pytest
import zstandard

from grpo_prm.errors import InputError
from grpo_prm.logs import chunks, collect, inspect

PACKINGS = {"gz": gzip.compress, "zst": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}
ROWS = [
    {"prompt": f"q{i // 4}", "completion": f"answer {i}", "reward": float(i % 2), "step": 1, "group": f"g{i // 4}"}
    for i in range(8)
]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"\x78\x9c", b"\xef\xbb\xbf", b"PAR1"])
def test_a_line_that_begins_like_a_file_of_another_kind(tmp_path, monkeypatch, start):
    """polars unpacked a chunk by itself that began so: "invalid gzip header", without the name of the file."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES + start + b" x\n" + LINES.replace(b'"step": 1', b'"step": 2'))
    monkeypatch.setattr(chunks, "FIRST", len(LINES) + 2)  # the next chunk begins with that line
    log = collect(path)
    assert len(log.table) == 16 and log.rejected["line"].to_list() == [9]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_files_that_are_packed_twice(tmp_path, kind, packing):
    table, pack = pl.DataFrame(ROWS), PACKINGS[packing]
    parquet = io.BytesIO()
    table.write_parquet(parquet)
    held = {"jsonl": LINES, "json": json.dumps(ROWS).encode(), "csv": table.write_csv().encode()}
    data = held.get(kind, parquet.getvalue())
    once, twice = tmp_path / f"a.{kind}.{packing}", tmp_path / f"b.{kind}.{packing}"
    once.write_bytes(pack(data))
    twice.write_bytes(pack(pack(data)))
    with pytest.raises(InputError, match=r"b\.\w+\.\w+: packed twice\. Unpack it once with \w+ -d"):
        collect(twice)
    if kind != "parquet":
        assert len(collect(once).table) == 8
        return
    with pytest.raises(InputError, match=r"a\.parquet\.\w+: a parquet file, which is read from its end.* \w+ -d"):
        collect(once)


@pytest.mark.parametrize("field", ["prompt", "group", "completion", "info"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_cells_that_nest_without_end(tmp_path, field, kind):
    levels = {'[{"role":"user","content":': 300, '{"a":[': 490, "[": 20_000}
    path = tmp_path / f"a.{kind}"
    for opens, times in levels.items():
        closes = "".join({"[": "]", "{": "}"}[c] for c in reversed(opens) if c in "[{")
        deep = opens * times + "1" + closes * times
        rows = [{**row, "info": "", field: deep} if i == 3 else {**row, "info": ""} for i, row in enumerate(ROWS)]
        if kind == "csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        else:
            pl.DataFrame(rows).write_parquet(path)
        inspect(path)
        log = collect(path)
        assert len(log.table) + len(log.rejected) == 8 and len(log.table) >= 7
