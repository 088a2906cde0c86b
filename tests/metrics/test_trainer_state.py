"""trainer_state.json: the state that has come furthest, its numbers by optimizer step."""

import json

import pytest

from grpo_prm.errors import InputError
from grpo_prm.metrics.read import read_metrics

HISTORY = [
    {"loss": 0.5, "reward": 0.25, "epoch": 0.1, "step": 1},
    {"eval_reward": 0.5, "eval_runtime": 1.5, "epoch": 0.1, "step": 1},
    {"loss": 0.25, "reward": 0.75, "completions/mean_length": 8.0, "epoch": 0.2, "step": 2},
    {"train_runtime": 3.0, "train_loss": 0.375, "total_flos": 0.0, "epoch": 0.2, "step": 2},
]


def state(folder, history, **more):
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"global_step": history[-1]["step"] if history else 0, "log_history": history, **more})
    (folder / "trainer_state.json").write_text(text)
    return folder / "trainer_state.json"


def test_the_history_of_the_last_checkpoint(tmp_path):
    state(tmp_path / "checkpoint-1", HISTORY[:2])
    state(tmp_path / "checkpoint-2", HISTORY)
    found = read_metrics(tmp_path)
    assert found.files == (tmp_path / "checkpoint-2" / "trainer_state.json",) and found.notes == ()
    assert [row[:3] for row in found.table.iter_rows()] == [
        ("completions/mean_length", 2, 8.0),
        ("eval_reward", 1, 0.5),
        ("eval_runtime", 1, 1.5),
        ("loss", 1, 0.5),
        ("loss", 2, 0.25),
        ("reward", 1, 0.25),
        ("reward", 2, 0.75),
    ]


def test_the_folders_own_state_comes_before_an_equal_one_and_checkpoints_are_compared_as_numbers(tmp_path):
    longer = [*HISTORY, {"loss": 0.125, "step": 10}]
    state(tmp_path / "checkpoint-9", HISTORY)
    state(tmp_path / "checkpoint-10", longer)
    assert read_metrics(tmp_path).files[0].parent.name == "checkpoint-10"
    state(tmp_path, longer)
    assert read_metrics(tmp_path).files[0].parent == tmp_path


def test_means_over_steps_are_said(tmp_path):
    assert read_metrics(state(tmp_path, HISTORY, logging_steps=1)).notes == ()
    notes = read_metrics(state(tmp_path, HISTORY, logging_steps=10)).notes
    assert notes == ("Logged every 10 steps: most values are means over these.",)


def test_a_state_that_does_not_say_how_far_it_came(tmp_path):
    assert read_metrics(state(tmp_path, HISTORY, global_step=None)).names[0] == "completions/mean_length"


def test_what_is_no_state_is_said(tmp_path):
    path = tmp_path / "trainer_state.json"
    for text, said in (("{", "not JSON"), ("[]", "log_history"), ('{"log_history": []}', "no numbers")):
        path.write_text(text)
        with pytest.raises(InputError, match=said):
            read_metrics(path)
