"""Two runs or more, compared: everything that is printed, written and drawn of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ..analysis.clusters import CLUSTER
from ..analysis.ratios import Sums
from ..analysis.statistics import STATISTICS
from ..figures.over_training import windows
from ..text.amounts import amount
from .alike import header
from .difference import COMPARED, Common, common_part, differences, draws_of
from .joined import Joined, join_metrics
from .metrics_table import Shown, shown_metrics
from .ranking import LEVEL, Ranking, rank
from .reach import Reach, steps_to_reach
from .runs import Run, Runs, made_by, open_runs

SCHEMA_VERSION = 3
ABOUT = "The intervals are about these runs, not about new ones: two seeds of one method may differ by more."
SHORT = 3  # runs of which each is named in a note
OVER_TIME = tuple(name for name, one in STATISTICS.items() if one.headline)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of runs.

    Attributes:
        compared: The runs, the first being what the others are compared with.
        common: What of them is compared.
        table: `difference.SCHEMA`.
        ranking: The runs in the order of one statistic; None where no run has rewards and no other was asked for.
        joined: The metrics of their trainers.
        metrics: Those of them that are shown.
        reach: When each run reaches a level of reward.
        training: `run`, `step` (of a window of a long run its middle one), `steps` in the window, `statistic`,
            `mean`, `low`, `high` of `OVER_TIME`: what the figure draws.
        header: Sentences on what is compared, and on how far the runs are alike.
        notes: Sentences about what limits the comparison.
    """

    compared: Runs
    common: Common
    table: pl.DataFrame
    ranking: Ranking | None
    joined: Joined
    metrics: Shown
    reach: Reach
    training: pl.DataFrame
    header: tuple[str, ...]
    notes: tuple[str, ...]


def compare(
    folders: Sequence[str | Path],
    *,
    level: float | None = None,
    seed: int = 0,
    by: str | None = None,
    metrics: Mapping[str, Path] | None = None,
    wanted: Sequence[str] = (),
    told: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare the runs of folders of `analyze`.

    Intervals are about these runs, not about new ones: two seeds of one method differ by more (docs/compare.md).

    Args:
        folders: Of `grpo-prm analyze`; the first run is what the others are compared with.
        level: Reward to reach (`reach.steps_to_reach`).
        seed: Of the resamples.
        by: Statistic to rank the runs by; None: the reward.
        metrics: Where the metrics of runs are, by the name of the run (`metrics.read.read_metrics`); those of others
            are looked for beside their rollouts.
        wanted: Names of the metrics that are shown; none: a handful.
        told: Hears how much is done of how much: folders to read, then intervals of runs over training.

    Raises:
        InputError: A folder or a file of metrics cannot be read.
        UsageError: There are fewer than two runs, or a name is that of no run, statistic or metric.
    """
    told = told or (lambda *_: None)
    compared = open_runs(folders, told)
    joined = join_metrics(compared.runs, metrics or {})
    shown = shown_metrics(joined.table, wanted)
    common = common_part(compared.runs)
    draws = draws_of(common, seed)
    rewarded = any(drawn.of("reward").clusters for drawn in draws)
    reach = steps_to_reach(compared.runs, seed, level)
    training = []
    for done, run in enumerate(compared.runs, 1):
        training.append(_over_time(run, seed))
        told(len(folders) + done, len(folders) + len(compared.runs))
    return Comparison(
        compared=compared,
        common=common,
        table=differences(compared, draws),
        ranking=rank(compared, draws, by or "reward") if by or rewarded else None,
        joined=joined,
        metrics=shown,
        reach=reach,
        training=pl.concat(training),
        header=header(compared, common),
        notes=(*_notes(compared, reach, common),),
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


def many_questions(table: pl.DataFrame) -> str:
    """How many differences were looked at, and how many are left when that is counted in."""
    count, beyond = table["p"].count(), apart(table)
    if not count:
        return "No difference has an interval."
    some = int(beyond.sum())
    sure = int((beyond & (table["p_holm"] <= LEVEL)).fill_null(value=False).sum())
    return (
        f"{count} differences have an interval, and {some} of these leave 0 outside; between equal runs about "
        f"{max(1, round(count * LEVEL))} would. After Holm's adjustment over all {count}, {sure} remain."
    )


def apart(table: pl.DataFrame) -> pl.Series:
    """Which differences have an interval that leaves 0 outside."""
    return ((table["difference_low"] > 0) | (table["difference_high"] < 0)).fill_null(value=False)


def _notes(compared: Runs, reach: Reach, common: Common) -> list[str]:
    """One sentence for each way in which the runs differ that limits what a difference between them means."""
    runs, notes = compared.runs, []

    def each(value: Callable[[Run], object]) -> str:
        return _each([(run.name, value(run)) for run in runs])

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
        lengths = each(lambda run: amount(len(run.steps), "step") if run.steps else "no steps logged")
        left_out = " Steps that not all have are left out." if common.steps else ""
        notes.append(f"Runs differ in length ({lengths}).{left_out}")
    if compared.rewards is None:
        notes.append("There is no accuracy and no pass@m: the runs together do not have exactly two rewards.")
    # Why there is no level to reach stands with the notes, since its table is then missing.
    if reach.why:
        notes.append(reach.why)
    return notes


def _each(values: Sequence[tuple[str, object]]) -> str:
    """`a 8, b 16`; of more than three runs those with the commonest value are counted: `b 16, 5 others 8`."""
    commonest, count = Counter(value for _, value in values).most_common(1)[0]
    if len(values) <= SHORT or count == 1:
        return ", ".join(f"{name} {value}" for name, value in values)
    named = [f"{name} {value}" for name, value in values if value != commonest]
    return ", ".join([*named, f"{count} others {commonest}" if named else f"all {commonest}"])


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
        "ranking": _ranking(comparison.ranking),
        "metrics": _metrics(comparison),
        "reach": {
            "level": comparison.reach.level,
            "window": comparison.reach.window,
            "runs": [asdict(one) for one in comparison.reach.runs],
        },
        "notes": [
            *(said for said in comparison.header if said != comparison.common.sentence),
            ABOUT,
            many_questions(comparison.table),
            *comparison.notes,
            *comparison.joined.notes,
        ],
    }


def _ranking(ranking: Ranking | None) -> dict[str, Any] | None:
    if ranking is None:
        return None
    return {"level": LEVEL, **asdict(ranking)}


def _metrics(comparison: Comparison) -> dict[str, Any]:
    shown = comparison.metrics
    return {
        "files": {run: [str(path) for path in paths] for run, paths in comparison.joined.files.items()},
        "names": sorted((*shown.names, *shown.others)),
        "shown": {
            name: {
                row["run"]: {key: row[key] for key in row if key not in ("metric", "run")}
                for row in shown.table.filter(metric=name).iter_rows(named=True)
            }
            for name in shown.names
        },
    }


def steps_table(comparison: Comparison) -> pl.DataFrame:
    """The analysis and the metrics side by side: `run`, `step`, `OVER_TIME` and `metric/NAME` of each metric shown.

    A row for each step that either has, in the order of the runs; null where one of them has no value.
    """
    analysed = comparison.training.pivot("statistic", index=["run", "step"], values="mean")
    shown = comparison.joined.table.filter(pl.col("metric").is_in(comparison.metrics.names))
    logged = shown.with_columns(metric="metric/" + pl.col("metric")).pivot(
        "metric", index=["run", "step"], values="value"
    )
    columns = [f"metric/{name}" for name in comparison.metrics.names]
    joined = analysed.join(logged, on=["run", "step"], how="full", coalesce=True, nulls_equal=True)
    order = {run.name: at for at, run in enumerate(comparison.compared.runs)}
    return (
        joined.select("run", "step", *OVER_TIME, *columns)
        .with_columns(at=pl.col("run").replace_strict(order, return_dtype=pl.Int64))
        .sort("at", "step", nulls_last=True)
        .drop("at")
    )
