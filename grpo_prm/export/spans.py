"""`spans`: the native format, one JSON object for each step of each completion, with everything that is known of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from ..core.forest import Floats
from ..tree.step_text import Cuts
from .form import Format, Made, kept
from .labels import Labelled

NAMES = ("run", "step", "group", "group_key", "sample", "prompt")
OWN = ("tokens", "text", "text_from", "tokens_from", "outcome")


def _make(labelled: Labelled, cuts: Cuts | None) -> Made:
    """One row for each pair of a completion and a step on its path, down to its last labelled step.

    Steps without a label are there too, their label null, so that the texts of a completion's rows put together are the
    beginning of it. `tokens` are null where the log has none (they would be numbers of pieces).
    """
    assert cuts is not None
    numbers = _numbers(labelled)
    named = [*NAMES, *kept(labelled.table, [*numbers, *OWN])]
    names = labelled.table.select(*named, "tokens_from", "reward").to_dicts()
    opens = (np.cumsum(labelled.groups.lengths) - labelled.groups.lengths).tolist()
    rows, along = [], labelled.paths.row
    for row, text, values in zip(along.tolist(), cuts.texts(along), zip(*numbers.values(), strict=True), strict=True):
        name, of_step = names[row], dict(zip(numbers, values, strict=True))
        ids = labelled.groups.tokens[opens[row] + of_step["start"] : opens[row] + of_step["end"]]
        rows.append(
            {key: name[key] for key in named}
            | of_step
            | {
                "tokens": None if name["tokens_from"] == "pieces" else ids.tolist(),
                "text": text,
                "text_from": cuts.text_from[row],
                "tokens_from": name["tokens_from"],
                "outcome": name["reward"],
            }
        )
    return Made(rows, Counter(steps_written=labelled.counts["steps_labelled"]))


def _numbers(labelled: Labelled) -> dict[str, list[Any]]:
    """The fields that are numbers, one value for each pair."""
    at, groups, sure = labelled.paths.step, labelled.groups, labelled.sure
    return {
        "start": groups.forest.start[at].tolist(),
        "end": groups.forest.end[at].tolist(),
        "loss_tokens": labelled.paths.loss.tolist(),
        "size": groups.forest.size[at].tolist(),
        "k": groups.forest.k[at].tolist(),
        "step_reward": _or_null(groups.set_rewards[at]),
        "low": _or_null(sure.low[at]),
        "high": _or_null(sure.high[at]),
        "certainty": _or_null(sure.certainty[at]),
        "step_advantage": groups.set_advantages[at].tolist(),
        "label": _or_null(labelled.label),
    }


def _or_null(values: Floats) -> list[float | None]:
    # NaN is not JSON.
    return [None if value != value else value for value in values.tolist()]


FORMAT = Format("spans", ".jsonl", ("mean", "sign", "threshold"), _make, text="taken", interval=True)
