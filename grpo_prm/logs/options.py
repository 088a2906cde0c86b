"""What a user can ask of the reader: everything that is not told by the log itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from os import PathLike, fspath
from typing import Any

from ..errors import UsageError

Progress = Callable[[int, int, int], None]
OFF = "-"  # in the place of a column of the log: that canonical column is not read


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a log; by default everything is inferred from its content.

    Attributes:
        format: Name of a registered format; None detects it by content.
        columns: Canonical column to column of the log, a dotted path: `{"completion": "response"}`. Overrules names.
            The column `-` switches a canonical column off: `{"mask": "-"}`.
        reward: The reward as a column, or as a weighted sum of columns: `"short+0.5*has_e"`.
        tokenizer: Tokenizer for text without ids: a `tokenizer.json`, its folder, or a hub name; None counts pieces.
        group_size: Completions per draw of a prompt; None takes the commonest size of the run so far.
        drop_uneven: Reject groups of another size instead of keeping them.
        keep: Further columns of the log to take along under their own names.
        run: Name of the run for every row that does not name its own.
        progress: Called after every chunk with bytes read, bytes in all and rows read. A log that is sorted on disk
            counts twice in the bytes.
        spare_text: Leave out the text of completions whose token ids are logged, and of prompts that are not needed.
        ordered: True: a step that comes after a later one raises `Disordered`. False: sorts the log on disk first, and
            is right for any order.
        memory: Bytes that reading may plan with; None: what the machine and its control groups leave
            (`machine.memory`).

    Examples:
        >>> import grpo_prm
        >>> answers = [("it is 2", 1.0), ("it is 3", 0.0)]
        >>> rows = [{"question": "1 + 1 =", "answer": text, "points": reward} for text, reward in answers]
        >>> columns = {"prompt": "question", "completion": "answer", "reward": "points"}
        >>> analysis = grpo_prm.analyze(rows, reading=grpo_prm.ReadOptions(columns=columns, run="sums"))
        >>> analysis.groups["run"].to_list()
        ['sums']
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    reward: str | None = None
    tokenizer: str | None = None
    group_size: int | None = None
    drop_uneven: bool = False
    keep: tuple[str, ...] = ()
    run: str | None = None
    progress: Progress | None = None
    spare_text: bool = False
    ordered: bool = True
    memory: int | None = None

    @property
    def named(self) -> dict[str, str]:
        """`columns` without those that are switched off."""
        return {ours: path for ours, path in self.columns.items() if path != OFF}

    @property
    def off(self) -> frozenset[str]:
        """Canonical columns that are switched off."""
        return frozenset(ours for ours, path in self.columns.items() if path == OFF)

    def __post_init__(self) -> None:
        """Refuse what is of no use before a log is read; the command line checks its own options.

        Raises:
            UsageError: An attribute is of another kind.
        """
        if not isinstance(self.columns, Mapping) or not _texts([*self.columns, *self.columns.values()]):
            raise UsageError(
                f'columns is {self.columns!r}. Give a dict of canonical column to column of the log: {{"reward": "r"}}.'
            )
        if isinstance(self.tokenizer, PathLike):
            object.__setattr__(self, "tokenizer", fspath(self.tokenizer))
        for name in ("format", "reward", "tokenizer", "run"):
            if not isinstance(getattr(self, name), str | None):
                raise UsageError(f"{name} is {getattr(self, name)!r}. Give a text, or leave it out.")
        if isinstance(self.keep, str) or not _texts(self.keep):
            raise UsageError(f"keep is {self.keep!r}. Give a tuple of columns of the log.")
        if self.group_size is None:
            return
        # Integral and not int: a size that is computed is often a number of numpy, which JSON does not know.
        if isinstance(self.group_size, bool) or not isinstance(self.group_size, Integral) or self.group_size < 1:
            raise UsageError(f"group_size is {self.group_size!r}. Give a whole number from 1 on.")
        object.__setattr__(self, "group_size", int(self.group_size))


def _texts(values: Any) -> bool:
    return isinstance(values, Collection) and all(isinstance(value, str) for value in values)
