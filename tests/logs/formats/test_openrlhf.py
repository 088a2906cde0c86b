"""OpenRLHF 0.11: the table of generated samples, one a step."""

import pytest
from logs.formats.trained import read, rollouts, true_rewards, write_lines

from grpo_prm.errors import InputError


def row(r):
    return {"global_step": r.step, "text": f"user {r.question} assistant {r.text}", "reward": r.reward}


def test_one_sample_a_step_is_refused_for_what_it_is(tmp_path):
    rows = [row(r) for r in rollouts((1, 2, 3)) if r.problem == r.sample == 0]
    with pytest.raises(InputError, match=r"one completion a step, so every group is a group of one"):
        read(write_lines(tmp_path / "samples.jsonl", rows))


def test_a_log_of_groups_with_such_columns_is_read(tmp_path):
    rows = [{**row(r), "text": r.text, "prompt": r.question} for r in rollouts()]
    done = read(write_lines(tmp_path / "a.jsonl", rows))
    assert done.format == "generic" and len(true_rewards(rollouts())) == done.table["group"].n_unique()
