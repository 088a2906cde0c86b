"""The glossary: one plain sentence a word, and every number of the registry has one."""

import re

import pytest

from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.text.glossary import GLOSSARY


@pytest.mark.parametrize("term", GLOSSARY)
def test_a_word_has_one_sentence(term):
    said = GLOSSARY[term]
    assert said.endswith(".") and not re.search(r"[.!?] [A-Z]", said)
    assert said[0].isupper() or not said[0].isalpha()
    assert len(said) <= 240 and "\n" not in said


def test_every_statistic_is_there_and_no_two_words_say_the_same():
    assert {one.label for one in STATISTICS.values()} <= set(GLOSSARY)
    assert len(set(GLOSSARY.values())) == len(GLOSSARY)
