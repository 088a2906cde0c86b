"""The registry of statistics is whole: every entry has words, an oracle, and a place wherever statistics are shown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import oracle
import polars as pl
import pytest
from canonical import batch_of
from compare.invented import folder, log
from grpo_prm_cli.train_view import SHOWN
from oracle_sets import Row

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.statistics import OF_GROUPS, OVERLAP, PERMUTED, STATISTICS, SUMMARY, in_section
from grpo_prm.compare.comparison import as_json, compare
from grpo_prm.compare.difference import COMPARED
from grpo_prm.compare.latex_tables import latex_table
from grpo_prm.compare.tables import side_by_side
from grpo_prm.report.trend import trend
from grpo_prm.text.amounts import interval
from grpo_prm.text.cells import BESIDE, entry
from grpo_prm.text.latex import tex
from grpo_prm.text.summary_latex import rows as latex_rows
from grpo_prm.text.wording import Rows, sections

ROOT = Path(__file__).parents[2]
SUMMARISED = [one for section in SUMMARY for one in in_section(section)]


def traced(made):
    """The log with log-probabilities and an outcome that never changes."""
    rng = np.random.default_rng(0)
    return [
        (run, step, key, [replace(row, logprobs=(-rng.random(5)).tolist(), parts={"right": 0.0}) for row in rows])
        for run, step, key, rows in made
    ]


@pytest.fixture(scope="module")
def analysis():
    """Groups of 8 with two rewards, log-probabilities, an outcome and prompts of ids: every statistic can be had."""
    batch = batch_of(traced(log(k=8, prompts=3, steps=range(8))))
    table = batch.table.with_columns(prompt="[" + pl.col("group").cast(pl.String) + ", 3]")
    return analyze([batch._replace(table=table)], Options(outcome="right"))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs")
    return compare([folder(path / f"{n}.prm", traced(log(k=8, run=n, seed=ord(n)))) for n in "ab"])


@pytest.mark.parametrize("one", STATISTICS.values(), ids=list(STATISTICS))
def test_an_entry_is_well_formed(one):
    assert STATISTICS[one.name] is one and one.label and one.reason_when_null
    assert one.definition[0] in "abcdefghijklmnopqrstuvwxyzΣ" and not one.definition.endswith((".", ";"))
    assert one.power is None or (one.name.endswith(f"_{one.power:g}") and not one.key.endswith(f"{one.power:g}"))
    assert one.share == bool(re.search("the (share|probability)", one.definition))
    assert one.null == "none" or one.null in BESIDE
    assert (one.name in OF_GROUPS) == (one.section != "comparison")
    assert not one.headline or one.over_training


def test_no_label_stands_twice():
    titles = [one.title for one in STATISTICS.values()]
    assert len(set(titles)) == len(titles)


def test_the_summary_has_every_statistic_with_its_null_and_nothing_is_null(analysis):
    for one in SUMMARISED:
        value = entry(analysis.summary, one)
        assert value is not None, one.name
        assert ("null_mean" in value) == (one.null == "permutation"), one.name
        assert (one.name in analysis.summary["baseline"]) == (one.null == "cross-prompt"), one.name
    assert tuple(analysis.summary["baseline"]) == OVERLAP


def test_every_statistic_of_the_summary_has_an_oracle():
    """`test_summary` compares what the oracle has; here: the oracle has everything."""
    one_group = [("a", 0, "p", [Row([1, 2], reward=1.0), Row([1, 3], reward=0.0), Row([4], reward=0.0)])]
    expected = oracle.summary(one_group)
    for one in SUMMARISED:
        if one.section == "informativeness":
            assert "observed" in expected["informativeness"]
        else:
            value = expected[one.section][one.key]
            assert one.power is None or f"{one.power:g}" in value


def test_the_training_table_has_every_statistic_of_groups_with_its_null(analysis):
    table = analysis.training
    for one in (STATISTICS[name] for name in OF_GROUPS):
        of_one = table.filter(statistic=one.name)
        assert len(of_one) == 8 and of_one["mean"].count() == 8, one.name
        assert (of_one["null_mean"].count() > 0) == (one.null == "permutation"), one.name
        assert (table["statistic"] == f"baseline_{one.name}").any() == (one.null == "cross-prompt"), one.name
    assert set(table["statistic"]) == {*OF_GROUPS, *(f"baseline_{name}" for name in OVERLAP)}


def test_without_a_statistic_there_is_no_null_of_it_over_training():
    """Two rewards and groups of 4: certain share cannot be had, and its permutations would say 0."""
    table = analyze([batch_of(log(k=4, steps=range(2)))]).training.filter(statistic="certain_share")
    assert len(table) == 2 and table["mean"].count() == table["null_mean"].count() == 0


def test_the_permutations_table_has_every_statistic_that_is_read_beside_it(analysis):
    assert set(analysis.permutations.columns) == {"permutation", *PERMUTED}


def test_the_screen_has_every_statistic_with_value_and_definition(analysis):
    parts = [part for _, body in sections(analysis.summary) for part in body]
    text = "\n".join(part for part in parts if isinstance(part, str))
    table = {row[0]: row[1:] for part in parts if isinstance(part, Rows) for row in part.rows}
    for one in SUMMARISED:
        value = entry(analysis.summary, one)
        shown = interval(value, share=one.share)
        assert f"{one.label}: {one.definition}." in text, one.name
        assert shown in table[one.label if one.power is not None else one.title], one.name
        if one.null == "permutation":
            assert interval(value, share=one.share, null=True) in table[one.title], one.name


def test_the_screen_says_why_a_statistic_is_missing():
    """Equal rewards and nothing shared: whatever is null has its reason."""
    summary = analyze([batch_of([("a", 0, "p", [Row([], reward=1.0), Row([], reward=1.0)])])]).summary
    missing = [one for one in SUMMARISED if entry(summary, one) is None]
    assert {one.name for one in missing} >= {"informativeness", "suppressed_good", "update_norm_1", "certain_share"}
    text = "\n".join(part for _, body in sections(summary) for part in body if isinstance(part, str))
    for one in missing:
        assert summary["notes"][one.key] in (one.reason_when_null, summary["notes"]["certain_share"]), one.name
        # A log without log-probabilities or reward parts has no section about them.
        optional = one.section in ("sharing", "teaching", "logprobs")
        assert optional or summary["notes"][one.key] in text, one.name


def test_the_latex_table_has_every_statistic(analysis):
    table = {row.metric.removesuffix(" (%)"): row for row in latex_rows(analysis.summary)}
    assert list(table) == [one.title for one in STATISTICS.values() if one.section in SUMMARY]
    for one in SUMMARISED:
        row, value = table[one.title], entry(analysis.summary, one)
        assert row.value == interval(value, share=one.share, sign=False).split(" [")[0]
        assert row.metric.endswith(" (%)") == one.share and bool(row.p) == ("p_value" in value)
        assert bool(row.null) == (one.null != "none"), one.name
    assert not table["mean |A|"].interval


def test_a_comparison_has_every_statistic_that_can_be_compared(compared):
    assert set(COMPARED) == {name for name, one in STATISTICS.items() if one.kind}
    assert set(as_json(compared)["statistics"]) == set(COMPARED) == set(compared.table["statistic"])
    labels, latex = [row[0] for row in side_by_side(compared).rows], latex_table(compared)
    for name in COMPARED:
        label = STATISTICS[name].title.replace("@m", f"@{compared.compared.m}")
        assert label in labels and tex(label) in latex


def test_a_statistic_over_training_is_in_the_report_and_the_live_view_and_headlines_in_the_figure(analysis, compared):
    over_training = {one.name: one for one in STATISTICS.values() if one.over_training}
    charts = {chart["name"]: chart for chart in trend(analysis.training)}
    assert set(charts) == {one.title for name, one in over_training.items() if name in OF_GROUPS}
    for one in over_training.values():
        assert SHOWN[one.name] == one.title
        if one.title in charts:
            assert charts[one.title]["share"] == one.share and charts[one.title]["beside"] == BESIDE.get(one.null)
    headlines = [name for name, one in STATISTICS.items() if one.headline]
    assert compared.training["statistic"].unique(maintain_order=True).to_list() == headlines


def table_rows(page):
    """Cells of the rows of all tables of a page, with their escapes undone."""
    lines = [line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_page_of_numbers_has_every_statistic_with_label_and_definition():
    found = {row[0]: (row[1], row[2].removesuffix(" (ours)")) for row in table_rows("docs/numbers.md") if len(row) == 3}
    for one in STATISTICS.values():
        assert found.get(f"`{one.key}`") == (one.label, one.definition), one.name
    assert len(found) == len({one.key for one in STATISTICS.values()}) + 2  # and the head and its line


def test_the_readme_explains_every_number_of_the_screen():
    explained = [row[0] for row in table_rows("README.md")]
    for one in SUMMARISED:
        assert any(one.label in cell for cell in explained), one.label
