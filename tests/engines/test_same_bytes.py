"""An analysis by workers gives the bytes of one process, however the log is cut and in whatever order it stands."""

from __future__ import annotations

import itertools
import json
import pickle

import numpy as np
import pytest
from analysis.test_any_order import a_log, without_run
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.options import Options
from grpo_prm.analysis.tables import TABLES
from grpo_prm.engines import merging, sorting
from grpo_prm.engines.analyze import analyze_with
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import ReadOptions, chunks, tokenize
from grpo_prm.logs.grouping import steps


class Here:
    """Workers that are this process: what travels is pickled all the same."""

    def __init__(self, workers=2):
        self.workers = workers

    def results(self, work, tasks):
        for task in tasks:
            yield _travelled(work(_travelled(task)))


def _travelled(what):
    return pickle.loads(pickle.dumps(what))  # noqa: S301 - our own


def written(folder, files):
    folder.mkdir()
    for number, rows in enumerate(files):
        (folder / f"part{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def both(log, folder, options=None, reading=None, workers=2):
    """The tables of one process, and of workers."""
    reading = reading or ReadOptions(run="log")
    folder.mkdir()
    return analyze(log, options, reading=reading), analyze_with(
        Here(workers), [log], options or Options(), reading, folder
    )


def small_pieces(patch, lines, chunk, share):
    patch.setattr(sorting, "LINES", lines)
    patch.setattr(sorting, "SMALL", 1)
    patch.setattr(sorting, "SHARE", share)
    patch.setattr(steps, "CHUNK", chunk)
    patch.setattr(chunks, "CHUNK", lines)
    patch.setattr(chunks, "TEXT", lines)


def same(one, other):
    files = [tables.summary["source"].pop("files") for tables in (one, other)]
    assert sorted(files[0]) == sorted(files[1])
    assert json.dumps(one.summary) == json.dumps(other.summary)
    assert (one.states is None) == (other.states is None)
    for name in (*TABLES, "rejected", *(["states"] if one.states is not None else [])):
        mine, theirs = (getattr(tables, name).lazy().collect() for tables in (one, other))
        assert_frame_equal(mine, theirs, check_exact=True)


@pytest.mark.slow
@settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.data())
def test_workers_give_the_bytes_of_one_process(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("workers")
    rows = a_log(data.draw(st.integers(0, 9)), text=data.draw(st.booleans()), uneven=data.draw(st.booleans()))
    rows = rows if data.draw(st.booleans()) else without_run(rows)
    if data.draw(st.booleans()):
        rows = [rows[n] for n in np.random.default_rng(0).permutation(len(rows))]
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(rows) - 1), max_size=2))), len(rows)]
    log = written(folder / "log", [rows[begin:end] for begin, end in itertools.pairwise(cuts)])
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(
            patch,
            data.draw(st.sampled_from([700, 5_000, 1 << 20])),
            data.draw(st.sampled_from([3_000, 1 << 20])),
            data.draw(st.sampled_from([1, 7])),
        )
        same(*both(log, folder / "rows", workers=data.draw(st.integers(1, 4))))


def counted(monkeypatch):
    again = []
    monkeypatch.setattr(merging, "measure_range", lambda task: again.append(task) or real(task))
    return again


real = merging.measure_range


def test_a_modal_size_that_earlier_steps_decide(tmp_path, monkeypatch):
    """Groups of 8 of one prompt are two draws of 4 where most groups so far had 4; alone they would be groups of 8."""
    rows = [
        {"step": step, "prompt": f"p{step}-{p}", "completion_ids": [step, p, n % 3, n], "reward": n % 2}
        for step, k in enumerate([4] * 6 + [8, 8])
        for p in range(6)
        for n in range(k)
    ]
    small_pieces(monkeypatch, 600, 2_000, 9)
    again = counted(monkeypatch)
    one, other = both(written(tmp_path / "log", [rows]), tmp_path / "rows")
    assert one.summary["counts"]["groups"] == 6 * 6 + 2 * 12
    same(one, other)
    assert len(again) >= 1


def test_pieces_that_fall_on_one_number(tmp_path, monkeypatch):
    rows = a_log(1, text=True)
    small_pieces(monkeypatch, 600, 2_000, 9)
    monkeypatch.setattr(tokenize, "_hash", lambda piece: (len(piece) << 33) + sum(piece.encode()))
    again = counted(monkeypatch)
    same(*both(written(tmp_path / "log", [rows]), tmp_path / "rows"))
    assert again  # "one" and "two" have three letters each, and which comes first is another in some range


def test_rejected_rows_and_lines_are_those_of_the_log(tmp_path, monkeypatch):
    rows = a_log(2)
    lines = [json.dumps(row) for row in rows]
    lines[100], lines[300] = "{torn", json.dumps(rows[300] | {"reward": "much"})
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    small_pieces(monkeypatch, 900, 2_000, 9)
    one, other = both(tmp_path / "log.jsonl", tmp_path / "rows")
    assert other.rejected.select("line").collect()["line"].to_list() == [101, 301]
    same(one, other)


def test_a_baseline_within_the_values_of_a_column(tmp_path, monkeypatch):
    """Steps of too few prompts of one kind wait for the next, whoever reads them."""
    rows = a_log(5)
    for row in rows:
        row["kind"] = [None, 1, 2][sum(map(ord, row["group_id"])) % 3]
    small_pieces(monkeypatch, 900, 2_000, 9)
    log = written(tmp_path / "log", [rows[200:], rows[:200]])
    one, other = both(log, tmp_path / "rows", Options(baseline_by="kind"))
    assert one.baseline["baseline_by"].unique().sort().to_list() == ["1", "2"]
    assert one.summary["counts"]["groups_outside_baseline"] > 0
    assert "without one value of kind" in one.summary["notes"]["baseline"]
    same(one, other)


@pytest.mark.slow
def test_states_are_found_and_ordered_alike(tmp_path, monkeypatch):
    rows = a_log(6, masked=True)[:240]
    small_pieces(monkeypatch, 900, 2_000, 9)
    log = written(tmp_path / "log", [rows[150:], rows[:150]])
    one, other = both(log, tmp_path / "rows", Options(share="state"))
    assert one.summary["state_sharing"]["leave_pair_out_auc"]["null_mean"]
    assert one.states.collect()["size"].min() > 1
    same(one, other)


@pytest.mark.parametrize("std", [None, "population"])
def test_the_divisor_that_the_first_groups_decide(std, tmp_path, monkeypatch):
    rows = a_log(3)
    for _, group in itertools.groupby(rows, lambda row: (row["run"], row["step"], row["group_id"])):
        group = list(group)
        mean = np.mean([row["reward"] for row in group])
        for row in group:
            row["advantage"] = row["reward"] - mean
    small_pieces(monkeypatch, 900, 2_000, 9)
    one, other = both(written(tmp_path / "log", [rows]), tmp_path / "rows", Options(std=std))
    assert other.summary["source"]["options"]["std"] == (std or "none")
    same(one, other)


def test_what_cannot_be_read_is_said_as_by_one_process(tmp_path, monkeypatch):
    single = [row for row in a_log(4) if row["sample"] == 0]
    log = written(tmp_path / "log", [single])
    with pytest.raises(InputError) as one:
        analyze(log)
    with pytest.raises(InputError) as other:
        analyze_with(Here(), [log], Options(), ReadOptions(), tmp_path)
    assert str(one.value) == str(other.value)
    monkeypatch.setattr("sys.stdin", open(log / "part0.jsonl"))  # noqa: SIM115
    with pytest.raises(UsageError, match="A pipe can be read once"):
        analyze_with(Here(), ["-"], Options(), ReadOptions(), tmp_path)
