"""Numbers as they are read: three figures, and a range where there is one.

The one place where a number for people gets its format: screen, figures, captions, LaTeX, page and comparison call it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MISSING = "-"


def number(value: float | None) -> str:
    """Three figures, whole numbers from a thousand on; `-` for null."""
    if value is None:
        return MISSING
    # Three figures would hide the last digits of a count such as 30,798.
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def steady(value: float | None, *, sign: bool = False) -> str:
    """Three decimals always, for columns and for numbers that change while one looks: `number` from a thousand on."""
    if value is None:
        return MISSING
    if abs(value) >= 1e9:
        return f"{value:.3g}"
    return number(value) if abs(value) >= 1000 else f"{value:+.3f}" if sign else f"{value:.3f}"


def signed(value: float | None) -> str:
    """A difference: `number` with its sign, `0` for none."""
    return number(value) if not value or value < 0 else f"+{number(value)}"


def percent(value: float | None) -> str:
    """Three figures of a share in percent without the sign, but no finer than hundredths; `-` for null."""
    if value is None:
        return MISSING
    # Rounded it would read 0, though something is there.
    if 0 < value < 5e-5:
        return "<0.01"
    return f"{100 * value:.3g}" if value >= 0.01 or not value else f"{100 * value:.2f}"


def span(low: float | None, high: float | None, *, share: bool = False) -> str:
    """`[8.5, 13.2]`; nothing where an end is not known."""
    written = percent if share else number
    return "" if low is None or high is None else f"[{written(low)}, {written(high)}]"


def interval(
    value: Mapping[str, Any] | None,
    *,
    share: bool = False,
    null: bool = False,
    missing: str = MISSING,
    sign: bool = True,
) -> str:
    """Mean and 95 % range: `10.8 % [8.5, 13.2]`.

    Args:
        value: With `mean`, `low` and `high`.
        share: In percent.
        null: The permutation null instead: `null_mean`, `null_low` and `null_high`.
        missing: The text where there is no mean.
        sign: With the sign of percent, where a column does not say it.
    """
    key = "null_" if null else ""
    if value is None or value[f"{key}mean"] is None:
        return missing
    mean = (percent if share else number)(value[f"{key}mean"]) + (" %" if share and sign else "")
    return f"{mean} {span(value[f'{key}low'], value[f'{key}high'], share=share)}".rstrip()


def amount(count: int, what: str, several: str = "") -> str:
    """`1 group`, `2,000 groups`.

    Args:
        count: How many.
        what: What one of them is called, with a verb if there is one: `row was`.
        several: The same of several, where it is not `what` and an s: `rows were`.
    """
    return f"{count:,} {what if count == 1 else several or f'{what}s'}"


def first_of(parts: list[str], most: int, what: str = "", between: str = ", ") -> str:
    """`a, b and 4 more`: all of a few, the first of many and how many are left; `what` they are, and what parts them.

    Args:
        parts: One or more.
        most: How many are named.
        what: What one of the others is called, as for `amount`: `run` for `and 4 more runs`.
        between: What stands between two.
    """
    rest = len(parts) - most
    if rest <= 0:
        return between.join(parts)
    more = amount(rest, f"more {what}") if what else f"{rest:,} more"
    return f"{between.join(parts[:most])}{' ' if between == ', ' else between}and {more}"


def listed(parts: list[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"
