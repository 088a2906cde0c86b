"""open-instruct: shards of traces (e6c3044, rl_utils.py) with a file of metadata beside them."""

import pytest
from logs.formats.trained import advantage, groups, read, rollouts, truth, write_lines


def row(r, number, **more):
    return {
        "step": r.step,
        "sample_idx": number,
        "prompt_idx": r.problem,
        "prompt_tokens": r.prompt,
        "response_tokens": r.ids,
        "reward": r.reward,
        "advantage": advantage(r),
        "finish_reason": "length" if r.sample == 3 else "stop",
        "dataset": "sums",
        "ground_truth": [7],
        "request_info": None,
        "logprobs": r.logprobs,
        **more,
    }


def shards(folder, rows):
    """A shard may begin within a step and within a group."""
    for number in range(2):
        write_lines(folder / f"run_rollouts_{number:06d}.jsonl", rows[14 * number :][: 14 if number == 0 else None])
    write_lines(folder / "run_metadata.jsonl", [{"run_name": "run", "git_commit": "0", "model_name": "tiny"}])
    return folder


def test_groups_are_those_of_step_and_prompt_idx(tmp_path):
    made = rollouts()
    done = read(shards(tmp_path / "run", [row(r, n % 12) for n, r in enumerate(made)]))
    assert done.format == "open-instruct" and not len(done.rejected)
    assert groups(done) == truth(made, masked=False)  # no mask is logged
    table = done.table
    assert table["problem"].null_count() == len(table) and set(table["task"]) == {"sums"}
    assert table["prompt"][0] == str(made[0].prompt) and table["logprobs"][0].to_list() == made[0].logprobs
    assert table["truncated"].sum() == 6
    assert sorted(table["advantage"]) == pytest.approx(sorted(map(advantage, made)))


def test_two_draws_of_one_prompt_are_two_groups(tmp_path):
    made = rollouts((1,))
    rows = [row(r, n, prompt_tokens=[9], advantage=None, logprobs=None) for n, r in enumerate(made)]
    done = read(write_lines(tmp_path / "run_rollouts_000000.jsonl", rows))
    assert groups(done) == truth(made, masked=False)


def test_tool_output_without_a_mask_and_filtered_groups_are_said(tmp_path):
    rows = [row(r, n, request_info={"num_calls": r.sample}) for n, r in enumerate(rollouts((1,)))]
    notes = " ".join(read(write_lines(tmp_path / "a.jsonl", rows)).notes)
    assert "does not log its mask" in notes and "groups of equal rewards" in notes
    rows = [row(r, n, reward=float(r.problem)) for n, r in enumerate(rollouts((1,)))]
    notes = " ".join(read(write_lines(tmp_path / "b.jsonl", rows)).notes)
    assert "mask" not in notes and "groups of equal rewards" not in notes
