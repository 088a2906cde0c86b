"""Ids that are cut out of the lines are those that a parser of JSON reads; what is odd is left to that parser."""

import json
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpo_prm.logs.rows import id_lists
from grpo_prm.logs.rows.id_lists import read_with_ids

WIRE = {"a": pl.Int64(), "ids": pl.List(pl.Int32()), "b": pl.String()}
IDS = st.lists(st.one_of(st.integers(0, 12), st.integers(0, 10**8 - 1), st.just(10**8 - 1)), max_size=9)


def lines(rows, separators=None):
    return "\n".join(json.dumps(row, separators=separators) for row in rows).encode()


@given(
    st.lists(st.tuples(st.integers(-9, 9), IDS, st.sampled_from(["", "x y", 'a "quoted" one', "\\"])), min_size=1),
    st.sampled_from([(",", ":"), (", ", ": "), (", ", ":")]),
    st.sampled_from([b"", b"\n"]),
    st.sampled_from([1, 20, 1 << 18]),
)
@example([(0, [], "")], (",", ":"), b"", 20)
@example([(0, [], ""), (1, [0], ""), (2, [], "")], (", ", ": "), b"\n", 20)
@example([(0, [], ""), (1, [1] * 9, ""), (2, [], ""), (3, [2] * 9, "")], (", ", ": "), b"\n", 1)
def test_plain_ids_are_read_as_they_are(given_rows, separators, end, block):
    rows = [{"a": a, "ids": ids, "b": b} for a, ids, b in given_rows]
    with patch.object(id_lists, "BLOCK", block):  # so that lists are longer than that
        taken = read_with_ids(lines(rows, separators) + end, "ids", WIRE)
    assert taken is not None
    read, short = taken
    assert read.to_dicts() == rows and read.schema == pl.Schema(WIRE)
    assert [json.loads(line)["ids"] for line in short.splitlines()] == [[]] * len(rows)


LISTS = ["[]", "[1]", "[1,2]", "[1, 2]", "[0]", "[10,0]", "[ 1 ]", "[1 ]", "[ ]", "[-0]", "[-1]", "[-1,-1]", "[01]"]
LISTS += ["[+1]", "[1,]", "[,1]", "[1,,2]", "[1 2]", "[1.0]", "[1e2]", "[null]", "[true]", '["1"]', "[[1]]", "null"]
LISTS += ["[2147483647]", "[2147483648]", "[99999999999999999999]", "[1\t]", "[\t1]", "[1,\t2]", "[1;2]", "{}"]
LISTS += ["[1", "1]", "[100000000]", "[1,2,3,]", "[1, 2, 3, ]", "[1, 2,3]", "[1,2, 3]", "[1, 2 3]", "[12345678,9]"]


@given(
    st.lists(st.sampled_from(LISTS), min_size=1, max_size=4),
    st.sampled_from(['"ids":', '"ids": ', '"ids" :']),
    st.sampled_from([1, 20]),
)
@example(["[-1]", "[1"], '"ids":', 20)
@example(["[01]"], '"ids":', 20)
@example(["[+1]", "[1]"], '"ids":', 20)
@example(["[1,2,3,]"], '"ids":', 1)
@example(["[1, 2, 3, ]"], '"ids":', 1)
@example(["[1, 2,3]"], '"ids":', 1)
def test_odd_lists_are_read_rightly_or_left_to_others(given_lists, key, block):
    data = "\n".join(f'{{"a":1,{key}{ids},"b":"x"}}' for ids in given_lists).encode()
    with patch.object(id_lists, "BLOCK", block):
        taken = read_with_ids(data, "ids", WIRE)
    if taken is not None:
        assert taken[0]["ids"].to_list() == [json.loads(ids) for ids in given_lists]
        assert all(0 <= i < 2**31 for ids in taken[0]["ids"].to_list() for i in ids)


@pytest.mark.parametrize(
    "line",
    [
        b'{"ids":[1],"ids":[2]}',
        b'{"meta":{"ids":[1]},"ids":[2]}',
        b'{"meta":{"ids":[1]},"ids": [2]}',
        b'{"meta":{"ids":[1]},"ids": []}',
        b'{"meta":{"ids":[1]}}',
        b'{"meta":{"ids":[1]},"ids":null}',
        b'{"b":"ids","ids":[1]}',
        b'{"ids":[1],"ids":null}',
        b'{"ids":[1]} {"ids":[1]}',
        b'{"ids":[1,2',
        b'{"a":1}',
        b"[1]",
    ],
)
@pytest.mark.parametrize("beside", [b'{"ids":[7]}', b""])
def test_a_list_that_may_be_another_one_is_left_to_others(line, beside):
    assert read_with_ids(line + b"\n" + beside, "ids", WIRE) is None
    assert read_with_ids(beside + b"\n" + line, "ids", WIRE) is None


def test_blank_lines_are_left_to_others():
    for data in (b'{"ids":[1]}\n\n{"ids":[2]}', b'\n{"ids":[1]}\n', b'{"ids":[1]}\n \n{"ids":[2]}\n'):
        assert read_with_ids(data, "ids", WIRE) is None


def test_text_that_looks_like_the_list_does_not_count():
    rows = [{"ids": [1], "b": 'see "ids":[2,3] there'}, {"ids": [4], "b": '{"ids":[5]}'}]
    read, _ = read_with_ids(lines(rows, (",", ":")), "ids", WIRE)
    assert read["ids"].to_list() == [[1], [4]] and read["b"].to_list() == [r["b"] for r in rows]
