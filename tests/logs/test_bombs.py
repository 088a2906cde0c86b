"""Small files that unpack to more than memory holds, read in a process whose largest memory is looked at."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import tarfile
import zipfile

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.errors import InputError
from grpo_prm.logs import ReadOptions, archives, bounds, collect

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
BLOCK = 1 << 22
ROW = {"prompt": "q", "completion": "a", "reward": 0.0, "step": 1}
LINES = "".join(json.dumps({**ROW, "completion": f"a{i}", "reward": float(i % 2)}) + "\n" for i in range(4)).encode()
TABLE = b"prompt,completion,reward\nq,a,1\nq,b,0\n"
# Name of a file to its start, what is repeated, how many bytes of that, and its end.
BOMBS = {
    "zeros.jsonl": (b"", b"\0", 4 << 30, b""),
    "line.jsonl": (LINES + b'{"prompt": "', b"a", 96 << 20, b'"}\n' + LINES.replace(b": 1}", b": 2}")),
    "newlines.jsonl": (LINES, b"\n", 96 << 20, b""),
    "brackets.json": (b"[", b"[", 96 << 20, b""),
    "object.json": (b'{"a": [0', b",0", 96 << 20, b"]}"),
    "spaces.json": (b"[", b" ", 96 << 20, b"]"),
    "table.table.json": (b'{"columns": ["prompt", "completion", "reward"], "data": [[0,0,0]', b",[]", 96 << 20, b"]}"),
    "cell.csv": (TABLE, b"q", 96 << 20, b"\nz,a,1\nz,b,0\n"),
    "quote.csv": (TABLE + b'"', b"q,\n", 64 << 20, b""),
}
READ = """
import sys
from grpo_prm.logs import chunks
chunks.BLANK = 1 << 26
from grpo_prm.errors import InputError
from grpo_prm.logs import ReadOptions, collect
for path in sys.argv[1:]:
    try:
        log = collect(path, ReadOptions(memory=256 << 20))
        print("rows", len(log.table), log.rejected["reason"].to_list())
    except InputError as error:
        print(error)
"""
WRITE = """
import sys
import polars as pl
rows = 5_000_000
columns = [pl.repeat(1.0, rows).alias(f"reward_{n}") for n in range(16)]
pl.select(columns).write_parquet(sys.argv[1], row_group_size=rows)
"""
FRAMES = """
import sys
from pathlib import Path
from grpo_prm.logs.containers import parquet_file
from grpo_prm.logs.sources import Source
path = Path(sys.argv[1])
source = Source(path, "log", size=path.stat().st_size, memory=300 << 20)
print("rows", sum(len(frame) for frame, _, _ in parquet_file.frames(source)))
"""
# Of this process alone: what `getrusage` says begins with the size of the process that started it.
PEAK = 'print(int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]) >> 10)'


def written(folder, name):
    start, repeated, size, end = BOMBS[name]
    path, block = folder / f"{name}.zst", repeated * (BLOCK // len(repeated))
    with path.open("wb") as file, zstandard.ZstdCompressor(level=1).stream_writer(file) as writer:
        writer.write(start)
        for _ in range(size // len(block)):
            writer.write(block)
        writer.write(end)
    return path


def run_apart(code, *paths):
    """What a script says of each file, and the megabytes that it took."""
    command = [sys.executable, "-c", f"{code}{PEAK}\n", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *said, megabytes = done.stdout.splitlines()
    return said, int(megabytes)


@linux
@pytest.mark.slow
def test_what_unpacks_without_end_takes_no_memory_without_end(tmp_path):
    paths = {name: written(tmp_path, name) for name in BOMBS}
    assert all(path.stat().st_size < 1 << 18 for path in paths.values())
    said, megabytes = run_apart(READ, *paths.values())
    assert megabytes < 900
    texts = {name: text.removeprefix(f"{paths[name]}: ") for name, text in zip(BOMBS, said, strict=True)}
    assert "a binary file" in texts["zeros.jsonl"]
    assert texts["line.jsonl"] == "rows 8 ['the line is longer than 12 MB']"
    assert texts["newlines.jsonl"] == "rows 4 ['more than 64 MB of blank lines: what follows is not read']"
    assert "nested too deeply" in texts["brackets.json"]
    assert "more than 64 MB of spaces" in texts["spaces.json"]
    for name in ("object.json", "table.table.json"):
        assert "more than 16 MB" in texts[name] and "--memory" in texts[name] and "JSON lines" in texts[name]
    assert texts["cell.csv"] == "rows 4 ['the line is longer than 12 MB']"
    assert texts["quote.csv"].startswith("rows 2 ['not CSV (a row that goes on over lines is longer than 12 MB)'")


@linux
@pytest.mark.slow
def test_a_parquet_of_one_value_a_million_times_is_read_in_little_memory(tmp_path):
    path = tmp_path / "log.parquet"
    run_apart(WRITE, path)
    assert path.stat().st_size < 1 << 18
    said, megabytes = run_apart(FRAMES, path)
    assert said == ["rows 5000000"] and megabytes < 400  # half a gigabyte more, were it decoded at once


def test_a_long_array_is_read_item_by_item_as_a_short_one_is(tmp_path, monkeypatch):
    from grpo_prm.logs.containers import json_file, json_items

    odd = {**ROW, "completion": 'b "],[{ \\ \u00e9\u4e2d\U0001f600', "extra": [1.5, {"a": None}, float("nan")]}
    rows = [{**ROW, "completion": f"a{i}" * 50, "reward": float(i % 2)} for i in range(400)] + [odd]
    path = tmp_path / "log.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    whole = collect(path)
    for block in (1, 7, 100, 4096):
        monkeypatch.setattr(json_file, "WHOLE", 64)
        monkeypatch.setattr(json_items, "_BLOCK", block)
        assert collect(path).table.equals(whole.table)
    for text, said in (
        (path.read_text()[:-30], "item 401 of its array: not JSON that can be read (cut short)"),
        (path.read_text()[:-1], "(cut short)"),
        (path.read_text() + "[]", "(something follows the array)"),
        (path.read_text().replace('"reward": 1.0', '"reward": 1.0 x', 1), "item 2 of its array"),
        (path.read_text().replace("},", "};", 1), "';' stands between two items"),
    ):
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            collect(path)
        assert said in str(caught.value) and str(path) in str(caught.value)


@given(st.lists(st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.booleans())), max_size=6))
def test_the_items_of_an_array_in_blocks_of_any_size(values):
    from grpo_prm.logs.containers import json_items

    data = json.dumps(values, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    for block in (1, 2, 3, 5, len(data)):
        file = io.BytesIO(data)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json_items, "_BLOCK", block)
            assert [value for value, _ in json_items.items(lambda size, file=file: file.read(size), 1 << 20)] == values


@pytest.mark.parametrize("packing", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress])
def test_a_packed_log_that_is_simply_large_is_read(tmp_path, monkeypatch, packing):
    monkeypatch.setattr(bounds, "LINE", 1 << 12)
    lines = [json.dumps({**ROW, "prompt": f"q{i // 2}", "completion": f"a{i}"}) for i in range(5000)]
    (tmp_path / "log.jsonl.x").write_bytes(packing("\n".join(lines).encode()))
    assert len(collect(tmp_path / "log.jsonl.x", ReadOptions(memory=256 << 20)).table) == 5000


def test_memory_says_how_long_a_line_may_be(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(LINES + json.dumps({**ROW, "info": "x" * (14 << 20)}).encode())
    assert len(collect(path, ReadOptions(memory=256 << 20)).rejected) == 1
    assert len(collect(path, ReadOptions(memory=512 << 20)).rejected) == 0


def test_a_completion_that_is_too_long_to_be_cut_into_units(tmp_path, monkeypatch):
    from grpo_prm.logs.rows import doubts, units

    for module in (doubts, units):
        monkeypatch.setattr(module, "TEXT", 1000)
    path = tmp_path / "log.jsonl"
    path.write_bytes(LINES + json.dumps({**ROW, "completion": "é" * 501}).encode())
    log = collect(path)
    assert len(log.table) == 4 and log.rejected["field"].to_list() == ["completion"]


def zip_of_zeros(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.jsonl", "w") as file:
        for _ in range(16):
            file.write(bytes(1 << 20))


def tar_with_holes(path):
    """A member whose size the header alone says, as a file of holes has it."""
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("a.jsonl")
        info.size = 16 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))


def tar_with_a_long_name(path):
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("a.jsonl")
        info.type, info.size = tarfile.XHDTYPE, 64 << 20
        archive.addfile(info, io.BytesIO(bytes(info.size)))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (zip_of_zeros, "holds more than 0.0 GB"),
        (tar_with_holes, "holds more than 0.0 GB"),
        (tar_with_a_long_name, "a name of 67,108,864 bytes"),
    ],
)
def test_archives_that_unpack_to_far_more_than_they_are(tmp_path, monkeypatch, write, said):
    monkeypatch.setattr(archives, "SMALL", 1 << 20)
    monkeypatch.setattr(archives, "TIMES", 10)
    path = tmp_path / "log.archive"
    write(path)
    assert os.path.getsize(path) < 1 << 17
    with pytest.raises(InputError, match=said) as caught:
        collect(path)
    assert str(path) in str(caught.value)


def test_an_archive_within_an_archive_is_not_unpacked(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.jsonl", LINES)
    path = tmp_path / "log.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    with pytest.raises(InputError, match="no logs in this folder"):
        collect(path)


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_an_arrow_batch_that_unpacks_to_more_than_memory_is_refused(tmp_path, kind):
    ipc = pytest.importorskip("pyarrow.ipc")
    table = pl.DataFrame([{**ROW, "completion": "a" * (80 << 20)}, ROW]).to_arrow()
    path, options = tmp_path / "log.arrow", ipc.IpcWriteOptions(compression="zstd")
    with getattr(ipc, f"new_{kind}")(str(path), table.schema, options=options) as writer:
        writer.write_table(table)
    assert path.stat().st_size < 1 << 16
    with pytest.raises(InputError, match=r"more than 64 MB of it must be in memory at once.*--memory"):
        collect(path, ReadOptions(memory=256 << 20))
