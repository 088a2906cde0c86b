"""What a word or a finding means: everything on the screen is found, however it is typed; what is near is offered."""

import re

import pytest

from grpo_prm.analysis.findings import CODES
from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.errors import UsageError
from grpo_prm.text.explain import explain, finding, in_short, words
from grpo_prm.text.glossary import FURTHER, GLOSSARY


def said(word):
    return "\n\n".join((f"# {word}", GLOSSARY[word], *FURTHER.get(word, ()))) + "\n"


PARTS = ["What it is", "How it is measured", "What to do", "When it is a false alarm"]


@pytest.mark.parametrize("code", CODES)
def test_a_finding_says_what_it_is_how_it_is_measured_and_what_to_do(code):
    text = finding(code)
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == PARTS
    assert len(re.findall(r"^- ", text.split("## What to do")[1], re.MULTILINE)) >= 3
    assert re.fullmatch(r"[A-Z][^.]*\.", in_short(code))
    assert explain(code) == explain(code.replace("_", " ").upper()) == text


@pytest.mark.parametrize("word", [word for word in GLOSSARY if word.replace(" ", "_") not in CODES])
def test_every_word_has_its_sentence_and_what_more_there_is(word):
    assert explain(word) == explain(f" {word.upper()}") and said(word) in explain(word)
    assert explain(word.replace(" ", "-").replace("λ", "lambda")) == explain(word)


def test_names_of_summary_json_are_those_of_the_screen():
    for one in STATISTICS.values():
        assert one.name in CODES or GLOSSARY[one.label] in explain(one.name)
    assert explain("leave_pair_out_auc") == explain("order of unseen pairs")


def test_words_that_differ_in_a_dash_alone_are_both_told():
    both = map(said, ("suppressed-good", "suppressed good"))
    assert explain("Suppressed good") == "\n".join(both)


def test_words_of_the_first_screen_are_known():
    """What two new users asked for and did not find."""
    words = "luck, close, mask, pooled, null mean, certain, p, range, unseen, draw, copies, copy, low estimate"
    for word in words.split(", "):
        assert explain(word).startswith("# ")
    text = " ".join(explain("reliability").split())
    assert "Formula: Σ T (A² - noise) / Σ T A²" in text
    for part in ("Above 0.5", "high end is below 0.5", "49 of 100 problems count", "copies carry it", "Pooled over"):
        assert part in text
    assert "the mean reward of the completions that are left" in explain("order of unseen pairs")
    assert "judged alone" in explain("sure decision") and "count in the reliability" in explain("copy")
    assert "from 30 % on" in explain("teaches_nothing") and "Student's t" in explain("certain share")
    assert "A mean over all groups" in explain("path depth") and "a quarter is saved" in explain(
        "tokens per unique token"
    )


def test_a_part_of_a_word_does_where_only_one_has_it():
    assert explain("step reward") == explain("step reward R(λ)")
    assert explain("sampler trainer") == explain("sampler-trainer gap")


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("relability", "low_reliability or reliability, each text once"),
        ("tokens per", "token, with prompt"),
        ("copie", "copies, copy, piece or close"),
    ],
)
def test_what_there_is_not_names_what_is_near(typed, near):
    with pytest.raises(UsageError, match=f"nothing explains '{typed}'. Did you mean .*{near}\\?"):
        explain(typed)


@pytest.mark.parametrize("typed", ["xyzzy", "", "()"])
def test_what_is_near_to_nothing_names_the_list(typed):
    with pytest.raises(UsageError, match=r"^nothing explains '.*'\. `grpo-prm explain` lists all codes and words\.$"):
        explain(typed)


def test_words_are_no_codes():
    assert {*words()} | {*CODES} == {*GLOSSARY} and not {*words()} & {*CODES}
