"""The references of the benchmarks agree with the forest; what they take is not tested."""

import importlib
from pathlib import Path

import numpy as np
import pytest

FOLDER = str(Path(__file__).parents[1] / "benchmarks")


@pytest.fixture
def forest_times(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module("forest_times")


def test_the_references_give_the_sizes_of_the_forest(forest_times):
    rng = np.random.default_rng(0)
    references = forest_times.references()
    assert references[-1].name == "B"
    for shape in ((4, 6, 9), (2, 1, 3), (3, 5, 1), (1, 8, 40)):
        for reference in references:
            forest_times.check(rng.integers(0, 2, shape, dtype=np.int32), reference)
            forest_times.check(forest_times.branching(rng, *shape), reference)
            forest_times.check(forest_times.all_shared(rng, *shape), reference)


def test_a_reference_that_is_wrong_is_found_out(forest_times):
    wrong = forest_times.references()[-1]._replace(weigh=lambda group: [[1.0] * len(row) for row in group])
    with pytest.raises(AssertionError, match="disagree"):
        forest_times.check(np.zeros((1, 2, 3), np.int32), wrong)


def test_the_tables_name_target_and_machine(forest_times, monkeypatch):
    monkeypatch.setattr(forest_times, "ROUNDS", 1)
    monkeypatch.setattr(forest_times, "BUDGET", 0.1)
    text = forest_times.speed_table([(3, 4, 20)]) + forest_times.tail_table([(3, 4, 20)])
    assert text.count("3 x 4 x 20, branching") == len(forest_times.references())
    assert ">= 5: " in text and "<= 0.15: " in text and " core" in text
