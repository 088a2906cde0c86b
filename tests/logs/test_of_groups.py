"""Columns that are called like those of a completion, and hold what is of its prompt or group."""

from logs.log_files import read_log


def rows_of(**columns):
    return [
        {"prompt": f"Question {p}?", "completion": f"so {p} {n}", "reward": n % 2}
        | {name: value(p, n) for name, value in columns.items()}
        for p in range(4) for n in range(4)
    ]  # fmt: skip


def test_ids_of_the_prompt_are_no_completion(tmp_path):
    got = read_log(tmp_path, rows_of(token_ids=lambda p, n: [p, 5, 6]))
    assert got.table["tokens_from"][0] == "pieces" and got.table["group"].n_unique() == 4
    assert "The ids under token_ids are the same wherever the prompt is: they are not used." in got.notes
    for own in (lambda p, n: [p, n, 6], lambda p, n: [p * 4 + n]):
        assert read_log(tmp_path, rows_of(token_ids=own)).table["tokens_from"][0] == "log"
    equal = [{**r, "completion": "so"} for r in rows_of(token_ids=lambda p, n: [p, 5, 6])]
    assert read_log(tmp_path, equal).table["tokens_from"][0] == "log"


def test_a_reward_that_is_one_for_each_group_is_worth_a_word(tmp_path):
    said = "The reward under reward is the same in all rows of each group"
    assert said in " ".join(read_log(tmp_path, rows_of(reward=lambda p, n: p / 4)).notes)
    assert said not in " ".join(read_log(tmp_path, rows_of(reward=lambda p, n: p % 2)).notes)
    assert said not in " ".join(read_log(tmp_path, rows_of(reward=lambda p, n: p / 4 + (n + p == 0))).notes)


def test_an_extracted_answer_is_not_the_completion(tmp_path):
    rows = rows_of(response=lambda p, n: f"So I think {n}, and so {p} {n}.")
    got = read_log(tmp_path, rows)
    assert got.table["completion"].to_list() == [r["response"] for r in rows]
    # With its prompt in front it is a copy that holds too much.
    rows = rows_of(response=lambda p, n: f"user: Question {p}? so {p} {n}</s>")
    assert read_log(tmp_path, rows).table["completion"].to_list() == [r["completion"] for r in rows]
