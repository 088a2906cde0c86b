"""Parts of a running training: each step once, when all of it is there, and as the whole log would be read."""

from __future__ import annotations

import itertools
import json
import os

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from grpo_prm.errors import InputError
from grpo_prm.files import atomic
from grpo_prm.logs import following as module
from grpo_prm.logs.following import Following, folder_of_parts
from grpo_prm.logs.recorder import Recorder
from grpo_prm.logs.recording import recorded_table
from grpo_prm.logs.rollouts import save
from grpo_prm.logs.stream import collect

K = 4


def table(step, generation=0, rank=0, groups=2, seed=0, run="r"):
    rng = np.random.default_rng([step, generation, rank, seed])
    keys = [f"{step}-{generation}-{rank}-{n}" for n in range(groups) for _ in range(K)]
    tokens = [rng.integers(0, 3, 5).tolist() for _ in keys]
    return recorded_table(
        run=run,
        step=step,
        group_keys=keys,
        samples=list(range(K)) * groups,
        prompts=[f"question {key}" for key in keys],
        completions=[" ".join(map(str, row)) for row in tokens],
        tokens=tokens,
        rewards=rng.integers(0, 2, len(keys)).astype(float),
    )


def name(step, generation=0, rank=0, ranks=1):
    return f"step_{step:06d}-{generation}.rank{rank}-of-{ranks}.parquet"


def put(folder, step, generation=0, rank=0, ranks=1, **more):
    folder.mkdir(exist_ok=True)
    save(table(step, generation, rank, **more), folder / name(step, generation, rank, ranks))


def steps(fresh):
    return [batch.table["step"].unique().to_list() for batch in fresh.batches]


def nothing(fresh):
    return not fresh.anew and steps(fresh) == []


def test_a_folder_that_is_not_there_yet_has_no_steps(tmp_path):
    following = Following(tmp_path / "rollouts")
    assert nothing(following.poll()) and following.newest is None and following.last is None
    put(tmp_path / "rollouts", 1)
    assert steps(following.poll()) == []  # a second generation of the first step may come
    put(tmp_path / "rollouts", 2)
    assert steps(following.poll()) == [[1], [2]] and following.last == 2
    assert nothing(following.poll())
    put(tmp_path / "rollouts", 3)
    assert steps(following.poll()) == [[3]]
    assert following.newest == (tmp_path / "rollouts" / name(3)).stat().st_mtime


def test_parts_of_our_trainer_are_complete_at_once(tmp_path):
    following = Following(tmp_path)
    for step in range(3):
        save(table(step), tmp_path / f"step_{step:06d}.parquet")
        assert steps(following.poll()) == [[step]]
    assert steps(Following(tmp_path).poll()) == [[0], [1], [2]]


def test_an_ended_run_has_no_step_to_come(tmp_path):
    put(tmp_path, 5)
    following = Following(tmp_path)
    assert steps(following.poll(ended=True)) == [[5]] and steps(following.poll(ended=True)) == []


def test_a_step_waits_for_all_ranks_and_generations(tmp_path):
    following = Following(tmp_path)
    for generation, rank in ((0, 0), (0, 1), (1, 0)):
        put(tmp_path, 1, generation, rank, 2)
        assert steps(following.poll()) == []
    put(tmp_path, 2, 0, 0, 2)
    assert steps(following.poll()) == []  # rank 0 has gone on, rank 1 owes a generation
    put(tmp_path, 1, 1, 1, 2)
    assert steps(following.poll()) == [[1]]
    assert [steps(following.poll()) for _ in [put(tmp_path, 2, 0, 1, 2)]] == [[]]  # one generation, where two are usual
    put(tmp_path, 2, 1, 0, 2)
    put(tmp_path, 2, 1, 1, 2)
    assert steps(following.poll()) == [[2]]
    put(tmp_path, 3, 0, 0, 2)
    put(tmp_path, 3, 0, 1, 2)
    assert steps(following.poll()) == []
    put(tmp_path, 4, 0, 1, 2)
    assert steps(following.poll()) == [[3]]  # a later step: no second generation is to come


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 2), min_size=2, max_size=4),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_ranks_in_any_order_give_every_step_once_and_the_log_that_collect_reads(generations, ranks, order):
    """Each rank writes its parts in order, the ranks run apart as they like; a look after each part."""
    import tempfile
    from pathlib import Path

    # a step may have no more generations than one before had, else it is a surprise, which another test has
    generations = sorted(generations, reverse=True)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "rollouts"
        queues = [[(s, g) for s, n in enumerate(generations, 1) for g in range(n)] for _ in range(ranks)]
        following, seen, there = Following(folder), [], set()
        while any(queues):
            rank = order.choice([r for r in range(ranks) if queues[r]])
            step, generation = queues[rank].pop(0)
            put(folder, step, generation, rank, ranks)
            there.add((step, generation, rank))
            fresh = following.poll()
            assert not fresh.anew
            seen += fresh.batches
            given_steps = {s for batch in seen for s in batch.table["step"].unique()}
            for s in given_steps:  # the definition, by what was put there
                assert {(s, g, r) for g in range(generations[s - 1]) for r in range(ranks)} <= there
        seen += following.poll(ended=True).batches
        assert [batch.table["step"][0] for batch in seen] == list(range(1, len(generations) + 1))
        whole = collect(folder)
        assert_frame_equal(pl.concat([batch.table for batch in seen]), whole.table)
        assert tuple(itertools.chain.from_iterable(batch.files for batch in seen)) == whole.files


def test_what_is_being_written_is_never_seen(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2)
    following = Following(tmp_path)
    assert steps(following.poll()) == [[1], [2]]
    with atomic(tmp_path / name(3)) as part:
        part.write_bytes(b"PAR1 half")
        assert nothing(following.poll())
        table(3).write_parquet(part)
    (tmp_path / "step_000004-0.rank0-of-1.parquet.tmp").write_bytes(b"x")
    (tmp_path / "notes.txt").write_text("x")
    assert steps(following.poll()) == [[3]]


def test_a_run_that_is_set_back_is_read_anew(tmp_path):
    for step in (1, 2, 3, 4):
        put(tmp_path, step)
    following = Following(tmp_path)
    assert len(list(following.poll().batches)) == 4
    Recorder(tmp_path).begin(2)
    fresh = following.poll(ended=True)
    assert fresh.anew and steps(fresh) == [[1], [2]] and following.last == 2
    put(tmp_path, 3, seed=1)
    fresh = following.poll()
    assert not fresh.anew and next(fresh.batches).table["tokens"].to_list() == table(3, seed=1)["tokens"].to_list()


def test_a_part_of_an_earlier_step_that_goes_is_noticed(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step)
    following = Following(tmp_path)
    assert len(steps(following.poll())) == 3
    (tmp_path / name(2)).unlink()
    fresh = following.poll(ended=True)
    assert fresh.anew and steps(fresh) == [[1], [3]]


def test_parts_that_were_written_again_between_two_looks_are_noticed(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step)
    following = Following(tmp_path)
    list(following.poll().batches)
    for step in (2, 3):
        put(tmp_path, step, seed=1)
    os.utime(tmp_path / name(3), ns=(1, 1))  # on a disk with coarse times its size may be the same as well
    fresh = following.poll()
    again = pl.concat([batch.table for batch in fresh.batches])
    assert fresh.anew and again["step"].unique().to_list() == [1, 2, 3]
    assert_frame_equal(again, collect(tmp_path).table)


def test_a_generation_that_nobody_expected_makes_the_step_anew(tmp_path):
    for step in (1, 2):
        put(tmp_path, step)
    following = Following(tmp_path)
    assert len(list(following.poll().batches)) == 2
    put(tmp_path, 2, 1)
    put(tmp_path, 3)
    fresh = following.poll()
    assert fresh.anew and [len(batch.table) for batch in fresh.batches] == [2 * K, 4 * K]
    assert steps(following.poll(ended=True)) == [[3]]


def test_what_could_not_be_written_is_not_waited_for(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step, 0, 0, 2)
        if step != 2:
            put(tmp_path, step, 0, 1, 2)
    following = Following(tmp_path)
    assert steps(following.poll()) == [[1], [2], [3]]  # rank 1 has gone on
    put(tmp_path, 4, 0, 0, 2)
    assert steps(following.poll()) == []
    lines = [json.dumps({"step": step, "rank": 1, "reason": "No space left on device"}) for step in (2, 4)]
    (tmp_path / "missing.rank1.jsonl").write_text("\n".join(lines) + '\n{"st')
    assert steps(following.poll()) == [[4]]
    assert following.notes == (
        "The rollouts of steps 2, 4 are missing, as they could not be written in training (No space left on device).",
    )


def test_a_rank_that_has_gone_on_to_the_next_generation_owes_none_before(tmp_path):
    put(tmp_path, 1, 0, 0, 2)
    put(tmp_path, 1, 1, 0, 2)
    following = Following(tmp_path)
    assert steps(following.poll(ended=True)) == []  # rank 1 has written nothing
    put(tmp_path, 1, 1, 1, 2)
    assert steps(following.poll(ended=True)) == [[1]]


def test_a_run_that_goes_on_with_other_ranks(tmp_path):
    for step in (1, 2):
        for rank in range(2):
            put(tmp_path, step, 0, rank, 2)
    following = Following(tmp_path)
    assert len(list(following.poll().batches)) == 2
    for rank in range(3):
        put(tmp_path, 3, 0, rank, 3)
    fresh = following.poll()
    assert not fresh.anew and len(next(fresh.batches).table) == 3 * 2 * K
    for rank in range(2):  # the third rank of these steps is never heard of again
        put(tmp_path, 4, 0, rank, 3)
    assert steps(following.poll()) == []
    for rank in range(2):
        put(tmp_path, 5, 0, rank, 2)
    assert steps(following.poll()) == [[4], [5]]


def test_a_rank_without_rows_and_a_step_without_any(tmp_path):
    put(tmp_path, 1, 0, 0, 2)
    save(table(1)[:0], tmp_path / name(1, 0, 1, 2))
    for rank in range(2):
        save(table(2)[:0], tmp_path / name(2, 0, rank, 2))
        put(tmp_path, 3, 0, rank, 2)
    following = Following(tmp_path)
    assert steps(following.poll()) == [[1], [3]] and following.last == 3
    assert nothing(following.poll())


def test_a_part_that_is_no_table_is_refused_by_name(tmp_path):
    put(tmp_path, 1)
    (tmp_path / name(2)).write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match="step_000002"):
        list(Following(tmp_path).poll(ended=True).batches)


def test_what_is_not_asked_for_comes_with_the_next_look(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step)
    following = Following(tmp_path)
    next(following.poll().batches)
    assert steps(following.poll()) == [[2], [3]]


def test_a_part_that_goes_while_it_is_read_ends_the_look(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step)
    following = Following(tmp_path)
    fresh = following.poll()
    next(fresh.batches)
    for step in (2, 3):
        (tmp_path / name(step)).unlink()
    assert list(fresh.batches) == [] and following.last == 1
    put(tmp_path, 2, seed=1)
    assert steps(following.poll(ended=True)) == [[2]]


def test_a_part_that_is_replaced_while_it_is_read_makes_the_next_look_begin_again(tmp_path, monkeypatch):
    """The first bytes were those of the old file, the last those of the new one: what comes of it is no fault."""
    for step in (1, 2, 3):
        put(tmp_path, step)
    following, real = Following(tmp_path), module.open_run

    def replaced(sources, options):
        if following.last == 1:
            put(tmp_path, 2, seed=1)
            raise InputError("step_000002: damaged")
        return real(sources, options)

    monkeypatch.setattr(module, "open_run", replaced)
    assert steps(following.poll()) == [[1]]
    monkeypatch.setattr(module, "open_run", real)
    fresh = following.poll(ended=True)
    assert fresh.anew
    assert_frame_equal(pl.concat([batch.table for batch in fresh.batches]), collect(tmp_path).table)


def test_a_part_that_is_replaced_when_it_is_read_already_is_noticed(tmp_path, monkeypatch):
    put(tmp_path, 1)
    following, real = Following(tmp_path), Following._read

    def read(self, of_step):
        given = real(self, of_step)
        put(tmp_path, 1, seed=1)
        return given

    monkeypatch.setattr(Following, "_read", read)
    list(following.poll(ended=True).batches)
    monkeypatch.setattr(Following, "_read", real)
    fresh = following.poll(ended=True)
    assert fresh.anew and next(fresh.batches).table["tokens"].to_list() == table(1, seed=1)["tokens"].to_list()


def test_a_look_parses_new_names_alone(tmp_path, monkeypatch):
    for step in range(1, 31):
        put(tmp_path, step, groups=1)
    following, parsed = Following(tmp_path), []
    list(following.poll(ended=True).batches)
    real = module.parts
    monkeypatch.setattr(module, "parts", lambda folder, names: parsed.extend(names) or real(folder, names))
    put(tmp_path, 31, groups=1)
    assert steps(following.poll(ended=True)) == [[31]]
    assert parsed == [name(31)]


def test_where_the_parts_of_a_run_lie(tmp_path):
    assert folder_of_parts(tmp_path) == tmp_path / "rollouts"  # to come
    assert folder_of_parts(tmp_path / "rollouts") == tmp_path / "rollouts"
    put(tmp_path / "rollouts", 1)
    assert folder_of_parts(tmp_path) == tmp_path / "rollouts"
    put(tmp_path / "elsewhere", 1)
    assert folder_of_parts(tmp_path / "elsewhere") == tmp_path / "elsewhere"
