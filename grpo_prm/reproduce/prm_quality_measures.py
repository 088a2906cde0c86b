"""How well the hidden PRM, and what is simpler, says the true value of a step: figures with intervals over prompts.

Every figure is a function of sums over steps, so one bootstrap of prompts serves all. Sums go over the same steps as
reliability: all intermediate ones of groups whose rewards differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints
from ..core.interval import FEW_CLUSTERS, cluster_sums, resampled_sums
from .claims import Finding

CLEAR = 0.1  # a true effect beyond which a sign is asked for
RELIABILITY, SLOPE, SIGN = "reliability", "true slope", "sign of A"
SHRUNK = (1, 2, 4)  # completions that the group's mean counts for in a mean shrunk to it
SIZES = {"2": (2, 2), "3": (3, 3), "4 to 7": (4, 7), "8 and more": (8, np.inf)}
DEPTHS = {"1": (1, 1), "2": (2, 2), "3": (3, 3), "4 and more": (4, np.inf)}
BINS = (-np.inf, 0.1, 0.3, 0.5, 0.7, 0.9, np.inf)  # of R, in the figure of calibration

Statistic = Callable[[Floats], Floats]  # sums, shape (..., columns), to a figure, shape (...,)


def ratio(sums: Floats) -> Floats:
    """Of the first of two sums to the second."""
    return np.divide(sums[..., 0], sums[..., 1], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 1] != 0)


def correlation(sums: Floats) -> Floats:
    """Pearson's, of n, Σx, Σy, Σx², Σy², Σxy; NaN where either does not vary."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = (n * xx - x**2) * (n * yy - y**2)
    varies = spread > 1e-12 * (n * xx) * np.abs(n * yy)
    return np.divide(n * xy - x * y, np.sqrt(np.maximum(spread, 0)), out=np.full(n.shape, np.nan), where=varies)


def noiseless_correlation(sums: Floats) -> Floats:
    """Pearson's with the noise of y taken from its variance, of the sums of `correlation` and the summed noise.

    Noise in y alone makes a correlation smaller; it can be beyond 1 now. NaN where y varies no more than its noise.
    """
    n, x, y, xx, yy, xy, noise = np.moveaxis(sums, -1, 0)
    return correlation(np.stack([n, x, y, xx, yy - noise, xy], axis=-1))


def measured(
    part: str, setting: str, what: str, columns: Sequence[Floats], prompts: Ints, statistic: Statistic, seed: int
) -> Finding:
    """A figure with percentiles over resampled prompts.

    Args:
        part: As in `Finding`.
        setting: As in `Finding`.
        what: As in `Finding`.
        columns: What is added up, one value a step each.
        prompts: Prompt of each step.
        statistic: Of the sums.
        seed: Of the resamples.
    """
    if not len(prompts):
        return Finding(part, setting, what, None, note="no step")
    sums = cluster_sums(np.stack(columns, axis=1).astype(np.float64), prompts)
    mean = float(statistic(sums.sum(axis=0)))
    if not np.isfinite(mean):
        return Finding(part, setting, what, None, n=len(sums))
    if len(sums) < FEW_CLUSTERS:
        return Finding(part, setting, what, mean, n=len(sums), note="few prompts")
    low, high = np.nanpercentile(statistic(resampled_sums(sums, seed)), [2.5, 97.5]).tolist()
    return Finding(part, setting, what, mean, low, high, len(sums))


def column(steps: pl.DataFrame, name: str) -> Floats:
    """A column as float64."""
    return steps[name].cast(pl.Float64).to_numpy()


def of_cell(policy: str, setting: str, steps: pl.DataFrame, seed: int) -> list[Finding]:
    """Everything that is said of the groups of one size of one policy.

    Args:
        policy: The part.
        setting: Size of the groups.
        steps: Rows of `policy_record` of that size.
            Where they have `value_noise`, the variance of the error of V, it is taken from squared errors.
        seed: Of the resamples.
    """
    tokens, gap = column(steps, "tokens"), column(steps, "reward") - column(steps, "mean")
    effect = column(steps, "value") - column(steps, "value_prompt")
    squared = tokens * column(steps, "advantage") ** 2
    noise = column(steps, "value_noise") if "value_noise" in steps.columns else np.zeros(len(gap))
    scale = np.divide(column(steps, "advantage"), gap, out=np.zeros(len(gap)), where=gap != 0)  # 1 / (std + eps)

    def one(what: str, statistic: Statistic, *columns: Floats) -> Finding:
        return measured(policy, setting, what, columns, steps["prompt"].to_numpy(), statistic, seed)

    return [
        one(RELIABILITY, ratio, squared - tokens * column(steps, "noise"), squared),
        one(SLOPE, ratio, tokens * gap * effect, tokens * gap**2),
        one("true slope in units of A", ratio, tokens * column(steps, "advantage") * scale * effect, squared),
        *(one(what, ratio, right, clear) for what, (right, clear) in signs(steps).items()),
        one("correlation of R - m and V - V0", correlation, *moments(gap, effect)),
        *(
            one(f"correlation of {name} and V", correlation, *moments(said, column(steps, "value")))
            for name, said in predictions(steps).items()
        ),
        *(
            one(f"squared error of {name}", ratio, (said - column(steps, "value")) ** 2 - noise, np.ones(len(said)))
            for name, said in predictions(steps).items()
        ),
        Finding(policy, setting, "steps", float(len(steps))),
    ]


def signs(steps: pl.DataFrame) -> dict[str, tuple[Floats, Floats]]:
    """Whether A and the local advantage have the sign of a clear true effect: right ones, and all clear ones, by step.

    An advantage of 0 has no sign, and counts as wrong. The local advantage is held against what the step itself adds to
    the value of the prefix before it, where that is known.
    """
    gaps = {SIGN: (column(steps, "reward") - column(steps, "mean"), column(steps, "value_prompt"))}
    if "value_before" in steps.columns:
        local = column(steps, "reward") - column(steps, "of_parent")
        gaps["sign of local A"] = local, column(steps, "value_before")
    found = {}
    for what, (gap, before) in gaps.items():
        effect = column(steps, "value") - before
        clear = np.abs(effect) > CLEAR
        # Differences of means of a few rewards: what is beyond 1e-9 is no rounding.
        found[what] = (clear & (gap * np.sign(effect) > 1e-9)).astype(float), clear.astype(float)
    return found


def moments(x: Floats, y: Floats) -> tuple[Floats, ...]:
    """What `correlation` adds up; centred, so that no digits are lost."""
    x, y = (values - values.mean() if len(values) else values for values in (x, y))
    return np.ones(len(x)), x, y, x**2, y**2, x * y


def predictions(steps: pl.DataFrame) -> Mapping[str, Floats]:
    """What is held against V: R, the group's mean, means between the two, the parent's R, the small PRM, position.

    The small PRM where it was taught.
    """
    reward, mean, size = (column(steps, name) for name in ("reward", "mean", "size"))
    shrunk = {f"R shrunk by {c}": (size * reward + c * mean) / (size + c) for c in SHRUNK}
    names = {
        "R of the parent": "of_parent",
        "the small PRM (same prompts)": "learnt_same",
        "the small PRM (other prompts)": "learnt_others",
    }
    others = {said: column(steps, name) for said, name in names.items() if name in steps.columns}
    return {"R": reward, **shrunk, "the group mean": mean, **others, "position": by_position(steps)}


def by_position(steps: pl.DataFrame) -> Floats:
    """Mean R of the steps of other prompts that begin at the same position; where none does, of all other prompts."""
    start, prompt = steps["start"].to_numpy(), steps["prompt"].to_numpy()
    reward = column(steps, "reward")
    place = prompt * (start.max(initial=0) + 1) + start

    def others(of: np.ndarray, mine: np.ndarray) -> tuple[Floats, Floats]:
        total, own = (np.bincount(by, reward)[by] for by in (of, mine))
        number, number_own = (np.bincount(by)[by] for by in (of, mine))
        return total - own, (number - number_own).astype(float)

    at_same, here = others(start, place)
    at_all, anywhere = others(np.zeros(len(start), np.int64), prompt)
    everywhere = np.divide(at_all, anywhere, out=np.zeros(len(start)), where=anywhere > 0)
    return np.divide(at_same, here, out=everywhere, where=here > 0)


def by_size_and_depth(policy: str, k: int, steps: pl.DataFrame, seed: int) -> list[Finding]:
    """Correlation with the true effect and sign of A, by |λ| and by depth."""
    findings = []
    for name, ranges in (("size", SIZES), ("depth", DEPTHS)):
        for label, (least, most) in ranges.items():
            some = steps.filter(pl.col(name).is_between(least, most))
            setting = f"k = {k}, {'|λ|' if name == 'size' else 'depth'} {label}"
            gap = column(some, "reward") - column(some, "mean")
            effect = column(some, "value") - column(some, "value_prompt")
            prompt = some["prompt"].to_numpy()
            tied = moments(gap, effect)
            what = "correlation of R - m and V - V0"
            findings += [
                measured(policy, setting, what, tied, prompt, correlation, seed),
                measured(policy, setting, SIGN, signs(some)[SIGN], prompt, ratio, seed),
            ]
    return findings


def calibration(steps: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Mean R and mean V of the steps of every bin of R: `reward`, `mean`, `low`, `high`, `steps`."""
    rows = []
    reward, value = column(steps, "reward"), column(steps, "value")
    place = np.digitize(reward, BINS[1:-1])
    for n in range(len(BINS) - 1):
        here = place == n
        found = measured("", "", "", (value[here], np.ones(here.sum())), steps["prompt"].to_numpy()[here], ratio, seed)
        if found.low is not None:  # a bin of few prompts says nothing
            rows.append((float(reward[here].mean()), found.mean, found.low, found.high, int(here.sum())))
    schema = {**dict.fromkeys(("reward", "mean", "low", "high"), pl.Float64), "steps": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")
