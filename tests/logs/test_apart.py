"""Rows of one step and key that are none of one group: of several epochs, of an evaluation, of another task."""

from collections import Counter, defaultdict

import pytest
from logs.log_files import read_log


def groups_of(got):
    return {frozenset(texts) for texts in got.table.group_by("group").agg("completion")["completion"].to_list()}


def truth(rows, *names):
    groups = defaultdict(set)
    for row in rows:
        groups[tuple(row[name] for name in names)].add(row["completion"])
    return {frozenset(group) for group in groups.values()}


def log(outer, values, inner="step", problems=4, k=4):
    """Problem `p` is drawn at step `p` of each value of `outer`."""
    return [
        {outer: value, inner: p, "prompt": f"Question {p}?", "completion": f"{value} {p} {i} so", "reward": i % 2}
        for value in values for p in range(problems) for i in range(k)
    ]  # fmt: skip


@pytest.mark.parametrize("epoch", ["epoch", "epoch_idx"])
def test_steps_that_begin_anew_in_each_epoch(tmp_path, epoch):
    rows = log(epoch, (0, 1, 2))
    got = read_log(tmp_path, rows, ordered=False)
    assert groups_of(got) == truth(rows, epoch, "step") != truth(rows, "step")
    assert f"begins anew in each {epoch}" in " ".join(got.notes)


@pytest.mark.parametrize("save", [False, True])
def test_a_step_that_counts_samples_beside_one_that_goes_up(tmp_path, save):
    rows = [
        {"iteration": n, "step": i, "prompt": f"Question {p}?", "completion": f"{n} {p} {i} so", "reward": i % 2}
        for n in (1, 2) for p in range(3) for i in range(4)
    ]  # fmt: skip
    got = read_log(tmp_path, rows, ordered=False, **({"columns": {"step": "step"}} if save else {}))
    assert (groups_of(got) == truth(rows, "iteration", "prompt")) is not save
    assert ("iteration is the step" in " ".join(got.notes)) is not save


def test_a_second_run_behind_the_first_is_worth_a_word(tmp_path):
    rows = log("hidden", ("a", "b"))
    got = read_log(tmp_path, rows, ordered=False)
    assert "The column step begins anew inside the log (1 times in the first 32 rows)" in " ".join(got.notes)
    for orderly in (rows[:16], [*rows[:8], *rows[16:24], *rows[8:16], *rows[24:]][::2]):
        assert "begins anew" not in " ".join(read_log(tmp_path, orderly, ordered=False).notes)


@pytest.mark.parametrize(("name", "of"), [("split", ("train", "test")), ("is_eval", (False, True))])
def test_training_and_evaluation_are_never_one_group(tmp_path, name, of):
    rows = [{**row, "step": 1} for row in log(name, of)]
    got = read_log(tmp_path, rows)
    assert groups_of(got) == truth(rows, name, "prompt") and "training from evaluation" in " ".join(got.notes)
    fewer = rows[:16] + rows[16::2]  # an evaluation of two rollouts a prompt says nothing about the training
    got = read_log(tmp_path, fewer)
    assert groups_of(got) == truth(fewer, name, "prompt") and got.table["run"].n_unique() == 2


def test_a_split_that_cuts_no_prompt_changes_nothing(tmp_path):
    rows = [{**row, "step": 1, "split": "train" if row["step"] else "test"} for row in log("x", (0,))]
    assert "evaluation" not in " ".join(read_log(tmp_path, rows).notes)


def test_numbers_of_problems_that_begin_anew_in_each_data_set(tmp_path):
    rows = [
        {"task": task, "question_id": p, "completion": f"{task} {p} {i} so", "reward": i % 2}
        for task in ("easy", "hard") for p in range(3) for i in range(4)
    ]  # fmt: skip
    got = read_log(tmp_path, rows)
    assert groups_of(got) == truth(rows, "task", "question_id") and "grouped by both" in " ".join(got.notes)
    one = [{**row, "task": f"worker {n % 4}"} for n, row in enumerate(rows[:12])]  # of which each member has its own
    assert Counter(map(len, groups_of(read_log(tmp_path, one)))) == {4: 3}
