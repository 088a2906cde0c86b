"""What a user can ask of the reader: everything that is not told by the log itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read a log; by default everything is inferred from its content.

    Attributes:
        format: Name of a registered format; None detects it by content.
        columns: Canonical column to column of the log, a dotted path: `{"completion": "response"}`. Overrules names.
        reward: The reward as a column, or as a weighted sum of columns: `"short+0.5*has_e"`.
        tokenizer: Tokenizer for text without ids: a `tokenizer.json`, its folder, or a hub name; None counts pieces.
        group_size: Completions per draw of a prompt; None takes the commonest size of the run so far.
        drop_uneven: Reject groups of another size instead of keeping them.
        keep: Further columns of the log to take along under their own names.
        run: Name of the run for every row that does not name its own.
        progress: Called after every chunk with bytes read, bytes in all and rows read. A log that is read twice
            counts twice in the bytes, and its first pass has 0 rows.
        spare_text: Leave out the text of completions whose token ids are logged, and of prompts that are not needed.
        ordered: True: a step that comes back raises `Disordered`. False: reads the log twice, and is right for any
            order.
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
