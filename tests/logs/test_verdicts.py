"""Rewards that are no plain numbers: verdicts in words, numbers as text, lists with a number per token, NaN."""

import pytest
from logs.log_files import message, read_log, reasons, row, write

from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.columns.verdicts import VERDICTS

NAN = float("nan")


def with_rewards(values, **more):
    return [row(tokens=[n], reward=value, **more) for n, value in enumerate(values)]


@pytest.mark.parametrize("words", VERDICTS, ids="/".join)
def test_words_are_numbers(tmp_path, words):
    written = [word.title() for word in words] + [f" {word.upper()} " for word in words]
    got = read_log(tmp_path, with_rewards(written))
    assert got.table["reward"].to_list() == 2 * list(words.values()) and not len(got.rejected)
    (note,) = (n for n in got.notes if "is text under reward" in n)
    assert all(f"{word} = {number:g}" in note for word, number in words.items())


def test_a_verdict_that_is_none_costs_its_row(tmp_path):
    got = read_log(tmp_path, with_rewards(["pass", "fail", None, "", "pass"]))
    assert got.table["reward"].to_list() == [1, 0, 1]
    assert reasons(got) == [(3, "reward", "null"), (4, "reward", "null")]


def test_another_word_further_on_costs_its_row(tmp_path):
    rows = [*with_rewards(["pass", "fail"] * 600), *with_rewards(["timeout"])]
    got = read_log(tmp_path, rows)
    assert len(got.table) == 1200
    assert reasons(got) == [(1201, "reward", "expected pass or fail, got the text 'timeout'")]


@pytest.mark.parametrize("values", [["pass", "incorrect"], ["good", "bad"], ["pass", "0.5"]])
def test_words_that_are_no_pair_are_not_guessed(tmp_path, values):
    assert "expected a finite number, got the text" in message(lambda: read_log(tmp_path, with_rewards(values * 2)))


def test_a_column_of_other_texts_gives_way_to_one_that_is_a_reward(tmp_path):
    rows = [{"group": "g", "tokens": [n], "reward": "a long critique", "score": n} for n in range(3)]
    assert read_log(tmp_path, rows).table["reward"].to_list() == [0, 1, 2]


def test_numbers_written_as_text(tmp_path):
    got = read_log(tmp_path, with_rewards(["0.5", "-1", "2e-1", ""]))
    assert got.table["reward"].to_list() == [0.5, -1, 0.2] and reasons(got) == [(4, "reward", "null")]
    assert "The reward is text under reward, and is read as a number." in got.notes


def test_words_in_a_csv_a_group_in_a_row_a_sum_and_a_part(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("group,completion,status\na,x,Pass\na,y,fail\n")
    assert collect(path, ReadOptions(columns={"reward": "status"})).table["reward"].to_list() == [1, 0]
    rows = [{"prompt": "p", "completions": ["x", "y"], "rewards": ["C", "I"]}]
    assert read_log(tmp_path, rows).table["reward"].to_list() == [1, 0]
    rows = [{**row(tokens=[n], reward=n), "a": "yes", "b": n} for n in range(2)]
    assert read_log(tmp_path, rows, reward="a+2*b").table["reward"].to_list() == [1, 3]
    got = read_log(tmp_path, rows, columns={"reward/ok": "a"})
    assert got.table["reward/ok"].to_list() == [1, 1]
    assert "The part ok of the reward is text under a, and is read as yes = 1, no = 0." in got.notes


def test_a_score_for_each_token_is_summed(tmp_path):
    lists = [[0, 0.5], [0, 0, 0, 0, 0, 1.0], [0.25, None, 0.25], [1]]
    got = read_log(tmp_path, [{"group": "g", "text": f"t{n}", "score": v} for n, v in enumerate(lists)])
    assert got.table["reward"].to_list() == [0.5, 1, 0.5, 1]
    assert "The reward under score is a list with a number per token: their sum is the reward." in got.notes
    ids = [row(tokens=[1, n], reward=[0.5, n]) for n in range(3)]  # as long as the ids
    assert read_log(tmp_path, ids).table["reward"].to_list() == [0.5, 1.5, 2.5]
    grouped = [{"prompt": "p", "completions": ["x", "y"], "scores": [[0, 1], [0, 0, 0, 0, 2]]}]
    assert read_log(tmp_path, grouped).table["reward"].to_list() == [1, 2]


@pytest.mark.parametrize("lists", [[[0.5, 1.0]] * 4, [[0.5] * 6] * 4, [[0.5, 1.0], [0.5], [0.5, 1.0]]])
def test_a_number_for_each_reward_function_is_not_summed(tmp_path, lists):
    rows = [{"group": "g", "text": f"t{n}", "reward": value} for n, value in enumerate(lists)]
    assert "expected a finite number, got a list" in message(lambda: read_log(tmp_path, rows))


@pytest.mark.parametrize("careful", [False, True])
def test_a_part_that_is_nan_adds_nothing(tmp_path, careful):
    parts = [(1.0, NAN), (NAN, 2.0), (0.5, 0.25), (None, 1.0), (NAN, NAN)]
    rows = [{**row(tokens=[n]), "a": a, "b": b} for n, (a, b) in enumerate(parts)]
    rows = [{**r, "truncated": "length" if careful else False} for r in rows]
    path = write(tmp_path / "log.jsonl", rows)
    assert b"NaN" in path.read_bytes()
    got = collect(path, ReadOptions(reward="a+10*b"))
    assert got.table["reward"].to_list() == [1, 20, 3, 10]
    assert reasons(got) == [(5, "reward", "all columns of its sum are missing")]


def test_a_part_beside_the_reward_may_be_nan(tmp_path):
    rows = [row(tokens=[n], metrics={"a": NAN if n else 1.0}) for n in range(3)]
    assert read_log(tmp_path, rows).table["reward/a"].to_list() == [1, None, None]
    assert read_log(tmp_path, rows, columns={"reward/a": "metrics.a"}).table["reward/a"].to_list() == [1, None, None]
