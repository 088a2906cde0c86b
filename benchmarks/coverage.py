"""Measure how often a 95 % interval holds the true value: `nice python benchmarks/coverage.py > docs/coverage.md`.

A population of problems whose groups are all measured has a true value of every statistic of the registry that has an
interval. Logs are drawn from it, problem by problem, and each interval either holds the true value or does not.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import polars as pl
from tables import measured_with

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.clusters import CLUSTER
from grpo_prm.analysis.logprob_section import logprob_section
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.ratios import Sums
from grpo_prm.analysis.statistics import OF_GROUPS, STATISTICS
from grpo_prm.core.interval import Interval
from grpo_prm.core.sampler_gap import GapSums
from grpo_prm.logs.rollouts import SCHEMA, Rollouts
from grpo_prm.selftest.synthetic import log_of

CLUSTERS = (20, 32, 64, 100, 256)
PAGE = """# How often the 95 % intervals hold the true value

{logs:,} simulated logs for each number of clusters (problems), {kinds}.

{tables}

## How it was measured

    nice python benchmarks/coverage.py > docs/coverage.md     # a minute or two of one core

Each population has {problems:,} problems with one to three groups of 8 completions. Problems differ in difficulty, in
the shape of their trees (one of ten has flat ones), in length and in how many copies they give; groups of one problem
are alike. All groups are measured by `grpo-prm` itself, so the true value of each statistic is its value over the whole
population. A simulated log is some of the problems, drawn without replacement, with all their groups. Its intervals are
those of `summary.json`: 2,000 resamples of problems, 2.5 and 97.5 percentiles. (That of non-trivial trees is Wilson's,
as if each problem had one group; over groups, which are alike within a problem, it covered .80.) The
tables give the share of logs whose interval holds the true value; its standard error is {error:.1f} points where the
coverage is 95 %. Fewer logs are named where not all had an interval: below 20 problems that have the statistic there is
none. Every statistic of the registry that has an interval is measured, whoever added it (one that the population
cannot have is left out), and then those of the log-probabilities that are no ratios of two sums. {machine}
"""


def population(rewards: str, problems: int, seed: int = 0) -> pl.DataFrame:
    """The groups table of a population.

    Args:
        rewards: `binary`, or `graded` for rewards with a part of the length.
        problems: How many; each has one to three groups of 8 completions.
        seed: Of all draws.
    """
    rng = np.random.default_rng([seed, problems])
    of_group = np.repeat(np.arange(problems), rng.integers(1, 4, problems))
    groups, k, positions, tail = len(of_group), 8, 6, 24
    skew = rng.beta(1.2, 1.2, (problems, positions))[of_group][:, None, :]
    choices = (rng.random((groups, k, positions)) > skew).astype(np.int64)
    # Half of the completions have no tail: these are copies where they choose alike.
    ends = rng.geometric(1 / rng.uniform(3, 15, problems)[of_group][:, None], (groups, k)).clip(1, tail)
    ends[rng.random((groups, k)) < rng.beta(1, 2, problems)[of_group][:, None]] = 0
    tails = 2048 + np.arange(k)[:, None] + np.zeros((groups, 1, tail), np.int64)
    # In one problem of ten completions part at the first token, so that its trees are flat.
    flat = (rng.random(problems) < 0.1)[of_group][:, None, None]
    opening = np.where(flat, 4000 + np.arange(k)[:, None], 4000)
    tokens = np.concatenate([opening, np.arange(positions) * 8 + choices, tails], axis=2)
    effect = rng.normal(0, 1, (problems, positions))[of_group][:, None, :]
    score = rng.normal(0, 1.5, problems)[of_group][:, None] + (effect * (choices - 0.5)).sum(axis=2)
    outcome = (rng.random((groups, k)) < 1 / (1 + np.exp(-score))).astype(np.float64)
    form = (rng.random((groups, k)) < 0.8).astype(np.float64)
    reward = outcome + 0.25 * form - 0.01 * ends if rewards == "graded" else outcome
    chance = np.where(choices == 0, skew, 1 - skew)
    shown = np.concatenate([np.ones((groups, k, 1)), chance, np.full((groups, k, tail), 0.5)], axis=2)
    logprobs = np.log(np.clip(shown, 1e-3, 1))
    log = log_of(
        tokens, reward, lengths=1 + positions + ends, logprobs=logprobs,
        trainer_logprobs=logprobs + rng.normal(0, 0.1, logprobs.shape), reward__outcome=outcome, reward__form=form,
    )  # fmt: skip
    prompt = pl.Series("prompt", [f"problem {n}" for n in np.repeat(of_group, k)])
    # As canonical tables: what a reader would leave behind is measured, too.
    columns = {name: dtype for name, dtype in SCHEMA.items() if name not in log.rows.columns}
    rows = log.rows.with_columns(prompt, *(pl.lit(None, dtype).alias(name) for name, dtype in columns.items()))
    rows = rows.cast({**SCHEMA, "trainer_logprobs": pl.List(pl.Float32)})
    return analyze([Rollouts(rows)], Options(outcome="outcome")).groups


def truth(table: pl.DataFrame, names: Sequence[str]) -> dict[str, float | None]:
    """The statistics of the whole population, those of `section_intervals` included."""
    values = Sums(table, CLUSTER, names).resamples(0)[0]
    of_registry = {name: float(v) if np.isfinite(v) else None for name, v in zip(names, values, strict=True)}
    return of_registry | {name: one.mean for name, one in section_intervals(table, 0).items()}


def section_intervals(groups: pl.DataFrame, seed: int) -> dict[str, Interval]:
    """The intervals of the section `logprobs` of summary.json that are no ratios of sums; none without its columns."""
    if "gap_tokens" not in groups.columns:
        return {}
    by_size = pl.DataFrame(schema={"bin": pl.Int64, **dict.fromkeys(GapSums._fields, pl.Float64)})
    section = logprob_section(groups, by_size, seed, {})
    return {name: Interval(**one) for name, one in section.items() if isinstance(one, dict) and "low" in one}


def coverage(
    table: pl.DataFrame, names: Sequence[str], clusters: int, logs: int, seed: int = 0
) -> dict[str, tuple[float | None, int]]:
    """How often the interval of a log holds the true value.

    Args:
        table: Groups table of the population.
        names: Statistics of the registry.
        clusters: Problems of each log.
        logs: How many logs.
        seed: Of the draws; that of each log's resamples differs from log to log.

    Returns:
        Of each statistic the share of intervals that hold the value of the population, None where there is none, and
        how many logs had one.
    """
    true = truth(table, names)
    problem = table.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy() - 1
    order = np.argsort(problem, kind="stable")
    opens = np.searchsorted(problem[order], np.arange(problem.max() + 2))
    sums, rng = Sums(table, CLUSTER, names), np.random.default_rng([seed, clusters])
    held: dict[str, list[bool]] = {name: [] for name in true}
    for number in range(logs):
        drawn = rng.choice(len(opens) - 1, clusters, replace=False)
        rows = np.concatenate([order[opens[n] : opens[n + 1]] for n in drawn])
        intervals = sums.intervals(number % 8, rows) | section_intervals(table[rows], number % 8)
        for name, interval in intervals.items():
            if (holds := _holds(interval, true[name])) is not None:
                held[name].append(holds)
    return {name: (float(np.mean(of)) if of else None, len(of)) for name, of in held.items()}


def _holds(interval: Interval, true: float | None) -> bool | None:
    if interval.low is None or interval.high is None or true is None:
        return None
    return interval.low <= true <= interval.high


def with_interval(table: pl.DataFrame) -> dict[str, float]:
    """The statistics that come from the groups table and that this one can have, with their true values."""
    return {name: value for name, value in truth(table, OF_GROUPS).items() if value is not None}


def table_of(title: str, table: pl.DataFrame, logs: int, clusters: Sequence[int] = CLUSTERS) -> str:
    """The coverage of every statistic as a Markdown table."""
    true = with_interval(table)
    found = [coverage(table, [name for name in true if name in STATISTICS], n, logs) for n in clusters]
    head = ["statistic", "true value", *(f"{n} clusters" for n in clusters)]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for name, value in true.items():
        cells = [_cell(*one[name], logs) for one in found]
        label = STATISTICS[name].title if name in STATISTICS else name.replace("_", " ")
        label = label.replace("|", "\\|")  # a bar would end the cell
        lines.append([label, f"{value:.3g}", *cells])
    every = [[one[name][0] for name in true if one[name][0] is not None] for one in found]
    lines.append(["**least**", "", *(f"{min(values):.3f}" if values else "-" for values in every)])
    lines.append(["**mean**", "", *(f"{np.mean(values):.3f}" if values else "-" for values in every)])
    return f"## {title}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(share: float | None, number: int, logs: int) -> str:
    if share is None:
        return "-"
    return f"{share:.3f}" if number == logs else f"{share:.3f} ({number:,} logs)"


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=int, default=1000, help="simulated logs of each size")
    parser.add_argument("--problems", type=int, default=10000, help="of each population")
    given = parser.parse_args()
    titles = {"binary": "Rewards 0 and 1", "graded": "Graded rewards"}
    tables = [
        table_of(title, population(kind, given.problems, seed), given.logs)
        for seed, (kind, title) in enumerate(titles.items())
    ]
    print(
        PAGE.format(
            logs=given.logs, problems=given.problems, tables="\n\n".join(tables), machine=measured_with(),
            error=100 * (0.95 * 0.05 / given.logs) ** 0.5, kinds="with rewards of two values and with graded ones",
        ),
        end="",
    )  # fmt: skip


if __name__ == "__main__":
    main()
