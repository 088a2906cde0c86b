"""A figure that cannot be drawn costs that figure alone: numbers and other figures are written, and it is named."""

import json
import subprocess
import sys

import pytest

import grpo_prm
from grpo_prm.errors import FigureError
from grpo_prm.figures import FIGURES
from grpo_prm.figures.plotting import TABLE, draw, plot

ROWS = [
    {"step": step, "group": g, "tokens": [1, i % 3, i], "reward": float(i % 2), "sample": i}
    for step in range(2)
    for g in "abc"
    for i in range(4)
]
BROKEN = "informativeness"
WHOLE = FIGURES[BROKEN]
OTHERS = {name for name in FIGURES if name != BROKEN}
FEW = {"overlap_by_k"}


@pytest.fixture
def broken(monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("no such\nbin")

    before = dict(FIGURES)
    monkeypatch.setitem(FIGURES, BROKEN, WHOLE._replace(draw=fail))
    for name in OTHERS - FEW:
        del FIGURES[name]
    yield
    monkeypatch.undo()
    FIGURES.clear()  # their order is that of captions and messages, and must come back too
    FIGURES.update(before)


def drawn(folder):
    return {path.stem for path in folder.glob("*.png")}


def test_without_a_place_for_it_the_error_is_raised(tmp_path, broken):
    with pytest.raises(ZeroDivisionError):
        draw([grpo_prm.analyze(ROWS)], tmp_path, select=[BROKEN])


@pytest.mark.slow
@pytest.mark.parametrize("part", ["draw", "table", "caption"])
def test_all_else_is_saved_and_the_summary_names_it(tmp_path, broken, monkeypatch, part):
    monkeypatch.setitem(FIGURES, BROKEN, WHOLE._replace(**{part: FIGURES[BROKEN].draw}))
    analysis = grpo_prm.analyze(ROWS)
    with pytest.warns(RuntimeWarning, match=f"1 figure could not be drawn: {BROKEN} "):
        folder = analysis.save(tmp_path / "x.prm")
    assert drawn(folder / "figures") == FEW and (folder / "figures" / TABLE).exists()
    notes = json.loads((folder / "summary.json").read_text())["notes"]
    assert notes[f"figures.{BROKEN}"] == "could not be drawn (ZeroDivisionError: no such bin)"
    with pytest.raises(FigureError, match=BROKEN):
        plot([folder], tmp_path / "again")
    assert drawn(tmp_path / "again") == FEW


@pytest.mark.slow
def test_analyze_ends_with_1_when_all_else_is_done(tmp_path):
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    breaks = (
        "import sys; from grpo_prm.figures import FIGURES; from grpo_prm_cli.main import main; "
        "import grpo_prm_cli.drawing as drawing; drawing.cores = lambda: 1; "  # or another process draws it, whole
        f"FIGURES[{BROKEN!r}] = FIGURES[{BROKEN!r}]._replace(draw=lambda *a, **k: 1 / 0); main()"
    )

    def run(*options):
        command = [sys.executable, "-c", breaks, "analyze", "log.jsonl", *options]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = run("--json")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"Note: 1 figure could not be drawn: {BROKEN} (ZeroDivisionError" in done.stderr
    assert drawn(tmp_path / "log.prm" / "figures") == OTHERS
    assert json.loads(done.stdout) == json.loads((tmp_path / "log.prm" / "summary.json").read_text())
    assert f"figures.{BROKEN}" in json.loads(done.stdout)["notes"]
    assert run("--no-figures").returncode == 0
