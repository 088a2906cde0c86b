"""How a table of text is written: what separates its cells, the names in its header, and decimal commas."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ...errors import InputError
from ..columns.plan import NAMES

SAMPLE = 1 << 16  # characters by which a table is known
_ROWS = 100
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_EXCEL = re.compile(r"sep=(.)\r?\n", re.IGNORECASE)  # Excel's own first line
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")
_COMMA = re.compile(r"-?\d*,\d+")
_THOUSANDS = re.compile(r"-?[1-9]\d{0,2},\d{3}")
_TEXTS = {*NAMES["prompt"], *NAMES["completion"]}
_KNOWN = {name for names in NAMES.values() for name in names}


class Dialect(NamedTuple):
    """How a table of text is written.

    Attributes:
        separator: What stands between cells.
        names: Names of the columns.
        decimal_comma: Columns whose numbers have a comma where JSON has a point.
        before: Lines before the header.
    """

    separator: str
    names: tuple[str, ...]
    decimal_comma: frozenset[str]
    before: int = 0

    def notes(self) -> list[str]:
        """What was inferred, as sentences."""
        said = [f"Cells are separated by {_SEPARATORS[self.separator]}."] if self.separator in ";|" else []
        if self.decimal_comma:
            said.append(f"Numbers with a comma are decimals, 0,5 is 0.5: in {', '.join(sorted(self.decimal_comma))}.")
        return said


def looks_like_a_table(sample: str) -> bool:
    """Does a text begin with a header in which two columns are called as those of rollouts are?"""
    header = next(iter(_rows(sample, _separator(sample)[0])), [])
    return sum(name in _KNOWN for name in header) >= 2


def dialect_of(sample: str, name: str) -> Dialect:
    """How a table is written, by its first characters.

    Args:
        sample: The first `SAMPLE` characters.
        name: The file, for messages.

    Raises:
        InputError: The first line names no columns, or two of them alike.
    """
    separator, before = _separator(sample)
    header, *rows = _rows(sample, separator)[:_ROWS] or [[]]
    where = f"{name}:{before + 1}"
    if (values := [cell for cell in header if _NUMBER.fullmatch(cell.strip())]) and not _KNOWN & set(header):
        raise InputError(
            f"{where}: no header: the first line holds values ({', '.join(values[:3])}), not names of columns."
            f" Put the names before it, like {separator.join(('step', 'prompt', 'completion', 'reward'))}."
        )
    if twice := [cell for cell, count in Counter(header).items() if count > 1 and cell]:
        raise InputError(f"{where}: two columns are called {twice[0]}. Rename one of them.")
    cells = {column: [row[n] for row in rows if n < len(row)] for n, column in enumerate(header)}
    numbers = {c: values for c, values in cells.items() if separator != "," and c not in _TEXTS}
    commas = frozenset(c for c, values in numbers.items() if _with_decimal_comma(values))
    return Dialect(separator, tuple(header), commas, before)


def with_points(cell: str) -> str:
    """A number with a decimal comma as JSON writes it; other cells as they are."""
    return cell.replace(",", ".") if _COMMA.fullmatch(cell.strip()) else cell


def _separator(sample: str) -> tuple[str, int]:
    """What separates cells, and the lines before the header.

    Only what the header holds outside of quotes can be it: texts may hold anything. Of several the one that gives most
    rows as many cells as the header.
    """
    if excel := _EXCEL.match(sample):
        return excel[1], 1

    def agreement(separator: str) -> tuple[float, int]:
        header, *rows = _rows(sample, separator)[:_ROWS] or [[]]
        alike = sum(len(row) == len(header) for row in rows)
        return (alike / len(rows) if rows else 1.0), len(header)

    header = next(iter(sample.lstrip().splitlines()), "")
    possible = [s for s in ("\t", *_SEPARATORS) if s in re.sub(r'"[^"]*"', "", header)]
    return max(dict.fromkeys(possible), key=agreement, default=","), 0


def _rows(sample: str, separator: str) -> list[list[str]]:
    """The rows of a sample that are not blank, but for one that the sample may cut."""
    text = _EXCEL.sub("", sample, count=1) if _EXCEL.match(sample) else sample
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    except csv.Error:
        return []
    return rows[:-1] if len(sample) >= SAMPLE and len(rows) > 1 else rows


def _with_decimal_comma(values: Sequence[str]) -> bool:
    """Are the cells of a column numbers, some with a comma, that cannot be thousands?"""
    filled = [cell.strip() for cell in values if cell.strip()]
    commas = [cell for cell in filled if "," in cell]
    whole: Iterable[str] = (cell for cell in filled if "," not in cell)
    if not commas or not all(map(_COMMA.fullmatch, commas)) or all(map(_THOUSANDS.fullmatch, commas)):
        return False
    return all(re.fullmatch(r"-?\d+", cell) for cell in whole)
