"""What of a file is whole while it is written: lines, and tables of parquet."""

from __future__ import annotations

import json

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.logs import whole_part as module
from grpo_prm.logs.spans import Span
from grpo_prm.logs.whole_part import whole_lines, whole_table

LINES = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=9), max_size=3), max_size=6)


@given(LINES, st.integers(0, 200), st.integers(0, 200), st.integers(1, 7))
def test_a_line_is_whole_with_its_newline_or_as_an_object(tmp_path_factory, rows, cut, known, block):
    path = tmp_path_factory.mktemp("w") / "log.jsonl"
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()[:cut]
    path.write_bytes(text)
    lines = text.splitlines(keepends=True)
    try:
        last_is_whole = not lines or lines[-1].endswith(b"\n") or isinstance(json.loads(lines[-1]), dict)
    except ValueError:
        last_is_whole = False
    expected = len(text) if last_is_whole else len(text) - len(lines[-1])
    ends = [sum(map(len, lines[:n])) for n in range(len(lines) + 1)]
    begin = max(end for end in ends if end <= min(known, expected))
    before = module._BLOCK
    module._BLOCK = block
    try:
        assert whole_lines(path, begin, len(text)) == expected
    finally:
        module._BLOCK = before


def test_a_table_is_whole_with_its_last_bytes(tmp_path):
    path = tmp_path / "a.parquet"
    pl.DataFrame({"a": [1, 2]}).write_parquet(path)
    data = path.read_bytes()
    for size in (0, 3, 4, 8, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert whole_table(path, 0, size) == 0
    path.write_bytes(data)
    assert whole_table(path, 0, len(data)) == len(data)


@given(st.binary(max_size=60), st.integers(0, 70), st.integers(0, 70), st.integers(1, 9))
def test_a_span_reads_as_the_bytes_do(tmp_path_factory, data, begin, end, size):
    path = tmp_path_factory.mktemp("s") / "a"
    path.write_bytes(data)
    expected, got = data[begin : max(begin, end)], b""
    with Span(path, begin, end).open() as file:
        while block := file.read(size):
            got += block
            assert file.tell() == len(got)
        assert got == expected
    with Span(path, begin, end).open() as file:
        assert file.peek(1)[:1] == expected[:1] and file.read() == expected
        assert file.seek(0) == 0 and file.read(3) == expected[:3]
