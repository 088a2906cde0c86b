"""The page of a run that goes on: its steps are added as they come, and the page is made of all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ..analysis.options import Options
from ..analysis.running import RunningAnalysis
from ..analysis.table_groups import without_groups_of_one
from ..logs import ReadOptions
from ..logs.following import Following, folder_of_parts
from .page import report


class RunningReport:
    """Follows a run.

    Args:
        run: Its folder, or that of its rollouts; need not be there yet.
        tokenizer: As for `report`.
        spill: Folder for the large tables of a long run.
    """

    def __init__(self, run: Path, tokenizer: str | None = None, spill: Path | None = None) -> None:
        self._run, self._tokenizer, self._spill = run, tokenizer, spill
        self._following = Following(folder_of_parts(run))
        self._begin()

    def _begin(self) -> None:
        self._analysis = RunningAnalysis(Options(advantage="computed"), ReadOptions(), self._spill)
        self._rows = 0  # of groups of two or more

    def page(self, now: datetime) -> str | None:
        """The page with the steps that have come since; None where none has, or there is no group yet.

        Args:
            now: The time, in UTC, which stands on the page.

        Raises:
            InputError: A part cannot be read.
        """
        if self._following.last is None:  # until there are parts, nobody knows in which folder
            self._following = Following(folder_of_parts(self._run))
        fresh, added = self._following.poll(), 0
        if fresh.anew:
            self._begin()
        for batch in fresh.batches:
            self._analysis.add(batch)
            added += 1
            self._rows += len(without_groups_of_one(batch.table))
        if not added or not self._rows:
            return None
        tables = self._analysis.tables(self._following.notes)
        return report(replace(tables, path=self._following.folder), self._tokenizer, now)
