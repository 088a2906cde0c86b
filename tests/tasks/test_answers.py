"""Where completions say their answers, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.tasks.answers import extract, shape_of

CASES = [
    # number: the last one
    ("3", "3", "3"),
    ("The answer is 3", "3", "3"),
    ("The answer is 3.", "12", "3"),
    ("3 + 4 = 7, so 7 * 2 = 14.", "14", "14"),
    ("I think 12 or 13", "12", "13"),
    ("**Answer:** 1,234.50 dollars, of 9 people", "7", "9"),
    ("Answer: 12\nCheck: 3 * 4 = 12, and 5 is odd.", "12", "12"),
    ("$1,234", "1234", "1234"),
    ("x=-5", "-5", "-5"),
    ("10-5", "5", "5"),
    ("It is −7", "-7", "-7"),
    ("0.25", "0.25", "0.25"),
    ("about 1.5e-3 m", "0.0015", "1.5e-3"),
    ("see item2b and x7", "2", ""),
    ("no idea", "3", ""),
    ("", "3", ""),
    # marks: the last of each kind, tags before boxes before words
    ("<answer>5</answer> or <answer> 6 </answer> of 9", "6", "6"),
    (r"\boxed{4} and \boxed{\text{no } {5}} but 9", "5", "5"),
    (r"<answer>3</answer> \boxed{4}", "3", "3"),
    (r"\boxed{4", "4", "4"),
    ("<think>7 is the answer: 7</think>It is 8", "8", "8"),
    ("<think>the answer is 7", "7", ""),
    ("The answer: 4. No, the answer is 5", "5", "5"),
    # yes or no: the first, in any letters
    ("No, because yes was the question", "No", "No"),
    ("The answer is yes. Not no.", "Yes", "Yes"),
    ("YES", "No", "yes"),
    ("It is not known", "Yes", ""),
    ("That is false", "False", "False"),
    # brackets: the last outer pair of the kind
    ("Sorted: ['1', '2']. Was: ['2', '1'].", "['1', '2']", "['2', '1']"),
    ("[[1, 2], [3]]", "[[3], [1]]", "[[1, 2], [3]]"),
    ("Answer:\n[1,\n 2]", "[1, 2]", "[1,\n 2]"),
    ("the point (4.0, -5) of [3]", "(4.0, -5)", "(4.0, -5)"),
    ("[1, 2", "[1, 2]", ""),
    # lines: those of the last code block, or as many as the answer has
    ("Here:\n```\n1 2\n3 4\n```\nDone", "1 2\n3 4", "1 2\n3 4"),
    ("Rotated:\n1 2 \n3 4\n", "5 6\n7 8", "1 2\n3 4"),
    # word: the last one, without marks around it
    ("The day is **Wednesday**.", "Monday", "Wednesday"),
    ("It is her mother-in-law!", "mother", "mother-in-law"),
    ("The angle is 46.25°.", "46.25°", "46.25°"),
    ("So 737/960", "1/2", "737/960"),
    ("#B A#", "B#", "A#"),
    ("...", "word", ""),
    # phrase: the last line, or the right answer at its end
    ("First this.\nThe quick fox.", "A slow dog", "The quick fox"),
    ("Sorted: b, c, d", "b, c, d", "b, c, d"),
    ("Sorted: ab, c, d", "b, c, d", "Sorted: ab, c, d"),
    ('"You have tried it already?"', "You have tried it already?", "You have tried it already?"),
    ("\n \n", "two words", ""),
]


@pytest.mark.parametrize(("completion", "right", "said"), CASES)
def test_the_answer_of_a_completion(completion, right, said):
    assert extract(completion, right) == said


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        *(("-1,000.5", "number"), ("True", "choice"), ("no", "choice"), ("a\nb", "lines"), ("{}", "brackets")),
        *(("(a, b)", "brackets"), ("[1] and [2)", "phrase"), ("D3", "word"), ("a b", "phrase"), ("", "phrase")),
    ],
)
def test_shapes(answer, name):
    assert shape_of(answer).name == name


@given(st.integers(-(10**6), 10**6), st.lists(st.integers(0, 99), max_size=4))
def test_the_last_number_counts_whatever_comes_before(right, others):
    text = "".join(f"{n} + " for n in others) + f"0 is {right}."
    assert extract(text, "0") == str(right)


@given(st.text(max_size=60), st.sampled_from(sorted({right for _, right, _ in CASES})))
def test_any_text_has_an_answer_or_none(completion, right):
    said = extract(completion, right)
    assert said == right or len(said) <= len(completion)
