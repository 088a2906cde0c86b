"""Canonical logs, clean ones whole columns at a time and dirty ones row by row: with the same result."""

import re

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from logs.log_files import balanced, write

from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.formats import reading
from grpo_prm.logs.rollouts import ENDS_WITH, PROMPT_HASH, SCHEMA, save

KEPT = {"level": pl.Int64, "split": pl.String, "easy": pl.Boolean, "share": pl.Float64}
TYPES = SCHEMA | {"reward/right": pl.Float64, PROMPT_HASH: pl.Int64, ENDS_WITH: pl.String} | KEPT
OPTIONS = ReadOptions(keep=tuple(KEPT))


def completion(n, **more):
    """A row of a canonical log that says everything, one of two in its group."""
    made = {
        "run": "r", "step": n // 4, "group": n // 2, "group_key": f"k{n // 2}", "problem": f"p{n // 4}", "task": "math",
        "sample": n % 2, "prompt": 'why "{"?', "completion": 'it [is] {"so": 1}', "tokens": [7, n],
        "mask": [False, True], "logprobs": [-0.5, -1.25],
        "trainer_logprobs": [-0.5, -1.0], "ref_logprobs": [-0.25, -2.0],
        "reward": n % 3 / 2, "advantage": 0.1 * n, "truncated": n % 2 == 0, "tokens_from": "log",
        "run_from": "file" if n % 4 < 2 else "log",
        "reward/right": 0.5, PROMPT_HASH: -(2**62) - n // 2,
        ENDS_WITH: "tool" if n % 3 else None, "level": n, "split": "train", "easy": True, "share": 0.1,
    }  # fmt: skip
    return made | more


def written(folder, suffix, rows):
    path = folder / f"log{suffix}"
    if suffix == ".jsonl":
        return write(path, rows)
    pl.DataFrame(rows, TYPES, orient="row").write_parquet(path, row_group_size=3)
    return path


def read_row_by_row(path, options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "wire_schema", lambda plan: None)
        return collect(path, options)


def same(one, other):
    assert one.table.schema == other.table.schema and one.table.equals(other.table, null_equal=True)
    assert one.rejected.equals(other.rejected) and one.notes == other.notes and one.counts == other.counts


NOTHING = dict.fromkeys(
    ("step", "prompt", "completion", "mask", "logprobs", "advantage", "reward/right", PROMPT_HASH, ENDS_WITH)
)
WHOLE = [completion(n) for n in range(8)]
FEW = [{c: row[c] for c in ("run", "group", "group_key", "sample", "tokens", "reward", "tokens_from")} for row in WHOLE]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
@pytest.mark.parametrize(
    "rows",
    [
        WHOLE,
        [row | NOTHING for row in WHOLE],
        [row | (NOTHING if n % 3 else {}) for n, row in enumerate(WHOLE)],
        [row | {"reward": None if n == 5 else 0.5, "reward/right": None} for n, row in enumerate(WHOLE)],
        [row | {"mask": None, "logprobs": [-9999.0, -1e300]} for row in WHOLE],
        [row | {"group_key": str(row["group"]), "problem": None} for row in WHOLE],
    ],
)
def test_a_clean_log_is_read_whole_columns_at_a_time(tmp_path, monkeypatch, suffix, rows):
    path = written(tmp_path, suffix, rows)
    expected = read_row_by_row(path, OPTIONS)
    assert len(expected.table) == len(rows) and not len(expected.rejected)
    monkeypatch.setattr(reading, "to_row_batch", None)  # to call it is an error
    same(collect(path, OPTIONS), expected)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_what_convert_writes_is_read_whole_columns_at_a_time(tmp_path, monkeypatch, suffix):
    once = collect(
        write(
            tmp_path / "log.jsonl",
            [{k: row[k] for k in ("step", "tokens", "reward")} | {"uid": row["group_key"]} for row in WHOLE],
        )
    )
    save(once, tmp_path / f"c{suffix}")
    monkeypatch.setattr(reading, "to_row_batch", None)
    assert collect(tmp_path / f"c{suffix}").table.equals(once.table, null_equal=True)


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_table_with_required_columns_alone_is_read_whole_columns_at_a_time(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"log{suffix}"
    write(path, FEW) if suffix == ".jsonl" else pl.DataFrame(FEW).write_parquet(path)
    expected = read_row_by_row(path, None)
    monkeypatch.setattr(reading, "to_row_batch", None)
    same(collect(path), expected)


IDS = st.lists(st.integers(0, 3), min_size=2, max_size=2)
NUMBERS = st.one_of(st.none(), st.lists(st.sampled_from([-0.5, 0.0, -9999.0, -1e300, None]), min_size=1, max_size=2))
ODD = {
    "step": [None, 3],
    "group": [None, 0, 1, 2],
    "group_key": [None, "k0", "", "7"],
    "problem": [None, "p"],
    "sample": [None, 0, 1, 2, -1],
    "prompt": [None, "", "what?", '[{"role": "user", "content": "x"}]', "[1"],
    "completion": [None, "", '{"role"'],
    "mask": [None, [], [True], [False, True]],
    "reward": [None, 1.0, 1e200],
    "advantage": [None, -0.5, 1e200],
    "reward/right": [None, 1.0, 1e200],
    "truncated": [None, True],
    PROMPT_HASH: [None, 5],
    ENDS_WITH: [None, "user", "", "[1]"],
    "level": [None, 5],
    "split": [None, "[1]", "{}"],
    "share": [None, 0.25],
}
ODD_OF_JSON = {
    "step": ["3", 2.0, True, []],
    "group": ["a", True, 1.5, [], 2**70],
    "group_key": [7, 1.5, True, []],
    "problem": [7, 1.0, True, {"a": 1}],
    "sample": ["0", 1.0],
    "prompt": [7, ["x"], {"role": "user", "content": "x"}],
    "completion": [7, []],
    "tokens": [None, [], [1], [-1, 2], [2**31, 1], [1.0, 2], "[1, 2]", {"step": 1}],
    "mask": [[1, 0], [2, 0], "x"],
    "logprobs": ["x", ["x"]],
    "reward": ["1", True, []],
    "reward/right": ["1", True],
    "truncated": ["length", 1],
    "level": ["5", 1.5, True, {"reward": None, "step": 1}],
    "split": [7, 1e-7, False, {"reward": None}],
}
ODD_ROW = st.fixed_dictionaries(
    {}, optional={c: st.sampled_from(v) for c, v in ODD.items()} | {"tokens": IDS, "logprobs": NUMBERS}
)
GONE = st.sets(st.sampled_from([*SCHEMA, "level", "reward/right"]), max_size=2)
ODD_LINE = st.tuples(
    st.fixed_dictionaries({}, optional={c: st.sampled_from(v + ODD.get(c, [])) for c, v in ODD_OF_JSON.items()}), GONE
)


def mixed(changes):
    """Twice two rows that are whole, and then one that is changed for each of the changes."""
    return [*WHOLE[:4], *(completion(n, **change) for n, change in enumerate(changes, 4))]


def agree(path):
    """Both ways give one result; whether there is one at all, too."""
    try:
        expected = read_row_by_row(path, OPTIONS)
    except GrpoPrmError as error:
        with pytest.raises(type(error), match=f"^{re.escape(str(error))}$"):
            collect(path, OPTIONS)
        return
    same(collect(path, OPTIONS), expected)
    assert balanced(expected)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(changes=st.lists(ODD_ROW, max_size=6))
@example(
    [
        {"logprobs": [None, -9999.0]},
        {"share": float("nan")},
        {"logprobs": [float("-inf")] * 2},
        {"reward": float("nan")},
    ]
)
def test_both_ways_of_reading_agree_on_any_parquet(tmp_path_factory, changes):
    agree(written(tmp_path_factory.mktemp("log"), ".parquet", mixed(changes)))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(changes=st.lists(st.one_of(ODD_LINE, st.tuples(ODD_ROW, GONE)), max_size=6))
@example([({"level": {"reward": None}}, {"reward"})])  # a null that stands elsewhere in the line
@example([({"reward": None}, set()), ({}, {"reward"})])
def test_both_ways_of_reading_agree_on_any_json_lines(tmp_path_factory, changes):
    rows = mixed([change for change, _ in changes])
    for row, (_, gone) in zip(rows[4:], changes, strict=True):
        for name in gone:
            row.pop(name)
    agree(written(tmp_path_factory.mktemp("log"), ".jsonl", rows))


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_each_odd_value_alone_is_read_alike_both_ways(tmp_path, suffix):
    """So that no rejected row beside it hides what the fast way makes of it."""
    for column, values in ODD.items() if suffix == ".parquet" else (*ODD.items(), *ODD_OF_JSON.items()):
        for value in values:
            agree(written(tmp_path, suffix, mixed([{column: value}, {}])))
