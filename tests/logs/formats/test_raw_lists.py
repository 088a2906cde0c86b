"""Lists of JSON text to arrays, against a parser of JSON."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.logs.rows.raw_lists import constant, flags, floats, integers, joined
from grpo_prm.logs.rows.values import Bad


def text_of(lists, spaces, indent=None):
    dumped = [json.dumps(one, indent=indent, separators=None if spaces else (",", ":")) for one in lists]
    return joined([msgspec.Raw(one.encode()) for one in dumped], "x")


@given(st.lists(st.lists(st.integers(-(2**62), 2**62))), st.booleans())
def test_integers(lists, spaces):
    assert integers(text_of(lists, spaces), "x").tolist() == [v for one in lists for v in one]


@given(st.lists(st.lists(st.booleans())), st.booleans(), st.booleans())
def test_flags(lists, spaces, as_numbers):
    given_ = [list(map(int, one)) for one in lists] if as_numbers else lists
    assert flags(text_of(given_, spaces), "x").tolist() == [v for one in lists for v in one]


@given(
    st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9) | st.none())), st.booleans()
)
def test_floats(lists, spaces):
    wanted = np.array([v for one in lists for v in one], float)
    assert np.array_equal(floats(text_of(lists, spaces), "x"), wanted, equal_nan=True)


def test_lists_over_several_lines():
    assert integers(text_of([[1, 2], [3]], True, indent=2), "x").tolist() == [1, 2, 3]
    assert flags(text_of([[True], [False, True]], True, indent=2), "x").tolist() == [True, False, True]


@given(st.lists(st.lists(st.sampled_from([0.5, -1.25, 2]))), st.booleans())
def test_a_constant_is_one_number_so_many_times(lists, spaces):
    values = [v for one in lists for v in one]
    text = text_of(lists, spaces)
    if values:
        wanted = values[0] if len(set(values)) == 1 else None
        assert constant(text, len(values)) == wanted
    assert constant(text, len(values) + 1) is None


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (integers, [1.5]),
        (integers, [1e3]),
        (integers, [None]),
        (integers, ["1"]),
        (integers, [[1]]),
        (integers, [True]),
        (flags, [True, None]),
        (flags, [0, 2]),
        (flags, ["t"]),
        (flags, [True, 1]),
        (flags, [[True]]),
        (floats, [True]),
        (floats, ["1"]),
        (floats, [[1.0]]),
    ],
)
def test_anything_else_is_refused(read, value):
    with pytest.raises(Bad):
        read(text_of([value], False), "x")


def test_null_is_an_empty_list_and_text_is_none():
    assert joined([msgspec.Raw(b"null"), msgspec.Raw(b"[1]")], "x") == b"1"
    with pytest.raises(Bad, match="expected a list"):
        joined([msgspec.Raw(b'"[1]"')], "x")
