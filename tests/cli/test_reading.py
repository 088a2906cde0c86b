"""`inspect`, `convert` and the options that every command shares."""

import json

import polars as pl
import pytest
from grpo_prm_cli.main import app
from grpo_prm_cli.options import reader_options
from typer.testing import CliRunner

from grpo_prm.errors import RejectedError, UsageError
from grpo_prm.logs import collect


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "400"})


@pytest.fixture
def log(tmp_path):
    rows = [
        {"step": s, "prompt": f"p{p}", "response": f"{p} is \x1b[31m{i}", "score": i % 2, "n": i}
        for s in (1, 2)
        for p in "ab"
        for i in range(4)
    ]
    rows[5]["score"] = "\x1b]0;evil"
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_options_reach_the_reader():
    done = reader_options(
        "trl", ["completion=answer, reward=infos.r", "step=t"], "a+b", "tok.json", 4, True, ["x,y", " z "], "mine"
    )
    assert done.columns == {"completion": "answer", "reward": "infos.r", "step": "t"}
    assert (done.format, done.reward, done.tokenizer, done.group_size) == ("trl", "a+b", "tok.json", 4)
    assert (done.drop_uneven, done.keep, done.run, done.progress) == (True, ("x", "y", "z"), "mine", None)
    assert reader_options() == reader_options(columns=[], keep=[])


@pytest.mark.parametrize("bad", [["completion"], ["completion="], ["=x"], ["step=a,step=b"], ["a=b", "a=c"]])
def test_a_column_map_that_cannot_be_meant_is_refused(bad):
    with pytest.raises(UsageError, match=r"--columns .*(Write it like|Give it once)"):
        reader_options(columns=bad)


def test_inspect_as_json_says_what_was_read_and_what_was_not(log):
    done = run("inspect", log, "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found["formats"] == ["generic"]
    assert found["columns"]["completion"] == "response" and found["steps"] == {"first": 1, "last": 2, "count": 2}
    assert found["group_sizes"] == {"3": 1, "4": 3} and found["group_size"] == 4
    assert found["rows_read"] == 16 == found["completions"] + sum(r["rows"] for r in found["rejected"])
    assert [(r["field"], r["line"]) for r in found["rejected"]] == [("reward", 6)]
    assert json.loads(run("inspect", log, "--json", "--drop-uneven").stdout)["groups"] == 3


def test_inspect_of_a_converted_log_names_what_it_holds(tmp_path):
    log = tmp_path / "one.jsonl"
    rows = [{"step": 2, "prompt": "p", "completion": f"a {i}", "reward": i} for i in range(3)]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run("convert", log, tmp_path / "one.parquet")
    known = json.loads(run("inspect", tmp_path / "one.parquet", "--json").stdout)
    assert {"step", "prompt", "completion", "reward"} < known["columns"].keys()
    assert not {"tokens", "mask", "logprobs", "advantage"} & known["columns"].keys()
    assert "steps     2 only" in run("inspect", tmp_path / "one.parquet").stdout


def test_inspect_on_screen_names_the_first_bad_row_and_lets_no_escape_through(log):
    done = run("inspect", log, "--run", "mi\x1b[31mne")
    assert done.exit_code == 0 and "\x1b" not in done.stdout and "mi\\x1b[31mne" in done.stdout
    text = " ".join(done.stdout.split())
    for said in (
        "generic",
        "completion = response",
        "1 to 2, 2 logged",
        "4: 3 of 4, 1 of 3 completions",
        "1 of 16 rows",
        "log.jsonl:6",
        "pieces",
    ):
        assert said in text


def test_convert_writes_a_table_that_reads_back_as_the_log(log, tmp_path):
    out = tmp_path / "out.parquet"
    done = run("convert", log, out, "--keep", "n", "--run", "mine")
    assert done.exit_code == 0 and done.stdout == "" and "15 completions in 4 groups; 1 row was rejected" in done.stderr
    table, back = pl.read_parquet(out), collect(out).table
    assert table["n"].to_list() == [0, 1, 2, 3, 0, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    assert set(table["run"]) == {"mine"}
    for column in ("step", "group", "tokens", "reward", "completion", "tokens_from"):
        assert back[column].to_list() == table[column].to_list()


def test_convert_writes_nothing_where_it_must_not(log, tmp_path):
    strict = run("convert", log, tmp_path / "out.parquet", "--strict")
    assert isinstance(strict.exception, RejectedError) and "log.jsonl:6: reward" in str(strict.exception)
    for name in ("out.csv", "."):
        assert isinstance(run("convert", log, tmp_path / name).exception, UsageError)
    assert list(tmp_path.iterdir()) == [log]
