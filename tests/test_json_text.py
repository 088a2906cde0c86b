"""JSON on a terminal."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.json_text import json_text

ODD = '\x1b\x7f\x9b\u202e\u2066\u200b\ufeff\ud800\U000e0001\n\t"\\ \u00a0λ文🙂'


@given(st.dictionaries(st.text(st.sampled_from(ODD)), st.text(st.sampled_from(ODD))))
def test_the_same_value_and_nothing_that_commands_a_terminal(value):
    text = json_text(value, indent=2)
    assert json.loads(text) == json.loads(json.dumps(value))
    assert not {c for c in text if unicodedata.category(c)[0] == "C"} - {"\n"}


def test_letters_of_any_language_stay():
    assert json_text({"a": "λ文🙂 é"}) == json.dumps({"a": "λ文🙂 é"}, ensure_ascii=False)
