"""Numbers of something that goes on: now, and as bars over all of it."""

from __future__ import annotations

import math
from itertools import pairwise

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24  # bars of a sparkline
ROUNDING = 1e-12  # of a mean, relative


def sparkline(values: list[float]) -> str:
    """All values from first to last, means of equal parts, as bars from the lowest to the highest."""
    width = min(WIDTH, len(values))
    cuts = [part * len(values) // width for part in range(width + 1)]
    # All values count: every n-th alone would hide a short collapse.
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(cuts)]
    low, high = min(means), max(means)
    span = high - low
    # What differs by rounding alone is flat, and so is what no float can hold; a flat line is drawn at the bottom.
    if not ROUNDING * max(abs(low), abs(high)) < span < math.inf:
        return BARS[0] * width
    return "".join(BARS[round((mean - low) / span * (len(BARS) - 1))] for mean in means)


def duration(seconds: float) -> str:
    """`0:12`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
