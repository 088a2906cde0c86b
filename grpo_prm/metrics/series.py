"""What every source of metrics gives: one value of a metric at a step, the last where a step was written again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..text.amounts import amount

SCHEMA = {
    "metric": pl.String(),
    "step": pl.Int64(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
}


class Row(NamedTuple):
    """One value as a source has it.

    Attributes:
        session: Counts the starts of the training: a later one goes on from an earlier step.
        step: Training step.
        metric: Its name.
        value: Its value.
        low, high: Its 95 % interval, where the source has one.
    """

    session: int
    step: int
    metric: str
    value: float
    low: float | None = None
    high: float | None = None


class Metrics(NamedTuple):
    """The metrics of one run.

    Attributes:
        source: What wrote them, in words.
        files: Where they were read.
        table: `SCHEMA`, by metric and step, each once; values are finite.
        notes: Sentences about what was left out, and which values were taken.
    """

    source: str
    files: tuple[Path, ...]
    table: pl.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the metrics, sorted."""
        return self.table["metric"].unique().sort().to_list()


def made_of(source: str, files: Sequence[Path], rows: Sequence[Row], notes: Sequence[str] = ()) -> Metrics:
    """Metrics of the rows of a source, in the order in which they were written.

    Of equal steps the last is taken. Where a later session begins, the values of earlier ones from there on are of a
    course that was given up, and go.
    """
    table = pl.DataFrame(rows, {"session": pl.Int64(), "step": pl.Int64()} | SCHEMA, orient="row")
    finite = table.filter(pl.col("value").is_finite())
    told = [f"{amount(count, 'value')} not finite: left out."] if (count := len(table) - len(finite)) else []
    begins = (
        finite.group_by("metric", "session")
        .agg(given_up_from=pl.col("step").min())
        .sort("session", descending=True)
        .with_columns(pl.col("given_up_from").cum_min().shift(1).over("metric"))  # the least of later sessions
    )
    goes_on = pl.col("given_up_from").is_null() | (pl.col("step") < pl.col("given_up_from"))
    kept = (
        finite.with_row_index("row")
        .join(begins, on=("metric", "session"), how="left", maintain_order="left")
        .filter(goes_on)
        .unique(("metric", "step"), keep="last", maintain_order=True)
    )
    if gone := len(finite) - len(kept):
        steps = finite.with_row_index("row").join(kept, on="row", how="anti")["step"]
        told.append(
            f"Steps {steps.min():,} to {steps.max():,} were written more than once, as by a run that goes on from an "
            f"earlier step: the last values are taken, {amount(gone, 'earlier one')} left out."
        )
    return Metrics(source, tuple(files), kept.select(*SCHEMA).sort("metric", "step"), (*notes, *told))


def trainer_names(rows: Sequence[Row], sign: str) -> list[Row]:
    """Rows with names as trainer_state.json has them, where transformers wrote the log.

    Its trackers get `train/reward` for `reward` and `eval/loss` for `eval_loss`; so runs can be compared, whatever they
    report to.

    Args:
        rows: As the tracker has them.
        sign: A name that is there if transformers wrote the log.
    """
    if all(row.metric != sign for row in rows):
        return list(rows)
    return [row._replace(metric=trainer_name(row.metric)) for row in rows]


def trainer_name(name: str) -> str:
    """A name of a tracker as transformers itself has it."""
    head, slash, rest = name.partition("/")
    if not slash or head not in ("train", "eval", "test"):
        return name
    return rest if head == "train" else f"{head}_{rest}"
