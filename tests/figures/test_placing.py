"""Figures of a folder are replaced all at once, and nothing else in it is touched."""

import polars as pl
import pytest
from matplotlib.figure import Figure

from grpo_prm.figures.placing import all_at_once
from grpo_prm.figures.saving import save_figure


def drawn(folder, number, formats=("svg",), names=("one", "two")):
    for name in names:
        figure = Figure()
        figure.subplots().plot([0, number])
        save_figure(figure, pl.DataFrame({"x": [number]}), folder, name, formats, caption=f"{number}", dpi=20)


def drawn_and_full(out, number):
    with all_at_once(out) as new:
        drawn(new, number, names=["one"])
        raise OSError("full")


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_failure_between_two_figures_leaves_all_as_it_was(tmp_path):
    out = tmp_path / "plots"
    with all_at_once(out) as new:
        drawn(new, 1)
    (out / "notes.csv").write_text("mine")
    before = content(out)
    with pytest.raises(OSError, match="full"):
        drawn_and_full(out, 2)
    assert content(out) == before and len(before) == 7


def test_where_nothing_was_there_nothing_is_left(tmp_path):
    with pytest.raises(OSError, match="full"):
        drawn_and_full(tmp_path / "new" / "plots", 1)
    assert list(tmp_path.iterdir()) == []


def test_new_figures_stand_beside_others_and_old_ones_of_another_format_go_with_their_data(tmp_path):
    out = tmp_path / "plots"
    with all_at_once(out) as new:
        drawn(new, 1)
    (out / "one.md").write_text("mine")
    two = {name: text for name, text in content(out).items() if name.startswith("two")}
    with all_at_once(out) as new:
        drawn(new, 2, ["png"], ["one"])
    found = content(out)
    assert sorted(found) == ["one.csv", "one.md", "one.png", "one.txt", "two.csv", "two.svg", "two.txt"]
    assert found["one.txt"] == b"2\n" and found["one.md"] == b"mine" and two.items() <= found.items()
