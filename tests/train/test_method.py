"""What a run trains with, in words: they name its folder, and `analyze` reads them there."""

import os

import polars as pl
import pytest

from grpo_prm.analysis.analyze import analyze
from grpo_prm.logs import ReadOptions, collect
from grpo_prm.logs.sources import METHODS
from grpo_prm.train.config import make_config
from grpo_prm.train.loop import open_folder
from grpo_prm.train.method import method_of
from grpo_prm.train.record import write_rollouts

OWN = {"data": "d.jsonl", "reward": "exact"}


@pytest.mark.parametrize(
    ("flags", "name", "folder"),
    [
        ({}, "λ-GRPO, p = 1", "lambda1-chain.run"),
        ({"power": 0.5, "task": "binary-tree"}, "λ-GRPO, p = 0.5", "lambda0.5-binary-tree.run"),
        ({"power": 0}, "GRPO", "grpo-chain.run"),
        ({"weights": "none"}, "GRPO", "grpo-chain.run"),
        ({"weights": "parent", "power": 0}, "GRPO", "grpo-chain.run"),
        ({"match_norm": True, "power": 0}, "GRPO", "grpo-chain.run"),
        ({"weights": "parent"}, "GRPO with parent weights, p = 1", "parent1-chain.run"),
        ({"weights": "position", "power": 2}, "GRPO with position weights, p = 2", "position2-chain.run"),
        ({"match_scale": True}, "GRPO, loss as small as that of λ-GRPO with p = 1", "match-scale1-chain.run"),
        (
            {"match_norm": True, "power": 0.5},
            "GRPO, gradient as long as that of λ-GRPO with p = 0.5",
            "match-norm0.5-chain.run",
        ),
        ({**OWN, "model": "some/place/mine"}, "λ-GRPO, p = 1", "lambda1-mine.run"),
        ({**OWN, "model": "Qwen/Qwen2.5-1.5B", "power": 0}, "GRPO", "grpo-Qwen2.5-1.5B.run"),
        ({"model": "mine", "task": "chain"}, "λ-GRPO, p = 1", "lambda1-chain-mine.run"),
    ],
)
def test_a_run_is_called_what_it_trains_with(flags, name, folder):
    config = make_config(flags)
    assert (method_of(config).name, config.out) == (name, folder)
    assert make_config(flags | {"out": "a.run"}).out == "a.run"


def test_a_model_in_the_working_directory_gives_its_name(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    assert make_config({**OWN, "model": "."}).out == "lambda1-mine.run"


def run_folder(out, run, step=0, **flags):
    """A run folder with two groups of invented rollouts."""
    folder = open_folder(make_config(flags | {"out": str(out)}), resume=False)
    rows = [
        (run, step, group, f"{group}", sample, [1, group, sample], float(sample))
        for group in (0, 1)
        for sample in (0, 1)
    ]
    names = ["run", "step", "group", "group_key", "sample", "tokens", "reward"]
    write_rollouts(folder, step, pl.DataFrame(rows, names, orient="row").with_columns(tokens_from=pl.lit("log")))
    return folder


def test_the_run_folder_tells_analyze_its_method(tmp_path):
    half, grpo = run_folder(tmp_path / "a", "half", power=0.5), run_folder(tmp_path / "b", "grpo", power=0)
    assert (half / "method.txt").read_text("utf-8") == "λ-GRPO, p = 0.5\n"
    both = {"grpo": "GRPO", "half": "λ-GRPO, p = 0.5"}
    for paths in ([half, grpo], [half / "rollouts", grpo], [*(half / "rollouts").iterdir(), grpo]):
        assert analyze(paths).summary["source"]["methods"] == both
    each = {run: frozenset([method]) for run, method in both.items()}
    assert collect([half, grpo]).methods == each
    # --run reads both folders as one log, but rows that name their own run keep it, and so does its method
    assert collect([half, grpo], ReadOptions(run="one")).methods == each
    assert analyze([collect([half, grpo])]).summary["source"]["methods"] == both
    (half / "method.txt").unlink()
    assert analyze([half, grpo]).summary["source"]["methods"] == {"grpo": "GRPO"}


@pytest.mark.parametrize("other", ["λ-GRPO, p = 1", None])
@pytest.mark.parametrize("again", [False, True])
def test_a_run_from_folders_that_differ_has_no_one_method(tmp_path, other, again):
    """`--run NAME` over several folders, or rows that name one run: nothing is said, in whatever order they come."""
    folders = [run_folder(tmp_path / "a", "one", power=0), run_folder(tmp_path / "b", "one", 1, power=1)]
    if other is None:
        (folders[1] / "method.txt").unlink()
    paths = folders[::-1] if again else folders
    assert "methods" not in analyze(paths).summary["source"]
    assert "methods" not in analyze([collect(paths)]).summary["source"]
    assert "methods" not in analyze(paths, reading=ReadOptions(run="one")).summary["source"]


@pytest.mark.parametrize("power", [1e-5, 0.5, 1, 12.25, 1e20])
@pytest.mark.parametrize(
    "flags", [{}, {"weights": "parent"}, {"weights": "position"}, {"match_scale": True}, {"match_norm": True}]
)
def test_every_method_is_known_again(flags, power):
    assert METHODS.fullmatch(method_of(make_config(flags | {"power": power})).name)


NOT_OURS = ["Notes on this run", "GRPO, which I like", "x" * 200_000, "λ-GRPO, p = " + "1" * 300, "λ-GRPO, p = 1 <b>"]


@pytest.mark.parametrize("content", [None, b"", b"\n\nGRPO", b"\xff\xfe", *map(str.encode, NOT_OURS)])
def test_where_the_folder_says_nothing_nothing_is_said(tmp_path, content):
    folder = run_folder(tmp_path / "a", "a")
    (folder / "method.txt").unlink()
    if content is not None:
        (folder / "method.txt").write_bytes(content)
    assert "methods" not in analyze(folder).summary["source"]


def test_a_pipe_is_not_waited_for(tmp_path):
    folder = run_folder(tmp_path / "a", "a")
    (folder / "method.txt").unlink()
    os.mkfifo(folder / "method.txt")
    assert "methods" not in analyze(folder).summary["source"]


def test_a_text_beside_a_log_is_not_taken_for_a_method(tmp_path):
    folder = run_folder(tmp_path / "a", "a")
    (folder / "rollouts").rename(folder / "mine")
    assert "methods" not in analyze(folder / "mine").summary["source"]
