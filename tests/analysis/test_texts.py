"""Which groups keep their text beside the samples, against a sort of all groups; and their rows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from canonical import table_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from polars.testing import assert_frame_equal

from grpo_prm.analysis import texts as module
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.content import CONTENT
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.texts import Texts
from grpo_prm.core.seeds import group_seed
from grpo_prm.errors import UsageError
from grpo_prm.logs.rollouts import Rollouts

ROOM = 200


def a_log(sizes):
    """Groups of two completions with texts of so many letters, and the columns of the groups table that are read."""
    log = [("a", n // 3, f"p{n}", [Row([n]), Row([n, 1])]) for n in range(len(sizes))]
    table = table_of(log)
    letters = [size for size in sizes for _ in range(2)]
    texts = pl.Series("completion", ["λ" * size if size else None for size in letters], pl.String)
    table = table.with_columns(texts, prompt=pl.Series([f"q{n}" for n in table["group"]]))
    groups = table.group_by("group", maintain_order=True).agg(pl.col("run", "step", "group_key").first())
    groups = groups.with_columns(pl.lit(None, pl.UInt64).alias(CONTENT))
    return table, groups


def expected(sizes, seed, keep):
    """The groups of the lowest seeds: so many, or until those before have the bytes."""
    order = sorted(range(len(sizes)), key=lambda n: group_seed(seed, "text", "a", n // 3, f"p{n}"))
    if keep == "all":
        return set(order)
    if keep is not None:
        return set(order[:keep])
    stay, held = set(), 0
    for n in order:
        if held >= ROOM:
            break
        stay.add(n)
        held += 2 * len(("λ" * sizes[n]).encode()) + len(f"q{n}") + 4 * 3  # two texts, a prompt, three ids
    return stay


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 7, 40, 300]), min_size=1, max_size=12),
    st.integers(0, 3),
    st.one_of(st.none(), st.just("all"), st.integers(0, 13)),
    st.data(),
)
@example([300, 1, 1], 0, None, None)
@example([1] * 12, 1, 3, None)
def test_those_of_the_lowest_seeds_stay_however_batches_come(sizes, seed, keep, data):
    table, groups = a_log(sizes)
    order = list(range(len(sizes))) if data is None else data.draw(st.permutations(range(len(sizes))))
    cuts = [0, len(sizes)] if data is None else [0, *sorted(data.draw(st.sets(st.integers(1, 11)))), 12]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROOM", ROOM)
        texts, shipped = Texts(seed, keep), Texts(seed, keep)
        for begin, end in pairwise(cuts):
            if not order[begin:end]:
                continue
            some = pl.col("group").is_in(order[begin:end])
            texts.add(table.filter(some), groups.filter(some))
            # What a worker sends of its batch is enough.
            alone = Texts(seed, keep)
            alone.add(table.filter(some), groups.filter(some))
            rows = alone.rows(table)
            shipped.add(rows, groups.filter(pl.col("group").is_in(rows["group"].unique().to_list())))
    wanted = table.filter(pl.col("group").is_in(list(expected(sizes, seed, keep))))
    none = table.clear()
    for one in (texts, shipped):
        assert_frame_equal(one.table(none).collect().sort("group", "sample"), wanted)
    taken = table.filter(pl.col("group") == order[0])
    assert_frame_equal(texts.table(taken).collect().sort("group", "sample"), wanted.filter(pl.col("group") != order[0]))


def test_few_rows_are_written_for_those_that_stay_of_many(tmp_path):
    table, groups = a_log([5] * 600)
    texts = Texts(0, 6, tmp_path)
    for n in range(0, 600, 10):
        texts.add(table.filter(pl.col("group").is_between(n, n + 9)), groups[n : n + 10])
    assert texts._rows.rows / 2 < 6 * (2 + 2 * np.log(100)) and len(texts.table(table.clear()).collect()) == 12


def test_all_are_written_as_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("grpo_prm.analysis.spill.PART", 4)
    table, groups = a_log([5] * 9)
    texts = Texts(0, "all", tmp_path)
    for n in range(9):
        texts.add(table.filter(pl.col("group") == n), groups[n : n + 1])
    assert len(list(tmp_path.iterdir())) == 4  # two groups in a file, one in memory
    assert_frame_equal(texts.table(table.clear()).collect(), table)


def test_columns_that_one_batch_lacks_are_null_there():
    table, groups = a_log([1, 1])
    texts = Texts(0, "all")
    texts.add(table[:2], groups[:1])
    texts.add(table[2:].with_columns(answer=pl.lit("4")), groups[1:])
    assert texts.table(table.clear()).collect()["answer"].to_list() == [None, None, "4", "4"]


@pytest.mark.parametrize("keep", [-1, "some", 1.5, True, "1.5", ""])
def test_what_is_no_number_of_groups_is_refused(keep):
    table, _ = a_log([1, 1])
    with pytest.raises(UsageError, match="Give a whole number from 0 on, or all"):
        analyze([Rollouts(table)], Options(keep_text=keep))


def test_keeping_more_changes_no_number():
    table, _ = a_log([3, 4, 5, 6] * 4)
    table = table.with_columns(reward=pl.int_range(pl.len()).cast(pl.Float64) % 2)
    few, every = (analyze([Rollouts(table)], Options(keep_text=keep)) for keep in (0, "all"))
    assert few.summary == every.summary
    assert_frame_equal(few.samples, every.samples)
    assert few.texts.collect().is_empty()
    named = set(every.samples["group"]) | set(every.texts.collect()["group"])
    assert named == set(range(16)) and not set(every.samples["group"]) & set(every.texts.collect()["group"])
