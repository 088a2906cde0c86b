"""Values of tokens beside text without ids: units are made anew, so no such value is laid on them, and that is said."""

import csv
import json

import numpy as np
import polars as pl
import pytest
from logs.log_files import read_log, write

from grpo_prm import Options, Rollouts, analyze
from grpo_prm.errors import UsageError
from grpo_prm.logs import ReadOptions, collect, inspect
from grpo_prm.logs.memory import rows_as_source
from grpo_prm.logs.rollouts import SCHEMA
from grpo_prm.logs.stream import fold, merge

LOGPROBS = ["logprobs", "trainer_logprobs", "ref_logprobs"]
NOT_USED = "The columns mask, logprobs and trainer_logprobs are not used: they have a value per token, and no token ids"


def texts(groups=3, k=4, seed=0):
    """Rows of texts whose pieces are their words."""
    rng = np.random.default_rng(seed)
    for g in range(groups):
        for i in range(k):
            text = " ".join(["so", *rng.choice(["a", "b", "c"], rng.integers(1, 5))])
            yield {"step": 1, "group": f"g{g}", "sample": i, "completion": text, "reward": float(i % 2)}


def with_lists(rows, more, seed=1):
    """The rows, with lists of `more` values beyond the words of each."""
    rng = np.random.default_rng(seed)
    for row in rows:
        length = max(0, len(row["completion"].split()) + more)
        numbers = [[-float(rng.random()) for _ in range(length)] for _ in range(2)]
        yield {**row, "mask": [bool(rng.random() < 0.5) for _ in range(length)], "logprobs": numbers[0],
               "trainer_logprobs": numbers[1]}  # fmt: skip


def plain(rows):
    return [{name: row[name] for name in ("step", "group", "sample", "completion", "reward")} for row in rows]


def grouped(rows):
    """One row a group, its columns lists."""
    by_group = {}
    for row in rows:
        by_group.setdefault(row["group"], []).append(row)
    rest = [name for name in next(iter(rows)) if name not in ("step", "group", "sample", "completion", "reward")]
    return [
        {
            "step": 1,
            "group": key,
            "completions": [r["completion"] for r in some],
            "rewards": [r["reward"] for r in some],
        }
        | {name: [r[name] for r in some] for name in rest}
        for key, some in by_group.items()
    ]


def as_csv(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows({name: json.dumps(v) if isinstance(v, list) else v for name, v in r.items()} for r in rows)
    return path


def as_parquet(path, rows):
    pl.DataFrame(rows).write_parquet(path)
    return path


WAYS = {
    "columns": lambda home, rows: write(home / "log.jsonl", rows),
    "rows": lambda home, rows: write(home / "log.jsonl", [*rows, "no JSON"]),  # a wrong line: all are read one by one
    "groups": lambda home, rows: write(home / "log.jsonl", grouped(rows)),
    "csv": lambda home, rows: as_csv(home / "log.csv", rows),
    "parquet": lambda home, rows: as_parquet(home / "log.parquet", rows),
    "memory": lambda _, rows: rows,
    "table": lambda _, rows: pl.DataFrame(rows),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("more", [0, -1, 3])
def test_a_log_of_text_says_the_same_with_and_without_them(tmp_path, way, more):
    rows = list(with_lists(texts(), more))
    bare, full = (analyze(WAYS[way](tmp_path, some)).summary for some in (plain(rows), rows))
    notes = full["source"].pop("notes")
    assert any(note.startswith(NOT_USED) for note in notes)
    assert [note for note in notes if "are not used" not in note] == bare["source"].pop("notes")
    assert full == bare
    assert full["prm"]["logprob_spread"] is None and "tokens_masked" not in full["counts"]


def canonical(made):
    """A canonical table of texts with log-probabilities, the units of the rows where `made` is from text."""
    rows = list(texts())
    table = collect_rows(rows)
    lengths = table["tokens"].list.len().to_list()
    rng = np.random.default_rng(2)
    lists = [
        pl.Series(name, [[-float(rng.random()) for _ in range(n)] for n in lengths], SCHEMA[name]) for name in LOGPROBS
    ]
    return table.with_columns(*lists, pl.Series("tokens_from", made))


def collect_rows(rows):
    with rows_as_source(rows, None) as source:
        return fold([source], None, merge).table


@pytest.mark.parametrize("way", ["jsonl", "rows", "parquet", "Rollouts"])
@pytest.mark.parametrize("odd", ["pieces", "tokenizer"])
def test_a_canonical_table_keeps_those_of_logged_ids_only(tmp_path, way, odd):
    made = [("log", odd)[n >= 4] for n in range(12)]  # the first group is of logged ids
    table = canonical(made)
    if way == "Rollouts":
        full, bare = (Rollouts(t) for t in (table, without(table, made)))
    elif way == "parquet":
        full, bare = tmp_path / "full.parquet", tmp_path / "bare.parquet"
        table.write_parquet(full), without(table, made).write_parquet(bare)
    else:
        full, bare = tmp_path / "full.jsonl", tmp_path / "bare.jsonl"
        for path, some in ((full, table), (bare, without(table, made))):
            path.write_text(some.write_ndjson() + ("no JSON\n" if way == "rows" else ""))
    found, expected = (analyze(log, Options()).summary for log in (full, bare))
    said = [note for note in found["source"].pop("notes") if note not in expected["source"]["notes"]]
    assert len(said) == 1 and said[0].startswith("The log-probabilities of 8 rows stand beside units that were made")
    for summary in (found, expected):
        summary["source"].pop("files")
        summary["source"].pop("notes", None)
    assert found == expected and found["prm"]["logprob_spread"] is not None


def without(table, made):
    """The definition: null in the rows whose units are not logged."""
    rows = [
        row | dict.fromkeys(LOGPROBS if how != "log" else []) for row, how in zip(table.to_dicts(), made, strict=True)
    ]
    return pl.DataFrame(rows, schema=table.schema)


def test_masks_of_a_chat_stay(tmp_path):
    def chat(i):
        return [{"role": "assistant", "content": f"call {i % 2}"}, {"role": "tool", "content": f"{i}"}]

    rows = [{"step": 1, "group": "g", "completion": chat(i), "reward": float(i % 2)} for i in range(4)]
    path = write(tmp_path / "log.jsonl", rows)
    table = collect(path).table
    assert table["mask"].null_count() == 0
    table.write_parquet(tmp_path / "kept.parquet")
    assert collect(tmp_path / "kept.parquet").table["mask"].equals(table["mask"])


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ([{"token": "so", "logprob": -0.5}, {"token": " a", "logprob": -1.0}], "objects"),
        ({"content": [{"token": "so", "logprob": -0.5}]}, "objects"),
        (["-0.5", "-1.0"], "texts"),
        ("-0.5 -1.0", "text"),
    ],
)
@pytest.mark.parametrize("ids", [{}, {"completion_ids": [7, 8]}])
def test_columns_of_other_kinds_are_not_used_and_that_is_said(tmp_path, value, what, ids):
    rows = [{**row, **ids, "logprobs": value} for row in texts()]
    got = read_log(tmp_path, rows)
    assert f"The column logprobs holds {what}, not one number for each token id, so it is not used." in got.notes
    assert got.table["logprobs"].null_count() == len(got.table) == len(rows)
    assert not any("logprobs" in note for note in read_log(tmp_path, rows, columns={"logprobs": "-"}).notes)


def test_numbers_of_hundreds_of_digits_are_no_logprobs(tmp_path):
    rows = [{**row, "tokens": [1, row["sample"]], "logprobs": [-1.0, 10**400]} for row in texts()]
    table = read_log(tmp_path, rows).table
    assert table["logprobs"].to_list() == [[-1.0, -9999.0]] * len(rows)


@pytest.mark.parametrize("name", SCHEMA)
@pytest.mark.parametrize("wrong_line", [False, True])
def test_a_column_called_like_ours_can_be_asked_for(tmp_path, name, wrong_line):
    """The table has ours under that name; a column with another meaning is left out, and said."""
    rows = [{name: "x", **row} for row in texts()]
    got = read_log(tmp_path, [*rows, *(["no JSON"] if wrong_line else [])], keep=(name,))
    assert dict(got.table.schema) == SCHEMA
    has_that_role = (
        "run",
        "task",
        "step",
        "group",
        "sample",
        "completion",
        "reward",
        "prompt",
        "truncated",
        "advantage",
    )
    own = name in has_that_role
    left_out = f"The column {name} is not kept: a canonical table has a column of that name, with another meaning."
    assert (left_out in got.notes) != own


def test_a_column_that_is_not_there_cannot_be_kept(tmp_path):
    with pytest.raises(UsageError, match="--keep logprobs: there is no column logprobs"):
        read_log(tmp_path, list(texts()), keep=("logprobs",))


def test_inspect_says_it_too(tmp_path):
    found = inspect(write(tmp_path / "log.jsonl", list(with_lists(texts(), 0))), ReadOptions())
    assert any(note.startswith(NOT_USED) for note in found.notes)
