"""The canonical table: what it refuses, and that it comes back as it was."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.analysis.analyze import analyze
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs.rollouts import SCHEMA, Rollouts, flatten, load, save, validate


def table(groups, **columns):
    """A canonical table from lists of lists of ids."""
    rows = [(g, i, ids) for g, group in enumerate(groups) for i, ids in enumerate(group)]
    given = {
        "run": ["a"] * len(rows),
        "group": [g for g, _, _ in rows],
        "group_key": [f"key {g}" for g, _, _ in rows],
        "sample": [i for _, i, _ in rows],
        "tokens": [ids for _, _, ids in rows],
        "tokens_from": ["log"] * len(rows),
    }
    return pl.DataFrame({c: (given | columns).get(c, [None] * len(rows)) for c in SCHEMA}, SCHEMA)


TWO = table([[[1, 2], [1]], [[], [7]]], reward=[0.5, 1.0, 0.0, -3.25])
text = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])))
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def tables(draw):
    groups = draw(
        st.lists(
            st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), min_size=1, max_size=4), min_size=1, max_size=4
        )
    )
    rows = [ids for group in groups for ids in group]

    def column(one, null=True):
        return [draw(st.one_of(st.none(), one) if null else one) for _ in rows]

    def beside(one):
        return [draw(st.one_of(st.none(), st.lists(one, min_size=len(ids), max_size=len(ids)))) for ids in rows]

    return table(
        groups,
        step=column(st.integers(-(2**40), 2**40)),
        prompt=column(text),
        completion=column(text),
        mask=beside(st.booleans()),
        logprobs=beside(floats),
        ref_logprobs=beside(floats),
        reward=column(st.floats(-9e99, 9e99)),
        advantage=column(floats),
        truncated=column(st.booleans()),
    ).with_columns(
        pl.Series("reward/short", column(st.floats(-9, 9)), pl.Float64),
        pl.Series("level", column(st.integers(0, 9), null=False), pl.Int64),
    )


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@given(made=tables())
def test_a_table_comes_back_as_it_was(tmp_path_factory, suffix, made):
    path = tmp_path_factory.mktemp("t") / f"table{suffix}"
    save(made, path)
    assert load(path).equals(made, null_equal=True) and load(path).schema == made.schema
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_read_gives_can_be_saved(tmp_path):
    save(Rollouts(TWO), tmp_path / "t.parquet")
    assert load(tmp_path / "t.parquet").equals(TWO)


@pytest.mark.slow
@given(tables())
def test_flat_arrays_hold_every_token_once_in_order(made):
    flat = flatten(made)
    rows = made["tokens"].to_list()
    assert flat.tokens.tolist() == [t for row in rows for t in row] and flat.lengths.tolist() == list(map(len, rows))
    assert flat.groups.tolist() == made["group"].to_list()
    masks = [[True] * len(row) if m is None else m for row, m in zip(rows, made["mask"].to_list(), strict=True)]
    if flat.mask is None:
        assert all(map(all, masks))
    else:
        assert flat.mask.tolist() == [m for mask in masks for m in mask]


def test_an_empty_table_is_flat_too():
    flat = flatten(TWO.clear())
    assert len(flat.tokens) == len(flat.lengths) == 0 and flat.mask is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit(None, pl.String).alias("run"), "row 0: run is null"),
        (pl.Series("tokens", [[1], [None], [], [7]], pl.List(pl.Int32)), "row 1: tokens holds a null"),
        (pl.Series("tokens", [[1], [2], [-1], [7]], pl.List(pl.Int32)), "row 2: a token id is negative"),
        (pl.Series("mask", [[True, True], [True, False], None, None]), "row 1: mask is not as long as tokens"),
        (pl.Series("logprobs", [None, None, None, [0.0, 0.0]], pl.List(pl.Float32)), "row 3: logprobs is not as long"),
        (pl.Series("reward", [0.0, np.nan, 1.0, 1.0]), "row 1: reward is not finite"),
        (pl.Series("advantage", [0.0, 0.0, np.inf, 1.0]), "row 2: advantage is not finite"),
        (pl.Series("advantage", [0.0, 0.0, 1.0, -1e100]), "row 3: advantage is too large a number to compute with"),
        (pl.Series("group", [0, 1, 0, 1]), "row 2: its group stands in two places"),
        (pl.Series("sample", [0, 0, 0, 1], pl.Int32), r"row 1: its \(group, sample\) stands twice"),
        (pl.Series("group", ["0", "0", "1", "1"]), "group is String, not Int64"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(change, message):
    with pytest.raises(InputError, match=message):
        validate(TWO.with_columns(change))


def test_a_column_that_is_missing_is_named():
    with pytest.raises(InputError, match="the column tokens is missing"):
        validate(TWO.drop("tokens"))


def test_files_that_cannot_be_read_or_written_are_refused(tmp_path):
    with pytest.raises(UsageError, match="written as"):
        save(TWO, tmp_path / "t.txt")
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "t.parquet")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="not a canonical table"):
        load(tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_bytes(b'{"run": "a"}\n{"ru')
    with pytest.raises(InputError, match="not a canonical table"):
        load(tmp_path / "t.jsonl")


def test_a_table_of_ones_own_is_checked():
    table = pl.DataFrame({"prompt": ["p", "p"], "completion": ["a", "b"], "reward": [0.0, 1.0]})
    with pytest.raises(InputError, match=r"rollouts: the column run is missing\. A canonical table has run, step"):
        analyze([Rollouts(table)])
