"""Every figure is whole and in its place: one file, one record, one name, which calls the drawing."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from grpo_prm import figures
from grpo_prm.figures import FIGURES

FILES = [path.stem for path in Path(figures.__file__).parent.glob("*.py") if "\nFIGURE = " in path.read_text("utf-8")]


def test_every_file_with_a_figure_is_listed():
    assert sorted(FILES) == sorted(FIGURES)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_its_file_and_its_drawing_have_one_name(name):
    figure = FIGURES[name]
    assert figure.name == name == figure.draw.__name__
    assert getattr(figures, name) is figure.draw
    file = import_module(f"grpo_prm.figures.{name}")  # the file, though the package calls its drawing so
    assert file.FIGURE is figure
    assert {figure.table.__module__, figure.draw.__module__, figure.caption.__module__} == {file.__name__}


def test_names_call_drawings_whatever_is_imported_first():
    code = f"""
import sys
from importlib import import_module
files = {[*FILES, "logs", "phrases", "plotting", "series", "training_curves"]!r}
for first in files:
    for name in [name for name in sys.modules if name.startswith("grpo_prm.figures")]:
        del sys.modules[name]
    sys.modules["grpo_prm"].__dict__.pop("figures", None) if "grpo_prm" in sys.modules else None
    for name in (first, *reversed(files)):
        import_module(f"grpo_prm.figures.{{name}}")
    import grpo_prm.figures
    for name, figure in grpo_prm.figures.FIGURES.items():
        assert getattr(grpo_prm.figures, name) is figure.draw, (first, name)
    assert grpo_prm.figures.training_curves.__name__ == "training_curves"
print("done")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "done\n", done.stderr
