"""A file cut into parts of lines: every byte is in one, each begins with a line, and the lines are numbered."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpo_prm.logs import parts
from grpo_prm.logs.parts import Part, can_be_cut, cut, lines_from
from grpo_prm.logs.sources import Source

LINES = st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=12)


@given(LINES, st.binary(max_size=9), st.integers(1, 40), st.integers(1, 9), st.integers(0, 11))
@example([b"a", b"b"], b"", 2, 9, 1)
@example([], b"", 1, 1, 0)
def test_parts_are_whole_lines_end_to_end(tmp_path_factory, lines, rest, size, block, skipped):
    path = tmp_path_factory.mktemp("parts") / "log.jsonl"
    data = b"".join(line + b"\n" for line in lines) + rest.replace(b"\n", b"")
    path.write_bytes(data)
    skipped = min(skipped, len(lines))
    begin = sum(len(line) + 1 for line in lines[:skipped])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_BLOCK", block)
        found = list(lines_from(Source(path, "log", size=len(data)), Part(3, begin, line=skipped + 1), size))
    assert b"".join(data[one.begin : one.begin + one.size] for one in found) == data[begin:]
    for one in found:
        assert one.source == 3 and one.line == data[: one.begin].count(b"\n") + 1
        assert one.begin == 0 or data[one.begin - 1 : one.begin] == b"\n"
        # About as long as was asked for: the line in which that ends is whole, and no other is added.
        assert one.size >= size or one is found[-1]
        assert b"\n" not in data[one.begin + size : one.begin + one.size - 1]


def test_what_cannot_be_cut_is_whole(tmp_path):
    import gzip

    plain, packed = tmp_path / "log.jsonl", tmp_path / "log.jsonl.gz"
    plain.write_bytes(b"{}\n" * 99)
    packed.write_bytes(gzip.compress(bytes(range(256)) * 9))
    (one, other) = (Source(path, path.name, size=path.stat().st_size) for path in (plain, packed))
    assert can_be_cut(one) and not can_be_cut(other)
    assert len(list(cut(one, 0, 100))) == 3 and list(cut(one, 0, 297)) == [Part(0)]
    assert list(cut(other, 2, 10)) == [Part(2)]
