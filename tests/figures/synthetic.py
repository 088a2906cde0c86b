"""Analysis tables of an invented log, for the tests of the figures."""

from __future__ import annotations

import numpy as np
import polars as pl

STATISTICS = {
    "path_depth": (2.0, 0.004),
    "intermediate_proportion": (0.2, 0.0004),
    "baseline_path_depth": (1.2, 0.0),
    "baseline_intermediate_proportion": (0.12, 0.0),
    "suppressed_good": (0.02, 0.00002),
    "boosted_bad": (0.03, -0.00001),
    "amplification": (1.5, 0.0),
}


def analysis_tables(
    *, steps=tuple(range(0, 500, 20)), runs=("base",), groups=300, long=True, intervals=True, chance=True, seed=0
) -> dict[str, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    rows = []
    for r, run in enumerate(runs):
        for step in steps:
            for statistic, (at, slope) in STATISTICS.items():
                mean = (at + slope * (step or 0)) * (1 + 0.15 * r) * rng.normal(1, 0.04)
                ends = (mean * 0.9, mean * 1.12) if intervals else (None, None)
                null = statistic in ("suppressed_good", "boosted_bad") and chance
                nulls = (mean * 1.05, mean * 0.8, mean * 1.3) if null else (None, None, None)
                rows.append((run, step, statistic, mean, *ends, 32, *nulls))
    names = ["run", "step", "statistic", "mean", "low", "high", "n", "null_mean", "null_low", "null_high"]
    training = pl.DataFrame(
        rows,
        {n: pl.String if n in ("run", "statistic") else pl.Int64 if n in ("step", "n") else pl.Float64 for n in names},
        orient="row",
    )
    run = np.repeat(np.array(runs, dtype=object), groups)

    def overlap(depth: float, share: float) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "run": list(run),
                "path_depth": rng.poisson(depth * 6, len(run)) / 6,
                "intermediate_proportion": rng.beta(2, 2 / share, len(run)),
            },
            schema_overrides={"run": pl.String},
        )

    count = 20 * len(run)
    start = np.floor(rng.exponential(120 if long else 8, count)).astype(int)
    k = 8
    process_steps = pl.DataFrame(
        {
            "run": list(np.repeat(run, 20)),
            "group": np.repeat(np.arange(len(run)), 20),
            "start": start,
            "size": rng.integers(1, k + 1, count),
            "k": np.full(count, k),
            "tokens": rng.integers(0, 30, count),
            "advantage": rng.normal(0, 0.2 + np.minimum(start, 400) / 800),
            "zero_variance": rng.random(count) < 0.2,
        },
        schema_overrides={"run": pl.String},
    )
    return {
        "training": training,
        "groups": overlap(2.5, 0.3),
        "baseline": overlap(1.2, 0.12),
        "process_steps": process_steps,
    }
