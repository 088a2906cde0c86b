"""Sparklines and numbers."""

import pytest
from grpo_prm_cli.sparkline import BARS, WIDTH, duration, sparkline
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.text.amounts import steady


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_a_sparkline_keeps_order_and_range(values):
    bars = sparkline(values)
    heights = [BARS.index(bar) for bar in bars]
    assert len(bars) == min(len(values), WIDTH)
    if len(values) <= WIDTH and max(values) - min(values) > 1e-9 * max(map(abs, values)):
        assert heights[values.index(max(values))] == 7 and heights[values.index(min(values))] == 0
        assert all(
            heights[i] <= heights[j] for i in range(len(bars)) for j in range(len(bars)) if values[i] <= values[j]
        )


def test_a_long_run_is_drawn_from_its_first_step_to_its_last():
    assert sparkline([0.0] * 500 + [1.0] * 500) == "▁" * 12 + "█" * 12
    assert sparkline([0.0, 0.99, 1.0]) == "▁██"
    assert sparkline([0.3]) == "▁" and len(sparkline(list(range(25)))) == 24


@pytest.mark.parametrize("values", [[0.1] * 60, [1 / 3] * 1000, [1e308, -1e308, 0.0], [1e308] * 50, [0.0] * 30])
def test_what_differs_by_rounding_and_what_no_float_holds_is_flat(values):
    assert sparkline(values) == "▁" * min(24, len(values))


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0:00"), (59.6, "1:00"), (61, "1:01"), (3661, "1:01:01")])
def test_duration(seconds, said):
    assert duration(seconds) == said


def test_numbers():
    assert (steady(None), steady(0.12345), steady(-1234.5), steady(999.9)) == ("-", "0.123", "-1,234", "999.900")
    assert (steady(999_999_999.0), steady(1e9), steady(-1e300), steady(float("inf"))) == (
        "999,999,999",
        "1e+09",
        "-1e+300",
        "inf",
    )
