"""Columns that a log can do without cost no row, whatever their shape; and any can be switched off."""

import json

import pytest
from logs.log_files import balanced, read_log, reasons, row

from grpo_prm.errors import UsageError

LOGPROBS = ["logprobs", "trainer_logprobs", "ref_logprobs"]


def rows_with(name, values):
    return [row(tokens=[n, 1], reward=n, **{name: value}) for n, value in enumerate(values)]


@pytest.mark.parametrize("name", LOGPROBS)
def test_log_probabilities_of_an_odd_shape(tmp_path, name):
    odd = [[-1.0], [-1.0] * 3, "x", {"a": 1}, [[-1.0], [-2.0]], ["a", "b"], 0.5]
    good = [[-1.0, -2.0], None]
    got = read_log(tmp_path, rows_with(name, good + odd))
    assert not len(got.rejected) and got.table[name].to_list() == [[-1, -2]] + [None] * 8
    assert f"The {name} of 7 rows are not one number for each token id, and are left out." in got.notes
    named = read_log(tmp_path, rows_with(name, good + odd), columns={name: name})
    assert not len(named.rejected)


@pytest.mark.parametrize("name", LOGPROBS)
def test_a_null_among_log_probabilities_costs_its_token_alone(tmp_path, name):
    got = read_log(tmp_path, rows_with(name, [[-1.0, None], [None, None], [-1.0, -2.0]]))
    # float32; -9999 is what trainers write where they have none, and no number is made of it
    assert got.table[name].to_list() == [[-1, -9999], [-9999, -9999], [-1, -2]]
    assert f"The {name} of 2 rows hold nulls: these tokens have none." in got.notes


@pytest.mark.parametrize("name", LOGPROBS)
def test_log_probabilities_of_a_group_in_a_row(tmp_path, name):
    group = {"prompt": "p", "tokens": [[1, 2], [3]], "scores": [0, 1]}
    got = read_log(tmp_path, [{**group, name: [[-1.0, -2.0], [-3.0]]}, {**group, "prompt": "q", name: [-1.0]}])
    assert got.table[name].to_list() == [[-1, -2], [-3], None, None] and not len(got.rejected)


def test_advantages_for_each_token(tmp_path):
    got = read_log(tmp_path, rows_with("advantages", [[0.5, 0.5], [0.5, 0.25], "x", [], None]))
    assert got.table["advantage"].to_list() == [0.5, None, None, None, None] and not len(got.rejected)
    assert any(note.startswith("The advantage of 3 rows is not one finite number") for note in got.notes)
    grouped = [{"prompt": "p", "tokens": [[1, 2], [3]], "scores": [0, 1], "advantages": [[0.5, 0.1], [-0.5]]}]
    assert read_log(tmp_path, grouped).table["advantage"].to_list() == [None, -0.5]
    short = [{"prompt": "p", "tokens": [[1, 2], [3]], "scores": [0, 1], "advantages": [0.5]}]
    assert read_log(tmp_path, short).table["advantage"].to_list() == [None, None]


def test_an_advantage_is_needed_where_nothing_else_is_logged(tmp_path):
    rows = [{"group": "g", "tokens": [n], "advantage": value} for n, value in enumerate([0.5, -0.5, [1, 2]])]
    got = read_log(tmp_path, rows)
    assert reasons(got) == [(3, "advantage", "expected a finite number, got a list")] and balanced(got)


@pytest.mark.parametrize("name", ["sample", "prompt", "truncated", "task"])
def test_other_columns_that_cannot_be_read(tmp_path, name):
    values = ["a", "b", {"x": 1}, ["a", 1]]
    rows = [{**r, "group": "g"} for r in rows_with(name, values)]
    got = read_log(tmp_path, rows)
    assert not len(got.rejected) and len(got.table) == 4
    if name in ("sample", "prompt"):
        assert f"The {name} of 2 rows cannot be read and is left out." in got.notes


def test_a_text_beside_ids_that_cannot_be_read(tmp_path):
    got = read_log(tmp_path, rows_with("completion", ["a", {"x": 1}, 3]))
    assert got.table["completion"].to_list() == ["a", None, None] and not len(got.rejected)
    assert any(note.startswith("The text of 2 completions cannot be read") for note in got.notes)


FULL = {"mask": [1, 0], "logprobs": [-1.0, -2.0], "advantage": 0.5, "truncated": True, "step": 3, "sample": 7}


@pytest.mark.parametrize("name", FULL)
def test_a_column_is_switched_off(tmp_path, name):
    rows = [{**row(tokens=[n, 1], reward=n), **FULL, "sample": n} for n in range(2)]
    assert read_log(tmp_path, rows).table[name].null_count() == 0
    got = read_log(tmp_path, rows, columns={name: "-"}).table
    assert name == "sample" or got[name].null_count() == 2


def test_the_reward_the_group_and_a_part_are_switched_off(tmp_path):
    rows = [
        {"group": n, "prompt": "p", "tokens": [n], "reward": n, "advantage": n - 0.5, "metrics": {"a": 1.0}}
        for n in range(2)
    ]
    got = read_log(tmp_path, rows, columns={"reward": "-", "group": "-"})
    assert got.table["reward"].null_count() == 2 and got.table["group"].to_list() == [0, 0]
    assert "The reward is left out, as asked: only the logged advantages are used." in got.notes
    assert "reward/a" in got.table.columns
    got = read_log(tmp_path, rows, columns={"group": "-", "reward/a": "-"})
    assert "reward/a" not in got.table.columns and got.table["reward"].to_list() == [0, 1]


def test_the_ids_are_switched_off_for_the_text(tmp_path):
    rows = [row(tokens=[n], completion=f"said {n}", reward=n) for n in range(2)]
    got = read_log(tmp_path, rows, columns={"tokens": "-"})
    assert set(got.table["tokens_from"]) == {"pieces"}


def test_what_is_needed_cannot_be_switched_off(tmp_path):
    rows = [row(tokens=[n], reward=n) for n in range(2)]
    with pytest.raises(UsageError, match="no column holds the reward"):
        read_log(tmp_path, rows, columns={"reward": "-"})
    with pytest.raises(UsageError, match="no such canonical column"):
        read_log(tmp_path, rows, columns={"rewards": "-"})
    canonical = read_log(tmp_path, rows).table.to_dicts()
    with pytest.raises(UsageError, match="the groups of a canonical table stand"):
        read_log(tmp_path, canonical, columns={"group": "-"})


def test_ids_that_are_written_as_text_are_ids(tmp_path):
    rows = [row(group="a", tokens=[1, 2 + n], reward=n) for n in range(2)]
    got = read_log(tmp_path, [{**one, "tokens": json.dumps(one["tokens"])} for one in rows])
    assert got.table["tokens"].to_list() == [[1, 2], [1, 3]] and got.table["tokens_from"][0] == "log"
