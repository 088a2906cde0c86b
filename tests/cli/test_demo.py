"""The first command of a newcomer: what it writes is an ordinary analysis, and nothing of others is lost."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import polars as pl
import pytest
from grpo_prm_cli.demo import LOG, open_page
from grpo_prm_cli.main import app
from report.pages import without_figures
from typer.testing import CliRunner

import grpo_prm

EXAMPLE = Path(__file__).parents[2] / "examples" / LOG


def run(*arguments):
    return CliRunner().invoke(app, ["demo", *map(str, arguments)])


@pytest.fixture
def quick(monkeypatch):
    """Without figures, in the folder and in the page, which take most of the time and are drawn elsewhere."""
    from grpo_prm_cli import analyze

    whole = analyze.analyze
    monkeypatch.setattr(analyze, "analyze", lambda logs, **options: whole(logs, figures=False, **options))
    with without_figures():
        yield


@pytest.mark.slow
def test_it_leaves_the_log_its_analysis_and_the_page_and_says_what_to_type(quick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run()
    assert done.exit_code == 0, done.output
    assert [entry.name for entry in tmp_path.iterdir()] == ["demo.prm"]
    folder = tmp_path / "demo.prm"
    assert (folder / LOG).read_bytes() == EXAMPLE.read_bytes()
    assert not (folder / LOG).is_symlink()
    groups, theirs = grpo_prm.open(folder).groups, grpo_prm.analyze(EXAMPLE).groups
    numbers = [name for name, kind in theirs.schema.items() if kind.is_numeric()]
    assert groups.select(numbers).equals(theirs.select(numbers)) and len(numbers) > 20
    assert "grpo-prm report</title>" in (folder / "report.html").read_text(encoding="utf-8")
    assert done.stdout.startswith("canonical log, step 0: 768 completions in 48 groups of 16.\nAre the step rewards ")
    said = done.stderr.splitlines()
    assert said[0].startswith("demo.prm/smollm2.jsonl.gz: answers of SmolLM2-135M-Instruct")
    assert [line.split("#")[0].strip() for line in said[-3:]] == [
        "grpo-prm inspect LOG", "grpo-prm analyze LOG", "grpo-prm report NAME.prm",
    ]  # fmt: skip


@pytest.mark.slow
def test_it_may_be_typed_again_and_keeps_what_others_put_there(quick, tmp_path):
    out = tmp_path / "again.prm"
    assert run("--out", out).exit_code == 0
    (out / "notes.txt").write_text("mine")
    before = (out / "summary.json").stat().st_mtime_ns
    assert run("--out", out).exit_code == 0
    assert (out / "notes.txt").read_text() == "mine"
    assert (out / "summary.json").stat().st_mtime_ns > before


def an_analysis(folder):
    folder.mkdir()
    (folder / "summary.json").write_text('{"schema_version": 1}')
    pl.DataFrame({"group": [0]}).write_parquet(folder / "groups.parquet")


def a_file(out):
    out.write_text("mine")


def a_log(out):
    out.mkdir()
    (out / LOG).write_bytes(b"mine")


def a_link_to_nothing(out):
    out.mkdir()
    (out / LOG).symlink_to(out / "gone")


def a_table(out):
    out.mkdir()
    (out / "groups.parquet").write_bytes(b"mine")


def a_page(out):
    out.mkdir()
    (out / "report.html").write_text("<p>mine")


@pytest.mark.parametrize("theirs", [an_analysis, a_file, a_log, a_link_to_nothing, a_table, a_page])
def test_what_is_of_others_is_refused_before_anything_is_written(theirs, tmp_path, monkeypatch):
    out = tmp_path / "demo.prm"
    theirs(out)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    done = run("--out", out)
    assert type(done.exception).__name__ == "UsageError"
    assert "Give --out" in str(done.exception)
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_the_working_directory_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "the folder that you are in" in str(run("--out", ".").exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("display", "opens", "said"), [(":0", True, ""), (":0", False, "There is no desktop"), ("", True, "There is no")]
)
def test_the_page_is_opened_on_a_desktop_only(display, opens, said, tmp_path, monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or opens)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    open_page(tmp_path / "a page.html")
    assert opened == ([(tmp_path / "a page.html").as_uri()] if display else [])
    err = capsys.readouterr().err
    assert err.startswith(said) and bool(err) == bool(said)
