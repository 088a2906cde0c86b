"""Does R say more of V than chance: the correlation without the noise of V, and its null.

The null: the rewards of a group shuffled among its completions, the tree and the values left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ..core.forest import Floats
from .claims import NOT_REPRODUCED, NOT_TESTABLE, PARTLY, REPRODUCED, Finding, Word
from .prm_quality_measures import column, measured, moments, noiseless_correlation

PERMUTATIONS = 1_000
SHUFFLED = 74  # stream of shuffled rewards
ENOUGH = 60  # steps
CORRELATION = "correlation of R - m and V - V0, noise of V taken out"
NULL = f"{CORRELATION}: rewards shuffled"
RULE = (
    "A pretrained model has a word of its own, which leaves that of the claim as it is: reproduced if the "
    f"{CORRELATION}, lies above the 97.5 % point of its null and its low end above 0; partly if only the first; else "
    f"not reproduced; not testable here with fewer than {ENOUGH} steps."
)


def against_null(part: str, setting: str, steps: pl.DataFrame, seed: int) -> list[Finding]:
    """The correlation of R - m and V - V0 without the noise of V, and what it is where rewards are shuffled.

    Args:
        part: As in `Finding`.
        setting: As in `Finding`.
        steps: `valued` ones.
        seed: Of resamples and shuffles.
    """
    gap = column(steps, "reward") - column(steps, "mean")
    effect = column(steps, "value") - column(steps, "value_prompt")
    noise = column(steps, "value_noise") + column(steps, "prompt_noise")
    prompts = steps["prompt"].to_numpy()
    found = measured(part, setting, CORRELATION, (*moments(gap, effect), noise), prompts, noiseless_correlation, seed)
    shuffled = np.array([
        noiseless_correlation(np.stack([*moments(row, effect), noise], axis=1).sum(axis=0))
        for row in shuffled_gaps(steps, PERMUTATIONS, seed)
    ])  # fmt: skip
    shuffled = shuffled[np.isfinite(shuffled)]
    if not len(shuffled):
        return [found, Finding(part, setting, NULL, None, note="rewards or values do not vary")]
    low, high = np.percentile(shuffled, [2.5, 97.5]).tolist()
    return [found, Finding(part, setting, NULL, float(shuffled.mean()), low, high, len(shuffled))]


def shuffled_gaps(steps: pl.DataFrame, number: int, seed: int) -> Floats:
    """R - m of the steps with the rewards of every group shuffled, shape (number, steps); its steps share a shuffle."""
    gaps = np.empty((number, len(steps)))
    rng = np.random.default_rng([seed, SHUFFLED])
    for _, of_group in steps.with_row_index("at").group_by("prompt", maintain_order=True):
        rewards = np.array(of_group["rewards"][0])
        drawn = rng.permuted(np.tile(rewards, (number, 1)), axis=1)
        for at, members in zip(of_group["at"], of_group["members"], strict=True):
            gaps[:, at] = drawn[:, members.to_list()].mean(axis=1) - rewards.mean()
    return gaps


def word_of(part: str, findings: Sequence[Finding]) -> Word | None:
    """The word of a pretrained model, see `RULE`; None where it was not sampled."""
    found, null = (
        next((f for f in findings if (f.part, f.what) == (part, what)), None) for what in (CORRELATION, NULL)
    )
    if found is None or null is None:
        return None
    steps = next(f.mean or 0.0 for f in findings if f.part == part and f.what == "steps")
    ends = (found.mean, found.low, null.low, null.high)
    if steps < ENOUGH or None in ends:
        return NOT_TESTABLE
    above = (found.mean or 0.0) > (null.high or 0.0)
    if above and (found.low or 0.0) > 0:
        return REPRODUCED
    return PARTLY if above else NOT_REPRODUCED


def sentence(part: str, findings: Sequence[Finding]) -> str:
    """What was found of the model."""
    found, null = (next(f for f in findings if (f.part, f.what) == (part, what)) for what in (CORRELATION, NULL))
    if None in (found.mean, found.low, found.high, null.low, null.high):
        return f"{part}: too few steps to say anything"
    return (
        f"{part}, {found.setting}: {CORRELATION} {found.mean:.2f} [{found.low:.2f}, {found.high:.2f}], null "
        f"[{null.low:.2f}, {null.high:.2f}]"
    )
