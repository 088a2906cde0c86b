"""What is said before the numbers of a comparison: what is compared, and whether the runs are of one task at all."""

import polars as pl
import pytest
from compare.invented import folder, log

from grpo_prm.compare.comparison import as_json, compare
from grpo_prm.compare.tables import runs_sheet


def test_runs_of_other_prompts_are_not_compared_without_a_word(tmp_path):
    """Nor runs with rewards on another scale; those of one task and scale have nothing said."""
    one = folder(tmp_path / "a.prm", log(range(2), prompts=30))
    same = folder(tmp_path / "b.prm", log(range(2), prompts=30, seed=1, run="same"))
    columns = {"prompt": "Other " + pl.col("group_key"), "reward": pl.col("reward") * 1000}
    other = folder(tmp_path / "c.prm", log(range(2), prompts=30, seed=2, run="other"), columns=columns)
    assert compare([one, same]).header[1:] == ("60 prompts in common, of 60 of run and 60 of same.",)
    found = compare([one, same, other])
    said = " ".join(found.header)
    assert (
        "0 prompts in common with run: other. Nothing in the logs shows that the rewards are of the same task" in said
    )
    assert "Rewards are not on one scale: run from 0 to 1, other from 0 to 1,000. Their" in said
    assert as_json(found)["notes"][: len(found.header) - 1] == list(found.header[1:])


def test_new_prompts_of_a_task_that_both_name_are_of_the_same_task(tmp_path):
    columns = {"prompt": "What is " + pl.col("group_key") + "?", "task": pl.lit("sums")}
    first = folder(tmp_path / "a.prm", log(range(2), prompts=9), columns=columns)
    columns |= {"prompt": "Other " + pl.col("group_key")}
    other = folder(tmp_path / "b.prm", log(range(2), prompts=9, run="b"), columns=columns)
    assert "0 prompts in common" not in " ".join(compare([first, other]).header)


@pytest.mark.parametrize(
    ("rewards", "apart"), [((0.2, 0.9), False), ((1.0, 1.0), False), ((2.0, 3.0), True), ((-50.0, 50.0), True)]
)
def test_a_part_of_the_same_range_is_on_its_scale(tmp_path, rewards, apart):
    one = folder(tmp_path / "a.prm", log(range(2)))
    other = folder(tmp_path / "b.prm", log(range(2), run="b", rewards=rewards))
    assert ("Rewards are not on one scale" in " ".join(compare([one, other]).header)) == apart


def test_it_is_said_why_numbers_are_others_than_alone(tmp_path):
    """The steps in common, and completions of the smaller groups; else nothing."""
    long, short = log(range(30)), log(range(24), run="b")
    one, other = folder(tmp_path / "a.prm", long), folder(tmp_path / "b.prm", short)
    assert "A run's numbers change with the runs beside it: only what they have in common counts (steps)." in (
        compare([one, other]).header
    )
    large = folder(tmp_path / "c.prm", log(range(24), run="c", k=6))
    assert "overlap and pass@m are of 4 completions a group." in " ".join(compare([other, large]).header)
    again = folder(tmp_path / "d.prm", log(range(24), run="d"))
    assert "change with the runs beside it" not in " ".join(compare([other, again]).header)


def test_the_interval_of_a_run_is_one_whatever_its_place(tmp_path):
    """Problems of each run on its own: as the first, the second or the third."""
    made = [
        folder(tmp_path / f"{run}.prm", log([n], prompts=25, seed=n, run=run), prompts=False)
        for n, run in enumerate("abc")
    ]
    seen = set()
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0]):
        found = compare([made[n] for n in order])
        assert found.common.by == "none"
        seen.add(found.table.filter(statistic="path_depth", run="a").select("mean", "low", "high").row(0))
    assert len(seen) == 1


def test_a_log_without_steps_has_none_logged(tmp_path):
    one = folder(tmp_path / "a.prm", log([None], prompts=4))
    other = folder(tmp_path / "b.prm", log(range(3), run="b"))
    found = compare([one, other])
    assert "Runs differ in length (run no steps logged, b 3 steps)." in found.notes
    assert [row[1] for row in runs_sheet(found).rows] == ["-", "3"]
