"""Which metrics are shown, and what each comes to: its last value, and its mean over the last tenth of the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from ..errors import UsageError
from ..metrics.series import trainer_name

# Shown where nothing is asked for, in this order.
HEADLINE = (
    *("held_out/accuracy", "eval_reward", "eval_accuracy", "reward", "accuracy", "entropy", "kl", "loss"),
    *("grad_norm", "length", "completions/mean_length"),
)
MOST = 6
TENTH = 0.1
SUMMARY = {
    "metric": pl.String(),
    "run": pl.String(),
    "step": pl.Int64(),
    **dict.fromkeys(("last", "low", "high"), pl.Float64()),
    "from_step": pl.Int64(),
    "to_step": pl.Int64(),
    "values": pl.Int64(),
    "mean": pl.Float64(),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """The metrics that are shown.

    Attributes:
        names: In the order in which they are shown.
        others: Names of the rest, sorted.
        table: `SUMMARY`: of each metric and run that has it, up to the last step that all of these have, the `last`
            value with its `step` and, where the source has one, its 95 % interval; and the `mean` of `values` values
            from `from_step` to `to_step`, the last tenth.
        cut: That step of metrics of which some run goes on.
    """

    names: tuple[str, ...]
    others: tuple[str, ...]
    table: pl.DataFrame
    cut: Mapping[str, int]


def shown_metrics(joined: pl.DataFrame, wanted: Sequence[str]) -> Shown:
    """Choose metrics and sum them up.

    Args:
        joined: `run`, `metric`, `step`, `value`, `low`, `high`.
        wanted: Names; none: a handful of `HEADLINE`, else the first ones that most runs have.

    Raises:
        UsageError: No run has a metric of that name.
    """
    known = joined["metric"].unique().sort().to_list()
    names = tuple(dict.fromkeys(_named(name, known) for name in wanted)) if wanted else _chosen(joined)
    sums, cut = [], {}
    for name in names:
        part = joined.filter(metric=name)
        ends = part.group_by("run").agg(pl.col("step").max())["step"].to_list()
        sums.append(_summed(part.filter(pl.col("step") <= min(ends)), min(ends)))
        cut |= {name: min(ends)} if min(ends) < max(ends) else {}
    table = pl.concat(sums) if sums else pl.DataFrame(schema=SUMMARY)
    return Shown(names, tuple(name for name in known if name not in names), table, cut)


def _named(name: str, known: Sequence[str]) -> str:
    """A metric by its name, or by that which a tracker of transformers has for it."""
    if not known:
        raise UsageError(f"--metric {name}: no metrics were found. Name them: --metrics RUN=PATH.")
    for one in (name, trainer_name(name)):
        if one in known:
            return one
    raise UsageError(f"--metric {name}: no run has it. At hand are {', '.join(known)}.")


def _chosen(joined: pl.DataFrame) -> tuple[str, ...]:
    """Of the headline those that a run has; where there is none, the first by name that most runs have."""
    count = dict(joined.group_by("metric").agg(pl.col("run").n_unique()).iter_rows())
    named = [name for name in HEADLINE if name in count]
    return tuple((named or sorted(count, key=lambda name: (-count[name], name)))[:MOST])


def _summed(part: pl.DataFrame, end: int) -> pl.DataFrame:
    """`SUMMARY` of one metric, whose rows go up to `end`, in the order of the runs."""
    begin = min(part["step"].to_list())
    tail = pl.col("step") >= end - TENTH * (end - begin)
    # A run that was logged more seldom may have no value in the tenth: then its last one stands for it.
    in_tail = pl.when(tail.any()).then(tail).otherwise(pl.col("step") == pl.col("step").max())
    step = pl.col("step").filter(in_tail)
    last = [pl.col(column).last().alias(name) for column, name in (("value", "last"), ("low", "low"), ("high", "high"))]
    return (
        part.sort("step", maintain_order=True)
        .group_by("metric", "run", maintain_order=True)
        .agg(
            pl.col("step").last(),
            *last,
            from_step=step.min(),
            to_step=step.max(),
            values=step.len().cast(pl.Int64),
            mean=pl.col("value").filter(in_tail).mean(),
        )
        .select(*SUMMARY)
    )
