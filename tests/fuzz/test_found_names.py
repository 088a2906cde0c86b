"""Columns that are called like one of ours, and words, numbers and types that no table of ours has."""

from __future__ import annotations

import json

import polars as pl
import pytest

from grpo_prm import analyze
from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.columns.hints import refusal
from grpo_prm.logs.rollouts import UNITS_FROM

# Names of columns that rows have on their way, that polars takes for patterns, or that nobody would choose.
OURS = ("run", "prompt_hash", "ends_with_role", "tokens_from", "reward/x")
NAMES = ("", "_file", "_line", "_segments", "key", "*", "^.*$", "a.b", *OURS)


def rows(**more):
    """Two groups of four, which are read without a note."""
    return [
        {"prompt": f"q{i // 4}", "completion": f"answer {i}", "reward": float(i % 2), "step": 1, **more}
        for i in range(8)
    ]


def written(folder, values, kind):
    path = folder / f"a.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, values)))
    elif kind == "json":
        path.write_text(json.dumps(values))
    else:
        table = pl.DataFrame(values)
        table.write_csv(path) if kind == "csv" else table.write_parquet(path)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("name", NAMES)
def test_a_column_that_is_called_like_one_of_ours_is_kept_beside_it(tmp_path, name, kind):
    plain = collect(written(tmp_path, rows(), kind))
    path = written(tmp_path, rows(**{name: "theirs"}), kind)
    kept = collect(path, ReadOptions(keep=(name, name), run="r"))
    for column in ("tokens", "reward", "group", "sample", "step", "tokens_from"):
        assert kept.table[column].to_list() == plain.table[column].to_list()
    if name in OURS:
        assert name == "run" or any(f"column {name} is not kept" in note for note in kept.notes)
    else:
        assert kept.table[name].to_list() == ["theirs"] * 8


def test_a_kept_reward_does_not_take_the_place_of_a_sum(tmp_path):
    path = written(tmp_path, [{**row, "x": 1} for row in rows()], "json")
    log = collect(path, ReadOptions(reward="reward+2*x", keep=("reward",)))
    assert log.table["reward"].to_list() == [2 + i % 2 for i in range(8)]


@pytest.mark.parametrize("name", ["", "_line", "run", "*", "^.*$", "key", "group"])
@pytest.mark.parametrize("keep", [False, True])
def test_reward_functions_of_trl_of_any_name(tmp_path, name, keep):
    f = [float(i % 2) for i in range(8)]
    values = {"prompt": ["a"] * 4 + ["b"] * 4, "completion": [f"c {i}" for i in range(8)], "step": [1] * 8, name: f}
    table = pl.DataFrame({**values, "g": [0.5] * 8, "advantage": [(x - 0.5) / (3**-0.5 + 1e-4) for x in f]})
    table.write_parquet(tmp_path / "completions_00001.parquet")
    log = collect(tmp_path, ReadOptions(keep=(name,) if keep else ()))
    assert [r - log.table["reward"][0] for r in log.table["reward"]] == f
    assert log.table[f"reward/{name}"].to_list() == f


CANONICAL = {
    "run": "r", "group": 0, "group_key": "k", "sample": 0, "tokens": [1, 2], "reward": 0.0, "tokens_from": "log",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
@pytest.mark.parametrize("word", ["vllm", "", None, 0, True])
def test_units_from_a_place_that_has_no_word(tmp_path, word, kind):
    values = [{**CANONICAL, "sample": i, "tokens": [1, i], "reward": i % 2, "tokens_from": word} for i in range(4)]
    log = collect(written(tmp_path, values, kind))
    assert log.table["tokens_from"].to_list() == [UNITS_FROM[0]] * 4
    assert any("tokens_from of 4 rows" in note for note in log.notes)
    assert analyze(log).summary["source"]["tokens_from"] == "log"


@pytest.mark.parametrize("value", [2**63, -(2**70), 10**400])
@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_integers_beyond_64_bits(tmp_path, value, kind):
    values = rows(x=1, y=0.5)
    values[3] |= {"x": value, "y": value}
    log = collect(written(tmp_path, values, kind), ReadOptions(keep=("x", "y")))
    assert log.counts["rows_read"] == len(log.table) == 8
    assert log.table["x"][0] == 1 and log.table["x"][3] in (None, value)


@pytest.mark.filterwarnings("error")
def test_weights_where_a_function_gave_one_value_a_group(tmp_path):
    """Normalised in its group it is 0 throughout, and was divided by its length."""
    f = [1e300, 9e15, *[0.5] * 6]
    table = pl.DataFrame({"prompt": ["a"] * 4 + ["b"] * 4, "completion": list("abcdefgh"), "step": [1] * 8, "f": f})
    table = table.with_columns(g=pl.Series([0.0, 1.0] * 4), advantage=pl.Series([3.0, -1.0, 2.0, 0.0] * 2))
    table.write_parquet(tmp_path / "completions_00001.parquet")
    assert len(collect(tmp_path).table) == 8


@pytest.mark.parametrize("options", [{"columns": {"group": "index"}}, {"reward": "in"}, {"keep": ("inn",)}])
def test_a_column_with_half_of_a_surrogate_pair_in_a_message(tmp_path, options):
    """The name was proposed as it stands, and could not be printed."""
    path = written(tmp_path, [{**row, "in\ud800": i} for i, row in enumerate(rows())], "jsonl")
    with pytest.raises(GrpoPrmError) as caught:
        collect(path, ReadOptions(**options))
    assert "in\ufffd" in str(caught.value).encode().decode()


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_half_of_a_surrogate_pair_in_a_name_spoils_no_row(tmp_path, kind):
    path = written(tmp_path, rows(**{"meta\ud800": 1.0, "inner": {"x\udfff": 1}, "smile😀": 2.0}), kind)
    log = collect(path, ReadOptions(keep=("meta\ufffd", "smile😀", "inner.x\ufffd")))
    assert len(log.table) == 8 and not len(log.rejected)
    assert log.table["meta\ufffd"].to_list() == [1.0] * 8 and log.table["smile😀"].to_list() == [2.0] * 8


def test_advantages_of_trl_that_are_objects(tmp_path):
    table = pl.DataFrame(rows()).select("step", "prompt", "completion", right=pl.col("reward"))
    table.with_columns(advantage=pl.struct(value=0.5)).write_parquet(tmp_path / "completions_00001.parquet")
    with pytest.raises(GrpoPrmError, match=r"completions_00001.parquet: advantage: expected numbers, got Struct"):
        collect(tmp_path)


@pytest.mark.parametrize("length", [200, 201])
def test_a_hint_does_not_repeat_a_name_of_the_length_of_a_row(tmp_path, length):
    name = "x" * length
    said = str(refusal(rows(), "log.jsonl", {"completion": name}))
    assert (f"--columns completion={name};" in said) == (length == 200)
    assert ("--columns completion=NAME;" in said) == (length == 201)
