"""Which files make up which run."""

import json

import pytest

from grpo_prm.logs import collect
from grpo_prm.logs.layouts.find import find_sources
from grpo_prm.logs.layouts.path_words import step_of_path
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


def test_checkpoints_of_a_run_are_not_looked_into(folder):
    of_trl = ("checkpoint-10/trainer_state.json", "checkpoint-10/global_step10/states.pt")
    ours = ("checkpoints/step_000010/optimizer.pt", "checkpoints/step_000010/tokenizer.json")
    ours += ("model/config.json", "model/model.safetensors", "model/tokenizer.json", "tuned/adapter_config.json")
    root = folder("trl/rollouts/a.parquet", *(f"trl/{name}" for name in (*of_trl, *ours)))
    assert run_files(root / "trl") == [("trl", "a.parquet")]
    (found,) = find_sources([root / "trl"])
    assert found.left_out == (
        "Left out, as hidden, a link, an analysis or a checkpoint: checkpoint-10, checkpoints/step_000010, model and"
        " 1 more.",
    )
    other = folder("eval/checkpoint-10/log.jsonl", "eval/checkpoint-20/log.jsonl")  # only named like one
    assert [name for _, name in run_files(other / "eval")] == ["log.jsonl", "log.jsonl"]
    named = folder("mine/checkpoint-10/optimizer.pt", "mine/checkpoint-10/log.jsonl")  # given itself: as it is
    assert len(run_files(named / "mine" / "checkpoint-10")) == 2


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


def test_what_is_left_out_of_a_folder_is_said(tmp_path):
    for name in ("log.jsonl", ".hidden.jsonl", "_old/log.jsonl"):
        (tmp_path / "test_run" / name).parent.mkdir(parents=True, exist_ok=True)
        rows = [{"step": 1, "group": "a", "completion": f"{name} {i}", "reward": i} for i in (0, 1)]
        (tmp_path / "test_run" / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "test_run" / "link").symlink_to(tmp_path / "test_run" / "_old")
    found = collect([tmp_path / "test_run"])
    assert len(found.table) == 2
    assert "Left out, as hidden, a link, an analysis or a checkpoint: .hidden.jsonl, _old, link." in found.notes


def test_a_word_in_the_name_of_the_run_is_no_split(tmp_path):
    """Rows in a run called test_run are no evaluations beside a file called train_more."""
    run = tmp_path / "test_run"
    run.mkdir()
    for name in ("log", "train_more"):
        rows = [{"step": 1, "group": name, "completion": f"text {i}", "reward": i} for i in (0, 1)]
        (run / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(collect([run]).table) == 4


@pytest.mark.parametrize(
    "folders", [("val_step_1_epoch_0", "train_step_1_epoch_0"), ("validation_data", "rollout_data")]
)
def test_evaluations_beside_training_are_left_out(tmp_path, folders):
    for name in folders:
        (tmp_path / name).mkdir()
        rows = [{"step": 1, "group": "a", "completion": f"{name} {i}", "reward": i} for i in (0, 1)]
        (tmp_path / name / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = collect([tmp_path])
    assert set(found.table["completion"]) == {f"{folders[1]} 0", f"{folders[1]} 1"}
    assert len(collect([tmp_path / folders[0]]).table) == 2  # given alone it is read


def test_shards_of_two_runs_of_open_instruct(tmp_path):
    ids = {"sample_idx": 0, "prompt_tokens": [1], "response_tokens": [2, 3], "advantage": 0.0, "logprobs": None}
    for run in ("a", "b"):
        rows = [{"step": 1, "prompt_idx": 0, **ids, "sample_idx": i, "reward": float(i)} for i in (0, 1)]
        (tmp_path / f"{run}_rollouts_000000.jsonl").write_text(
            "".join(json.dumps(row | {"dataset": run}) + "\n" for row in rows)
        )
    found = collect([tmp_path])
    assert sorted(run.rpartition("/")[2] for run in found.table["run"].unique()) == ["a", "b"]
    assert len(found.table) == 4


def test_a_step_written_with_an_equals_sign():
    assert step_of_path(("step=12",), "part-0") == 12


def test_seeds_and_dates_are_runs_and_ranks_are_none(tmp_path):
    def texts(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            rows = [{"prompt": "p", "completion": f"{name} {i}", "reward": i} for i in (0, 1)]
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
        return collect([tmp_path / names[0].split("/")[0]]).table

    seeds = texts("a/seed1_step500.jsonl", "a/seed2_step500.jsonl")
    assert sorted(seeds["run"].unique()) == ["a/seed1", "a/seed2"] and set(seeds["step"]) == {500}
    named = collect([tmp_path / "a/seed1_step500.jsonl", tmp_path / "a/seed2_step500.jsonl"]).table
    assert named["run"].n_unique() == 2 and named["group"].n_unique() == 2
    dates = texts("b/20241128/log.jsonl", "b/20241129/log.jsonl")
    assert sorted(dates["run"].unique()) == ["b/20241128", "b/20241129"] and set(dates["step"]) == {None}
    starts = texts("c/iter2_baseline/log.jsonl", "c/iter2_ours/log.jsonl")
    assert sorted(starts["run"].unique()) == ["c/iter2_baseline", "c/iter2_ours"]
    ranks = texts("d/rank0/1.jsonl", "d/rank1/1.jsonl")
    assert set(ranks["run"]) == {"d"} and ranks["group"].n_unique() == 1 and len(ranks) == 4


@pytest.mark.parametrize(("names", "said"), [(("k8_step5", "k16_step5"), 1), (("step5_rank0", "step5_rank1"), 0)])
def test_two_files_of_one_step_are_told(tmp_path, names, said):
    for name in names:
        rows = [{"prompt": "p", "completion": f"{name} {i}", "reward": i} for i in (0, 1)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert sum("are both of step 5" in note for note in collect([tmp_path]).notes) == said
