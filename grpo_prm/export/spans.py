"""`spans`: the native format, one JSON object for each step of each completion, with everything that is known of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..forest import Floats
from .choice import Choice
from .cuts import Cuts
from .form import Format, Made

NAMES = ("run", "step", "group", "group_key", "sample", "prompt")


def _make(choice: Choice, cuts: Cuts | None) -> Made:
    """One row for each pair of a completion and a step on its path, down to its last labelled step.

    Steps without a label are there too, their label null, so that the texts of a completion's rows put together are the
    beginning of it. `tokens` are null where the log has none (they would be numbers of pieces).
    """
    assert cuts is not None
    along, values = choice.paths, choice.values
    at = along.step
    names = choice.table.select(*NAMES, "reward", "tokens_from").to_dicts()
    forest, opens = values.forest, np.cumsum(values.flat.lengths) - values.flat.lengths
    columns: dict[str, list[Any]] = {
        "start": forest.start[at].tolist(),
        "end": forest.end[at].tolist(),
        "loss_tokens": along.loss.tolist(),
        "size": forest.size[at].tolist(),
        "k": forest.k[at].tolist(),
        "step_reward": _or_null(values.reward[at]),
        "low": _or_null(values.sure.low[at]),
        "high": _or_null(values.sure.high[at]),
        "certainty": _or_null(values.sure.certainty[at]),
        "step_advantage": values.advantage[at].tolist(),
        "label": _or_null(choice.label),
    }
    rows, text_end, before = [], cuts.end.tolist(), (-1, 0)
    for pair, (row, values_of) in enumerate(zip(along.row.tolist(), zip(*columns.values(), strict=True), strict=True)):
        name, text = names[row], cuts.text[row]
        begin, end = before[1] if before[0] == row else 0, text_end[pair]
        mine: dict[str, Any] = {key: name[key] for key in NAMES}
        mine |= dict(zip(columns, values_of, strict=True))
        ids = values.flat.tokens[opens[row] + mine["start"] : opens[row] + mine["end"]]
        mine |= {
            "tokens": None if name["tokens_from"] == "pieces" else ids.tolist(),
            "text": None if text is None else text[begin:end],
            "text_from": cuts.text_from[row],
            "tokens_from": name["tokens_from"],
            "outcome": name["reward"],
        }
        rows.append(mine)
        before = (row, end)
    return Made(rows, Counter(steps_written=choice.counts["steps_labelled"]))


def _or_null(values: Floats) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]


FORMAT = Format("spans", ".jsonl", ("mean", "sign", "threshold"), _make, text="taken", interval=True)
