"""A claim that is run again alone gives the page that a run of all claims would have given, and a line says so."""

from __future__ import annotations

import re

import pytest
from reproduce.test_page import MACHINE, SAID, claim

from grpo_prm.errors import InputError
from grpo_prm.reproduce.page import page
from grpo_prm.reproduce.splice import AGAIN, spliced

BEFORE = {"overlap": claim("reproduced"), "bias": claim("partly", why="as | before"), "defect": claim("partly")}
LATER = MACHINE | {"date": "2026-03-04"}


def written(claims, said=SAID, machine=MACHINE):
    return page(claims, said, machine, 3)


def without_notes(text):
    lines = "\n".join(line for line in text.splitlines() if not line.startswith(AGAIN))
    return re.sub(r"\n{2,}", "\n\n", lines)  # Markdown reads several blank lines as one


@pytest.mark.parametrize(
    "again",
    [
        {"bias": claim("reproduced", why="other")},
        {"bias": claim("not reproduced", why="other")},
        {"overlap": claim("partly")},
        {"defect": claim("reproduced")},
        {"overlap": claim("partly"), "defect": claim("reproduced"), "bias": claim("reproduced")},
        {"bias": claim("reproduced"), "defect": claim("reproduced")},  # nothing is unconfirmed any more
    ],
)
def test_the_page_is_that_of_all_claims(again):
    text = spliced(written(BEFORE), written(again, machine=LATER))
    assert without_notes(text).strip() == without_notes(written(BEFORE | again)).strip()
    notes = [line for line in text.splitlines() if line.startswith(AGAIN)]
    assert [note.split(",")[0].removeprefix(AGAIN) for note in notes] == list(again)
    assert all("2026-03-04, grpo-prm 1.2.3" in note for note in notes)


def test_a_claim_that_is_run_again_and_again_has_one_line():
    once = spliced(written(BEFORE), written({"overlap": claim("partly")}, machine=LATER))
    twice = spliced(once, written({"overlap": claim("reproduced")}, machine=MACHINE | {"date": "2026-05-06"}))
    assert twice.count(AGAIN) == 1 and "2026-05-06" in twice and "2026-03-04" not in twice
    both = spliced(twice, written({"defect": claim("partly")}, machine=LATER))
    assert both.count(AGAIN) == 2


@pytest.mark.parametrize(
    ("new", "says"),
    [
        (written({"identity": claim("reproduced")}), "no claim identity"),
        (written({"bias": claim("reproduced")}, SAID | {"budget": "full"}), "the same options"),
        ("some text", "no page of results"),
    ],
)
def test_what_does_not_belong_to_the_page_is_refused(new, says):
    with pytest.raises(InputError, match=says):
        spliced(written(BEFORE), new)
