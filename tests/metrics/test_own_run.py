"""metrics.jsonl of `grpo-prm train`, as its recorder writes it."""

import json

import pytest

from grpo_prm.errors import InputError
from grpo_prm.metrics.own_run import read_own_run
from grpo_prm.metrics.read import read_metrics

LINES = (
    {"step": -1, "held_out": {"mean": 0.25, "low": 0.2, "high": 0.3, "n": 64, "majority": 0.1}},
    {"step": 0, "reward": 0.5, "entropy": 1, "gap": None, "flag": True, "layout": "tree", "time": {"seconds": 2.5}},
    {"step": 1, "reward": 0.75, "entropy": 0.5, "time": {"seconds": 2.0}},
    {"step": 1, "held_out": {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 64, "majority": None}},
)


def written(folder, lines, tail=""):
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return path


def test_numbers_by_step_and_held_out_accuracy_by_updates(tmp_path):
    written(tmp_path, LINES)
    found = read_metrics(tmp_path)
    assert found.source == "metrics.jsonl" and found.notes == ()
    assert found.table.rows() == [
        ("entropy", 0, 1.0, None, None),
        ("entropy", 1, 0.5, None, None),
        ("held_out/accuracy", 0, 0.25, 0.2, 0.3),
        ("held_out/accuracy", 2, 0.5, 0.4, 0.6),
        ("held_out/majority", 0, 0.1, None, None),
        ("reward", 0, 0.5, None, None),
        ("reward", 1, 0.75, None, None),
        ("time/seconds", 0, 2.5, None, None),
        ("time/seconds", 1, 2.0, None, None),
    ]


def test_a_torn_line_and_one_without_a_step_are_counted(tmp_path):
    found = read_own_run(written(tmp_path, [*LINES, {"reward": 1.0}], '{"step": 2, "rew'))
    assert found.notes == ("2 lines without a step, or cut: passed over.",)
    assert found.table.filter(metric="reward")["step"].to_list() == [0, 1]


def test_a_run_that_was_written_on_has_its_last_values(tmp_path):
    found = read_own_run(written(tmp_path, [*LINES, {"step": 1, "reward": 0.875}]))
    assert found.table.filter(metric="reward")["value"].to_list() == [0.5, 0.875]
    assert "Steps 1 to 1" in found.notes[0]


def test_what_the_trainer_records_is_what_is_read(tmp_path):
    pytest.importorskip("torch")
    from grpo_prm.core.interval import Interval
    from grpo_prm.train.config import TrainConfig
    from grpo_prm.train.telling import Telling
    from grpo_prm.train.tracker import Tracker

    quiet = Tracker(lambda _step, _numbers: None, lambda: None)
    telling = Telling(TrainConfig(), lambda _event: None, tmp_path, quiet)
    state = {"best": 1.0}
    telling.accuracy(0, Interval(0.5, 0.4, 0.6, 10), None, state, None, None)
    telling.step(0, {"reward": 0.25}, {"seconds": 1.0}, layout="tree")
    telling.accuracy(1, Interval(0.75, 0.6, 0.8, 10), 0.5, state, None, None)
    assert [row[:3] for row in read_metrics(tmp_path).table.iter_rows()] == [
        ("held_out/accuracy", 0, 0.5),
        ("held_out/accuracy", 1, 0.75),
        ("held_out/majority", 1, 0.5),
        ("reward", 0, 0.25),
        ("time/seconds", 0, 1.0),
    ]


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(InputError, match="no line is a JSON object"):
        read_own_run(written(tmp_path, [{"reward": 1.0}]))
    with pytest.raises(InputError, match="cannot be read"):
        read_metrics(tmp_path / "none.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no metrics.jsonl, trainer_state.json, event files"):
        read_metrics(tmp_path / "empty")
