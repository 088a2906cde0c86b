"""Figures in files: the same bytes each time in every format, with data and caption; TeX reads what was meant."""

import re
import shutil
import subprocess
import zlib

import matplotlib as mpl
import polars as pl
import pytest
from figures.synthetic import log, rollouts, worst_groups
from matplotlib.figure import Figure
from polars.testing import assert_frame_equal

from grpo_prm.analysis.ownership import is_figure
from grpo_prm.errors import UsageError
from grpo_prm.figures import FIGURES, FORMATS, VENUES, figure_tables, overlap_by_k, save, save_figure, saving
from grpo_prm.figures.letters import plain
from grpo_prm.figures.saving import _for_tex, _line_for_tex, checked

HOSTILE = "50% of $5_ & #1 ~^{x}\\ <b> 中 λ⏎"
TEX = any(shutil.which(name) for name in saving.TEX)
needs_tex = pytest.mark.skipif(not TEX, reason="pgf measures its text with a TeX")


@pytest.fixture(scope="module")
def tables():
    return figure_tables(log(groups=40))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [*FORMATS[:3], pytest.param("pgf", marks=needs_tex)])
@pytest.mark.parametrize("venue", ["column", "icml"])
def test_equal_tables_give_equal_bytes(tables, tmp_path, suffix, venue):
    state = dict(mpl.rcParams)
    names = tables if venue == "column" and suffix != "pgf" else ("informativeness", "group_tree")
    some = {name: tables[name] for name in names}
    written = save(some, tmp_path / "one", [suffix], venue=venue)
    save(some, tmp_path / "two", [suffix], venue=venue)
    assert dict(mpl.rcParams) == state
    assert sorted(written) == sorted((tmp_path / "one").iterdir())  # no image or part of a file beside them
    for path in written:
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
        assert b"20" + b"26-" not in path.read_bytes()


@pytest.mark.slow
def test_files_hold_the_data_and_text_that_can_be_read(tables, tmp_path):
    written = save(tables, tmp_path, captions=dict.fromkeys(tables, "What λ shows."))
    assert len(written) == 4 * len(FIGURES)
    for name, table in tables.items():
        assert_frame_equal(pl.read_csv(tmp_path / f"{name}.csv", schema=table.schema), table, check_exact=True)
        assert (tmp_path / f"{name}.txt").read_text(encoding="utf-8") == "What λ shows.\n"
        pdf = (tmp_path / f"{name}.pdf").read_bytes()
        stream = rb"FlateDecode[^>]*>>\s*stream\r?\n(.*?)\r?\nendstream"
        streams = [zlib.decompress(s) for s in re.findall(stream, pdf, re.DOTALL)]
        everything = pdf + b"".join(streams)
        assert b"/CIDFontType2" in everything or b"/TrueType" in everything
        assert b"/Type3" not in everything and b"CreationDate" not in everything
        assert b"/Subtype /Image" not in pdf  # nothing that is not sharp at any size


def test_only_what_is_asked_for_is_written(tables, tmp_path):
    drawn = overlap_by_k(tables["overlap_by_k"])
    written = save_figure(drawn, tables["overlap_by_k"], tmp_path, "mine", ["svg"])
    assert [path.name for path in written] == ["mine.svg", "mine.csv"]
    own = Figure().subplots()
    assert save_figure(own.figure, tables["overlap_by_k"], tmp_path, "own", ["png"])[0].exists()
    with pytest.raises(KeyError):
        save({"pie": tables["overlap_by_k"]}, tmp_path)


def test_a_file_is_the_same_alone_and_beside_others(tables, tmp_path):
    drawn = overlap_by_k(tables["overlap_by_k"])
    engine = drawn[0].figure.get_layout_engine()
    for place, formats in (("alone", ["png"]), ("beside", ["svg", "pdf", "png"])):
        save_figure(drawn, tables["overlap_by_k"], tmp_path / place, "mine", formats)
    save({"overlap_by_k": tables["overlap_by_k"]}, tmp_path / "fresh", ["pdf"])
    assert (tmp_path / "alone" / "mine.png").read_bytes() == (tmp_path / "beside" / "mine.png").read_bytes()
    assert (tmp_path / "fresh" / "overlap_by_k.pdf").read_bytes() == (tmp_path / "beside" / "mine.pdf").read_bytes()
    assert drawn[0].figure.get_layout_engine() is engine is not None  # the caller's figure is laid out anew elsewhere


@pytest.mark.parametrize("venue", VENUES)
def test_a_png_is_as_wide_as_its_venue(tables, tmp_path, venue):
    path = save({"overlap_by_k": tables["overlap_by_k"]}, tmp_path, ["png"], venue=venue, dpi=100)[0]
    assert int.from_bytes(path.read_bytes()[16:20]) == pytest.approx(100 * VENUES[venue].width, abs=1)


def test_formats_are_checked_before_anything_is_drawn(tables, tmp_path, monkeypatch):
    assert checked(["png", "pdf", "png"]) == ("png", "pdf")
    with pytest.raises(UsageError, match=r"No figure is written as gif. Choose from pdf, png, svg, pgf."):
        save(tables, tmp_path / "x", ["png", "gif"])
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="pgf needs xelatex to measure its text, and no TeX is installed"):
        save(tables, tmp_path / "x", ["pgf"])
    assert not (tmp_path / "x").exists()


def test_text_for_tex_is_escaped_and_put_back():
    assert _line_for_tex("a_b 5% … é 中") == r"a\_b 5% … é \rule{.5em}{1.4ex}"
    figure = Figure()
    text, label = figure.text(0.5, 0.5, "λ_1\n5 %"), figure.text(0.1, 0.1, plain("$x$"))
    with _for_tex(figure):
        assert label.get_text() == r"\$x\$"
        assert text.get_text() == "$\\lambda$\\_1\n5 %"
    assert text.get_text() == "λ_1\n5 %"


@needs_tex
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="compiles with pdflatex")
def test_pgf_of_a_hostile_log_compiles(tmp_path):
    analysis = log(runs=(HOSTILE, "b"), groups=30)
    analysis.samples = rollouts(HOSTILE, 0, completion=[f"{HOSTILE}1", f"{HOSTILE}2", HOSTILE, "%"], group_key=HOSTILE)
    analysis.summary["defects"]["worst_groups"] = worst_groups()
    tables = figure_tables(analysis, select=["group_tree", "overlap_over_training", "contest_by_depth"])
    save(tables, tmp_path, ["pgf"])
    inputs = "\n\n".join(rf"\input{{{name}.pgf}}" for name in tables)
    page = rf"\documentclass{{article}}\usepackage{{pgf,textcomp}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "page.tex").write_text(page)
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_picture_of_other_data_does_not_stay_beside_new_data(tables, tmp_path):
    table = tables["overlap_by_k"]
    save({"overlap_by_k": table}, tmp_path, ["png"])
    save({"overlap_by_k": table}, tmp_path, ["svg"])  # the same data: both stay
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".svg", ".csv"}
    save({"overlap_by_k": table.head(len(table) - 1)}, tmp_path, ["pdf"])
    assert {path.suffix for path in tmp_path.iterdir()} == {".pdf", ".csv"}


@pytest.mark.parametrize("suffix", FORMATS[:3])
@pytest.mark.parametrize("venue", ["column", "neurips"])
def test_a_figure_says_its_venue(tables, tmp_path, suffix, venue):
    path = save({"overlap_by_k": tables["overlap_by_k"]}, tmp_path, [suffix], venue=venue)[0]
    assert saving.venue_in(path) == venue and is_figure(path)


def test_a_box_of_tex_is_said_in_the_caption(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "_tex", lambda: "xelatex")
    monkeypatch.setattr(saving, "_write", lambda *_: None)
    for label, said in (("中", " In the pgf a black box stands for each letter that not every TeX has."), ("é λ", "")):
        figure = Figure()
        figure.text(0.5, 0.5, label)
        save_figure(figure, tables["overlap_by_k"], tmp_path, "x", ["pgf"], caption="Shown.")
        assert (tmp_path / "x.txt").read_text(encoding="utf-8") == f"Shown.{said}\n"
