"""Values that were written again: the last counts, and what a later start gave up is gone."""

import math

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from grpo_prm.metrics.series import Row, made_of, trainer_name


def slow(rows):
    """By hand: for each metric a dict, from which a new session takes away what it writes again or leaves behind."""
    kept = {}
    sessions = sorted({row.session for row in rows})
    for session in sessions:
        for metric in "ab":
            own = [row for row in rows if row.session == session and row.metric == metric]
            if not own:
                continue
            begin = min(row.step for row in own)
            for key in [key for key in kept if key[0] == metric and key[1] >= begin]:
                del kept[key]
            for row in own:
                kept[metric, row.step] = row.value
    return kept


@given(st.lists(st.lists(st.builds(Row, st.just(0), st.integers(0, 6), st.sampled_from("ab"), st.floats(-5, 5)))))
def test_the_last_value_of_a_step_counts_and_later_starts_replace_the_course(sessions):
    rows = [row._replace(session=n) for n, own in enumerate(sessions) for row in own]
    found = made_of("x", [], rows)
    expected = slow(rows)
    assert {(metric, step): value for metric, step, value, *_ in found.table.iter_rows()} == expected
    assert found.table.select("metric", "step").rows() == sorted(expected)
    gone = len(rows) - len(expected)
    assert any(f"{gone} earlier" in note for note in found.notes) == (gone > 0)


def test_what_is_not_finite_is_left_out_and_counted():
    rows = [Row(0, 0, "a", math.nan), Row(0, 1, "a", math.inf), Row(0, 2, "a", 1.0)]
    found = made_of("x", [], rows)
    assert found.table.rows() == [("a", 2, 1.0, None, None)]
    assert found.notes == ("2 values not finite: left out.",)


def test_the_note_names_the_steps_that_were_written_again():
    rows = [Row(0, step, "a", 0.0) for step in range(6)] + [Row(1, step, "a", 1.0) for step in (3, 4)]
    found = made_of("x", [], rows)
    assert found.table.select("step", "value").rows() == [(0, 0.0), (1, 0.0), (2, 0.0), (3, 1.0), (4, 1.0)]
    assert "Steps 3 to 5 were written more than once" in found.notes[0] and "3 earlier ones" in found.notes[0]


def test_nothing_is_an_empty_table():
    assert made_of("x", [], []).table.schema == pl.Schema(
        {"metric": pl.String, "step": pl.Int64, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    )


def test_names_of_transformers_trackers():
    """Against its own rewriting: test_against_trl.py."""
    names = {"train/reward": "reward", "eval/loss": "eval_loss", "test/a/b": "test_a/b", "actor/kl": "actor/kl"}
    assert {name: trainer_name(name) for name in names} == names
