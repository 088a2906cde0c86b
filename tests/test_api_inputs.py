"""What `grpo_prm.analyze` takes is analysed as a file with these rows would be; everything else is refused."""

from __future__ import annotations

import json
from collections import deque
from copy import deepcopy
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from canonical import batch_of, table_of
from oracle_sets import Row
from polars.testing import assert_frame_equal

import grpo_prm
from grpo_prm.analysis.tables import TABLES
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs.rollouts import Rollouts, save

LOG = [
    ("a", 0, "p", [Row([7, 1], reward=1.0), Row([7, 2], reward=0.0), Row([5], reward=0.5)]),
    ("a", 1, "q", [Row([7, 3, 3], reward=1.0), Row([7, 3, 4], reward=0.0), Row([7, 9], reward=0.0)]),
]
ANSWERS = ("a b c", "a b d", "a e f", "g h", "", "a b c d")


def text_rows():
    """Text without ids, a key of its own, a nested reward, one row that cannot be used."""
    return [
        {
            "step": step,
            "question": f"What is {question}?",
            "response": f"{answer} {question}",
            "infos": {"r": None if (step, question, sample) == (1, 2, 3) else float(sample % 2)},
        }
        for step in range(2)
        for question in range(3)
        for sample, answer in enumerate(ANSWERS)
    ]


READING = grpo_prm.ReadOptions(columns={"reward": "infos.r"})


def written(rows, folder):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def but_for_files(analysis):
    summary = deepcopy(analysis.summary)
    files = summary["source"].pop("files")
    return files, summary


def assert_same(mine, theirs):
    """Equal but for what names the file."""
    assert but_for_files(mine)[1] == but_for_files(theirs)[1]
    assert but_for_files(mine)[0] == ["rows in memory"]
    for name in TABLES:
        assert_frame_equal(getattr(mine, name).lazy().collect(), getattr(theirs, name).lazy().collect())
    columns = ["line", "field", "reason"]
    assert_frame_equal(mine.rejected.select(columns).collect(), theirs.rejected.select(columns).collect())


def pandas_frame(rows):
    return pytest.importorskip("pandas").DataFrame(rows)


def dataset(rows):
    return pytest.importorskip("datasets").Dataset.from_list(rows)


FORMS = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "generator": iter,
    "polars": pl.DataFrame,
    "lazy": pl.LazyFrame,
    "pandas": pandas_frame,
    "dataset": dataset,
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_in_memory_are_read_as_a_file_with_these_rows(form, tmp_path):
    rows = text_rows()
    mine = grpo_prm.analyze(FORMS[form](rows), reading=READING)
    theirs = grpo_prm.analyze(written(rows, tmp_path), reading=READING)
    source, counts = mine.summary["source"], mine.summary["counts"]
    assert source["format"] == "generic" and "question" in str(source["notes"]) and counts["rejected"] == 1
    assert source["options"]["columns"] == {"reward": "infos.r"}
    assert_same(mine, theirs)


def test_what_pandas_calls_nan_is_missing(tmp_path):
    """pandas has NaN for a text, a name and a number that are not there; a file has null."""
    rows = text_rows()
    for number, name in enumerate(("response", "question", "infos", "step")):
        rows[number][name] = None
    mine = grpo_prm.analyze(pandas_frame(rows), reading=READING)
    assert mine.summary["counts"]["rejected"] == 5
    assert_same(mine, grpo_prm.analyze(written(rows, tmp_path), reading=READING))


def test_a_subclass_of_a_pandas_frame_is_one(tmp_path):
    class Frame(pytest.importorskip("pandas").DataFrame):
        """Of another library, as a GeoDataFrame is."""

    rows = text_rows()
    assert_same(
        grpo_prm.analyze(Frame(rows), reading=READING), grpo_prm.analyze(written(rows, tmp_path), reading=READING)
    )


@pytest.mark.parametrize("form", ["list", "polars", "lazy"])
def test_a_canonical_table_is_one(form, tmp_path):
    table = table_of(LOG)
    save(table, tmp_path / "rows.jsonl")
    mine = grpo_prm.analyze(FORMS[form](table.to_dicts()) if form == "list" else FORMS[form](table))
    assert mine.summary["source"]["format"] == "canonical" and mine.summary["source"]["runs"] == ["a"]
    assert_same(mine, grpo_prm.analyze(tmp_path / "rows.jsonl"))


@pytest.mark.parametrize("kind", ["rows", "jsonl", "parquet"])
def test_a_canonical_table_may_name_its_groups(kind, tmp_path):
    """Once all groups of a step whose `group` was text were one, and its rows duplicates."""
    table = table_of([(run, step, f"p{n}", rows) for run, step, _, rows in LOG for n in range(3)])
    named = table.with_columns(group=pl.concat_str(pl.lit("g"), "group"))
    theirs = grpo_prm.analyze(table)
    named.write_ndjson(tmp_path / "t.jsonl")
    named.write_parquet(tmp_path / "t.parquet")
    mine = grpo_prm.analyze(named if kind == "rows" else tmp_path / f"t.{kind}")
    assert theirs.summary["counts"]["groups"] == 6
    assert but_for_files(mine)[1] == but_for_files(theirs)[1]


def test_a_canonical_row_without_a_group_is_rejected():
    rows = table_of(LOG).to_dicts()
    rows[0]["group"] = None
    rejected = grpo_prm.analyze(rows).rejected.collect()
    assert rejected.select("line", "field", "reason").rows() == [(1, "group", "null")]


def test_a_row_may_hold_a_group(tmp_path):
    rows = [{"prompt": "p", "completions": ["a b", "a c", "d"], "rewards": [1, 0, 0]}] * 2
    rows += [{"prompt": "q", "completions": ["a b", "a c", "d"], "rewards": [1, 0, 1]}]
    assert_same(grpo_prm.analyze(rows), grpo_prm.analyze(written(rows, tmp_path)))


def test_arrays_scalars_and_dates_are_what_they_say(tmp_path):
    """Numpy and torch hold most people's ids; a file would hold the lists."""
    plain = [
        {"day": "2026-01-02", "step": 3, "uid": uid, "completion_ids": [7, 1, sample], "reward": sample / 2}
        for uid in range(2)
        for sample in range(3)
    ]
    rich = [
        row | {"day": date(2026, 1, 2), "step": np.int64(3), "reward": np.float32(row["reward"])}
        | {"completion_ids": np.array(row["completion_ids"], np.int32)}
        for row in plain
    ]  # fmt: skip
    assert_same(grpo_prm.analyze(rich), grpo_prm.analyze(written(plain, tmp_path)))


def test_tensors_are_lists(tmp_path):
    torch = pytest.importorskip("torch")
    plain = [{"uid": 0, "completion_ids": [7, i], "reward": float(i)} for i in range(3)]
    rich = [row | {"completion_ids": torch.tensor(row["completion_ids"])} for row in plain]
    assert_same(grpo_prm.analyze(rich), grpo_prm.analyze(written(plain, tmp_path)))


def test_a_reward_that_is_no_number_is_rejected_as_one():
    rows = text_rows()
    rows[0]["infos"]["r"] = float("nan")
    rejected = grpo_prm.analyze(rows, reading=READING).rejected.collect()
    assert rejected.select("file", "line").rows() == [("rows in memory", 1), ("rows in memory", len(rows) // 2 + 16)]
    assert "finite" in rejected["reason"][0] and "null" in rejected["reason"][1]


def test_the_run_may_be_named():
    rows, reading = text_rows(), grpo_prm.ReadOptions(columns={"reward": "infos.r"}, run="mine")
    assert grpo_prm.analyze(rows, reading=reading).summary["source"]["runs"] == ["mine"]


def test_steps_that_come_back_are_read_again(tmp_path):
    """The first step is cut in two, in the middle of its second group."""
    rows = text_rows()
    rows = rows[:8] + rows[18:] + rows[8:18]
    mine = grpo_prm.analyze(rows, reading=READING)
    assert mine.summary["counts"]["group_size"]["min"] == 5  # of the group with a row that cannot be used
    assert_same(mine, grpo_prm.analyze(written(rows, tmp_path), reading=READING))


def test_no_temporary_file_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    grpo_prm.analyze(text_rows(), reading=READING)
    with pytest.raises(InputError):
        grpo_prm.analyze([{"completion": {1}}])
    assert list(tmp_path.iterdir()) == []


def test_rollouts_need_no_brackets(tmp_path, monkeypatch):
    """A NamedTuple is a sequence of its fields, of which one is the text "": once, that was the working directory."""
    written(text_rows(), tmp_path)
    monkeypatch.chdir(tmp_path)
    batch = batch_of(LOG)
    alone, listed, one_by_one = (grpo_prm.analyze(log) for log in (batch, [batch], iter([batch])))
    assert alone.summary == listed.summary == one_by_one.summary
    assert alone.summary["counts"]["completions"] == 6


def test_batches_may_come_one_by_one():
    first, second = (batch_of([group]) for group in LOG)
    second = second._replace(table=second.table.with_columns(group=pl.lit(1, pl.Int64)))
    assert grpo_prm.analyze(iter([first, second])).summary["counts"]["groups"] == 2


BATCH, TABLE = batch_of(LOG), table_of(LOG)
WRONG = {
    "nothing": (None, "None is no log"),
    "a number": (42, "a int is no log"),
    "bytes": (b"rollouts.jsonl", "a bytes is no log"),
    "a dict of columns": ({"completion": ["a"], "reward": [1]}, "a dict is no log"),
    "a list of numbers": ([1, 2], "a list that holds a int"),
    "an array": (np.zeros(3), "a ndarray that holds a float64"),
    "a list of tables": ([TABLE], "a list that holds a DataFrame"),
    "an empty list": ([], "The log is empty"),
    "an empty iterator": (iter([]), "The log is empty"),
    "an empty name": ("", "The name of a log is empty"),
    "an empty name among others": (["a.jsonl", ""], "The name of a log is empty"),
    "rollouts and a file": ([BATCH, "file.jsonl"], "Item 2 of the log is a str, but the first is of Rollouts"),
    "rollouts and a table": ([BATCH, TABLE], "Item 2 of the log is a DataFrame"),
    "rollouts and a table, one by one": (iter([BATCH, TABLE]), "Item 2 of the log is a DataFrame"),
    "a file and rollouts": (["file.jsonl", BATCH], "Item 2 of the log is a Rollouts, but the first is of paths"),
    "rows and nothing": ([{"completion": "a"}, None], "Item 2 of the log is None, but the first is of rows"),
    "rollouts of no table": (Rollouts([1]), "Rollouts hold a list"),
    "rollouts of a lazy table": (Rollouts(TABLE.lazy()), "Rollouts hold a LazyFrame"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_log_is_refused_in_two_sentences(what, tmp_path, monkeypatch):
    written(text_rows(), tmp_path)  # must not be read instead
    monkeypatch.chdir(tmp_path)
    log, said = WRONG[what]
    with pytest.raises(UsageError, match=said) as error:
        grpo_prm.analyze(log)
    assert " Give " in str(error.value)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (Path("missing.jsonl"), "missing.jsonl: no such file"),
        (pl.DataFrame(), "rows in memory: no rows"),
        (pl.DataFrame({"completion": ["a"], "reward": [1.0], "uid": [0]}), "no group has two completions"),
        (
            [{"uid": 0, "completion": {1, 2}, "reward": 1}],
            r"rows in memory:1: completion: .* JSON can \(set",
        ),
        ([{}, {("a", 1): 2}], "rows in memory:2: .* no JSON can"),
        (pl.DataFrame({"completion": [object(), object()]}), "rows in memory: .* Cast"),
        (pl.DataFrame({"uid": [0, 0], "reward": [1.0, 0.0]}), "rewards without completions"),
        (TABLE.with_columns(reward=pl.lit("x")), "rows in memory.*reward"),
        ([BATCH, BATCH], "group 0 stands in two tables"),
        (
            [
                BATCH,
                BATCH._replace(table=BATCH.table.with_columns(pl.col("group") + 9, step=pl.col("step").fill_null(3))),
            ],
            "step .* stands in two tables",
        ),
        (Rollouts(TABLE.drop("tokens")), "the column tokens is missing"),
    ],
)
def test_what_cannot_be_read_is_said(log, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((InputError, UsageError), match=said):
        grpo_prm.analyze(log)


def test_a_pandas_frame_with_one_name_twice():
    frame = pytest.importorskip("pandas").DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(InputError, match="two columns of one name"):
        grpo_prm.analyze(frame)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"options": "sample"}, "options is a str"),
        ({"options": grpo_prm.Options(std="samples")}, "std is 'samples'"),
        ({"options": grpo_prm.Options(advantage="given")}, "advantage is 'given'"),
        ({"options": grpo_prm.Options(seed=1.0)}, "seed is 1.0"),
        ({"options": grpo_prm.Options(seed=-1)}, "seed is -1"),
        ({"reading": grpo_prm.Options()}, "reading is a Options"),
        ({"reading": grpo_prm.ReadOptions(group_size=3)}, "Rollouts are canonical already"),
    ],
)
def test_wrong_options_are_refused(arguments, said):
    with pytest.raises(UsageError, match=said):
        grpo_prm.analyze(BATCH, **arguments)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"columns": ["reward=reward"]}, r"columns is \['reward=reward'\]\. Give a dict"),
        ({"columns": {"reward": 1}}, r"columns is \{'reward': 1\}\. Give a dict"),
        ({"group_size": "4"}, "group_size is '4'. Give a whole number"),
        ({"group_size": 0}, "group_size is 0. Give a whole number"),
        ({"group_size": 4.0}, "group_size is 4.0. Give a whole number"),
        ({"group_size": True}, "group_size is True. Give a whole number"),
        ({"keep": "data_source"}, "keep is 'data_source'. Give a tuple"),
        ({"reward": 1}, "reward is 1. Give a text"),
    ],
)
def test_wrong_reading_options_are_refused(options, said):
    with pytest.raises(UsageError, match=said):
        grpo_prm.ReadOptions(**options)


def test_reading_options_of_numpy_and_of_paths():
    given = grpo_prm.ReadOptions(group_size=np.int32(4), tokenizer=Path("tokenizer.json"))
    assert json.dumps([given.group_size, given.tokenizer]) == '[4, "tokenizer.json"]'


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"uid": 0, "reward": 1.0}],
            r'Name it with reading=grpo_prm\.ReadOptions\(columns=\{"completion": "NAME"\}\)',
        ),
        ([{"uid": 0, "completion": "a"}], r"a weighted sum with reading=grpo_prm\.ReadOptions\(reward=\.\.\.\)"),
        (
            [{"uid": n, "completion": "a", "reward": 1.0} for n in range(2)],
            r'ReadOptions\(columns=\{"group": "NAME"\}\)',
        ),
        (
            [{"uid": 0, "completion": "a", "reward": None}],
            r"say with reading=grpo_prm\.ReadOptions\(columns=",
        ),
    ],
)
def test_messages_on_rows_in_memory_speak_python(rows, said):
    with pytest.raises((InputError, UsageError), match=said) as error:
        grpo_prm.analyze(rows)
    assert "--" not in str(error.value)
