"""Several analyses as one: names that differ, units that do not."""

import polars as pl
import pytest
from figures.synthetic import log

from grpo_prm.errors import UsageError
from grpo_prm.figures import FIGURES, figure_tables
from grpo_prm.figures.logs import join_logs
from grpo_prm.figures.plotting import folder_names


def test_runs_of_different_names_keep_them():
    logs = join_logs([log(runs=("a",)), log(runs=("b", "c"))], ["one", "two"])
    assert set(logs.groups.collect()["run"]) == {"a", "b", "c"} and list(logs.summaries) == ["a", "two"]
    assert set(logs.permutations["run"]) == {"a", "two"} and len(logs.permutations) == 2 * 199


def test_where_two_share_a_name_all_are_called_by_their_analysis():
    logs = join_logs([log(), log(), log(runs=("a", "base"))], ["x", "y", "z"])
    assert set(logs.groups.collect()["run"]) == {"x", "y", "z/a", "z/base"} == set(logs.process_steps.collect()["run"])
    assert (
        set(logs.subsamples.collect()["run"])
        == set(logs.training.collect()["run"])
        == set(logs.baseline.collect()["run"])
    )
    assert list(logs.summaries) == ["x", "y", "z"] == logs.permutations["run"].unique(maintain_order=True).to_list()
    assert set(logs.samples["run"]) == {"base"}  # as `--group` calls it
    named = join_logs([log(), log()])
    assert list(named.summaries) == ["log 1", "log 2"]


def test_one_analysis_of_several_runs_has_one_histogram():
    logs = join_logs([log(runs=("a", "b"))])
    assert list(logs.summaries) == ["all runs"] and set(logs.groups.collect()["run"]) == {"a", "b"}


def test_groups_of_two_logs_are_not_one_group():
    """Both number their groups from 0."""
    one, two = log(groups=25), log(groups=25, seed=1)
    both = figure_tables(one, two, names=["x", "y"])
    for name in ("contest_by_depth", "advantage_by_position", "overlap_by_k", "update_by_size", "decided"):
        alone = [figure_tables(analysis)[name].drop("run") for analysis in (one, two)]
        for run, expected in zip("xy", alone, strict=True):
            assert both[name].filter(run=run).drop("run").equals(expected), name
        FIGURES[name].draw(both[name])


def test_what_cannot_be_joined_is_refused():
    pieces = log(runs=("b",))
    pieces.summary["source"]["unit"] = "piece"
    with pytest.raises(UsageError, match=r"x counts tokens, y counts pieces.*--tokenizer"):
        join_logs([log(), pieces], ["x", "y"])
    with pytest.raises(UsageError, match="x: given twice"):
        join_logs([log(), log()], ["x", "x"])
    pieces.summary["source"]["unit"] = "mixed"
    assert join_logs([pieces]).unit == "unit"


def test_folders_are_called_by_as_much_of_their_path_as_tells_them_apart(tmp_path):
    names = [tmp_path / "a" / "log.prm", tmp_path / "b" / "log.prm"]
    assert folder_names(names) == ["a/log", "b/log"]
    assert folder_names([tmp_path / "x.prm", "y"]) == ["x", "y"]
    assert folder_names(["y", "./y"])[0] == folder_names(["y", "./y"])[1]  # one folder: `join_logs` refuses it


def test_tables_of_other_types_are_joined():
    one, two = log(runs=("a",)), log(runs=("b",), steps=(None,), intervals=False)
    two.groups = two.groups.with_columns(pl.lit(None).alias("certain_tokens"))
    assert len(join_logs([one, two]).groups.collect()) == len(one.groups) + len(two.groups)
