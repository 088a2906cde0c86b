"""How soon a run reaches a level of reward: the first training step at which its running mean is that high."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import polars as pl

from ..analysis.clusters import PROBLEM
from ..analysis.ratios import Sums
from ..core.forest import Floats
from ..errors import UsageError
from .runs import Run

WINDOWS = 20  # of a run: the running mean goes over a twentieth of the shortest run's steps
ON_THE_WAY = 0.9  # of the way from the start to the best that all reach, where no level is asked for
CLUSTER = ("step", *PROBLEM)


@dataclass(frozen=True, slots=True)
class Reached:
    """When a run reaches the level.

    Attributes:
        run: Its name.
        step: First step at which the running mean is at the level, None if it never is.
        earliest: First step at which the 95 % interval of the running mean comes up to the level; None: never.
        surely: First step at which the whole interval is at the level or above; None: never.
        known: Whether there are intervals: twenty problems in every window.
        last: Last step of the run.
    """

    run: str
    step: int | None
    earliest: int | None
    surely: int | None
    known: bool
    last: int


@dataclass(frozen=True, slots=True)
class Reach:
    """Steps to a level of reward.

    Attributes:
        level: The reward, None where there is none.
        window: Steps in the running mean.
        runs: One for each run that has a course.
        why: Why there is no level, or which runs are left out.
    """

    level: float | None
    window: int
    runs: list[Reached]
    why: str | None


def steps_to_reach(runs: tuple[Run, ...], seed: int, level: float | None = None) -> Reach:
    """First step of each run at which its running mean reward reaches a level.

    The mean goes over the groups of the last steps; its interval resamples their problems (`ratios.Sums`). A noisy
    curve crosses a level early by nature, so all runs have windows of equal length.

    Args:
        runs: Those with rewards and two steps or more are used; `Reach.why` names the others.
        seed: Of the resamples.
        level: The reward to reach. None: nine tenths of the way from the highest start to the lowest peak, if every run
            rises beyond its intervals.

    Raises:
        UsageError: The level is not a finite number.
    """
    if level is not None and not isfinite(level):
        raise UsageError(f"--level {level}: not a reward that can be reached. Give a finite number.")
    usable = [run for run in runs if len(run.steps) > 1 and not run.groups["reward_mean"].null_count()]
    unusable = [run.name for run in runs if run.name not in {one.name for one in usable}]
    why = f"Without steps to a reward: {', '.join(unusable)} (no step, one step, or no rewards)." if unusable else None
    if not usable:
        return Reach(level, 1, [], why)
    # One window for all runs: a running mean over more steps is smoother and crosses a level later.
    window = max(1, round(min(len(run.steps) for run in usable) / WINDOWS))
    curves = [_curve(run, window, seed) for run in usable]
    if level is None:
        # The highest start and the lowest peak: so the level is above every start and every run reaches it.
        start, peak = max(curve[0, 0] for curve in curves), min(curve[0].max() for curve in curves)
        flat = [run.name for run, curve in zip(usable, curves, strict=True) if not _rises(curve)]
        if flat or peak <= start:
            flat = f"the reward of {', '.join(flat)} does not rise beyond its intervals" if flat else ""
            return Reach(None, window, [], f"No level to reach: {flat or 'the runs have none in common'}.")
        level = float(start + ON_THE_WAY * (peak - start))
    return Reach(level, window, [_reached(*each, window, level) for each in zip(usable, curves, strict=True)], why)


def _curve(run: Run, window: int, seed: int) -> Floats:
    """Mean, low and high of the reward over every window, shape (3, steps - window + 1); NaN where not known."""
    # Rows without a step have no place on the curve.
    groups = run.groups.filter(pl.col("step").is_not_null()).sort("step", maintain_order=True)
    sums = Sums(groups, CLUSTER, ("reward",))
    step = groups["step"].to_numpy()
    # Row at which each step opens, and the number of rows: a window is a slice between two of these.
    opens = np.append(np.flatnonzero(np.diff(step, prepend=step[0] - 1)), len(step))
    windows = [
        sums.intervals(seed, slice(begin, end))["reward"][:3]
        for begin, end in zip(opens[:-window], opens[window:], strict=True)
    ]
    return np.array(windows, np.float64).T


def _rises(curve: Floats) -> bool:
    """Whether some window lies above the first by their intervals; without intervals, at all."""
    mean, low, high = curve
    return bool((low > high[0]).any() if np.isfinite(curve).all() else (mean > mean[0]).any())


def _reached(run: Run, curve: Floats, window: int, level: float) -> Reached:
    """When the mean and the ends of its interval get there (beyond rounding)."""
    steps = run.steps[window - 1 :]
    # An interval that is missing in one window would make `earliest` and `surely` depend on where it is.
    known = bool(np.isfinite(curve).all())

    def first(values: Floats) -> int | None:
        there = values >= level - 1e-12 * max(1.0, abs(level))
        return steps[int(there.argmax())] if there.any() else None

    mean, low, high = curve
    return Reached(
        run=run.name,
        step=first(mean),
        earliest=first(high) if known else None,
        surely=first(low) if known else None,
        known=known,
        last=steps[-1],
    )
