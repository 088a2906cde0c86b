"""verl: ground truths that tell problems of one text apart, several outputs of one rollout, validation dumps."""

import random

import polars as pl
import pytest
from logs.formats.trained import in_loss, read, rewards, rollouts, true_rewards, write_lines

from grpo_prm.logs.formats.verl_outputs import by_rollout
from grpo_prm.logs.rows.records import RowBatch
from grpo_prm.logs.rows.rejects import reject_frame


def row(r, **more):
    return {"input": f"user\n{r.question}\nassistant\n", "output": r.text, "score": r.reward, "step": r.step, **more}


def write(folder, made, rows_of):
    """A file a step, as 0.4 to 0.9 write it: balanced over ranks, so in any order."""
    for step in sorted({r.step for r in made}):
        rows = [one for r in made if r.step == step for one in rows_of(r)]
        random.Random(step).shuffle(rows)  # noqa: S311
        write_lines(folder / f"{step}.jsonl", rows)
    return folder


@pytest.mark.parametrize("truth_of", [lambda r: str(r.problem), lambda r: {"answer": [r.problem]}])
def test_one_text_with_several_ground_truths_is_several_problems(tmp_path, truth_of):
    made = rollouts()
    seen = "user\nHow many are in the picture?\nassistant\n"
    done = read(write(tmp_path / "run", made, lambda r: [row(r, input=seen, gts=truth_of(r))]))
    assert rewards(done) == true_rewards(made)
    assert "ground truths" in " ".join(done.notes) and done.table["problem"].n_unique() == 3


def test_a_ground_truth_that_is_another_in_every_row_names_no_problem(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made, lambda r: [row(r, gts=f"<object at {id(r)} {r}>")]))
    assert rewards(done) == true_rewards(made)


def outputs(r, last=True):
    """Two outputs with a tool's answer between them, the second under a prompt that has all before it."""
    asked, tool = f"user\n{r.question}\nassistant\n", f"user\n<tool> {r.sample % 2}\nassistant\n"
    uid, first = f"ab_{r.problem}_{r.sample}", f"I ask {r.sample}."
    one = {"input": asked, "output": first, "score": r.reward, "step": r.step, "uid": f"{uid}_0"}
    two = {**one, "input": asked + first + tool, "output": r.text, "uid": f"{uid}_1"}
    return [one, two] if last else [one]


def test_outputs_of_one_rollout_are_one_member(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made, outputs))
    assert rewards(done) == true_rewards(made) and not len(done.rejected)
    assert "joined in order" in " ".join(done.notes) and done.table["group_key"].n_unique() == 3
    r = made[0]
    (text,) = done.table.filter(pl.col("completion").str.ends_with(f" {r.ids[3]}"), step=1, group_key="ab_0")[
        "completion"
    ]
    assert text == f"I ask {r.sample}.user\n<tool> {r.sample % 2}\nassistant\n{r.text}"
    assert set(done.table["prompt"]) == {f"user\n{r.question}\nassistant\n" for r in made}
    sampled, units = in_loss(done)
    assert 0 < sampled < units


def test_rollouts_of_one_and_of_two_outputs_share_what_they_share(tmp_path):
    made = rollouts((1,))
    done = read(write(tmp_path / "run", made, lambda r: outputs(r, last=r.sample > 1)))
    assert rewards(done) == true_rewards(made)
    short = done.table.filter(pl.col("completion").str.len_chars() < 12)
    assert len(short) == 6 and all(mask is None or all(mask) for mask in short["mask"])
    starts = {tuple(tokens[:3]) for tokens in done.table["tokens"]}  # "I ask" and a number; no role line before it
    assert len(starts) == 4


def test_an_output_that_stands_there_twice_is_rejected_once(tmp_path):
    made = rollouts((1,))
    rows = [one for r in made for one in outputs(r)]
    done = read(write_lines(tmp_path / "1.jsonl", [*rows, rows[0]]))
    assert rewards(done) == true_rewards(made) and len(done.rejected) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_outputs_are_found_beyond_the_borders_of_chunks(size):
    lines = [one for r in rollouts((1, 2, 3)) for one in outputs(r)]
    lines[1::6], lines[4::6] = lines[4::6], lines[1::6]  # outputs of one rollout need not be neighbours
    rows = pl.DataFrame(
        {
            "_file": pl.Series([0] * len(lines), dtype=pl.Int32),
            "run": ["run"] * len(lines),
            "step": [one["step"] for one in lines],
            "key": [one["uid"] for one in lines],
            "sample": [one["uid"] for one in lines],
            "prompt": [one["input"] for one in lines],
            "completion": [one["output"] for one in lines],
            "_segments": pl.Series([None] * len(lines), dtype=pl.List(pl.Int32)),
            "reward": [one["score"] for one in lines],
        }
    )
    batches = [RowBatch(part, reject_frame([]), 1, 1) for part in rows.iter_slices(size)]
    joined = pl.concat([batch.rows for batch in by_rollout(iter(batches))])
    assert sorted(joined.select("step", "key", "reward").rows()) == sorted(
        (r.step, f"ab_{r.problem}", r.reward) for r in rollouts((1, 2, 3))
    )
    assert joined["step"].is_sorted() and joined["_segments"].list.len().unique().to_list() == [4]
    by_turns = joined["_segments"].list.sum() == joined["completion"].str.len_chars()
    assert by_turns.all()


def test_other_scores_of_one_rollout_are_said(tmp_path):
    made = rollouts((1,))

    def rows(r):
        one, two = outputs(r)
        return [{**one, "score": 0.5}, two]

    done = read(write(tmp_path / "run", made, rows))
    assert rewards(done) == true_rewards(made) and "that of the last one is taken" in " ".join(done.notes)


def test_a_uid_of_another_kind_is_a_key(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made, lambda r: [row(r, uid=f"{r.step}-{r.problem}", input="user\nsee\n")]))
    assert rewards(done) == true_rewards(made)


def test_a_validation_dump_is_said_to_be_one(tmp_path):
    made = rollouts()
    folder = tmp_path / "dumps" / "of" / "run"  # the name of the test's own folder may say what it is
    done = read(write(folder, made, lambda r: [row(r, reward=r.reward)]))
    assert rewards(done) == true_rewards(made) and "validation" in " ".join(done.notes)
