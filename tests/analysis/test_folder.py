"""The folder of an analysis is read back as it was written, and what is not one is said."""

from __future__ import annotations

import json

import polars as pl
import pytest
from canonical import batch_of
from oracle_sets import Row
from polars.testing import assert_frame_equal

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.folder import read_folder
from grpo_prm.analysis.tables import TABLES
from grpo_prm.analysis.write import output_folder, write_tables
from grpo_prm.errors import InputError


@pytest.fixture
def written(tmp_path):
    log = [("run", 0, "a", [Row([1, 2, 3], reward=1.0), Row([1, 2, 4], reward=0.0), Row([1, 5], reward=1.0)])]
    analysis = analyze([batch_of(log)])
    with output_folder(tmp_path / "log.prm") as folder:
        write_tables(analysis, folder)
    return analysis, tmp_path / "log.prm"


def test_what_was_left_out_comes_back(written):
    _, path = written
    assert read_folder(path).rejected.collect().is_empty()
    row = {"file": "log.jsonl", "line": 3, "field": "reward", "reason": "not a number", "raw": '{"reward": "λ'}
    (path / "rejects.jsonl").write_text(json.dumps(row) + "\n")
    assert read_folder(path).rejected.collect().to_dicts() == [row]
    (path / "rejects.jsonl").unlink()
    assert read_folder(path).rejected.collect().is_empty()


def rewrite(path):
    """As a version wrote it that did not count unique tokens."""
    pl.read_parquet(path).drop("unique").write_parquet(path)


def test_everything_comes_back(written):
    analysis, path = written
    folder = read_folder(path)
    assert folder.summary == analysis.summary and folder.path == path
    for name in TABLES:
        assert_frame_equal(getattr(folder, name).lazy().collect(), getattr(analysis, name).lazy().collect())


def test_what_a_step_table_and_its_company_hold(written):
    """Three completions, of which two go on together: unique counts a shared token once, tokens for every member."""
    _, path = written
    folder = read_folder(path)
    steps = folder.process_steps.collect()
    assert steps["depth"].to_list() == [0, 1, 2, 2, 1]
    assert steps["tokens"].to_list() == [3, 2, 1, 1, 1] and steps["unique"].to_list() == [1, 1, 1, 1, 1]
    assert len(folder.permutations) == 199 and folder.permutations.columns[0] == "permutation"
    assert folder.subsamples.select("prompt_key", "k", "size").rows() == [("a", 3, 2), ("a", 3, 3)]
    shares = folder.decided.filter(pl.col("axis") == "share").collect()
    # Two of three tokens are common to the first two, one to all: more than .65 of the path, and more than .3 or .45.
    assert shares["pairs"].to_list() == [3] * 10 + [1] * 4 and shares.columns[:3] == ["run", "step", "group"]
    assert folder.subsamples["intermediate_proportion"].to_list()[-1] == pytest.approx((1 / 3 + 1 / 3) / 3)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: (p / "summary.json").unlink(), "not a folder of grpo-prm analyze"),
        (lambda p: (p / "summary.json").write_text("{"), "not JSON"),
        (lambda p: (p / "summary.json").write_text("[]"), "not the summary"),
        (lambda p: (p / "summary.json").write_text(json.dumps({"schema_version": 0})), "another version"),
        (lambda p: (p / "permutations.parquet").unlink(), "permutations.parquet is missing"),
        (lambda p: (p / "groups.parquet").write_bytes(b"PAR1 no PAR1"), "a table cannot be read"),
        (lambda p: rewrite(p / "process_steps.parquet"), "another version"),
    ],
)
def test_other_folders_are_refused_with_what_to_do(written, spoil, said):
    _, path = written
    spoil(path)
    with pytest.raises(InputError, match=said) as error:
        read_folder(path)
    assert "grpo-prm analyze" in str(error.value)
