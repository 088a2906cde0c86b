"""Which files make up which run."""

import pytest

from grpo_prm.logs.layouts.find import find_sources
from grpo_prm.logs.sources import kind_by_name


def run_files(*paths, run=None):
    return [(s.run, s.path.name) for s in find_sources(paths, run)]


@pytest.fixture
def folder(tmp_path):
    def make(*names):
        for n, name in enumerate(names):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("x" * (n + 1))
        return tmp_path

    return make


def test_a_folder_is_one_run_in_numeric_order(folder):
    root = folder("dump/10.jsonl", "dump/9.jsonl", "dump/.hidden.jsonl", "dump/notes.md")
    assert run_files(root / "dump") == [("dump", "9.jsonl"), ("dump", "10.jsonl")]


def test_a_folder_called_completions_is_named_like_the_one_above(folder):
    root = folder("run7/completions/completions_00001.parquet")
    for path in (root / "run7", root / "run7" / "completions"):
        assert run_files(path) == [("run7", "completions_00001.parquet")]


def test_a_run_of_the_trainer_is_its_rollouts(folder):
    root = folder("a.run/metrics.jsonl", "a.run/config.yaml", "a.run/rollouts/step_000000.parquet")
    assert run_files(root / "a.run") == [("a.run", "metrics.jsonl"), ("a.run", "step_000000.parquet")]
    assert run_files(root / "a.run" / "rollouts") == [("a.run", "step_000000.parquet")]
    assert run_files(folder("plain/metrics.jsonl") / "plain") == [("plain", "metrics.jsonl")]


def test_files_are_runs_but_numbered_ones_are_shards(folder):
    root = folder("a.jsonl.gz", "b.jsonl", "part-2.csv", "part-10.csv", "part-1.csv")
    assert run_files(*(root / n for n in ("part-10.csv", "a.jsonl.gz", "part-2.csv", "b.jsonl", "part-1.csv"))) == [
        ("part-10", "part-1.csv"), ("part-10", "part-2.csv"), ("part-10", "part-10.csv"),
        ("a", "a.jsonl.gz"), ("b", "b.jsonl"),
    ]  # fmt: skip
    assert {run for run, _ in run_files(root / "a.jsonl.gz", root / "b.jsonl", run="mine")} == {"mine"}


def test_runs_of_one_name_are_told_apart(folder):
    root = folder("x/log.jsonl", "y/log.jsonl", "y/z/log.jsonl")
    assert [r for r, _ in run_files(root / "x/log.jsonl", root / "y/log.jsonl")] == ["x/log", "y/log"]
    assert [r for r, _ in run_files(root / "x", root / "y")] == ["x", "y", "y/z"]


def test_kinds():
    names = {"a.jsonl": "jsonl", "a.JSON": "json", "a.csv.gz": "csv", "a.parquet": "parquet", "a.gz": None, "a": None}
    for name, expected in names.items():
        assert kind_by_name(__import__("pathlib").Path(name)) == expected
