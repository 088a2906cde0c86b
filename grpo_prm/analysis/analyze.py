"""From rollouts to every number: what is analysed, and how."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ..core.groups import Groups
from ..core.prm import Std
from ..errors import UsageError
from ..logs import ReadOptions
from ..logs.prefetch import prefetch
from ..logs.rollouts import Rollouts
from .inputs import fold_input
from .options import Options
from .running import RunningAnalysis
from .tables import Tables
from .texts import checked_keep


def analyze(
    log: Any,
    options: Options | None = None,
    *,
    reading: ReadOptions | None = None,
    spill: Path | None = None,
) -> Tables:
    """Analyse a log of rollouts.

    Args:
        log: Files and folders; rows in memory, whose columns are found as those of a file: a polars or pandas
            DataFrame, a datasets.Dataset, dicts; `Groups`; or canonical tables (docs/logs.md) as `Rollouts`, with whole
            groups and each training step in one.
        options: What changes the numbers. None: the usual ones.
        reading: How to read files and rows.
        spill: Folder for the large tables of a long log, piece by piece; must outlive the analysis. None: memory.

    Returns:
        The summary and the tables.

    Raises:
        InputError: Nothing can be read, a table is not canonical, or no group has two completions.
        UsageError: An argument is not what it should be, an option does not fit the log, or logged advantages are
            needed and missing.
    """
    options = checked_options(options, log)

    def measured(batches: Iterable[Rollouts], read: bool) -> Tables:
        running = RunningAnalysis(options, (reading or ReadOptions()) if read else None, spill)
        running.add_all(prefetch(batches))  # the next batch is read while others are measured
        return running.tables()

    return fold_input(log, reading, measured, keep=options.baseline_by)


def checked_options(options: Options | None, log: Any) -> Options:
    """The options, refused where one is nothing that there is; what is None is that of the groups, or the usual.

    `std` stays None where the log decides it.

    Raises:
        UsageError: An option is not what it should be.
    """
    options = Options() if options is None else options
    if not isinstance(options, Options):
        raise UsageError(f"options is a {type(options).__name__}, not Options. Give grpo_prm.Options(...).")
    # Each by itself, so that a seed does not change the divisor of the groups.
    std, advantage = options.std, options.advantage
    if std is None and isinstance(log, Groups):
        std = log.std
    if advantage is None:
        advantage = "logged" if isinstance(log, Groups) and log.given is not None else "computed"
    options = replace(options, std=std, advantage=advantage)
    for name, choices in (
        ("std", (None, *get_args(Std))),
        ("advantage", ("computed", "logged")),
        ("share", ("prefix", "state")),
    ):
        if getattr(options, name) not in choices:
            raise UsageError(f"{name} is {getattr(options, name)!r}. Choose from {', '.join(filter(None, choices))}.")
    if not isinstance(options.seed, int | np.integer) or options.seed < 0:
        raise UsageError(f"seed is {options.seed!r}. Give a whole number from 0 on.")
    for name, given in (("outcome", "the name of a part of the reward"), ("baseline_by", "the name of a column")):
        if not isinstance(value := getattr(options, name), str | None):
            raise UsageError(f"{name} is {value!r}. Give {given}.")
    return replace(
        options, keep_text=checked_keep(options.keep_text), seed=int(options.seed)
    )  # summary.json has no place for numbers of numpy
