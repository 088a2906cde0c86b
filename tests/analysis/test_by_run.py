"""Each run of a log of several has the numbers that an analysis of it alone has."""

import polars as pl
import pytest
from canonical import batch_of
from compare.invented import log

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.by_run import HEADLINES, MOST
from grpo_prm.text.wording import doubts, sections


def analysed(made):
    batch = batch_of(made)
    table = batch.table.with_columns(prompt=pl.col("run") + pl.col("group_key"))
    return analyze([batch._replace(table=table)]).summary


def section(summary):
    return dict(sections(summary)).get("What does each run say alone?")


def runs(*prompts):
    """Runs of other sizes and success, so that no two have the same numbers; of the last one rewards are equal."""
    some = [log([0], prompts=n, seed=n, run=f"r{n}", success=lambda *_, n=n: n / 30) for n in prompts]
    return [*some, log([0], prompts=3, run="same", success=lambda *_: 2.0)]


def test_a_run_is_as_if_it_were_the_log():
    made = runs(4, 22, 25)
    together = analysed([group for one in made for group in one])
    assert [one["run"] for one in together["runs"]] == ["r22", "r25", "r4", "same"]
    for one in made:
        alone = analysed(one)
        (found,) = [run for run in together["runs"] if run["run"] == one[0][0]]
        assert found["completions"] == alone["counts"]["completions"] and found["groups"] == alone["counts"]["groups"]
        assert found["reliability"] == alone["credit"]["reliability"]
        assert found["shared_proportion"] == alone["overlap"]["shared_proportion"]
        order = alone["credit"]["leave_pair_out_auc"]
        assert found["leave_pair_out_auc"] == (order and {key: order[key] for key in ("mean", "low", "high", "n")})
        mean = sum(row.reward for *_, group in one for row in group) / found["completions"]
        assert found["reward"]["mean"] == pytest.approx(mean)
        assert (found["reward"]["low"] is None) == (found["groups"] < 20)
        assert "runs" not in alone and section(alone) is None


def test_the_table_has_a_line_a_run_and_says_what_is_of_all_together():
    summary = analysed([group for one in runs(4, 22) for group in one])
    table, said = section(summary)
    assert [row[0] for row in table.rows] == ["r22", "r4", "same"] and len(table.columns) == 3 + len(HEADLINES)
    assert table.rows[1][1:3] == ("16", "4") and table.rows[2][3] == "1" and "[" in table.rows[0][3]
    assert "numbers elsewhere are of all together" in said
    assert "3 runs together, and of one alone they may differ: --full and the page have each" in " ".join(
        doubts(summary)
    )


def test_of_very_many_runs_there_is_none_but_the_way_to_one():
    made = [group for n in range(MOST + 1) for group in log([0], prompts=1, seed=n, run=f"r{n}")]
    summary = analysed(made)
    assert "runs" not in summary and section(summary) is None
    assert "they may differ (grpo-prm compare)" in " ".join(doubts(summary))


def test_a_run_of_groups_of_one_has_nothing_to_say():
    made = log([0], prompts=3, run="a") + log([0], prompts=3, run="alone", k=1)
    assert analysed(made)["runs"][1] == {"run": "alone", "completions": 0, "groups": 0, **dict.fromkeys(HEADLINES)}
