"""An output takes the place of what we wrote, of the same input, and of nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from grpo_prm.analysis.ownership import (
    MARK,
    is_analysis,
    is_comparison,
    is_page,
    refuse_another_input,
    refuse_other_page,
    refuse_strangers,
)
from grpo_prm.analysis.write import FIGURES, OURS, SUFFIXES, analysis_folder
from grpo_prm.errors import UsageError
from grpo_prm.figures import FIGURES as DRAWN


def write(out, logs, text="{}", **more):
    """What `analyze` does to a folder, in short."""
    with analysis_folder(out, logs, **more) as folder:
        source = {"files": list(logs), "text": text}
        (folder / "summary.json").write_text(json.dumps({"schema_version": 2, "source": source}))
        (folder / "groups.parquet").write_text(text)


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize(
    "name", ["summary.json", "report.html", "groups.parquet", "figures/decided.csv", "figures/summary.tex", "figures"]
)
def test_a_folder_of_others_with_a_name_of_ours_is_refused_and_stays(tmp_path, name):
    out = tmp_path / "results"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("{}")
    (out / "notes.md").write_text("mine")
    before = content(tmp_path)
    if name == "report.html":  # is not written by an analysis, so it need not be lost
        write(out, ["a.jsonl"])
        assert content(tmp_path).items() > before.items()
        return
    with pytest.raises(UsageError, match="that grpo-prm did not write, and it would be lost"):
        write(out, ["a.jsonl"], overwrite=True)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["notes.md", "figures/mine.pdf", "figures/deep/decided.csv", "train/summary.json"])
def test_files_of_others_are_kept_through_any_number_of_analyses(tmp_path, name):
    out = tmp_path / "results"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    for text in ("one", "two"):
        write(out, ["a.jsonl"], text)
        assert (out / name).read_text() == "mine" and (out / "groups.parquet").read_text() == text
    assert list(tmp_path.iterdir()) == [out]


def test_what_somebody_writes_there_meanwhile_is_kept(tmp_path):
    out = tmp_path / "results"
    with pytest.raises(UsageError, match=r"has a summary\.json"), analysis_folder(out, ["a.jsonl"]):  # noqa: PT012
        out.mkdir()
        (out / "summary.json").write_text("mine")
    assert content(tmp_path) == {"results/summary.json": b"mine"}


def test_a_page_of_ours_goes_with_the_numbers_and_another_page_stays(tmp_path):
    out = tmp_path / "a.prm"
    write(out, ["a.jsonl"])
    for page, stays in (("<title>a: grpo-prm report</title>", False), ("<title>my report</title>", True)):
        (out / "report.html").write_text(page)
        write(out, ["a.jsonl"])
        assert (out / "report.html").exists() == stays


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        (["a.jsonl"], ["a.jsonl"], True), (["a.jsonl"], ["./x/../a.jsonl"], True), (["a.jsonl"], ["b.jsonl"], False),
        (["a.jsonl", "b.jsonl"], ["b.jsonl", "a.jsonl"], True), (["a.jsonl"], ["a.jsonl", "b.jsonl"], False),
        (["a.jsonl", "b.jsonl"], ["a.jsonl"], False), (["s3://b/a"], ["s3://b/a"], True),
        (["s3://b/a"], ["b/a"], False),
        (["-"], ["-"], False), (["/dev/fd/63"], ["/dev/fd/63"], False), (["a.jsonl"], ["-"], False),
        (["rows in memory"], ["rows in memory"], True), (["x/a.jsonl"], ["y/a.jsonl"], False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("marked", [True, False])
def test_an_analysis_of_another_input_is_replaced_if_asked_for(tmp_path, monkeypatch, before, now, same, marked):
    monkeypatch.chdir(tmp_path)
    out = Path("a.prm")
    write(out, before, "old")
    if not marked:  # of an older version, of which only what was read is known
        (out / MARK).unlink()
        same = same or (before == ["a.jsonl"] and now == ["a.jsonl", "b.jsonl"])
    if same:
        write(out, now, "new")
    else:
        with pytest.raises(UsageError, match=r"holds the analysis of .* --overwrite to replace that one"):
            write(out, now, "new")
        assert (out / "groups.parquet").read_text() == "old"
        write(out, now, "new", overwrite=True)
    assert (out / "groups.parquet").read_text() == "new"


def test_a_file_of_one_name_in_another_working_directory_is_another_input(tmp_path, monkeypatch):
    for place in ("x", "y"):
        (tmp_path / place).mkdir()
    monkeypatch.chdir(tmp_path / "x")
    write(tmp_path / "a.prm", ["a.jsonl"])
    refuse_another_input(tmp_path / "a.prm", ["a.jsonl"])
    monkeypatch.chdir(tmp_path / "y")
    with pytest.raises(UsageError):
        refuse_another_input(tmp_path / "a.prm", ["a.jsonl"])
    assert str(tmp_path) not in (tmp_path / "a.prm" / MARK).read_text()  # a folder may be given away


def test_an_older_folder_is_of_a_folder_or_a_glob_that_its_files_lie_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("a.prm"), ["dump/one.jsonl", "dump/two.jsonl"])
    Path("a.prm", MARK).unlink()
    for logs in (["dump"], ["dump/"], ["dump/*.jsonl"], [str(tmp_path)]):
        refuse_another_input(Path("a.prm"), logs)
    for logs in (["dum"], ["dump/one.jsonl"], ["dump/o*.jsonl"]):
        with pytest.raises(UsageError):
            refuse_another_input(Path("a.prm"), logs)


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 10_000, '{"source": 3}', "\0"])
def test_a_summary_that_is_none_of_ours_marks_nothing(tmp_path, text):
    (tmp_path / "summary.json").write_text(text)
    (tmp_path / "groups.parquet").write_text("")
    (tmp_path / "comparison.json").write_text(text)
    assert not is_analysis(tmp_path) and not is_comparison(tmp_path)
    with pytest.raises(UsageError):
        refuse_strangers(tmp_path, OURS, is_analysis)


def test_a_page_is_written_over_a_page_of_ours_alone(tmp_path):
    page = tmp_path / "page.html"
    refuse_other_page(page)
    page.write_text("<!doctype html>\n<title>a: grpo-prm report</title>")
    assert is_page(page)
    refuse_other_page(page)
    page.write_text("<title>thesis</title>")
    with pytest.raises(UsageError, match="no page of grpo-prm, and would be lost"):
        refuse_other_page(page)
    with pytest.raises(UsageError, match="is a folder"):
        refuse_other_page(tmp_path)


def test_every_figure_of_an_analysis_is_known_as_ours():
    assert set(FIGURES) == set(DRAWN)
    assert {f"figures/{name}.{suffix}" for name in DRAWN for suffix in SUFFIXES} <= OURS
