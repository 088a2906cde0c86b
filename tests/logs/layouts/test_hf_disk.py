"""Data sets of Hugging Face on disk: shards and splits, as `datasets` itself writes them."""

import json

import pytest

from grpo_prm.errors import InputError
from grpo_prm.logs import collect

ROWS = [{"step": s, "group": g, "tokens": [s, g, k], "reward": k / 2} for s in (1, 2) for g in (0, 1) for k in range(4)]


def saved(folder, rows=ROWS, **options):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(rows).save_to_disk(str(folder), **options)
    return folder


def test_shards_are_one_run(tmp_path):
    done = collect(saved(tmp_path / "rollouts_of_mine", num_shards=3))
    assert done.table.select("step", "tokens", "reward").rows() == [(r["step"], r["tokens"], r["reward"]) for r in ROWS]
    assert set(done.table["run"]) == {"rollouts_of_mine"} and len(done.files) == 3


def test_splits_of_training_and_evaluation_are_apart(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {"train": ROWS, "test": [{**row, "step": 9} for row in ROWS]}
    splits = datasets.DatasetDict({name: datasets.Dataset.from_list(of_split) for name, of_split in rows.items()})
    splits.save_to_disk(str(tmp_path / "all"))
    done = collect(tmp_path / "all")
    assert set(done.table["step"]) == {1, 2} and any("evaluations are no training rollouts" in n for n in done.notes)
    assert set(collect(tmp_path / "all" / "test").table["step"]) == {9}


def test_a_shard_that_is_missing_is_said(tmp_path):
    folder = saved(tmp_path / "rollouts", num_shards=2)
    next(folder.glob("data-00001*")).unlink()
    with pytest.raises(InputError, match=r"data-00001-of-00002\.arrow: no such file, but state\.json beside it"):
        collect(folder)


@pytest.mark.parametrize(
    "state", ["{", "[" * 100_000, "[]", '{"_data_files": [{"filename": "../a.arrow"}]}', '{"_data_files": 1}']
)
def test_a_state_that_names_no_files_of_the_folder(tmp_path, state):
    folder = saved(tmp_path / "rollouts")
    assert json.loads((folder / "state.json").read_text())
    (folder / "state.json").write_text(state)
    with pytest.raises(InputError, match=r"state\.json: .*Save .* again with save_to_disk"):
        collect(folder)
