"""What stays on one line, and that nothing else of a text changes."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from grpo_prm.text.unbroken import unbroken, whole_options


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("alone: 41.8 to 57.5 %, p = 0.02: close", ["57.5 %", "p = 0.02"]),
        ("74.1 % [70.4, 77.8] of the weight", ["74.1 %", "[70.4, 77.8]"]),
        ("-0.0259 [-0.0259, 0.552], p ≤ .05 after", ["[-0.0259, 0.552]", "p ≤ .05"]),
        ("at T = 0.75 and k = 36. <0.01 %", ["T = 0.75", "k = 36", "0.01 %"]),
        ("many [1,024 %, 2,048 %]", ["[1,024 %, 2,048 %]"]),
        ("[a, b] of 3 and x = 3, step = 4, percent %", []),
    ],
)
def test_numbers_stay_with_what_belongs_to_them(text, kept):
    made = unbroken(text)
    assert made.replace("\u00a0", " ") == text
    assert re.findall(r"\S*\u00a0\S*(?:\u00a0\S*)*", made) == [
        word for word in re.split(r" +", _marked(text, kept)) if "\u00a0" in word
    ]


def _marked(text, kept):
    for part in kept:
        text = text.replace(part, part.replace(" ", "\u00a0"))
    return text


@given(st.text("0123456789.,% []pk=-−abc\n"))
@example("1 % %")
def test_only_spaces_change_and_never_at_a_letter(text):
    made = unbroken(text)
    assert made.replace("\u00a0", " ") == text.replace("\u00a0", " ") and unbroken(made) == made
    assert not re.search(r"[abc]\u00a0|\u00a0[abck]", made)


def test_options_are_whole_and_nothing_else_changes():
    text = "Give --tokenizer NAME, or --no-figures; a-b--c, -- and ---x are none, nor --" + 40 * "x"
    made = whole_options(text)
    assert re.findall(r"<span class='nowrap'>(.*?)</span>", made) == ["--tokenizer", "--no-figures"]
    assert re.sub(r"</?span[^>]*>", "", made) == text
