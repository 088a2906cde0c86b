"""How soon a run reaches a level of reward: the first training step at which its running mean is that high."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from ..forest import Floats
from ..interval import FEW_CLUSTERS, RESAMPLES, cluster_sums
from .runs import Run

WINDOWS = 20  # of a run: the running mean goes over a twentieth of the shortest run's steps
ON_THE_WAY = 0.9  # of the way from the start to the best that all reach, where no level is asked for


@dataclass(frozen=True, slots=True)
class Reached:
    """When a run reaches the level.

    Attributes:
        run: Its name.
        step: First step at which the running mean is at the level, None if it never is.
        low, high: 95 % range over resamples of the prompts within each step; None where that is `never`, or the run has
            fewer than 20 prompts.
        share: Share of the resamples that reach it; None with fewer than 20 prompts.
        last: Last step of the run.
    """

    run: str
    step: int | None
    low: int | None
    high: int | None
    share: float | None
    last: int


def steps_to_reach(
    runs: tuple[Run, ...], seed: int, level: float | None = None
) -> tuple[float | None, int, list[Reached]]:
    """First step of each run at which its running mean reward reaches a level.

    The crossing of a noisy curve comes early by nature, so curves of equal windows are compared.

    Args:
        runs: With rewards and two steps or more; others are left out.
        seed: Of the resamples.
        level: The reward to reach. None: nine tenths of the way from the highest start to the lowest peak.

    Returns:
        The level, None where there is none (fewer than two such runs, or no run gets better); steps in a window; and
        one `Reached` for each run.
    """
    usable = [run for run in runs if len(run.steps) > 1 and not run.groups["reward_mean"].null_count()]
    if len(usable) < 2:
        return level, 1, []
    window = max(1, round(min(len(run.steps) for run in usable) / WINDOWS))
    curves = [_curves(run, np.random.default_rng([seed, at])) for at, run in enumerate(usable)]
    smooth = [_running_mean(np.vstack(curve), window) for curve in curves]
    if level is None:
        start = max(curve[0, window - 1] for curve in smooth)
        peak = min(np.nanmax(curve[0]) for curve in smooth)
        if peak <= start:
            return None, window, []
        level = start + ON_THE_WAY * (peak - start)
    return level, window, [_reached(run, curve, level) for run, curve in zip(usable, smooth, strict=True)]


def _curves(run: Run, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Mean reward by step, shape (1, steps), and of resamples of the prompts in each, shape (resamples, steps)."""
    observed, drawn = [], []
    for _, part in run.groups.filter(pl.col("step").is_not_null()).sort("step").group_by("step", maintain_order=True):
        prompt = part["prompt_key"].rank("dense").to_numpy()
        sums = cluster_sums(np.stack([part["reward_mean"].to_numpy(), np.ones(len(part))], axis=1), prompt)
        times = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), RESAMPLES)
        total = times @ sums
        observed.append(sums[:, 0].sum() / sums[:, 1].sum())
        drawn.append(total[:, 0] / total[:, 1])
    return np.array([observed]), np.stack(drawn, axis=1)


def _running_mean(curves: Floats, window: int) -> Floats:
    """Mean of the last `window` steps, NaN where there are fewer."""
    sums = np.cumsum(np.pad(curves, ((0, 0), (1, 0))), axis=1)
    found = np.full(curves.shape, np.nan)
    found[:, window - 1 :] = (sums[:, window:] - sums[:, :-window]) / window
    return found


def _reached(run: Run, curves: Floats, level: float) -> Reached:
    """When the observed curve, the first, and the resampled ones get there (beyond rounding)."""
    there = curves >= level - 1e-12 * max(1.0, abs(level))
    steps = np.array(run.steps, float)
    first = np.where(there.any(axis=1), steps[there.argmax(axis=1)], np.inf)
    low, high = np.percentile(first[1:], [2.5, 97.5], method="inverted_cdf")
    sure = run.groups["prompt_key"].n_unique() >= FEW_CLUSTERS
    return Reached(
        run=run.name,
        step=_step(first[0]),
        low=_step(low) if sure else None,
        high=_step(high) if sure else None,
        share=float(np.isfinite(first[1:]).mean()) if sure else None,
        last=int(steps[-1]),
    )


def _step(value: float) -> int | None:
    return int(value) if np.isfinite(value) else None
