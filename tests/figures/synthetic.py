"""Analysis tables of an invented log, for the tests of the figures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import polars as pl

from grpo_prm.analysis.statistics import OVERLAP, SUMMARY
from grpo_prm.analysis.statistics import STATISTICS as REGISTRY
from grpo_prm.core.subsample import subset_sizes
from grpo_prm.logs.rollouts import SCHEMA

STATISTICS = {
    "path_depth": (2.0, 0.004),
    "intermediate_proportion": (0.2, 0.0004),
    "baseline_path_depth": (1.2, 0.0),
    "baseline_intermediate_proportion": (0.12, 0.0),
    "suppressed_good": (0.02, 0.00002),
    "boosted_bad": (0.03, -0.00001),
    "informativeness": (0.3, 0.0002),
    "amplification": (1.5, 0.0),
}
NULLS = ("suppressed_good", "boosted_bad", "informativeness")
K = 8


def log(**options) -> SimpleNamespace:
    """An analysis with the tables of `analysis_tables`."""
    return SimpleNamespace(**analysis_tables(**options))


def cleared(**options) -> SimpleNamespace:
    """An analysis without a row in any table."""
    tables = analysis_tables(**options)
    summary = tables["summary"] | {"informativeness": None}
    summary["defects"] = summary["defects"] | {"worst_groups": worst_groups()}
    return SimpleNamespace(**{n: t.clear() for n, t in tables.items() if n != "summary"}, summary=summary)


def analysis_tables(
    *, steps=tuple(range(0, 500, 20)), runs=("base",), groups=300, long=True, intervals=True, null=True, seed=0
) -> dict[str, pl.DataFrame]:
    rng = np.random.default_rng(seed)
    rows = []
    for r, run in enumerate(runs):
        for step in steps:
            for statistic, (at, slope) in STATISTICS.items():
                mean = (at + slope * (step or 0)) * (1 + 0.15 * r) * rng.normal(1, 0.04)
                ends = (mean * 0.9, mean * 1.12) if intervals else (None, None)
                has_null = statistic in NULLS and null
                nulls = (mean * 1.05, mean * 0.8, mean * 1.3) if has_null else (None, None, None)
                rows.append((run, step, statistic, mean, *ends, 32, *nulls))
    names = ["run", "step", "statistic", "mean", "low", "high", "n", "null_mean", "null_low", "null_high"]
    training = pl.DataFrame(
        rows,
        {n: pl.String if n in ("run", "statistic") else pl.Int64 if n in ("step", "n") else pl.Float64 for n in names},
        orient="row",
    )
    run = list(np.repeat(np.array(runs, dtype=object), groups))
    step = [steps[n % len(steps)] for _ in runs for n in range(groups)]

    def overlap(depth: float, share: float) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "run": run,
                "step": step,
                "group": np.arange(len(run)),
                "group_key": [f"p{n}" for n in range(len(run))],
                "prompt_key": [f"p{n}" for n in range(len(run))],
                "problem": pl.Series([None] * len(run), dtype=pl.String),
                "path_depth": rng.poisson(depth * 6, len(run)) / 6,
                "intermediate_proportion": rng.beta(2, 2 / share, len(run)),
                "reward_mean": rng.integers(0, K + 1, len(run)) / K,
                "certain_tokens": rng.integers(0, 5, len(run)).astype(float),
                "informative_sum": rng.random(len(run)) * 20,
                "informative_tokens": rng.integers(0, 60, len(run)),
                "suppressed_good_tokens": rng.integers(0, 4, len(run)),
                "good_tokens": rng.integers(0, 90, len(run)) + 4,
                "boosted_bad_tokens": rng.integers(0, 4, len(run)),
                "bad_tokens": rng.integers(0, 90, len(run)) + 4,
            },
            schema_overrides={"run": pl.String, "step": pl.Int64},
        )

    held = overlap(2.5, 0.3)
    return {
        "summary": summary(runs, steps, intervals),
        "training": training,
        "groups": held,
        "baseline": overlap(1.2, 0.12),
        "process_steps": process_steps(run, long, rng),
        "subsamples": subsamples(held, rng),
        "decided": decided(held),
        "permutations": pl.DataFrame(
            {
                "permutation": range(199),
                "informativeness": rng.normal(0.3, 0.01, 199),
                "leave_pair_out_auc": rng.normal(0.5, 0.02, 199),
            }
        ),
        "samples": rollouts(runs[0], steps[0]),
        "completions": pl.DataFrame({"group": [0] * 4, "sample": range(4), "advantage": [1.0, -1.0, 0.0, 0.0]}),
    }


def worst_groups(*examples: dict) -> dict:
    """The groups that summary.json names, all lists but `examples` empty."""
    none = {"by_count": [], "by_share": []}
    return {"examples": list(examples), "suppressed_good": none, "boosted_bad": none}


def summary(runs: tuple[str, ...], steps: tuple[int | None, ...], intervals: bool) -> dict:
    """The parts of summary.json that figures and captions look at: every statistic of the registry that it has."""

    def mean(value: float, **beside: float) -> dict:
        ends = {"low": value * 0.9, "high": value * 1.1} if intervals else {"low": None, "high": None}
        return {"mean": value, **ends, "n": 300, **beside}

    nulls = {"null_mean": 0.03, "null_low": 0.02, "null_high": 0.04}
    values = {"path_depth": 0.4, "suppressed_good": 0.02, "boosted_bad": 0.03, "update_cosine": 0.7}
    made: dict = {section: {} for section in SUMMARY}
    for one in REGISTRY.values():
        if one.section not in SUMMARY or one.name == "informativeness":
            continue
        value = mean(values.get(one.key, 0.4), **(nulls if one.null == "permutation" else {}))
        if one.power is not None:
            made[one.section].setdefault(one.key, {})[f"{one.power:g}"] = value
        else:
            made[one.section][one.key] = value
    for name in ("leave_pair_out_auc", "inherited"):
        made["credit"][name]["p_value"] = 0.015
    made["defects"]["worst_groups"] = worst_groups({"run": runs[0], "step": steps[0], "group_key": "p0"})
    return made | {
        "source": {
            "runs": sorted(runs),
            "unit": "token",
            "tokens_from": "log",
            "options": {"seed": 0, "std": "sample", "advantage": "computed", "tokenizer": None},
        },
        "counts": {"groups": 300, "group_size": {"min": K, "mode": K, "max": K}},
        "baseline": {name: mean(0.1) for name in OVERLAP},
        "informativeness": {"observed": 0.34, "p_value": 0.005, **nulls},
    }


def process_steps(run: list[str], long: bool, rng: np.random.Generator) -> pl.DataFrame:
    """Twenty steps a group, of no real tree."""
    count = 20 * len(run)
    start = np.floor(rng.exponential(120 if long else 8, count)).astype(int)
    reward = rng.random(count)
    return pl.DataFrame(
        {
            "run": list(np.repeat(np.array(run, dtype=object), 20)),
            "group": np.repeat(np.arange(len(run)), 20),
            "start": start,
            "size": (size := rng.integers(1, K + 1, count)),
            "k": np.full(count, K),
            "depth": rng.integers(0, 5, count),
            "tokens": (tokens := rng.integers(0, 30, count)) * size,
            "unique": tokens,
            "reward": reward,
            "low": reward - 0.3,
            "high": reward + 0.3,
            "advantage": rng.normal(0, 0.2 + np.minimum(start, 400) / 800),
            "s_plus": rng.random(count),
            "s_minus": -rng.random(count),
            "zero_variance": rng.random(count) < 0.2,
        },
        schema_overrides={"run": pl.String},
    )


def subsamples(groups: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A row for each group and size, growing with the size."""
    sizes = subset_sizes(K)
    rows = groups.select(
        "run", "step", "group", "prompt_key", "problem", "path_depth", "intermediate_proportion"
    ).with_columns(size=pl.lit(sizes, pl.List(pl.Int64)))
    share = (pl.col("size") - 2) / (K - 2)
    return rows.explode("size", empty_as_null=True).with_columns(
        pl.col("path_depth", "intermediate_proportion") * share, k=pl.lit(K, pl.Int64)
    )


def decided(groups: pl.DataFrame) -> pl.DataFrame:
    """Both curves of each group; fewer groups reach a point, the farther on it is."""
    axes = {"share": [n / 20 for n in range(16)], "tokens": [0.0, *(2.0**n for n in range(10))]}
    points = pl.DataFrame([(axis, n, p) for axis, own in axes.items() for n, p in enumerate(own)], orient="row",
                          schema={"axis": pl.String, "n": pl.Int64, "point": pl.Float64})  # fmt: skip
    rows = groups.select("run", "step", "group").join(points, how="cross", maintain_order="left_right")
    rows = rows.filter((pl.col("group") * 7 % 31) >= 2 * pl.col("n"))
    pairs = 1 + pl.col("group") % 4
    above = pairs * (pl.col("n") / 20 + (pl.col("group") * 13 % 17 - 8) / 10)
    return rows.select("run", "step", "group", "axis", "point", sum=above - 0.1, expected=pl.lit(-0.1), pairs=pairs)


def rollouts(run: str, step: int | None, tokens: tuple[tuple[int, ...], ...] | None = None, **columns) -> pl.DataFrame:
    """Canonical rollouts of one group of four with text."""
    texts = columns.pop("completion", ["so 3=3;7", "so 3=3;8", "so 3=4;", "no"])
    lists = tokens or ((1, 2, 3, 4), (1, 2, 3, 5), (1, 2, 6), (7,))
    rows = {
        "run": run,
        "step": step,
        "group": 0,
        "group_key": "p0",
        "sample": range(len(lists)),
        "prompt": "what?",
        "completion": texts,
        "tokens": [list(t) for t in lists],
        "tokens_from": "log",
        "reward": [1.0, 0.0, 1.0, 0.0],
    } | columns
    held = pl.DataFrame(rows, schema_overrides={c: SCHEMA[c] for c in rows if c in SCHEMA}, strict=False)
    missing = [pl.lit(None, SCHEMA[c]).alias(c) for c in SCHEMA if c not in rows]
    return held.with_columns(*missing, kind=pl.lit(["worst"])).select(*SCHEMA, "kind")
