"""The page and the LaTeX table say what claims.json says, and their marks do not break on what it says."""

from __future__ import annotations

import re

import pytest

from grpo_prm.reproduce.claims import Finding
from grpo_prm.reproduce.page import interval, latex_table, number, page

SAID = {"version": "1.2.3", "budget": "quick", "seed": 7, "seeds": None}
MACHINE = {
    "date": "2026-01-02",
    "workers": 1,
    "system": "Linux",
    "machine": "x86_64",
    "cores": 4,
    "versions": {"python": "3.11", "numpy": "2"},
    "claims": {"bias": {"seconds": 90.0}},
}


def claim(word, findings=(), parts=None, why="a |λ|_x & 50 % of {it}"):
    return {
        "says": "It holds.",
        "paper": "A number.",
        "rule": "Something.",
        "verdict": word,
        "why": why,
        "parts": parts or {},
        "notes": ["A note."],
        "intervals": {"judged": sum(f.p is not None for f in findings), "undecided": 1, "shown": 3},
        "figures": {"a_figure": "A caption."},
        "findings": [finding._asdict() for finding in findings],
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.12345, "0.1235"),
        (-0.5, "-0.5"),
        (1.0, "1"),
        (12.345, "12.35"),
        (123.45, "123.5"),
        (2.5e-7, "2.50e-07"),
    ],
)
def test_numbers(value, said):
    assert number(value) == said


def test_intervals():
    assert interval(Finding("", "", "", 0.5, 0.25, 0.75)._asdict()) == "0.5 [0.25, 0.75]"
    assert interval(Finding("", "", "", 0.5)._asdict()) == "0.5"


def test_what_is_not_reproduced_stands_where_we_say_what_we_could_not_confirm():
    claims = {"bias": claim("reproduced"), "training": claim("partly", parts={"one | two": "not reproduced"})}
    text = page(claims, SAID, MACHINE, 12)
    confirm = text.split("## What we could not confirm")[1].split("\n## ")[0]
    assert "**training**, partly" in confirm and "bias" not in confirm and "one | two: not reproduced" in confirm
    assert "Nothing among" in page({"bias": claim("reproduced")}, SAID, MACHINE, 12)
    assert "`grpo-prm reproduce --budget quick --seed 7`, 2 of 12 claims" in text and "2026-01-02" in text
    assert "2 minutes, 1 worker on 4 cores" in text and "*A caption.*" in text


def test_tables_keep_their_columns_whatever_is_in_a_cell():
    judged = [Finding("a|b", "n = 1", "p = 1 - p = 0", 0.1, 0.05, 0.15, 5, 0.01, 0.02, "edge")]
    shown = [Finding("", "|A|", "mean", 0.5, n=3)]
    text = page({"bias": claim("partly", judged + shown)}, SAID, MACHINE, 12)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for row in rows:
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) in (5, 7, 8), row  # three, five and six columns
    assert r"| a\|b, n = 1 | p = 1 - p = 0 | 0.1 [0.05, 0.15] | 5 | 0.02 | edge |" in text
    assert text.index("<details>") < text.index(r"| \|A\| | mean | 0.5 | 3 |  |") < text.index("</details>")


def test_latex_has_no_mark_of_its_own_left_in_a_text():
    text = latex_table({"binary-tree": claim("partly", parts={"a_b": "reproduced"})})
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    assert r"a $|$$\lambda$$|$\_x \& 50 \% of \{it\}" in body and r"\quad a\_b & reproduced" in body
    assert not re.search(r"(?<!\\)[%#_]", body)
    for line in filter(None, map(str.strip, body.splitlines())):
        assert len(re.findall(r"(?<!\\)&", line)) == 2 and line.endswith(r"\\")


def test_our_numbers_stand_beside_the_papers():
    table = {"columns": ["setting", "a|b"], "rows": [["n = 1", "|λ|"], ["n = 2", "0.5"]]}
    text = page({"bias": claim("partly") | {"overview": table}}, SAID, MACHINE, 12)
    assert "\n\n| setting | a\\|b |\n|---|---|\n| n = 1 | \\|λ\\| |\n| n = 2 | 0.5 |\n\n<img" in text
    assert "1 of 12 claims" in text
    assert "| setting |" not in page({"bias": claim("partly") | {"overview": None}}, SAID, MACHINE, 12)
