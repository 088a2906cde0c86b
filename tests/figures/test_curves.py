"""The curves of a run draw the numbers of its table and nothing else."""

from __future__ import annotations

import polars as pl
import pytest

from grpo_prm.figures import save, training_curves

SCHEMA = {"run": pl.String, "step": pl.Int64, "statistic": pl.String, "series": pl.String}
NUMBERS = dict.fromkeys(("mean", "low", "high"), pl.Float64)


def table(steps, *names):
    rows = [("a.run", n, name, "observed", n / 10, None, None) for name in names for n in range(steps)]
    rows.append(("a.run", 0, "accuracy", "held_out", 0.25, 0.2, 0.3))
    return pl.DataFrame(rows, schema=SCHEMA | NUMBERS, orient="row")


def test_every_metric_that_is_there_has_a_panel_with_its_numbers():
    figure = training_curves(table(6, "reward", "accuracy", "entropy"))
    assert [panel.get_title(loc="left") for panel in figure.axes] == [
        "mean reward", "accuracy", "entropy of the policy (nats per token)",
    ]  # fmt: skip
    for panel in figure.axes:
        drawn = [line.get_ydata() for line in panel.lines if len(line.get_ydata()) == 6]
        assert any(list(y) == pytest.approx([n / 10 for n in range(6)]) for y in drawn)


@pytest.mark.parametrize("steps", [1, 2, 400])
def test_it_is_written_with_its_data(tmp_path, steps):
    given = table(steps, "reward", "accuracy", "amplification")
    save({"training_curves": given}, tmp_path)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".pdf", ".png"]
    assert pl.read_csv(tmp_path / "training_curves.csv").height == given.height
