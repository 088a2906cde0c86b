"""`grpo-prm plot` on a folder of `analyze`: files, names, refusals; and what `analyze` draws is what `plot` draws."""

import shutil
from pathlib import Path

import polars as pl
import pytest
from typed import run

from grpo_prm.figures import FIGURES, plotting

pytestmark = pytest.mark.slow

CHAIN = Path(__file__).parents[2] / "examples" / "chain.jsonl"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two halves of the example log; the figures of the first."""
    home = tmp_path_factory.mktemp("plot")
    log = pl.read_ndjson(CHAIN)
    halves = (("a", log.filter(pl.col("step") < 32), ()), ("b", log.filter(pl.col("step") >= 32), ("--no-figures",)))
    for name, half, options in halves:
        half.write_ndjson(home / f"{name}.jsonl")
        done = run("analyze", f"{name}.jsonl", *options, cwd=home)
        assert done.returncode == 0, done.stderr
    return home


def test_analyze_draws_all_figures_and_plot_the_same(folders):
    drawn = {path.name for path in (folders / "a.prm" / "figures").iterdir()}
    assert drawn == {f"{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "png", "csv", "txt")} | {
        "summary.tex"
    }
    done = run("plot", "a.prm", "--out", "again", cwd=folders)
    assert done.returncode == 0 and done.stderr == ""
    assert sorted(done.stdout.split()) == sorted(f"again/{name}" for name in drawn)
    for name in drawn:
        assert (folders / "again" / name).read_bytes() == (folders / "a.prm" / "figures" / name).read_bytes(), name
    assert r"\toprule" in (folders / "again" / "summary.tex").read_text()


def test_a_figure_for_a_venue_in_other_formats(folders):
    options = ("--venue", "neurips", "--format", "svg", "--format", "png,svg", "--select", "group_tree,informativeness")
    done = run("plot", "b.prm", *options, "--out", "some", cwd=folders)
    assert done.returncode == 0, done.stderr
    expected = {
        f"{name}.{suffix}" for name in ("group_tree", "informativeness") for suffix in ("svg", "png", "csv", "txt")
    }
    assert {path.name for path in (folders / "some").iterdir()} == expected | {"summary.tex"}
    assert int.from_bytes((folders / "some" / "group_tree.png").read_bytes()[16:20]) == 1650
    assert not (folders / "b.prm" / "figures").exists()  # nothing of the folder is touched


def test_runs_of_one_name_are_called_by_their_folders(folders):
    done = run("plot", "a.prm", "b.prm", "--select", "overlap_over_training", "--out", "two", cwd=folders)
    assert done.returncode == 0, done.stderr
    assert set(pl.read_csv(folders / "two" / "overlap_over_training.csv")["run"]) == {"a", "b"}
    caption = (folders / "two" / "overlap_over_training.txt").read_text()
    assert "a: 80 groups of 8" in caption and "b: 80 groups of 8" in caption
    tex = (folders / "two" / "summary.tex").read_text()
    assert r"\multicolumn{5}{l}{a}" in tex and r"\multicolumn{5}{l}{b}" in tex


def test_the_group_of_the_tree_is_chosen(folders):
    key = (
        pl.read_parquet(folders / "a.prm" / "samples.parquet")
        .filter(pl.col("kind").list.contains("best"))
        .row(0, named=True)
    )
    name = f"{key['step']}:{key['group_key']}"
    run("plot", "a.prm", "--select", "group_tree", "--group", name, "--out", "best", "--format", "png", cwd=folders)
    assert key["group_key"] in (folders / "best" / "group_tree.txt").read_text()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (("a.prm", "--select", "pie"), 2, "No figure is called pie. Choose from overlap_over_training, "),
        (("a.prm", "--format", "gif"), 2, "No figure is written as gif."),
        (("a.prm", "--venue", "nature"), 2, "No venue is called nature. Choose one of column, icml, "),
        (("a.prm", "--group", "1:nobody"), 2, "No group with text is called 1:nobody."),
        (("a.prm", "a.prm"), 2, "given twice"),
        ((".",), 3, "not a folder of grpo-prm analyze"),
        (("a.jsonl",), 3, "not a folder of grpo-prm analyze"),
    ],
)
def test_what_cannot_be_drawn_is_said(folders, args, code, message):
    done = run("plot", *args, "--out", "bad", cwd=folders)
    assert done.returncode == code and done.stdout == "" and message in done.stderr, done.stderr
    assert not (folders / "bad").exists() and len(done.stderr.splitlines()) == 1


def test_figures_go_into_the_folder_unless_told(folders, tmp_path):
    shutil.copytree(folders / "a.prm", tmp_path / "a.prm")
    done = run("plot", "a.prm", "--select", "update_by_size", "--format", "svg", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "a.prm/figures/update_by_size.svg"
    assert (tmp_path / "a.prm" / "figures" / "update_by_size.svg").exists()


def test_figures_of_two_venues_never_stand_in_one_folder(folders, monkeypatch):
    """Some of another venue beside those that stay: refused; all of them: replaced, and said."""
    few = ("overlap_over_training", "update_by_size", "decided")  # as if there were no others
    monkeypatch.setattr(plotting, "FIGURES", {name: FIGURES[name] for name in few})
    first = run("plot", "a.prm", "--venue", "icml", "--format", "svg,png", "--out", "venues", cwd=folders)
    assert first.returncode == 0 and first.stderr == ""
    some = run("plot", "a.prm", "--select", "decided", "--out", "venues", cwd=folders)
    assert some.returncode == 2 and "for icml, and would stand beside column" in some.stderr
    assert "Give --out another folder, or draw all: leave --select out." in some.stderr
    assert not (folders / "venues" / "decided.pdf").exists()
    again = run("plot", "a.prm", "--format", "pdf", "--out", "venues", cwd=folders)
    assert again.returncode == 0
    assert again.stderr == "venues: figures for icml were there; they are replaced\n"
    left = {path.suffix for path in (folders / "venues").iterdir()}
    assert left == {".pdf", ".csv", ".txt", ".tex"}  # svg and png were of the other venue
    alike = run("plot", "a.prm", "--select", "decided", "--format", "png", "--out", "venues", cwd=folders)
    assert alike.returncode == 0 and (folders / "venues" / "decided.pdf").exists()
