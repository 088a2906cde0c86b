"""Packed files: whole, in several frames, cut short, damaged, and in a packing that is not read."""

import bz2
import gzip
import io
import json
import lzma

import pytest
import zstandard
from logs.log_files import balanced, message, reasons, row

from grpo_prm.logs import collect
from grpo_prm.logs.pipes import Pipe
from grpo_prm.logs.unpacking import _PACKED, unpacked

PACK = {"gz": gzip.compress, "zst": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}
DATA = bytes(range(256)) * 3000
# Ten groups of two, long enough that unpacking goes over several rounds.
ROWS = [row(group=f"g{i // 2}", reward=float(i % 2), tokens=[i, 7 * i, *range(i % 5)]) for i in range(20)]


def contents(data):
    file, blocks = unpacked(io.BufferedReader(io.BytesIO(data))), []
    while block := file.read(1 << 16):
        blocks.append(block)
    return b"".join(blocks)


@pytest.mark.parametrize("packing", PACK)
def test_one_frame_several_and_an_empty_one(packing):
    pack = PACK[packing]
    assert contents(pack(DATA)) == DATA and contents(pack(b"")) == b""
    assert contents(pack(DATA[:5]) + pack(b"") + pack(DATA[5:])) == DATA


def test_zeros_between_the_streams_of_an_xz():
    assert contents(lzma.compress(b"ab") + b"\0" * (2 * _PACKED) + lzma.compress(b"cd") + b"\0" * 8) == b"abcd"


@pytest.mark.parametrize("packing", ["bz2", "xz"])
def test_a_small_file_that_holds_much_comes_in_small_pieces(packing):
    file = unpacked(io.BytesIO(PACK[packing](bytes(24 << 20))))
    most, read = 0, 0
    while block := file.read(1000):
        most, read = max(most, len(file._rest)), read + len(block)
    assert read == 24 << 20 and most <= 1 << 20


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("through_pipe", [False, True])
def test_a_log_that_is_packed(tmp_path, monkeypatch, packing, through_pipe):
    data = PACK[packing]("".join(json.dumps(r) + "\n" for r in ROWS).encode())
    if through_pipe:
        monkeypatch.setattr("grpo_prm.logs.names.standard_input", lambda: Pipe(io.BytesIO(data), "-"))
        got = collect("-")
    else:
        (tmp_path / f"log.jsonl.{packing}").write_bytes(data)
        got = collect(tmp_path / f"log.jsonl.{packing}")
        assert got.table["run"][0] == "log"
    assert got.table["tokens"].to_list() == [r["tokens"] for r in ROWS] and not len(got.rejected)


@pytest.mark.parametrize("packing", PACK)
def test_what_stands_before_the_cut_is_read(tmp_path, packing):
    lines = [json.dumps(r) + "\n" for r in ROWS]
    first, second = "".join(lines[:10]).encode(), "".join(lines[10:]).encode()
    (tmp_path / "log.jsonl").write_bytes(PACK[packing](first) + PACK[packing](second)[:30])
    got = collect(tmp_path / "log.jsonl")
    assert balanced(got) and 10 <= len(got.table) < 20
    assert reasons(got)[-1][2] == "the compressed file is cut short"


@pytest.mark.parametrize("packing", PACK)
def test_what_stands_before_the_damage_is_read(tmp_path, packing):
    lines = [json.dumps(r) + "\n" for r in ROWS]
    first = "".join(lines[:10]).encode()
    (tmp_path / "log.jsonl").write_bytes(PACK[packing](first) + PACK[packing](first)[:12] + b"\xff" * 2000)
    got = collect(tmp_path / "log.jsonl")
    assert balanced(got) and len(got.table) == 10
    assert reasons(got)[-1][2].startswith("the compressed file is damaged (")


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (b"\x04\x22\x4d\x18", "packed with lz4, which is not read. Unpack it first, with lz4 -d."),
        (b"7z\xbc\xaf\x27\x1c", "packed with 7z, which is not read. Unpack it first, with 7z x."),
        (b"Rar!\x1a\x07\x01\x00", "packed with rar,"),
    ],
)
def test_a_packing_that_is_not_read_is_named(tmp_path, start, said):
    (tmp_path / "log.jsonl").write_bytes(start + b"\0" * 100)
    assert f"log.jsonl: {said}" in message(lambda: collect(tmp_path / "log.jsonl"))


def test_text_that_starts_like_a_packing_is_text():
    assert contents(b"BZh is how bzip2 begins") == b"BZh is how bzip2 begins"
    assert contents(b"") == b"" and contents(b"\x1f") == b"\x1f"
