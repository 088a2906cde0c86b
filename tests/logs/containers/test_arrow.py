"""Arrow IPC: files and streams, of polars, pyarrow and `datasets`, whole and cut short."""

import gzip

import polars as pl
import pytest
from logs.containers.records_of import records_of, values_of

from grpo_prm.errors import InputError

ROWS = [{"prompt": f"p{n % 3}", "ids": list(range(n)), "reward": n / 2, "chat": [{"role": "user"}]} for n in range(10)]


def pyarrow_written(path, kind, batch=3, columns=None, options=None):
    pa = pytest.importorskip("pyarrow")
    table = pa.Table.from_pylist(ROWS) if columns is None else pa.table(columns)
    new = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with new(str(path), table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=batch)
    return path


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_rows_come_back_as_they_were_written(tmp_path, kind):
    path = pyarrow_written(tmp_path / "a.arrow", kind)
    assert values_of(path, "arrow") == ROWS
    assert [record.line for record in records_of(path, "arrow", 1)] == list(range(1, 11))  # a batch at a time


@pytest.mark.parametrize("packing", ["lz4", "zstd"])
def test_packed_batches_are_read(tmp_path, packing):
    pa = pytest.importorskip("pyarrow")
    options = pa.ipc.IpcWriteOptions(compression=packing)
    assert values_of(pyarrow_written(tmp_path / "a.arrow", "stream", options=options), "arrow") == ROWS


def test_dictionaries_are_kept_for_later_batches(tmp_path):
    pa = pytest.importorskip("pyarrow")
    words, others = ["a", "b", "a", "c", "b"] * 2, ["x", "y"] * 5
    columns = {name: pa.array(texts).dictionary_encode() for name, texts in (("w", words), ("o", others))}
    path = pyarrow_written(tmp_path / "a.arrow", "stream", columns=columns)
    assert [(row["w"], row["o"]) for row in values_of(path, "arrow", 1)] == list(zip(words, others, strict=True))


def test_a_dictionary_that_is_replaced(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parts = [pa.table({"w": pa.array(texts).dictionary_encode()}) for texts in (["a", "b"], ["c", "d", "c"])]
    with pa.ipc.new_stream(str(tmp_path / "a.arrow"), parts[0].schema) as writer:
        for part in parts:
            writer.write_table(part)
    assert [row["w"] for row in values_of(tmp_path / "a.arrow", "arrow", 1)] == ["a", "b", "c", "d", "c"]


def test_what_polars_writes(tmp_path):
    frame = pl.DataFrame(ROWS)
    frame.write_ipc(tmp_path / "a.arrow")
    frame.write_ipc_stream(tmp_path / "b.arrow")
    assert values_of(tmp_path / "a.arrow", "arrow") == values_of(tmp_path / "b.arrow", "arrow") == ROWS


def test_a_packed_file(tmp_path):
    plain = pyarrow_written(tmp_path / "a.arrow", "stream")
    (tmp_path / "a.arrow.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert values_of(tmp_path / "a.arrow.gz", "arrow") == ROWS


@pytest.mark.parametrize("kind", ["file", "stream"])
def test_a_file_that_is_cut_short_is_refused_wherever_it_ends(tmp_path, kind):
    whole = pyarrow_written(tmp_path / "a.arrow", kind).read_bytes()
    faults = []
    for size in range(16, len(whole) - 16, 37):
        (tmp_path / "b.arrow").write_bytes(whole[:size])
        values, fault = tried(tmp_path / "b.arrow")
        assert values == ROWS[: len(values)]
        faults.append("b.arrow: not Arrow that can be read" in fault)
    assert all(faults) if kind == "file" else faults.count(False) <= 4  # between two messages a stream may end


def tried(path):
    try:
        return values_of(path, "arrow", 1), ""
    except InputError as error:
        return [], str(error)


def test_a_length_that_is_wrong_asks_for_no_memory(tmp_path):
    whole = bytearray(pyarrow_written(tmp_path / "a.arrow", "stream").read_bytes())
    whole[4:8] = (1 << 27).to_bytes(4, "little")
    (tmp_path / "b.arrow").write_bytes(whole)
    with pytest.raises(InputError, match="the file is cut short"):
        values_of(tmp_path / "b.arrow", "arrow")
