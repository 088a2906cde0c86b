"""Two runs or more, compared: everything that is printed, written and drawn of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ..analysis.clusters import CLUSTER
from ..analysis.ratios import Sums
from ..analysis.statistics import STATISTICS
from ..figures.over_training import windows
from .difference import COMPARED, Common, common_part, differences
from .reach import Reach, steps_to_reach
from .runs import Run, Runs, made_by, open_runs

SCHEMA_VERSION = 2
ABOUT = "The intervals are about these runs, not about new ones: two seeds of one method may differ by more."
OVER_TIME = tuple(name for name, one in STATISTICS.items() if one.headline)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of runs.

    Attributes:
        compared: The runs, the first being what the others are compared with.
        common: What of them is compared.
        table: `difference.SCHEMA`.
        reach: When each run reaches a level of reward.
        training: `run`, `step` (of a window of a long run its middle one), `steps` in the window, `statistic`,
            `mean`, `low`, `high` of `OVER_TIME`: what the figure draws.
        notes: Sentences about what limits the comparison.
    """

    compared: Runs
    common: Common
    table: pl.DataFrame
    reach: Reach
    training: pl.DataFrame
    notes: tuple[str, ...]


def compare(folders: Sequence[str | Path], *, level: float | None = None, seed: int = 0) -> Comparison:
    """Compare the runs of folders of `analyze`.

    Intervals are about these runs, not about new ones: two seeds of one method differ by more (docs/compare.md).

    Args:
        folders: Of `grpo-prm analyze`; the first run is what the others are compared with.
        level: Reward to reach (`reach.steps_to_reach`).
        seed: Of the resamples.

    Raises:
        InputError: A folder cannot be read.
        UsageError: There are fewer than two runs.
    """
    compared = open_runs(folders)
    common = common_part(compared.runs)
    reach = steps_to_reach(compared.runs, seed, level)
    table = differences(compared, common, seed)
    return Comparison(
        compared=compared,
        common=common,
        table=table,
        reach=reach,
        training=pl.concat([_over_time(run, seed) for run in compared.runs]),
        notes=(_number_of_intervals(table), *_notes(compared, reach)),
    )


def _over_time(run: Run, seed: int) -> pl.DataFrame:
    """Figures of each step of a run with their intervals over its problems; of a long run of each window of steps."""
    # All groups of the run, not the common part: the figure shows each run as it went.
    sums = Sums(run.groups, CLUSTER, OVER_TIME)
    rows = []
    window = windows(run.groups.select("step", run=pl.lit(run.name))).select("step", "middle", "steps")
    groups = run.groups.select("step").with_row_index("row").join(window, on="step", how="left", maintain_order="left")
    at = groups.group_by(pl.coalesce("middle", "step"), pl.col("steps").fill_null(1), maintain_order=True).agg("row")
    for step, steps, some in at.iter_rows():
        rows += [(run.name, step, steps, name, *value[:3]) for name, value in sums.intervals(seed, some).items()]
    schema = {"run": pl.String, "step": pl.Int64, "steps": pl.Int64, "statistic": pl.String}
    return pl.DataFrame(rows, schema | dict.fromkeys(("mean", "low", "high"), pl.Float64), orient="row")


def _number_of_intervals(table: pl.DataFrame) -> str:
    """How many differences have an interval, and how many of such leave 0 outside where nothing differs."""
    count = table["difference_low"].count()
    return f"{count} differences have an interval. Between equal runs about one in twenty would leave 0 outside."


def _notes(compared: Runs, reach: Reach) -> list[str]:
    """One sentence for each way in which the runs differ that limits what a difference between them means."""
    runs, notes = compared.runs, []

    def each(value: Callable[[Run], object]) -> str:
        return ", ".join(f"{run.name} {value(run)}" for run in runs)

    if not compared.one_k:
        notes.append(
            f"Groups differ in size ({each(lambda run: run.k)}). Overlap is that of {compared.m} completions drawn "
            f"from each group, and pass@m has m = {compared.m}. Other statistics that depend on the size have no "
            "difference."
        )
    if not compared.one_unit:
        units = each(lambda run: made_by(run.source))
        notes.append(f"Units differ ({units}). Statistics that count tokens have no difference.")
    # Ids of two tokenizers look alike. Pieces and ids made by a named tokenizer are known to agree here.
    elif runs[0].source["tokens_from"] == "log":
        notes.append("All token ids are taken to be of one tokenizer: a log does not show which one it was.")
    if any(run.others for run in runs):
        notes.append(f"Groups that are not of their run's usual size are left out ({each(lambda run: run.others)}).")
    for option in ("std", "advantage"):
        if len({run.source["options"][option] for run in runs}) > 1:
            given = each(lambda run, option=option: run.source["options"][option])
            notes.append(f"--{option} differs ({given}), so step advantages are not computed alike.")
    if len({len(run.steps) for run in runs}) > 1:
        lengths = each(lambda run: len(run.steps))
        notes.append(
            f"Runs differ in length ({lengths} steps). Steps that not all have are left out of the differences."
        )
    if compared.rewards is None:
        notes.append("There is no accuracy and no pass@m: the runs together do not have exactly two rewards.")
    # Why there is no level to reach stands with the notes, since its table is then missing.
    if reach.why:
        notes.append(reach.why)
    return notes


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The content of comparison.json."""
    runs = comparison.compared.runs
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [
            {
                "name": run.name,
                "method": run.method,
                "folder": str(run.folder),
                "steps": {"first": run.steps[0], "last": run.steps[-1], "count": len(run.steps)} if run.steps else None,
                "groups": len(run.groups),
                "k": run.k,
                "tokens_from": run.source["tokens_from"],
            }
            for run in runs
        ],
        "common": {
            "by": comparison.common.by,
            "steps": len(comparison.common.steps or []),
            "sentence": comparison.common.sentence,
        },
        "m": comparison.compared.m,
        "statistics": {
            name: {
                row["run"]: {key: row[key] for key in row if key not in ("statistic", "run")}
                for row in comparison.table.filter(statistic=name).iter_rows(named=True)
            }
            for name in COMPARED
        },
        "reach": {
            "level": comparison.reach.level,
            "window": comparison.reach.window,
            "runs": [asdict(one) for one in comparison.reach.runs],
        },
        "notes": [ABOUT, *comparison.notes],
    }
