"""AReaL 1.0: a file for each group in a folder for each version of the policy."""

from logs.formats.trained import read, rewards, rollouts, true_rewards, write_lines


def row(r, task, **more):
    return {
        "task_id": task,
        "sample_idx": r.sample,
        "seqlen": 9,
        "prompt_len": 4,
        "head_version": r.step - 1,
        "tail_version": r.step,
        "reward": r.reward,
        "prompt": f"<|im_start|>user\n{r.question}<|im_end|>\n",
        "completion": r.text + "<|im_end|>",
        **more,
    }


def write(folder, made, **more):
    """One file a group; task ids start anew in each run and go on over its steps."""
    for task in range(len(made) // 4):
        group = made[4 * task : 4 * task + 4]
        write_lines(folder / "rollout" / str(group[0].step) / f"{task}.jsonl", [row(r, task, **more) for r in group])
    return folder / "rollout"


def test_a_file_is_a_group_and_its_folder_the_step(tmp_path):
    made = rollouts((3, 4))
    done = read(write(tmp_path, made))
    assert done.format == "areal" and not len(done.rejected)
    assert rewards(done) == true_rewards(made)
    assert done.table["problem"].null_count() == len(made)  # a task id is of one draw


def test_a_member_that_ended_in_a_later_version_stays_with_its_group(tmp_path):
    made = rollouts((3,))
    folder = write(tmp_path, made)
    late = [row(r, 0, tail_version=4 if r.sample == 3 else 3) for r in made[:4]]
    write_lines(folder / "3" / "0.jsonl", late)
    assert rewards(read(folder)) == true_rewards(made)


def test_files_put_together_have_the_version_of_each_line(tmp_path):
    made = rollouts((3, 4))
    rows = [row(r, n // 4) for n, r in enumerate(made)]
    assert rewards(read(write_lines(tmp_path / "all.jsonl", rows))) == true_rewards(made)


def test_a_run_that_was_started_again_gives_other_prompts_under_old_numbers(tmp_path):
    first, again = rollouts((3,)), rollouts((3,))
    rows = [row(r, n // 4) for n, r in enumerate(first)]
    rows += [row(r, n // 4, prompt=f"another {r.question}") for n, r in enumerate(again)]
    done = read(write_lines(tmp_path / "all.jsonl", rows))
    assert rewards(done) == sorted(true_rewards(first) * 2) and not len(done.rejected)
