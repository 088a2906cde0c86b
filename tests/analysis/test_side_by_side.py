"""Batches measured side by side say what each says alone, in their order, and few of them are held."""

import numpy as np
import polars as pl
import pytest
from canonical import batch_of
from oracle_sets import Row
from polars.testing import assert_frame_equal

from grpo_prm.analysis import side_by_side as module
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.measure import Measured, measure
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.prompts import PromptLengths
from grpo_prm.analysis.side_by_side import Apart, side_by_side
from grpo_prm.errors import UsageError

OPTIONS = Options("sample", "computed", 3)


def batches(steps, prompts=3):
    """A batch for each step."""
    rng = np.random.default_rng(steps)
    made, first = [], 0
    for step in range(steps):
        rows = [
            ("a", step, f"{step}-{n}", [Row(rng.integers(0, 3, 5).tolist(), reward=float(r)) for r in (0, 1, 1, 0)])
            for n in range(prompts)
        ]
        one = batch_of(rows)
        made.append(one._replace(table=one.table.with_columns(pl.col("group") + first)))
        first += prompts
    return made


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("tokens", [20, 1 << 22])
def test_each_batch_says_what_it_says_alone(cores, tokens, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: cores)
    monkeypatch.setattr("grpo_prm.analysis.measure.SLICE", tokens)
    monkeypatch.setattr("grpo_prm.analysis.table_groups.ROW", 1)
    log = batches(7, prompts=5)
    seen = []
    for batch, made in side_by_side(log, OPTIONS, PromptLengths()):
        *found, apart = list(made)
        alone = list(measure(batch.table, OPTIONS))
        assert isinstance(apart, Apart) and all(isinstance(one, Measured) for one in found)
        assert len(found) == len(alone) and (len(found) > 1) == (tokens == 20)
        for one, other in zip(found, alone, strict=True):
            for name in ("groups", "completions", "process_steps", "subsamples", "decided"):
                assert_frame_equal(getattr(one, name), getattr(other, name))
            assert one.steps == other.steps
            assert all((a == b).all() for a, b in zip(one.permuted, other.permuted, strict=True))
        seen.append(batch)
    assert [id(batch) for batch in seen] == [id(batch) for batch in log]


def test_an_analysis_is_that_of_its_batches_in_one():
    log = batches(6)
    whole = log[0]._replace(
        table=pl.concat([batch.table for batch in log]), counts=sum((batch.counts for batch in log[1:]), log[0].counts)
    )
    apart, together = analyze(log, OPTIONS), analyze([whole], OPTIONS)
    assert apart.summary == together.summary
    for name in ("groups", "training", "baseline", "subsamples"):
        assert_frame_equal(getattr(apart, name), getattr(together, name))


def test_few_batches_are_held():
    taken = []

    def source():
        for batch in batches(8):
            taken.append(batch)
            yield batch

    for done, (_, made) in enumerate(side_by_side(source(), OPTIONS, PromptLengths()), 1):
        list(made)
        assert len(taken) <= done + 2


def test_an_error_ends_it():
    log = batches(3)
    log[2] = log[2]._replace(table=log[2].table.with_columns(reward=pl.lit(None, pl.Float64)))
    every = (list(made) for _, made in side_by_side(log, OPTIONS, PromptLengths()))
    with pytest.raises(UsageError, match="no advantage for some completions"):
        list(every)
