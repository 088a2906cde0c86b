"""The folder of an analysis is whole or as it was, and nothing of others is lost."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import polars as pl
import pytest
from canonical import batch_of
from oracle_sets import Row
from polars.testing import assert_frame_equal

from grpo_prm.analysis import write as module
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.ownership import MARK
from grpo_prm.analysis.tables import TABLES
from grpo_prm.analysis.write import OURS, output_folder, summary_text, write_tables
from grpo_prm.errors import UsageError
from grpo_prm.files import UMASK, _beside
from grpo_prm.scratch import OLD

OLDER = '{"schema_version": 1, "source": {"files": ["log.jsonl"]}}'


def files(folder):
    """Relative path to content of all files below a folder."""
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


def filled(folder):
    """What an earlier analysis and others left behind."""
    (folder / "figures").mkdir(parents=True)
    (folder / "summary.json").write_text(OLDER)
    (folder / "groups.parquet").write_text("old")
    (folder / "rejects.jsonl").write_text("old")
    (folder / "figures" / "decided.pdf").write_text("old")
    return folder


def of_others(folder):
    """What others put in the folder of an analysis."""
    (folder / "notes").mkdir()
    (folder / "notes" / "mine.txt").write_text("mine")
    (folder / "mine.txt").write_text("mine")
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "mine.pdf").write_text("mine")
    return {"figures/mine.pdf": "mine", "mine.txt": "mine", "notes/mine.txt": "mine"}


@pytest.mark.parametrize("out", ["log.prm", "some/folder/log.prm"])
def test_a_folder_appears_when_it_is_whole(tmp_path, out):
    out = tmp_path / out
    with output_folder(out) as folder:
        assert folder.is_dir() and not list(folder.iterdir()) and not out.exists()
        assert folder.parent == out.parent  # the same disk, so that to rename is enough
        (folder / "summary.json").write_text("new")
    assert files(tmp_path) == {str(out.relative_to(tmp_path) / "summary.json"): "new"}
    assert [path.name for path in out.parent.iterdir()] == ["log.prm"]


def test_a_relative_path_is_one_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with output_folder(module.Path("log.prm")) as folder:
        (folder / "summary.json").write_text("new")
    assert files(tmp_path) == {"log.prm/summary.json": "new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("there", [False, True])
def test_on_an_error_everything_is_as_it_was(tmp_path, error, there):
    out = tmp_path / "log.prm"
    if there:
        of_others(filled(out))
    before = files(tmp_path)
    with pytest.raises(error), output_folder(out) as folder:  # noqa: PT012
        (folder / "summary.json").write_text("half")
        raise error
    assert files(tmp_path) == before and out.exists() == there
    assert [path.name for path in tmp_path.iterdir()] == ["log.prm"] * there


def test_an_earlier_analysis_is_replaced_as_a_whole_and_only_at_the_end(tmp_path):
    out = filled(tmp_path / "log.prm")
    mine, before = of_others(out), files(out)
    with output_folder(out) as folder:
        (folder / "summary.json").write_text("new")
        assert files(out) == before
    assert files(out) == {"summary.json": "new", **mine}  # neither rejects.jsonl nor decided.pdf
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_in_the_way_is_named_and_kept(tmp_path):
    out = tmp_path / "log.prm"
    out.write_text("mine")
    with pytest.raises(UsageError, match=r"log\.prm: is a file.*--out"), output_folder(out):
        pass
    assert files(tmp_path) == {"log.prm": "mine"}


def test_a_file_above_is_named_and_kept(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match=r"cannot be written.*--out"), output_folder(tmp_path / "file" / "log.prm"):
        pass
    assert files(tmp_path) == {"file": "mine"}


@pytest.mark.parametrize("what", ["the folder", "beside it"])
def test_where_nothing_may_be_written_it_is_said_before_the_work(tmp_path, monkeypatch, what):
    out = filled(tmp_path / "log.prm")
    before = files(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    if what == "the folder":  # root may write anywhere, so that what the system says is put in its mouth
        monkeypatch.setattr(os, "access", lambda path, mode: (path, mode) != (out, os.W_OK))
    else:
        monkeypatch.setattr("grpo_prm.files.mkdtemp", refuse)
    message = r"log\.prm: cannot be written \(Permission denied\)"
    with pytest.raises(UsageError, match=message), output_folder(out):
        pytest.fail("no work is to be done")
    assert files(tmp_path) == before


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_rename_that_fails_loses_nothing(tmp_path, monkeypatch, failing):
    """A mount point, a signal: whatever goes wrong, a whole analysis is there and so is what others made."""
    out = filled(tmp_path / "log.prm")
    (out / "mine.txt").write_text("mine")
    replace, calls = os.replace, []

    def unsure(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError(16, "Device or resource busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", unsure)
    with pytest.raises(UsageError, match="busy"), output_folder(out) as folder:
        (folder / "summary.json").write_text("new")
    assert [path.read_text() for path in tmp_path.rglob("mine.txt")] == ["mine"]
    assert (out / "summary.json").read_text() in (OLDER, "new")


def test_the_working_directory_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for out in (Path("."), tmp_path, tmp_path / "sub"):
        with pytest.raises(UsageError, match="is the working directory"), output_folder(out):
            pass
    assert files(tmp_path) == {}


def test_a_link_to_a_folder_stays_one(tmp_path):
    out, link = filled(tmp_path / "disk" / "log.prm"), tmp_path / "log.prm"
    (out / "mine.txt").write_text("mine")
    link.symlink_to(out)
    with output_folder(link) as folder:
        (folder / "summary.json").write_text("new")
    assert link.is_symlink() and files(out) == {"summary.json": "new", "mine.txt": "mine"}


def test_the_folder_may_be_read_by_whom_the_umask_lets(tmp_path):
    with output_folder(tmp_path / "log.prm"):
        pass
    (tmp_path / "plain").mkdir()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o777 & ~UMASK}


LOG = [
    ("a", 0, "p", [Row([7, 1], reward=1.0), Row([7, 2], reward=0.0), Row([5], reward=0.5)]),
    ("λ", None, "q", [Row([7], reward=1.0), Row([7], reward=1.0)]),
]


def test_every_table_is_written_as_it_is(tmp_path):
    analysis = analyze([batch_of(LOG)])
    write_tables(analysis, tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert (
        names
        == {*(f"{name}.parquet" for name in TABLES), "rejects.jsonl", "summary.json"}
        == {name for name in OURS if "/" not in name} - {MARK, "chance.parquet", "states.parquet"}
    )
    for name in TABLES:
        table = getattr(analysis, name).lazy().collect()
        assert len(table) or name in ("baseline", "texts")  # all groups are samples
        assert_frame_equal(pl.read_parquet(tmp_path / f"{name}.parquet"), table)
    assert (tmp_path / "rejects.jsonl").read_text() == ""
    text = (tmp_path / "summary.json").read_text(encoding="utf-8")
    assert text == summary_text(analysis) and json.loads(text) == analysis.summary and "λ" in text


def test_rejected_rows_are_one_line_each(tmp_path):
    row = {"file": "log.jsonl", "line": 3, "field": "reward", "reason": "not a number", "raw": '{"reward": "λ'}
    batch = batch_of(LOG)
    batch = batch._replace(rejected=pl.DataFrame([row, row], schema=batch.rejected.schema))
    write_tables(analyze([batch]), tmp_path)
    lines = (tmp_path / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [row, row]


def test_nan_has_no_place_in_a_summary():
    analysis = analyze([batch_of(LOG)])
    analysis.summary["overlap"]["path_depth"] = float("nan")
    with pytest.raises(ValueError, match="JSON"):
        summary_text(analysis)


def test_what_an_earlier_process_was_killed_over_comes_back_with_the_next(tmp_path):
    out = filled(tmp_path / "log.prm")
    old = _beside(out, OLD)  # killed before it had moved the files of others
    mine = of_others(old)
    (old / "summary.json").write_text("older")
    with output_folder(out) as folder:
        (folder / "summary.json").write_text("new")
    assert files(tmp_path) == {f"log.prm/{name}": text for name, text in {"summary.json": "new", **mine}.items()}
