"""Members of a group are rollouts: turns are joined, copies counted once, groups that lack members left out."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from logs.log_files import balanced, message, read_log

from grpo_prm.logs import chunks
from grpo_prm.logs.stream import read

ANSWERS = {0: "one .", 1: "two two .", 2: "three", 3: "four ."}


def turns(tasks=3, k=4, seed=0, rollout="episode_id", turn="step", **more):
    """Rows of turns, episode after episode, and what was said in each: {(task, member): [texts]}."""
    rng = np.random.default_rng(seed)
    rows, said = [], {}
    for task in range(tasks):
        for member in range(k):
            texts = [f"t{task} m{member} turn {n} {ANSWERS[int(rng.integers(4))]}" for n in range(rng.integers(1, 5))]
            said[task, member] = texts
            reward = int(rng.integers(2))
            rows += [
                {rollout: f"e{task}-{member}", "task_id": task, turn: n, "prompt": f"obs {task} {n}", "response": text,
                 "reward": reward, **more}
                for n, text in enumerate(texts)
            ]  # fmt: skip
    return rows, said


def completions(got):
    return {
        tuple(g) for g in got.table.group_by("group", maintain_order=True).agg("completion")["completion"].to_list()
    }


def joined(said):
    tasks = sorted({task for task, _ in said})
    return {tuple("\n".join(texts) for (t, _), texts in said.items() if t == task) for task in tasks}


@pytest.mark.parametrize("rollout", ["episode_id", "traj_uid", "trajectory_id", "session_id", "rollout_id"])
@pytest.mark.parametrize("seed", range(3))
def test_steps_inside_an_episode_are_turns(tmp_path, rollout, seed):
    rows, said = turns(seed=seed, rollout=rollout)
    got = read_log(tmp_path, rows)
    assert completions(got) == joined(said) and got.table["step"].null_count() == len(got.table) == 12
    assert got.counts["rows_joined"] == len(rows) - 12 and not len(got.rejected)
    assert f"The column step is the turn inside {rollout}" in " ".join(got.notes)
    several = sum(len(texts) for texts in said.values() if len(texts) > 1)
    assert f"A row is a turn: {several} rows were joined by {rollout}" in " ".join(got.notes)
    newlines = sum(len(texts) - 1 for texts in said.values())  # no policy wrote them
    assert got.table["mask"].drop_nulls().list.eval(~pl.element()).list.sum().sum() == newlines


def test_the_note_counts_the_rows_of_all_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "TEXT", 300)
    rows = [
        {"step": step, "episode_id": f"e{n}", "turn": turn, "task_id": step, "response": f"{n} {turn}", "reward": n % 2}
        for step in range(9)
        for n in range(4)
        for turn in range(1 + n % 3)
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    batches = list(read(tmp_path / "log.jsonl"))
    notes = [note for batch in batches for note in batch.notes if note.startswith("A row is a turn")]
    assert sum(len(batch.table) > 0 for batch in batches) > 2 and len(notes) == 1
    of_rollouts = Counter((row["step"], row["episode_id"]) for row in rows)
    several = sum(number for number in of_rollouts.values() if number > 1)
    assert f": {several} rows were joined by episode_id" in notes[0]


def test_turns_need_not_be_in_order(tmp_path):
    rows, said = turns(turn="turn_idx", global_step=7)
    order = np.random.default_rng(1).permutation(len(rows))
    got = read_log(tmp_path, [rows[n] for n in order])
    assert {frozenset(g) for g in completions(got)} == {frozenset(g) for g in joined(said)}
    assert got.table["step"].unique().to_list() == [7]


def test_a_step_beside_turns_is_the_training_step(tmp_path):
    rows, said = turns(global_step=3)
    got = read_log(tmp_path, rows)
    assert got.table["step"].unique().to_list() == [3] and "that is global_step" in " ".join(got.notes)
    assert completions(got) == joined(said)


def test_without_a_key_the_first_prompt_of_a_rollout_is_its_group(tmp_path):
    rows, said = turns()
    got = read_log(tmp_path, [{name: v for name, v in x.items() if name != "task_id"} for x in rows])
    assert completions(got) == joined(said) and set(got.table["prompt"]) == {f"obs {task} 0" for task in range(3)}


def test_ids_of_turns_are_put_end_to_end(tmp_path):
    rows = [
        {"episode_id": f"e{e}", "uid": "u", "turn": n, "tokens": [e, n], "logprobs": [-1.0, -n], "mask": m, "reward": e}
        for e in range(2)
        for n, m in enumerate(([1, 0], None, [1, 1]))
    ]
    got = read_log(tmp_path, rows)
    assert got.table["tokens"].to_list() == [[0, 0, 0, 1, 0, 2], [1, 0, 1, 1, 1, 2]]
    assert got.table["mask"].to_list() == [[True, False, True, True, True, True]] * 2
    assert got.table["logprobs"].to_list() == [[-1, 0, -1, -1, -1, -2]] * 2


def test_turns_of_a_csv_and_kept_columns_beside_them(tmp_path):
    rows, said = turns(turn="turn_id")
    names = list(rows[0])
    lines = [",".join(names), *(",".join(str(x[name]) for name in names) for x in rows)]
    got = read_log(tmp_path, lines, "log.csv", keep=("turn_id", "episode_id"))
    assert completions(got) == joined(said) and set(got.table["turn_id"]) == {0}
    assert got.table["episode_id"].to_list() == [f"e{task}-{member}" for task, member in said]


def test_chats_of_turns_keep_what_is_in_the_loss(tmp_path):
    rows, said = turns(tasks=2, turn="turn")
    chats = [{**x, "response": [{"role": "assistant", "content": x["response"]}]} for x in rows]
    got = read_log(tmp_path, chats)
    first = "\n".join(f"<assistant>\n{text}" for text in said[0, 0])
    assert got.table["completion"][0] == first
    plain = read_log(tmp_path, rows)
    in_loss = [pl.coalesce(pl.col("mask").list.sum(), pl.col("tokens").list.len())]
    assert got.table.select(in_loss).to_series().to_list() == plain.table.select(in_loss).to_series().to_list()


def test_training_steps_that_draw_every_problem_are_no_turns(tmp_path):
    rows = [
        {"step": step, "task_id": task, "rollout_id": i, "prompt": f"p{task}", "response": f"{step} {task} {i}",
         "reward": (step + i) % 2}
        for step in range(3) for task in range(2) for i in range(4)
    ]  # fmt: skip
    got = read_log(tmp_path, rows)
    assert sorted(got.table["step"].unique()) == [0, 1, 2] and len(completions(got)) == 6
    assert all(len(group) == 4 for group in completions(got)) and not got.counts["rows_joined"]


def test_one_session_for_a_whole_job_names_no_rollout(tmp_path):
    rows = [
        {"step": 1, "session_id": "job", "prompt": p, "response": f"{p} {i}", "reward": i % 2}
        for p in "pq"
        for i in range(3)
    ]
    assert [len(group) for group in completions(read_log(tmp_path, rows))] == [3, 3]


@pytest.mark.parametrize("more", [{}, {"step": 1}])
def test_a_number_of_the_members_that_begins_anew_is_no_rollout(tmp_path, more):
    rows = [
        {"prompt": p, "rollout_id": i, "response": f"{epoch} {p} {i}", "reward": i % 2, **more}
        for epoch in range(2)
        for p in "pqrs"[: 4 - 3 * epoch]
        for i in range(4)
    ]
    got = read_log(tmp_path, rows)
    assert sorted(len(group) for group in completions(got)) == [4] * 5 and not len(got.rejected)


def test_the_same_rollout_twice_counts_once(tmp_path):
    rows = [
        {"step": 1, "episode_id": f"{p}{i}", "prompt": p, "response": f"{p} {i}", "reward": i % 2}
        for p in "pq"
        for i in range(3)
    ]
    got = read_log(tmp_path, [*rows, rows[1]])
    assert len(got.table) == 6 and got.rejected["reason"].to_list() == ["duplicate"] and balanced(got)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda x: {"reward": x["turn"]}, "the rows of its rollout have different rewards"),
        (lambda x: {"turn": None, "no": x["turn"]}, "no column says which turn each is"),
        (lambda x: {"turn": 0}, "two different rows of one turn"),
    ],
)
def test_rows_that_cannot_be_one_completion_are_refused_with_the_reason(tmp_path, change, reason):
    rows = [
        {
            "step": 1,
            "episode_id": f"e{i}",
            "task_id": 0,
            "turn": n,
            "prompt": f"obs {n}",
            "response": f"{i} {n}",
            "reward": i,
        }
        for i in range(3)
        for n in range(2)
    ]
    refused = message(lambda: read_log(tmp_path, [{**x, **change(x)} for x in rows]))
    assert reason in refused and "none of the 6 rows can be used" in refused
    whole = [
        {"step": 1, "episode_id": f"w{i}", "task_id": 1, "turn": 0, "response": f"w{i}", "reward": i} for i in range(3)
    ]
    got = read_log(tmp_path, [*({**x, **change(x)} for x in rows), *({**x, "prompt": "w"} for x in whole)])
    assert len(got.table) == 3 and len(got.rejected) == 6 and balanced(got)


def sampled(prompts, logged, **more):
    return [
        {"step": 1, "prompt": p, "response": f"{p} {i}", "reward": i % 2, **more}
        for p in prompts
        for i in range(logged)
    ]


def test_a_choice_of_the_members_is_no_group(tmp_path):
    rewards = [0.0, 1.0, 0.0, 1.0]
    some = sampled("pqr", 2, group_rewards=rewards)
    refused = message(lambda: read_log(tmp_path, some))
    assert "its group has more members than are logged" in refused and ":1: group" in refused
    got = read_log(tmp_path, [*some, *sampled("st", 4, group_rewards=rewards)])
    assert [len(group) for group in completions(got)] == [4, 4] and len(got.rejected) == 6 and balanced(got)
    assert "2 of the 4 that group_rewards says" in got.notes[-1] and got.counts["groups_lack_members"] == 3
    assert len(read_log(tmp_path, some, group_size=2).table) == 6  # the user insists


@pytest.mark.parametrize("name", ["num_generations", "group_size", "n_samples", "k"])
def test_a_number_of_members_is_held_against_the_rows(tmp_path, name):
    got = read_log(tmp_path, [*sampled("pq", 4, **{name: 4}), *sampled("r", 3, **{name: 4})])
    assert sorted(len(group) for group in completions(got)) == [3, 4, 4] and got.counts["groups_lack_members"] == 1
    assert f"3 of the 4 that {name} says" in got.notes[-1] and "not what the run trained on" in got.notes[-1]
    assert not any("lacks" in note for note in read_log(tmp_path, sampled("pq", 4, **{name: 4})).notes)
    twice = read_log(tmp_path, [*sampled("p", 8, **{name: 4}), *sampled("q", 8, **{name: 4})])
    assert [len(group) for group in completions(twice)] == [4, 4, 4, 4]


def test_a_log_of_groups_of_one_says_what_was_taken_for_the_key(tmp_path):
    rows = [{"uid": f"u{n}", "prompt": f"p{n}", "response": "so", "reward": n % 2} for n in range(4)]
    assert "rows were grouped by the column uid" in message(lambda: read_log(tmp_path, rows))
    bare = [{name: v for name, v in x.items() if name != "uid"} for x in rows]
    assert "rows were grouped by the exact prompt" in message(lambda: read_log(tmp_path, bare))


def test_turns_of_nameless_rollouts_are_worth_a_word(tmp_path):
    rows = [
        {"problem_id": p, "turn": turn, "completion": f"{p} {i} {turn}", "reward": i % 2}
        for p in range(3) for i in range(4) for turn in range(1 + i)
    ]  # fmt: skip
    said = "The column turn seems to count turns, and nothing says which rows are of one rollout"
    assert said in " ".join(read_log(tmp_path, rows).notes)
    numbers = [{**r, "turn": n} for n, r in enumerate(rows)]
    assert said not in " ".join(read_log(tmp_path, numbers).notes)
