"""Numbers that are read a block at a time are those that stand there, and what is odd is refused."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpo_prm.logs.rows.digits import numbers, room

ROOM = room(400)
SEPARATORS = st.sampled_from([b",", b", "])
NUMBER = rb"(?:0|[1-9][0-9]{0,7})"


@given(
    st.lists(st.lists(st.integers(0, 99_999_999) | st.integers(0, 12), min_size=1, max_size=8), max_size=4), SEPARATORS
)
@example([[0], [99_999_999, 10_000_000]], b",")
@example([[0], [99_999_999, 10_000_000]], b", ")
def test_numbers_are_those_of_the_text(lists, separator):
    texts = [separator.join(b"%d" % number for number in some) for some in lists]
    found = numbers(texts, separator, ROOM)
    assert found is not None
    values, places = found
    assert values.tolist() == [number for some in lists for number in some]
    joined = separator.join(texts) + separator
    assert places.tolist() == [at.start() for at in re.finditer(re.escape(separator), joined) if texts]


TEXTS = st.lists(st.sampled_from([*"0123456789,, ", "-", ".", "\n", "\x00", "\xff", "1234567", "1, 2"]), min_size=1)


@given(st.lists(TEXTS, min_size=1, max_size=3), SEPARATORS)
@example([list("123456789")], b",")
@example([list("01")], b",")
@example([["1"], [""], ["1"]], b",")
@example([list("1 2,3, 4")], b", ")
@example([list("1,2 3")], b", ")
def test_anything_else_is_refused_and_nothing_more(texts, separator):
    given_texts = ["".join(text).encode("latin-1") for text in texts]
    right = re.fullmatch(NUMBER + b"(?:" + separator + NUMBER + b")*", separator.join(given_texts))
    found = numbers(given_texts, separator, ROOM)
    assert (found is not None) == bool(right)
    if found is not None:
        assert found[0].tolist() == [int(number) for number in separator.join(given_texts).split(separator)]


def test_every_byte_is_a_digit_or_refused():
    for code in range(256):
        for before, behind in ((b"", b""), (b"1", b""), (b"", b"1"), (b"12345678,", b",2")):
            text = before + bytes([code]) + behind
            right = re.fullmatch(NUMBER + b"(?:," + NUMBER + b")*", text)
            assert (numbers([text], b",", ROOM) is not None) == bool(right), text


@pytest.mark.parametrize(("count", "fits"), [(100, True), (150, False)])
def test_more_than_there_is_room_for_is_refused(count, fits):
    assert (numbers([b"1,1"] * count, b",", ROOM) is not None) == fits  # four bytes each, of 400
