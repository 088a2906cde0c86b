"""NeMo-RL: 0.6 and later with ids, 0.2 to 0.5 with text, and validation; shapes of nemo_rl/utils/logger.py."""

import polars as pl
import pytest
from logs.formats.trained import (
    K,
    advantage,
    groups,
    in_loss,
    read,
    rewards,
    rollouts,
    true_rewards,
    truth,
    write_lines,
)

WIDTH = 16  # the batch is padded to it


def sliced(row, number):
    """As the writer cuts a batch: every value in a list of one, but for the number of the row."""
    return {name: [value] for name, value in row.items()} | {"idx": number}


def with_ids(r, **more):
    """A row of 0.6: prompt, response and padding; advantages and log-probabilities one a token."""
    length = len(r.prompt) + len(r.ids)
    pad = WIDTH - length

    def padded(values):
        return [0] * len(r.prompt) + list(values) + [0] * pad

    return {
        "content": [f"<|im_start|>user\n{r.question}<|im_end|>\n<|im_start|>assistant\n", r.text],
        "rewards": r.reward,
        "input_lengths": length,
        "token_ids": r.prompt + r.ids + [0] * pad,
        "token_loss_mask": padded(map(int, r.mask)),
        "sample_loss_mask": 1.0,
        "advantages": [advantage(r)] * WIDTH,
        "generation_logprobs": padded(r.logprobs),
        "prev_logprobs": padded(value / 2 for value in r.logprobs),
        **more,
    }


def write(folder, made, row, name="train_data_step"):
    for step in sorted({r.step for r in made}):
        here = [r for r in made if r.step == step]
        write_lines(folder / f"{name}{step}.jsonl", [sliced(row(r), n) for n, r in enumerate(here)])
    return folder


def test_ids_are_cut_at_the_mask_and_at_the_length(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made, with_ids))
    assert done.format == "nemo-rl" and not len(done.rejected)
    assert groups(done) == truth(made)
    table = done.table.sort("step", "prompt", "sample")
    assert table["prompt"][0] == str(made[0].prompt)
    for row, r in zip(table.iter_rows(named=True), sorted(made, key=lambda r: (r.step, r.problem)), strict=True):
        assert row["tokens"] == r.ids and row["mask"] == r.mask
        assert row["logprobs"] == r.logprobs and row["trainer_logprobs"] == [value / 2 for value in r.logprobs]
        assert row["advantage"] == pytest.approx(advantage(r))


def test_with_dynamic_sampling_the_filtered_rewards_are_those_of_the_rows(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made, lambda r: with_ids(r, rewards=99.0, filtered_rewards=r.reward)))
    assert groups(done) == truth(made)


def test_a_sample_out_of_the_loss_stays_a_member_of_its_group(tmp_path):
    made = rollouts()
    done = read(write(tmp_path / "run", made, lambda r: with_ids(r, sample_loss_mask=float(r.sample != 1))))
    assert rewards(done) == true_rewards(made) and "sample_loss_mask" in " ".join(done.notes)
    lost = done.table.filter(~pl.col("mask").list.any())
    assert len(lost) == len(made) // K and lost["tokens"].list.len().unique().to_list() == [5]


def test_an_advantage_counts_in_the_loss_only(tmp_path):
    made = rollouts()

    def row(r):
        inside = [advantage(r) if sampled else 0.0 for sampled in r.mask]
        outside = [0.0] * (WIDTH - len(r.prompt) - len(r.ids))
        return with_ids(r, advantages=[0.0] * len(r.prompt) + inside + outside)

    done = read(write(tmp_path / "run", made, row))
    assert done.table["advantage"].null_count() == 0
    assert sorted(done.table["advantage"]) == pytest.approx(sorted(map(advantage, made)))


def test_up_to_05_the_last_string_is_the_completion(tmp_path):
    made = rollouts()

    def row(r):
        content = ["<|im_start|>system\nAdd.<|im_end|>\n", f"<|im_start|>user\n{r.question}<|im_end|>\n", r.text]
        probs = [0.0] * 9
        return {
            "content": content,
            "rewards": r.reward,
            "generation_logprobs": probs,
            "prev_logprobs": probs,
            "input_lengths": 9,
        }

    done = read(write(tmp_path / "run", made, row))
    assert rewards(done) == true_rewards(made) and set(done.table["completion"]) == {r.text for r in made}
    assert all("system" in prompt and "What is" in prompt for prompt in done.table["prompt"])


def test_where_one_rollout_has_several_turns_all_are_chats(tmp_path):
    made = rollouts((1,))

    def row(r):
        more = [" tool: 4", " so 4"] if r.sample == 2 else []
        return {"content": [f"user {r.question} assistant", r.text, *more], "rewards": r.reward, "input_lengths": 9}

    done = read(write(tmp_path / "run", made, row))
    assert rewards(done) == true_rewards(made)
    assert {text.split("\n")[0] for text in done.table["completion"]} == {"<assistant>"}
    long = done.table.with_row_index().filter(pl.col("completion").str.contains("tool: 4"))
    assert len(long) == 3 and "<environment>\n tool: 4" in long["completion"][0]
    sampled, units = in_loss(done, long["index"][0])
    assert sampled < units - 3


def test_validation_rows_are_chats(tmp_path):
    made = rollouts()

    def row(r):
        log = [{"role": "user", "content": r.question}, {"role": "assistant", "content": r.text}]
        return {"content": [*log, {"role": "environment", "content": "done"}], "rewards": r.reward}

    done = read(write(tmp_path / "run", made, row, "val_data_step"))
    assert rewards(done) == true_rewards(made)
    assert done.table["prompt"][0] == "<user>\nWhat is 0 + 1 ?"
    assert in_loss(done)[0] < in_loss(done)[1]


def test_rewards_that_do_not_fit_cost_the_row_alone(tmp_path):
    rows = [sliced(with_ids(r), n) for n, r in enumerate(rollouts((1,)))]
    rows[5]["rewards"] = []
    done = read(write_lines(tmp_path / "train_data_step1.jsonl", rows))
    assert done.rejected.select("line", "field", "reason").rows() == [(6, "reward", "0 rewards for 1 rollouts")]
    assert len(done.table) == len(rows) - 1
