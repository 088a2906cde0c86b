"""The section `state_sharing` and the table of states, from a log to the screen."""

from __future__ import annotations

import json
import math

import numpy as np
import oracle_states
import pytest
from analysis.test_any_order import a_log
from canonical import batch_of
from hypothesis import given, settings
from oracle_rewards import analysed, tolerance
from oracle_sets import Row, mean, present, ratio
from polars.testing import assert_frame_equal
from strategies import logs

import grpo_prm
from grpo_prm import Options, ReadOptions
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.folder import read_folder
from grpo_prm.analysis.write import analysis_folder, write_tables
from grpo_prm.errors import UsageError
from grpo_prm.text.parts import states

BY_STATE = Options(share="state")
NOTHING_READ = [("a", 0, "p", [Row([n, 1], [True, True], float(n)) for n in range(3)])]
ONE_TURN = [("a", 0, "p", [Row([9, n, 1, 9], [False, True, True, False], float(n)) for n in range(3)])]


@pytest.mark.slow
@settings(max_examples=15)
@given(logs(mask="role", max_groups=5, min_k=2, max_k=4, length=9))
def test_statistics_and_table_by_the_definition(log):
    groups = analysed(log)
    found = [
        (one, {o for i in range(len(one.rows)) for o, _ in oracle_states.turns(one.rows, i)[1:]}) for one in groups
    ]
    if not groups:
        return
    tables = analyze(batch_of(log), BY_STATE)
    section, table = tables.summary["state_sharing"], tables.states.collect()
    shared = [(one, oracle_states.passed(one.rows, o)) for one, seen in found for o in seen]
    shared = [(one, members) for one, members in shared if len(members) > 1]
    assert sorted(zip(table["group_key"], table["size"], strict=True)) == sorted((g.key, len(s)) for g, s in shared)
    expected = sorted(mean(g.rewards[j] for j in members) for g, members in shared)
    assert sorted(table["reward"]) == pytest.approx(expected)
    if not any(seen for _, seen in found):
        assert section is None and tables.summary["notes"]["state_sharing"]
        return
    assert (section["states"], section["shared_states"]) == (sum(len(seen) for _, seen in found), len(shared))
    sums = [oracle_states.group_sums(one) for one in groups]
    for name in ("path_depth", "intermediate_proportion", "shared_proportion"):
        of_groups = mean(present(one[name] for one in sums))
        assert (section[name] or {}).get("mean") == (None if of_groups is None else pytest.approx(of_groups))
    for name, top, bottom in (
        ("mean_step_size", "step_size", "process_steps"),
        ("reliability", "reliable_sum", "squared_sum"),
    ):
        share = ratio(math.fsum(one[top] for one in sums), math.fsum(one[bottom] for one in sums))
        assert (section[name] or {}).get("mean") == (None if share is None else pytest.approx(share, abs=1e-9))
    orders = [oracle_states.pair_order(one.rows, one.rewards, tolerance(one.rewards)) for one in groups if not one.zero]
    share = ratio(sum(right for right, _ in orders), sum(counted for _, counted in orders))
    assert (section["leave_pair_out_auc"] or {}).get("mean") == (None if share is None else pytest.approx(share))


def test_the_table_says_where_a_state_is_read_first():
    group = [
        Row([1, 8, 9, 2], [True, False, False, True], 1.0),
        Row([2, 2, 8, 9, 1], [True, True, False, False, True], 0),
    ]
    (row,) = analyze(batch_of([("a", 0, "p", group)]), BY_STATE).states.collect().iter_rows(named=True)
    assert (row["sample"], row["start"], row["end"], row["visits"], row["tokens"]) == (0, 1, 3, 2, 2)
    assert (row["reward"], row["advantage"]) == (0.5, pytest.approx(0.0, abs=1e-12))


@pytest.mark.slow
def test_everything_else_stays_as_it_was(tmp_path):
    """Without the option nothing of it is there; with it all the other numbers are the same."""
    rows = a_log(1, masked=True)
    plain, asked = (grpo_prm.analyze(rows, options) for options in (None, BY_STATE))
    assert plain.states is None and "state_sharing" not in plain.summary
    assert not [name for name in plain.groups.columns if name.startswith("state_")]
    assert_frame_equal(plain.groups, asked.groups.select(plain.groups.columns))
    assert asked.summary["source"]["options"].pop("share") == "state"
    del asked.summary["state_sharing"], asked.summary["notes"]["state_sharing"]
    assert json.dumps(plain.summary) == json.dumps(asked.summary)


def test_order_and_batches_change_nothing():
    rows = a_log(2, masked=True)
    one = grpo_prm.analyze(rows, BY_STATE, reading=ReadOptions(run="log"))
    order = np.random.default_rng(0).permutation(len(rows))
    other = grpo_prm.analyze([rows[n] for n in order], BY_STATE, reading=ReadOptions(run="log"))
    assert json.dumps(one.summary["state_sharing"]) == json.dumps(other.summary["state_sharing"])
    key = ["run", "step", "group_key", "state"]
    mine, theirs = (a.states.drop("group").collect().sort(key) for a in (one, other))
    assert_frame_equal(mine, theirs, check_exact=True)


@pytest.mark.parametrize(
    ("log", "why"), [(NOTHING_READ, "no token is out of the loss"), (ONE_TURN, "between two turns")]
)
def test_a_log_without_observations_says_why_nothing_is_there(log, why):
    summary = analyze(batch_of(log), BY_STATE).summary
    (sentence,) = states(summary)
    assert summary["state_sharing"] is None and why in sentence


def test_three_sentences_with_the_number_first():
    summary = grpo_prm.analyze(a_log(3, masked=True), BY_STATE).summary
    shared, reliable, ordered = states(summary)
    section = summary["state_sharing"]
    assert shared.startswith(f"{100 * section['shared_proportion']['mean']:.3g} % [")
    assert reliable.startswith(f"{section['reliability']['mean']:.3g}")
    assert (
        ordered.startswith(f"{100 * section['leave_pair_out_auc']['mean']:.3g} % [") and "rewards permuted" in ordered
    )


def test_statistics_that_need_prefixes_are_null_and_said():
    summary = grpo_prm.analyze(a_log(3, masked=True), BY_STATE).summary
    section, note = summary["state_sharing"], summary["notes"]["state_sharing"]
    for name in ("update_norm", "suppressed_good", "identity_gap", "non_trivial"):
        assert section[name] is None and name in note


def test_the_folder_keeps_the_table_and_an_analysis_without_takes_it_away(tmp_path):
    rows = a_log(4, masked=True)[:40]
    for options, there in ((BY_STATE, True), (None, False)):
        tables = analyze(rows, options)
        with analysis_folder(tmp_path / "a", ["log"]) as folder:
            write_tables(tables, folder)
        back = read_folder(tmp_path / "a").states
        assert (back is not None) == there
        assert not there or back.collect().equals(tables.states.collect())


def test_without_anything_to_exchange_there_is_no_null():
    """Three texts that come once, twice and three times: no two of them can trade their rewards."""
    texts = [([1, 8, 2], 0.0, 1), ([2, 8, 3], 1.0, 2), ([3], 0.0, 3)]
    rows = [Row(ids, [n != 8 for n in ids], reward) for ids, reward, often in texts for _ in range(often)]
    auc = analyze(batch_of([("a", 0, "p", rows)]), BY_STATE).summary["state_sharing"]["leave_pair_out_auc"]
    assert (auc["n"], auc["null_mean"], auc["p_value"]) == (1, None, None)


def test_another_kind_of_sharing_is_refused():
    with pytest.raises(UsageError, match=r"share is 'turn'. Choose from prefix, state"):
        grpo_prm.analyze(a_log(0), Options(share="turn"))


def test_equal_answers_of_a_tool_are_states_of_a_chat():
    """Messages with roles: the answer of the tool is the state, the calls before it differ."""

    def chat(question, answer, verdict):
        roles = ("assistant", "tool", "assistant")
        return [{"role": r, "content": c} for r, c in zip(roles, (question, answer, verdict), strict=True)]

    rows = [
        {"prompt": "sum", "completion": chat(f"call {n}", str(n // 2), "so it is"), "reward": float(n < 2)}
        for n in range(4)
    ]
    table = grpo_prm.analyze(rows, BY_STATE).states.collect()
    assert table["size"].to_list() == [2, 2] and sorted(table["reward"]) == [0.0, 1.0]
