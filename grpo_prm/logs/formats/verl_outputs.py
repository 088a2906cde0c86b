"""Rollouts of several outputs in the dumps of verl's V1 trainer: joined, as the members of a group are rollouts.

A `uid` is `{sample}_{rollout}_{output}`. An agent loop may return several outputs of one rollout, each a row with its
own prompt. Where that prompt begins with the one before and its output, the rest of it stands between the two outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ..rows.records import RowBatch
from ..rows.rejects import reject_frame

UID = r"(.+)_([^_]*)_(\d+)"  # the sample may hold underscores
_JOINED = (
    "Some rollouts have several outputs (uid SAMPLE_ROLLOUT_OUTPUT): they are joined in order, one completion a"
    " rollout, and what the next prompt has between them is out of the loss."
)
_LAST = "Outputs of one rollout have other scores: that of the last one is taken."


def outputs_note(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say that outputs are joined, where the first rows show several of one rollout.

    Args:
        rows: Records with `uid`, `step` and `score`.
    """
    scores: dict[tuple[str, str], list[Any]] = {}
    for row in rows:
        scores.setdefault((str(row.get("step")), str(row.get("uid")).rpartition("_")[0]), []).append(row.get("score"))
    if any(len(of_rollout) > 1 for of_rollout in scores.values()):
        yield _JOINED
    if any(of_rollout.count(of_rollout[0]) < len(of_rollout) for of_rollout in scores.values()):
        yield _LAST


def by_rollout(batches: Iterator[RowBatch]) -> Iterator[RowBatch]:
    """Take rollout and output off the key, and the output off the sample; join the outputs of a rollout.

    Args:
        batches: Rows with the whole uid as `key` and `sample`.

    Returns:
        The same rows, those of one file and step in one batch, as the outputs of a rollout may stand anywhere in it.
    """
    held: list[pl.DataFrame] = []
    done = 0
    for batch in batches:
        done = batch.done
        if batch.rows.is_empty():
            yield batch._replace(rows=_joined(batch.rows))
            continue
        names = [name for name in ("_file", "step") if name in batch.rows.columns]
        last = batch.rows[-1:].select(names)
        closed = held and not held[-1][-1:].select(names).equals(batch.rows[:1].select(names))
        open_ = batch.rows.join(last, names, "semi", nulls_equal=True, maintain_order="left")
        ready = [*held, batch.rows.join(last, names, "anti", nulls_equal=True, maintain_order="left")]
        if len(open_) == len(batch.rows) and not closed:
            held, ready = [*held, open_], [batch.rows.clear()]
        else:
            held = [open_]
        yield batch._replace(rows=_joined(pl.concat(ready)))
    if held:
        yield RowBatch(_joined(pl.concat(held)), reject_frame([]), 0, done)


def _joined(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each rollout; a row that stands there twice is left for the grouping to reject."""
    uid = pl.col("key")
    rows = rows.with_columns(
        uid.str.replace(rf"^{UID}$", "$1"),
        pl.col("sample").str.replace(r"_\d+$", ""),
        uid.str.extract(rf"^{UID}$", 3).cast(pl.Int64).alias("_output"),
    )
    by = [name for name in ("_file", "run", "step", "sample") if name in rows.columns]
    first = pl.struct(*by, "_output").is_first_distinct()
    several = rows.with_row_index("_row").filter(first & (first.sum().over(by) > 1))
    rows = rows.drop("_output")
    if several.is_empty():
        return rows
    taken = rows[[]]
    places, made = [], []
    for _, outputs in several.group_by(by, maintain_order=True):
        outputs = outputs.sort("_output")
        made.append(_one(outputs.drop("_row", "_output")))
        places.append(outputs["_row"].min())
    at = np.ones(len(rows), bool)
    at[several["_row"].to_numpy()] = False
    taken = rows.with_row_index("_row").filter(at)
    joined = pl.concat(made).with_columns(pl.Series("_row", places, pl.UInt32())).select(taken.columns)
    return pl.concat([taken, joined]).sort("_row").drop("_row")


def _one(outputs: pl.DataFrame) -> pl.DataFrame:
    """Outputs of a rollout, in order, as one row: the first prompt, all texts, the numbers of the last output."""
    said = outputs["completion"].to_list()
    prompts = outputs["prompt"] if "prompt" in outputs.columns else [None] * len(said)  # switched off
    asked = [prompt or "" for prompt in prompts]
    text, segments, context = said[0], [0, len(said[0])], asked[0] + said[0]
    for prompt, output in zip(asked[1:], said[1:], strict=True):
        between = prompt[len(context) :] if prompt.startswith(context) else "\n"
        text, context = text + between + output, prompt + output
        segments += [len(between), len(output)]
    lengths = pl.Series("_segments", [segments], outputs.schema["_segments"])
    made = {"prompt": asked[0], "completion": text}
    texts = [pl.lit(value, pl.String()).alias(name) for name, value in made.items() if name in outputs.columns]
    return outputs[-1:].with_columns(*texts, lengths)
