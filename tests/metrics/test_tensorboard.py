"""Event files as torch's SummaryWriter writes them: old scalars and new ones, starts, damage."""

import sys

import numpy as np
import pytest

pytest.importorskip("tensorboard")
from torch.utils.tensorboard import SummaryWriter

from grpo_prm.errors import InputError, UsageError
from grpo_prm.metrics.read import read_metrics


def logged(folder, steps, names=("reward",), of=lambda step: step / 8, **more):
    with SummaryWriter(str(folder)) as writer:
        for step in steps:
            for name in names:
                writer.add_scalar(name, of(step), step, **more)


def only_file(folder):
    (path,) = folder.rglob("*tfevents*")
    return path


def values(found, name="reward"):
    return dict(found.table.filter(metric=name).select("step", "value").iter_rows())


@pytest.mark.parametrize("style", [{}, {"new_style": True}, {"new_style": True, "double_precision": True}])
def test_scalars_of_every_style(tmp_path, style):
    logged(tmp_path, range(5), **style)
    with SummaryWriter(str(tmp_path / "other")) as writer:
        writer.add_text("note", "no number")
    found = read_metrics(tmp_path)
    assert (found.source, found.notes) == ("TensorBoard", ())
    assert values(found) == {step: step / 8 for step in range(5)}


def test_text_and_histograms_are_no_metrics(tmp_path):
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_text("note", "no number", 1)
        writer.add_histogram("weights", np.array([1.0, 2.0]), 1)
        writer.add_scalar("reward", 0.5, 1)
    assert read_metrics(tmp_path).names == ["reward"]


def test_a_run_that_went_on_from_an_earlier_step(tmp_path):
    """Folders as transformers makes them, one a start; the second went on from step 3 and ended before the first."""
    logged(tmp_path / "runs" / "Nov01_host", range(8))
    logged(tmp_path / "runs" / "Nov02_host", range(3, 6), of=lambda step: -step)
    first, second = sorted((tmp_path / "runs").rglob("*tfevents*"), key=lambda path: path.parent.name)
    # the name has the second of the start, which may be the same here
    first.rename(first.with_name("events.out.tfevents.1700000000.host.1.0"))
    second.rename(second.with_name("events.out.tfevents.1700000001.host.1.0"))
    found = read_metrics(tmp_path)
    assert values(found) == {0: 0, 1: 1 / 8, 2: 2 / 8, 3: -3, 4: -4, 5: -5}
    assert "2 event files in Nov01_host and Nov02_host" in found.notes[0] and "Steps 3 to 7" in found.notes[1]


def test_names_are_as_in_trainer_state_where_transformers_wrote_them(tmp_path):
    logged(tmp_path / "hf", range(2), ("train/reward", "eval/reward", "train/epoch", "train/global_step"))
    assert read_metrics(tmp_path / "hf").names == ["epoch", "eval_reward", "reward"]
    logged(tmp_path / "mine", range(2), ("train/reward", "eval/reward"))
    assert read_metrics(tmp_path / "mine").names == ["eval/reward", "train/reward"]


@pytest.mark.parametrize("cut", [1, 20])
def test_a_cut_file_is_read_up_to_there_and_said(tmp_path, cut):
    logged(tmp_path, range(20))
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    found = read_metrics(path)
    assert list(values(found)) == list(range(19)) and "cut or damaged after byte" in found.notes[0]


def test_a_damaged_record_is_said(tmp_path):
    logged(tmp_path, range(20))
    path = only_file(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    found = read_metrics(path)
    assert len(values(found)) < 20 and "cut or damaged after byte" in found.notes[0]


def test_what_cannot_be_read_is_said(tmp_path, monkeypatch):
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_text("note", "no number")
    with pytest.raises(InputError, match="no scalars in 1 event file"):
        read_metrics(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboard.backend.event_processing.event_file_loader", None)
    with pytest.raises(UsageError, match=r"needs tensorboard.*pip install tensorboard"):
        read_metrics(tmp_path)
