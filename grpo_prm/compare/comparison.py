"""Two runs or more, compared: everything that is printed, written and drawn of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ..analysis.ratios import CLUSTER, Sums
from .difference import COMPARED, Common, common_part, differences
from .reach import Reach, steps_to_reach
from .runs import Run, Runs, made_by, open_runs

SCHEMA_VERSION = 1
ABOUT = "The intervals are about these runs, not about new ones: two seeds of one method may differ by more."
OVER_TIME = ("reward", "accuracy", "path_depth", "intermediate_proportion", "suppressed_good", "boosted_bad")


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison says.

    Attributes:
        compared: The runs, the first being what the others are compared with.
        common: What of them is compared.
        table: `difference.SCHEMA`.
        reach: When each run reaches a level of reward.
        training: `run`, `step`, `statistic`, `mean`, `low`, `high` of `OVER_TIME`: what the figure draws.
        notes: Sentences about what is not alike in the runs.
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
        notes=(_looked_at(table), *_notes(compared, reach)),
    )


def _over_time(run: Run, seed: int) -> pl.DataFrame:
    """Figures of each step of a run with their intervals over its prompts."""
    sums = Sums(run.groups, CLUSTER, OVER_TIME)
    rows = []
    at = run.groups.with_row_index("row").group_by("step", maintain_order=True).agg("row")
    for step, some in at.iter_rows():
        rows += [(run.name, step, name, *value[:3]) for name, value in sums.intervals(seed, some).items()]
    schema = {"run": pl.String, "step": pl.Int64, "statistic": pl.String}
    return pl.DataFrame(rows, schema | dict.fromkeys(("mean", "low", "high"), pl.Float64), orient="row")


def _looked_at(table: pl.DataFrame) -> str:
    """How many intervals there are to find something in."""
    count = table["difference_low"].count()
    return f"{count} differences have an interval; of such, one in twenty leaves 0 outside by chance."


def _notes(compared: Runs, reach: Reach) -> list[str]:
    """What is not alike in the runs, and what follows."""
    runs, notes = compared.runs, []
    if not compared.one_k:
        sizes = ", ".join(f"{run.name} {run.k}" for run in runs)
        notes.append(
            f"Groups differ in size ({sizes}): overlap is that expected of {compared.m} completions of each group and "
            f"pass@m has m = {compared.m}; what else depends on k has no difference."
        )
    if not compared.one_unit:
        units = ", ".join(f"{run.name} {made_by(run.source)}" for run in runs)
        notes.append(f"Units differ ({units}): what counts tokens has no difference.")
    elif runs[0].source["tokens_from"] == "log":
        notes.append("Token ids are taken to be of one tokenizer: the logs cannot tell.")
    if any(run.others for run in runs):
        sizes = ", ".join(f"{run.name} {run.others}" for run in runs)
        notes.append(f"Groups of another size than k are left out ({sizes}).")
    for option in ("std", "advantage"):
        if len({run.source["options"][option] for run in runs}) > 1:
            given = ", ".join(f"{run.name} {run.source['options'][option]}" for run in runs)
            notes.append(f"--{option} differs ({given}): step advantages are not of one kind.")
    lengths = {run.name: len(run.steps) for run in runs}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {count}" for name, count in lengths.items())
        notes.append(f"Runs differ in length ({said} steps): what only one has is left out of the differences.")
    if compared.rewards is None:
        notes.append("Rewards are not two-valued over all runs, so there is no accuracy and no pass@m.")
    if reach.why:
        notes.append(reach.why)
    return notes


def as_json(found: Comparison) -> dict[str, Any]:
    """The content of comparison.json."""
    runs = found.compared.runs
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": [
            {
                "name": run.name,
                "folder": str(run.folder),
                "steps": {"first": run.steps[0], "last": run.steps[-1], "count": len(run.steps)} if run.steps else None,
                "groups": len(run.groups),
                "k": run.k,
                "tokens_from": run.source["tokens_from"],
            }
            for run in runs
        ],
        "common": {"by": found.common.by, "steps": len(found.common.steps or []), "said": found.common.said},
        "m": found.compared.m,
        "statistics": {
            name: {
                row["run"]: {key: row[key] for key in row if key not in ("statistic", "run")}
                for row in found.table.filter(statistic=name).iter_rows(named=True)
            }
            for name in COMPARED
        },
        "reach": {
            "level": found.reach.level,
            "window": found.reach.window,
            "runs": [asdict(one) for one in found.reach.runs],
        },
        "notes": [ABOUT, *found.notes],
    }
