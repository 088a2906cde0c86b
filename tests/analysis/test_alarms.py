"""Alarms: the findings of `analyze` over the same steps, and when they begin and end by the definition, in loops."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from canonical import table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import logs

from grpo_prm.analysis import alarms as module
from grpo_prm.analysis.alarms import LEAST, WINDOW, Alarms
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.findings import CODES, sentence
from grpo_prm.analysis.inputs import fold_input
from grpo_prm.analysis.options import Options
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs.rollouts import SCHEMA, Rollouts
from grpo_prm.logs.stream import merge
from grpo_prm.selftest.logs import LOGS


def canonical(log):
    return fold_input(log.rows, None, lambda batches, _: merge(batches)).table


def steps_of(table):
    return [(step, rows) for (step,), rows in table.group_by("step", maintain_order=True)]


def findings(table, outcome=None):
    found = analyze(Rollouts(table), Options(outcome=outcome)).summary["verdict"]["findings"]
    return {one["code"]: one for one in found}


def same(alarms, expected):
    assert [one.code for one in alarms.now] == list(expected)
    for one in alarms.now:
        assert one.value == pytest.approx(expected[one.code]["value"], rel=1e-11, abs=1e-12)
        plain = expected[one.code] | {"low": None, "high": None}  # an alarm has no range
        assert one.sentence.startswith(f"{sentence(plain)} (")


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGS)
def test_findings_of_a_window_are_those_of_the_report_card_of_its_steps(name):
    log = LOGS[name](groups=64)
    table = canonical(log)
    alarms = Alarms(window=4, outcome=log.outcome)
    for step, rows in steps_of(table):
        alarms.add(step, rows)
    same(alarms, findings(table, log.outcome))


@pytest.mark.slow
def test_steps_that_have_left_the_window_count_no_more():
    """Half of the log is copies, half is not: at each step the numbers are those of its last two steps alone."""
    parts = [canonical(LOGS[name](groups=96)).with_columns(pl.col("step") + 4 * n) for n, name in enumerate(
        ("healthy", "copies", "boilerplate"))]  # fmt: skip
    table = pl.concat(
        [part.with_columns(group=pl.col("group") + 1000 * n) for n, part in enumerate(parts)], how="diagonal"
    )
    steps, alarms = steps_of(table), Alarms(window=2)
    for n, (step, rows) in enumerate(steps):
        alarms.add(step, rows)
        last = pl.concat([rows for _, rows in steps[max(0, n - 1) : n + 1]], how="diagonal")
        expected = findings(last)
        held = {one.code: one.value for one in alarms.now}
        assert set(expected) <= set(held)
        assert [held[code] for code in expected] == pytest.approx([one["value"] for one in expected.values()])


@pytest.mark.slow
@settings(max_examples=75, deadline=None)
@given(logs(), st.booleans())
def test_of_any_step_the_findings_are_those_of_the_report_card(log, outcome):
    """Empty completions, masks, missing rewards, advantages and log-probabilities; judged from one group on."""
    named = "part" if outcome else None
    table = table_of([("a", 0, key, rows) for _, _, key, rows in log])
    if outcome:
        table = table.with_columns(
            pl.when(pl.col("group") != 1).then(pl.col("reward").fill_null(0.0)).alias("reward/part")
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LEAST", 1)
        alarms = Alarms(window=1, outcome=named)
        alarms.add(0, table)
    try:
        expected = findings(table, named)
    except (UsageError, InputError):  # neither rewards nor advantages in some group, or no group of two
        return
    same(alarms, expected)


def step_table(step, groups, k=4, copied=0, run="r", prompts=True):
    """A step in which the first `copied` groups hold one copy each; every other completion has a token of its own."""
    rows = []
    for group in range(groups):
        for sample in range(k):
            own = sample if group >= copied or sample else 1
            rows.append(
                {
                    "run": run,
                    "step": step,
                    "group": step * groups + group,
                    "group_key": f"{step}-{group}",
                    "sample": sample,
                    "prompt": f"question {step}-{group}" if prompts else None,
                    "tokens": [1000 + group, own],
                    "reward": float(sample % 2),
                    "tokens_from": "log",
                }
            )
    return pl.DataFrame(rows, schema=SCHEMA)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 16), min_size=12, max_size=30), st.integers(1, 5))
def test_begin_and_end_by_their_definition(copied, window):
    groups, k = 20, 4
    alarms, told = Alarms(halt_on=["copies"], window=window), []
    for step, number in enumerate(copied):
        told += [one for one in alarms.add(step, step_table(step, groups, k, number)) if one.code == "copies"]
    # The definition, with the number of copies known.
    expected, since, without = [], None, 0
    for step in range(len(copied)):
        last = copied[max(0, step - window + 1) : step + 1]
        share = sum(last) / (len(last) * groups * k)
        if share >= 0.1:
            without = 0
            if since is None:
                since = step
                expected.append((step, True, share))
        elif since is not None:
            without += 1
            if without == window:
                expected.append((step, False, share))
                since = None
    assert [(one.step, one.began) for one in told] == [(step, began) for step, began, _ in expected]
    assert [one.value for one in told] == pytest.approx([share for *_, share in expected])
    assert all(one.halts == one.began for one in told)
    begins = [one.step for one in told if one.began]
    assert all(b - a >= window for a, b in pairwise(begins))


def test_the_sentences():
    alarms = Alarms(window=2)
    told = [one for step in range(6) for one in alarms.add(step, step_table(step, 20, 4, 20 if step < 2 else 0))]
    assert [(one.code, one.step, one.began, one.halts, one.sentence) for one in told] == [
        ("copies", 0, True, False, "25 % of completions are copies in their group: raise the temperature (step 0)"),
        ("copies", 4, False, False, "copies is over: 0 (steps 3 to 4); it began at step 0"),
    ]
    assert alarms.now == []


def test_nothing_is_judged_before_there_are_enough_groups():
    alarms = Alarms()
    told = [alarms.add(step, step_table(step, 2, 4, 2)) for step in range(LEAST)]
    first = next(n for n, changes in enumerate(told) if changes)
    assert first == LEAST // 2 - 1 and told[first][0].code == "copies"
    assert WINDOW * 1 >= LEAST  # a run of one group a step is judged, too


def test_a_finding_goes_on_with_its_latest_number_and_its_first_step():
    alarms = Alarms(window=1)
    for step, number in enumerate((10, 20)):
        alarms.add(step, step_table(step, 20, 4, number))
    (now,) = alarms.now
    assert (now.step, now.value, now.began) == (0, 0.25, True) and "(step 1)" in now.sentence


def test_a_step_may_come_in_several_tables():
    whole, parts = Alarms(window=3), Alarms(window=3)
    for step in range(5):
        table = step_table(step, 20, 4, 4 * step)
        half = len(table) // 2
        for alarms, tables in ((whole, [table]), (parts, [table[:half], table[half:]])):
            for part in tables:
                alarms.add(step, part)
        assert whole.now == parts.now
    assert [one.code for one in whole.now] == ["copies"]
    ends = []
    for step in range(5, 10):  # it ends after three steps without it, not after three tables
        table = step_table(step, 20, 4)
        half = len(table) // 2
        ends += [(step, "whole") for one in whole.add(step, table) if not one.began]
        ends += [(step, "parts") for part in (table[:half], table[half:]) for _ in parts.add(step, part)]
    assert ends == [(8, "whole"), (8, "parts")]


def test_what_a_step_lacks_is_not_judged():
    table = step_table(0, 20, 4, 20)
    bare = table.with_columns(reward=pl.lit(None, pl.Float64))
    assert Alarms(window=1).add(0, bare) == []  # neither rewards nor advantages
    given_only = bare.with_columns(advantage=pl.Series(np.tile([1.0, -1.0, 1.0, -1.0], 20)))
    assert [one.code for one in Alarms(window=1).add(0, given_only)] == ["copies"]
    assert Alarms(window=1).add(0, table.filter(pl.col("sample") == 0)) == []  # groups of one
    assert Alarms(window=1).add(0, table[:0]) == []
    # a group without rewards takes nothing from the others
    some = table.with_columns(reward=pl.when(pl.col("group") > 0).then("reward"))
    alarms = Alarms(window=1)
    assert alarms.add(0, some) == []  # 19 groups are left
    assert [one.code for one in alarms.add(0, step_table(1, 1, 4, 1).with_columns(step=0))] == ["copies"]


def test_a_group_without_an_outcome_has_no_part_in_the_phantom_advantage():
    log = LOGS["format_only"](groups=48)
    known = pl.when(pl.col("group") % 3 > 0).then("reward/answer")
    table = canonical(log).with_columns(known.alias("reward/answer"))
    alarms = Alarms(window=1, outcome="answer")
    alarms.add(0, table)
    assert {one.code: one.value for one in alarms.now}["phantom_advantage"] == pytest.approx(1.0)


def test_the_divisor_is_that_of_the_logged_advantages():
    """Groups of few and of many right answers: the divisor decides how much each of them weighs in the reliability."""
    table = canonical(LOGS["noise"](groups=64))
    plain = (pl.col("reward") - pl.col("reward").mean().over("group")).alias("advantage")
    values = []
    for logged in (table, table.with_columns(plain)):
        alarms = Alarms(window=1)
        alarms.add(0, logged)
        expected = findings(logged.with_columns(step=pl.lit(0, pl.Int64)))["low_reliability"]["value"]
        values.append({one.code: one.value for one in alarms.now}["low_reliability"])
        assert values[-1] == pytest.approx(expected, rel=1e-11)
    assert abs(values[0] - values[1]) > 1e-3


def test_a_code_that_there_is_not_and_a_window_without_a_step_are_refused():
    with pytest.raises(UsageError, match=r"halt_on: no finding is called 'copy'\. Choose from mixed_prompts, .*copies"):
        Alarms(halt_on=["copies", "copy"])
    with pytest.raises(UsageError, match="window is 0"):
        Alarms(window=0)
    Alarms(halt_on=CODES)
    (told,) = Alarms(halt_on="copies").add(0, step_table(0, 20, 4, 20))
    assert told.halts
    with pytest.raises(UsageError, match="no finding is called 'copy'"):
        Alarms(halt_on="copy")


def test_a_step_that_comes_again_later_is_a_new_one_at_the_end():
    """A run that was set back: what was at the end stays until as many steps have come."""
    alarms = Alarms(window=3)
    for step in (10, 11, 12, 4, 5, 6):
        alarms.add(step, step_table(step, 20, 4))
    assert alarms._window.span == (4, 6) and len(alarms._window.groups) == 60


def test_a_table_that_says_nothing_takes_nothing_from_its_step():
    table = step_table(0, 20, 4, 20)
    for nothing in (
        table[:0],
        table.filter(pl.col("sample") == 0),
        table.with_columns(reward=pl.lit(None, pl.Float64)),
    ):
        alarms = Alarms(window=1)
        alarms.add(0, table)
        alarms.add(0, nothing)
        assert len(alarms._window.groups) == 20 and alarms._window.figures().copies == 0.25


def test_a_step_that_is_made_again_inside_the_window_replaces_what_it_was():
    """Set back by two steps, in which all groups held copies: when they are made again nothing of them is left."""
    alarms = Alarms(window=4)
    for step, copied in ((9, 0), (10, 0), (11, 20), (12, 20), (11, 0), (12, 0)):
        alarms.add(step, step_table(step, 20, 4, copied))
    figures = alarms._window.figures()
    assert figures.copies == 0 and len(alarms._window.groups) == 80 and alarms._window.span == (9, 12)
    fresh = Alarms(window=4)
    for step in (9, 10, 11, 12):
        fresh.add(step, step_table(step, 20, 4))
    assert fresh._window.figures() == figures


def test_the_code_of_the_page_runs(capsys):
    page = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, {"rollouts_of": lambda step: step_table(step, 20, 4)})  # noqa: S102 - our own text
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit, match="25 % of completions are copies"):
        exec(code, {"rollouts_of": lambda step: step_table(step, 20, 4, 20)})  # noqa: S102 - our own text
