"""Cells of a CSV that a spreadsheet opens."""

import csv
from io import StringIO

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.text.sheet import as_csv


def is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return text.strip().lstrip("+-")[:1] in (*"0123456789.",)


@given(st.lists(st.text(st.sampled_from("=+-@\t\r 1.eA\"',\nλ"), max_size=6), min_size=1, max_size=5))
def test_no_cell_of_text_is_a_formula_and_nothing_of_it_is_lost(texts):
    table = pl.DataFrame({"run": texts, "mean": [-0.5] * len(texts)})
    cells = list(csv.reader(StringIO(as_csv(table), newline="")))
    assert cells[0] == ["run", "mean"] and [cell[1] for cell in cells[1:]] == ["-0.5"] * len(texts)
    for text, (cell, _) in zip(texts, cells[1:], strict=True):
        begins = (text.lstrip() != text and any(c in "\t\r" for c in text)) or text.strip()[:1] in (*"=+-@",)
        assert cell in (text, f"'{text}")
        if text.strip()[:1] in (*"=+-@",) and not is_number(text):
            assert cell == f"'{text}"
        if not begins or (is_number(text) and "\t" not in text and "\r" not in text):
            assert cell == text


def test_a_table_without_such_text_is_as_polars_writes_it():
    table = pl.DataFrame({"run": ["a", None, "-1e-3", "x=1"], "n": [1, 2, 3, 4]})
    assert as_csv(table) == table.write_csv()
