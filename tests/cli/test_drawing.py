"""The process that draws beside: the same files as without it, whatever becomes of it."""

from __future__ import annotations

from contextlib import suppress

import grpo_prm_cli.drawing as drawing
import pytest
from grpo_prm_cli.drawing import Drawer, drawer

import grpo_prm
from grpo_prm.analysis.write import write_tables
from grpo_prm.figures import FIGURES

ROWS = [
    {"step": step, "group": g, "tokens": [1, i % 3, i], "reward": float(i % 2), "sample": i}
    for step in range(2)
    for g in "abc"
    for i in range(4)
]
SOME = ("overlap_by_k", "informativeness")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An analysis without figures, and two figures that there are."""
    whole = dict(FIGURES)
    FIGURES.clear()
    FIGURES.update({name: whole[name] for name in SOME})
    monkeypatch.setattr(drawing, "cores", lambda: 2)
    write_tables(grpo_prm.analyze(ROWS), tmp_path)
    yield tmp_path
    FIGURES.clear()
    FIGURES.update(whole)


def drawn(folder):
    return {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}


@pytest.mark.slow
def test_two_processes_draw_what_one_draws(folder):
    with drawer() as two:
        process = two._process
        assert two.draw(folder) == {}
    assert process.returncode is not None
    files = drawn(folder)
    assert {name.partition(".")[0] for name in files} == {*SOME, "summary"}
    for path in (folder / "figures").iterdir():
        path.unlink()
    assert Drawer(None).draw(folder) == {} and drawn(folder) == files


@pytest.mark.slow
@pytest.mark.parametrize("answers", [True, False])
def test_what_it_leaves_is_drawn_here(folder, answers, monkeypatch):
    """It was killed before it was asked, or while it drew."""
    with drawer() as two:
        if answers:
            monkeypatch.setattr(two, "_ask", lambda *_: True)
        two._process.kill()
        two._process.wait()
        assert two.draw(folder) == {}
    assert {name.partition(".")[0] for name in drawn(folder)} == {*SOME, "summary"}


@pytest.mark.slow
def test_what_either_cannot_draw_is_named_in_the_order_of_the_figures(folder, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("no bin")

    with drawer() as two:
        monkeypatch.setattr(two, "_ask", lambda *_: True)
        monkeypatch.setattr(two, "_answer", lambda: {SOME[1]: "as it says"})
        monkeypatch.setitem(FIGURES, SOME[0], FIGURES[SOME[0]]._replace(draw=fail))
        failed = two.draw(folder)
    assert list(failed.items()) == [(SOME[0], "ZeroDivisionError: no bin"), (SOME[1], "as it says")]


def test_it_is_started_for_figures_and_with_two_cores_alone(monkeypatch):
    monkeypatch.setattr(drawing, "_started", lambda: pytest.fail("started"))
    monkeypatch.setattr(drawing, "cores", lambda: 1.5)
    with drawer() as one:
        assert one._process is None
    monkeypatch.setattr(drawing, "cores", lambda: 8)
    with drawer(wanted=False) as one:
        assert one._process is None


def test_it_ends_with_an_error(monkeypatch):
    monkeypatch.setattr(drawing, "cores", lambda: 2)
    with suppress(ZeroDivisionError), drawer() as two:
        process = two._process
        raise ZeroDivisionError
    assert process.returncode is not None
