"""`tokens`: parquet, one row for each completion, with lists as long as its tokens: for a token-level reward model."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints, expand
from ..errors import UsageError
from ..logs.tokenize import lists
from ..tree.paths import paths
from ..tree.step_text import Cuts
from .form import Format, Made, kept
from .labels import Labelled

NAMES = ("run", "step", "group", "group_key", "sample", "prompt", "tokens")


def _make(labelled: Labelled, _cuts: Cuts | None) -> Made:
    """One row for each completion with a labelled step.

    The numbers of a token are those of its process set, whether it is in the loss or not; its label is null where its
    step has none, and where the token is out of the loss.

    Raises:
        UsageError: The log has no token ids.
    """
    if (labelled.table["tokens_from"] == "pieces").any():
        raise UsageError(
            "The log has no token ids, and pieces are the tokens of no model. Give the tokenizer of the model with "
            "--tokenizer, or take --to spans."
        )
    groups, sure = labelled.groups, labelled.sure
    forest, mask, lengths = groups.forest, groups.mask, groups.lengths
    label = _label_of_tokens(labelled)
    columns = {
        "step_reward": expand(forest, groups.set_rewards),
        "step_advantage": expand(forest, groups.set_advantages),
        "low": expand(forest, sure.low),
        "high": expand(forest, sure.high),
        "label": label,
    }
    further = kept(labelled.table, [*columns, "size", "outcome"])
    table = labelled.table.select(*NAMES, *further).with_columns(
        lists(np.ones(len(label), bool) if mask is None else mask, lengths, pl.Boolean()).alias("mask"),
        lists(expand(forest, forest.size).astype(np.int32), lengths, pl.Int32()).alias("size"),
        *(_floats(column, lengths).alias(name) for name, column in columns.items()),
        labelled.table["reward"].alias("outcome"),
        labelled.table["tokens_from"],
    )
    rows = np.unique(labelled.paths.row)
    return Made(table[rows], Counter(tokens_labelled=int((~np.isnan(label)).sum())))


def _label_of_tokens(labelled: Labelled) -> Floats:
    """The label of every token, NaN where there is none, shape (tokens,)."""
    groups, along = labelled.groups, labelled.paths
    every = paths(groups.forest, None)  # all steps, since every token needs an entry
    number = len(groups.forest.size)
    label = np.full(len(every.row), np.nan)
    # Pairs ascend by (row, step) in both, so those with a label are found by bisection.
    label[np.searchsorted(every.row * number + every.step, along.row * number + along.step)] = labelled.label
    label = np.repeat(label, groups.forest.length[every.step])
    return label if groups.mask is None else np.where(groups.mask, label, np.nan)


def _floats(flat: Floats, lengths: Ints) -> pl.Series:
    """Lists of float32, null where NaN: half the size, and as exact as a reward model is trained."""
    made = lists(flat.astype(np.float32), lengths, pl.Float32())
    return made.to_frame("made").select(pl.col("made").list.eval(pl.element().fill_nan(None))).to_series()


FORMAT = Format("tokens", ".parquet", ("mean", "sign", "threshold"), _make, text="none", interval=True)
