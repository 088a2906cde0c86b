"""What tells groups apart: keys that can be trusted, and columns that tell problems of one prompt text apart."""

import random
from collections import defaultdict

import pytest
from logs.log_files import read_log

QUESTION = "How many shapes are there?"


def groups_of(got):
    """Completions of each group, as a set of sets."""
    return {frozenset(texts) for texts in got.table.group_by("group").agg("completion")["completion"].to_list()}


def truth(rows, *names):
    """The same from the invented rows: those that agree in the named columns are a group."""
    groups = defaultdict(set)
    for x in rows:
        groups[tuple(str(x[name]) for name in names)].add(x["completion"])
    return {frozenset(group) for group in groups.values()}


def problems(number, k, seed, same=lambda n: True, steps=1, **columns):
    """Rows of `number` problems a step, k each, shuffled; problem n asks the one question where `same(n)`."""
    rng = random.Random(seed)  # noqa: S311
    rows = [
        {"step": step, "prompt": QUESTION if same(n) else f"Question {n}?", "completion": f"{step} {n} {i} so",
         "reward": rng.randint(0, 1), **{name: value(n, i, rng) for name, value in columns.items()}}
        for step in range(steps) for n in range(number) for i in range(k)
    ]  # fmt: skip
    rng.shuffle(rows)
    return sorted(rows, key=lambda x: x["step"])


@pytest.mark.parametrize("name", ["gts", "ground_truth", "answer", "label", "target", "solution"])
@pytest.mark.parametrize("seed", range(3))
def test_equal_prompts_are_told_apart_by_what_is_expected(tmp_path, name, seed):
    k = 3 + seed
    rows = problems(6, k, seed, lambda n: n % 2, **{name: lambda n, i, rng: f"w{n}"})
    got = read_log(tmp_path, rows)
    assert groups_of(got) == truth(rows, "step", "prompt", name) and len(groups_of(got)) == 6
    assert f"grouped by exact prompt and by {name}" in " ".join(got.notes)
    asked = got.table.unique("group").filter(prompt=QUESTION)["problem"]
    assert sorted(asked.to_list()) == ["w1", "w3", "w5"]  # so intervals take them for three problems


@pytest.mark.parametrize("seed", range(40))
def test_what_the_policy_answered_tells_nothing_apart(tmp_path, seed):
    """Answers of four choices, verdicts, numbers that are mostly right: none cuts a prompt into parts of one size."""
    rows = problems(
        4, 8, seed, lambda n: n < 2,
        answer=lambda n, i, rng: rng.choice("ABCD"), label=lambda n, i, rng: rng.randint(0, 1),
        solution=lambda n, i, rng: rng.choice([n, n, n, rng.randint(0, 99)]),
    )  # fmt: skip
    got = read_log(tmp_path, rows)
    assert groups_of(got) == truth(rows, "step", "prompt") and "problem" not in " ".join(got.notes).replace(
        "problems", ""
    )


def test_a_column_that_tells_apart_is_found_where_the_first_rows_end_inside_a_step(tmp_path):
    rows = problems(40, 16, 1, steps=2, gts=lambda n, i, rng: n)  # 640 rows a step, of which the first 1024 are seen
    got = read_log(tmp_path, rows)
    assert len(groups_of(got)) == 80 and groups_of(got) == truth(rows, "step", "gts")
    turns = [
        x for i in range(4) for x in sorted(problems(300, 4, 1, gts=lambda n, i, rng: n), key=lambda x: x["gts"])[i::4]
    ]
    got = read_log(tmp_path, turns)  # 1200 rows of one step, problem after problem, four times over
    assert len(groups_of(got)) == 300 and groups_of(got) == truth(turns, "gts")


def test_an_id_that_counts_rows_of_a_log_that_goes_round_is_not_trusted(tmp_path):
    """verifiers 0.1.3 to 0.1.5: id = i // k, though rows go e0 e1 e2, e0 e1 e2; the hidden word is in `answer`."""
    examples, k = 5, 3
    rows = [
        {"id": n // k, "prompt": QUESTION, "completion": f"so {n}", "answer": f"word {n % examples}", "reward": n % 2}
        for n in range(examples * k)
    ]
    got = read_log(tmp_path, rows)
    assert groups_of(got) == truth(rows, "answer") != truth(rows, "id")
    assert "The column id mixes rows of different answer" in " ".join(got.notes)


@pytest.mark.parametrize("name", ["group", "task_id", "prompt_id", "problem_id"])
def test_a_key_of_data_sets_gives_way_to_the_prompt(tmp_path, name):
    rows = problems(6, 4, 2, lambda n: False, **{name: lambda n, i, rng: ["easy", "hard"][n % 2]})
    got = read_log(tmp_path, rows)
    assert groups_of(got) == truth(rows, "prompt") and f"The column {name} holds several prompts" in " ".join(got.notes)


def test_a_key_made_for_each_draw_is_trusted_whatever_its_members_read(tmp_path):
    rows = [
        {"step": 1, "group_id": f"g{g}", "prompt": f"{g} seat {i % 2}", "completion": f"{g} {i}", "reward": i % 2}
        for g in range(4)
        for i in range(4)
    ]
    assert groups_of(read_log(tmp_path, rows)) == truth(rows, "group_id")


def test_one_prompt_for_all_rows_is_worth_a_word(tmp_path):
    rows = problems(10, 4, 3)
    got = read_log(tmp_path, rows)
    assert len(groups_of(got)) == 1 and "All rows of a step have one prompt text" in " ".join(got.notes)
    assert "one prompt text" not in " ".join(read_log(tmp_path, problems(10, 4, 3, lambda n: n > 4)).notes)


def test_an_answer_that_tells_the_reward_is_that_of_the_policy(tmp_path):
    rows = [
        {"prompt": f"Question {n // 4}?", "answer": "xxyy"[n % 4], "completion": f"{n} so", "reward": float(n % 4 < 2)}
        for n in range(48)
    ]
    assert groups_of(read_log(tmp_path, rows)) == truth(rows, "prompt")
