"""CRUXEval's scored generations: dictionaries of lists, the texts of each problem and whether each is right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source
from .own_run import own_runs, run_of

_TEXTS, _SCORES = "raw_generations", "raw_scored_generations"


def _detect(head: Head) -> bool:
    return any(
        isinstance(record, Mapping) and all(isinstance(record.get(name), Mapping) for name in (_TEXTS, _SCORES))
        for record in head.rows
    )


def flatten(record: Mapping[str, Any], source: Source) -> Iterator[Row | Bad]:
    """The generations of all problems; a problem whose scores are not as many as its texts is a `Bad`.

    Args:
        record: `{"raw_generations": {id: [k texts]}, "raw_scored_generations": {id: [k booleans or numbers]}}`.
        source: Its file.
    """
    of_file = run_of(source)
    for problem, texts in record[_TEXTS].items():
        scores = record[_SCORES].get(problem)
        if not isinstance(texts, list) or not isinstance(scores, list) or len(texts) != len(scores):
            yield Bad("reward", f"{problem}: not one score for each generation")
            continue
        for number, (text, score) in enumerate(zip(texts, scores, strict=True)):
            row = {"group": problem, "task_id": problem, "sample": number, "completion": text, "reward": score}
            yield {**of_file, **row}


FORMAT = Format("cruxeval", _detect, flatten, plan=own_runs)
