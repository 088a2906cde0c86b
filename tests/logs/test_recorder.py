"""The recorder: whole parts beside a training, nothing past a checkpoint, and no fault of the disk that stops it."""

from __future__ import annotations

import copy
import errno
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from grpo_prm import analyze
from grpo_prm.errors import UsageError
from grpo_prm.logs import recorder as module
from grpo_prm.logs.gaps import missing, spans
from grpo_prm.logs.recorder import Recorder, parts
from grpo_prm.logs.recording import recorded_table
from grpo_prm.logs.rollouts import load


def table(step, rank=0, groups=2, k=3):
    rng = np.random.default_rng([step, rank])
    tokens = [rng.integers(0, 3, rng.integers(0, 5)).tolist() for _ in range(groups * k)]
    return recorded_table(
        run="r",
        step=step,
        group_keys=[f"{step}-{rank}-{n // k}" for n in range(groups * k)],
        samples=np.arange(groups * k) % k,
        prompts=[f"p{n // k}" for n in range(groups * k)],
        completions=[str(row) for row in tokens],
        tokens=tokens,
        rewards=rng.random(groups * k),
    )


def record(folder, steps, rank=0, ranks=1, begin=0):
    recorder = Recorder(folder, rank, ranks)
    recorder.begin(begin)
    for step in steps:
        recorder.write(step, 0, lambda step=step: table(step, rank))
    recorder.close()


def test_every_part_is_a_canonical_table_under_its_name(tmp_path):
    for rank in (0, 1):
        record(tmp_path / "rollouts", [1, 2], rank, 2)
    found = parts(tmp_path / "rollouts")
    assert [part[1:] for part in found] == [(1, 0, 0, 2), (1, 0, 1, 2), (2, 0, 0, 2), (2, 0, 1, 2)]
    for part in found:
        assert load(part.path).equals(table(part.step, part.rank))
    summary = analyze(tmp_path).summary
    assert summary["counts"]["groups"] == 8 and summary["source"]["steps"] == {"first": 1, "last": 2, "count": 2}


def test_a_run_that_goes_on_leaves_the_bytes_of_one_that_never_stopped(tmp_path):
    record(tmp_path / "whole", [1, 2, 3, 4])
    record(tmp_path / "cut", [1, 2, 3])
    (tmp_path / "cut" / ".step_000003-0.rank0-of-1.x.parquet").write_bytes(b"half")
    (tmp_path / "cut" / "notes.txt").write_text("mine")
    record(tmp_path / "cut", [3, 4], begin=2)
    whole, cut = (
        {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.parquet")} for name in ("whole", "cut")
    )
    assert whole == cut and len(cut) == 4
    assert sorted(p.name for p in (tmp_path / "cut").iterdir() if p.suffix != ".parquet") == ["notes.txt"]
    assert not list((tmp_path / "cut").glob(".step*"))


def test_a_run_that_goes_on_with_fewer_ranks_takes_the_parts_of_the_others_away(tmp_path):
    for rank in range(3):
        record(tmp_path, [1, 2], rank, 3)
    for rank in range(2):
        Recorder(tmp_path, rank, 2).begin(1)
    assert [part[1:] for part in parts(tmp_path)] == [(1, 0, rank, 3) for rank in range(3)]


def test_two_runs_in_one_folder_are_refused_and_ranks_of_one_are_not(tmp_path):
    record(tmp_path, [1], 0, 2)
    Recorder(tmp_path, 1, 2).begin(0)  # the first rank was quicker
    with pytest.raises(UsageError, match=r"holds the rollouts of another run \(step_000001-0.rank0-of-2.parquet\)"):
        Recorder(tmp_path, 0, 2).begin(0)
    with pytest.raises(UsageError, match="another run"):
        Recorder(tmp_path, 1, 4).begin(0)


def test_a_full_disk_is_said_once_and_the_gap_is_named(tmp_path, caplog, monkeypatch):
    full = threading.Event()
    real = pl.DataFrame.write_parquet

    def write(frame, path, **options):
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(frame, path, **options)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", write)
    recorder = Recorder(tmp_path)
    recorder.begin()
    with caplog.at_level(logging.WARNING, "grpo_prm"):
        for step, is_full in enumerate([False, True, True, True, False, True, False], 1):

            def make(step=step, is_full=is_full):
                (full.set if is_full else full.clear)()
                return table(step)

            recorder.write(step, 0, make)
        recorder.close()
    lines = [record.getMessage().removeprefix(f"{tmp_path}: ") for record in caplog.records]
    assert lines == [
        "step 2 is not recorded (No space left on device). Training goes on.",
        "the rollouts of steps 2 to 4 are missing; recording goes on.",
        "step 6 is not recorded (No space left on device). Training goes on.",
        "the rollouts of step 6 are missing; recording goes on.",
    ]
    assert [part.step for part in parts(tmp_path)] == [1, 5, 7]
    assert not list(tmp_path.glob(".*"))
    known = [json.loads(line) for line in (tmp_path / "missing.rank0.jsonl").read_text().splitlines()]
    assert [line["step"] for line in known] == [2, 3, 4, 6]
    assert list(missing(tmp_path)) == [
        "The rollouts of steps 2 to 4, 6 are missing, as they could not be written in training (No space left on"
        " device)."
    ]
    notes = analyze(tmp_path).summary["source"]["notes"]
    assert any(note.startswith("The rollouts of steps 2 to 4, 6 are missing") for note in notes)
    Recorder(tmp_path).begin(3)  # steps from 4 on are made again
    assert next(missing(tmp_path)).startswith("The rollouts of steps 2 to 3 are missing")


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "rollouts").write_text("a file")
    judged = []
    with caplog.at_level(logging.WARNING, "grpo_prm"):
        recorder = Recorder(tmp_path / "rollouts")
        recorder.begin()
        for step in (1, 2):
            recorder.write(step, 0, lambda step=step: judged.append(step) or table(step))
        recorder.close()
    assert judged == [1, 2]  # what the trainer does with the tables goes on
    assert [record.getMessage().removeprefix(f"{tmp_path / 'rollouts'}: ") for record in caplog.records] == [
        "step 1 is not recorded (File exists). Training goes on.",
        "the rollouts of steps 1 to 2 are missing.",
    ]


def test_writing_never_waits(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(module, "WAITING", 2)
    go_on, recorder = threading.Event(), Recorder(tmp_path)
    recorder.begin()

    def slow(step):
        go_on.wait(60)
        return table(step)

    with caplog.at_level(logging.WARNING, "grpo_prm"):
        for step in range(1, 11):  # one is being written, two wait: none of the others makes the training wait
            recorder.write(step, 0, lambda step=step: slow(step))
        go_on.set()
        recorder.close()
    assert caplog.text.count("Training goes on") == 1 and caplog.text.count("are missing") == 1
    written = [part.step for part in parts(tmp_path)]
    assert 2 <= len(written) <= 3 and "2 parts wait for the disk already" in caplog.text
    lost = [json.loads(line)["step"] for line in (tmp_path / "missing.rank0.jsonl").read_text().splitlines()]
    assert sorted(written + lost) == list(range(1, 11))


def test_a_script_that_ends_early_loses_nothing(tmp_path):
    code = (
        "import sys, polars as pl; from grpo_prm.logs.recorder import Recorder\n"
        f"r = Recorder({str(tmp_path)!r}); r.begin()\n"
        "for step in range(1, 6): r.write(step, 0, lambda: pl.DataFrame({'a': [1]}))\n"
        "raise SystemExit(3)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 3
    assert [part.step for part in parts(tmp_path)] == [1, 2, 3, 4, 5]


def test_whatever_a_table_raises_the_others_are_written(tmp_path, caplog):
    class Panic(BaseException):  # as polars' own is
        pass

    def panic():
        raise Panic("attempt to subtract with overflow")

    recorder = Recorder(tmp_path)
    recorder.begin()
    for step, make in enumerate([panic, lambda: table(2), panic], 1):
        recorder.write(step, 0, make)
    recorder.close()
    assert [part.step for part in parts(tmp_path)] == [2] and "attempt to subtract with overflow" in caplog.text
    assert list(missing(tmp_path)) == [
        "The rollouts of steps 1, 3 are missing, as they could not be written in training (attempt to subtract with"
        " overflow)."
    ]
    assert not [thread for thread in threading.enumerate() if thread.name == "grpo-prm recorder"]


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="limits")
def test_a_disk_without_room_even_for_the_gap_leaves_no_torn_line(tmp_path):
    code = f"""
import resource, signal, sys, logging
sys.path.insert(0, {str(Path(__file__).parent)!r})
import grpo_prm.logs.recorder as module
from test_recorder import Recorder, table
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then it is an error, as on a full disk
def room(size): resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def full(step, size):
    room(size)
    return table(step)
recorder = Recorder({str(tmp_path)!r})
recorder.begin()
recorder.write(1, 0, lambda: full(1, 100))  # room for one line and a half
recorder.write(2, 0, lambda: full(2, 100))
recorder.write(3, 0, lambda: full(3, resource.RLIM_INFINITY))
recorder.close()
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()] == [
        "step 1 is not recorded (File too large). Training goes on.",
        "the rollouts of steps 1 to 2 are missing; recording goes on.",
    ]
    lines = [json.loads(line) for line in (tmp_path / "missing.rank0.jsonl").read_text().splitlines()]
    assert lines == [{"step": step, "rank": 0, "reason": "File too large"} for step in (1, 2)]
    assert [part.step for part in parts(tmp_path)] == [3]


def test_a_gap_that_could_not_be_named_at_once_is_named_later(tmp_path, monkeypatch):
    real, calls = module.append, []

    def append(*given):
        calls.append(given)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*given)

    monkeypatch.setattr(module, "append", append)
    recorder = Recorder(tmp_path)
    recorder.begin()
    for step, make in enumerate([dict, lambda: table(2), lambda: table(3)], 1):  # a dict is no table
        recorder.write(step, 0, make)
    recorder.close()
    assert [json.loads(line)["step"] for line in (tmp_path / "missing.rank0.jsonl").read_text().splitlines()] == [1]


def test_a_part_of_another_run_is_not_written_over(tmp_path, caplog):
    recorders = [Recorder(tmp_path), Recorder(tmp_path)]
    for recorder in recorders:
        recorder.begin()  # both find the folder empty
    for recorder, seed in zip(recorders, (0, 5), strict=True):
        recorder.write(1, 0, lambda seed=seed: table(1, seed))
        recorder.close()
    assert load(parts(tmp_path)[0].path).equals(table(1)) and "another run writes into this folder" in caplog.text


def test_a_run_that_goes_on_with_fewer_ranks_forgets_the_gaps_of_the_others(tmp_path):
    for rank in range(3):
        (tmp_path / f"missing.rank{rank}.jsonl").write_text(
            "".join(json.dumps({"step": step, "rank": rank, "reason": "x"}) + "\n" for step in (1, 4)) + '{"step": 4'
        )
        (tmp_path / f".step_000002-0.rank{rank}-of-3.x.parquet").write_bytes(b"half")
    Recorder(tmp_path, 1, 2).begin(2)
    assert (tmp_path / "missing.rank0.jsonl").stat().st_size == (tmp_path / "missing.rank2.jsonl").stat().st_size
    Recorder(tmp_path, 0, 2).begin(2)
    assert {path.read_text() for path in tmp_path.glob("missing*")} == {
        json.dumps({"step": 1, "rank": rank, "reason": "x"}) + "\n" for rank in range(3)
    }
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize(
    "line", [b"[1]", b'{"step": "x"}', b'{"step": 1e999}', b'{"st', b"\xff", b"[" * 100_000, b"null"]
)
def test_a_line_that_says_nothing_is_passed_over(tmp_path, line):
    (tmp_path / "missing.rank0.jsonl").write_bytes(line + b'\n{"step": 3, "rank": 0, "reason": "x"}\n')
    assert [sentence[:29] for sentence in missing(tmp_path)] == ["The rollouts of step 3 are mi"]
    Recorder(tmp_path).begin(3)
    assert (tmp_path / "missing.rank0.jsonl").read_bytes() == b'{"step": 3, "rank": 0, "reason": "x"}\n'


def test_parts_that_cannot_be_taken_away_are_said(tmp_path, monkeypatch):
    record(tmp_path, [1, 2])

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(UsageError, match=r"steps after 1 cannot be taken away \(Permission denied\)\. Make it"):
        Recorder(tmp_path).begin(1)


def test_a_trainer_that_holds_one_is_pickled_and_copied(tmp_path):
    recorder = Recorder(tmp_path, 1, 2)
    recorder.begin()
    recorder.write(1, 0, lambda: table(1))
    for other in (pickle.loads(pickle.dumps(recorder)), copy.deepcopy(recorder)):  # noqa: S301 - our own bytes
        assert (other.folder, other.rank, other.ranks) == (tmp_path, 1, 2)
        other.close()  # it has nothing of the first
    recorder.close()
    recorder.write(2, 0, lambda: table(2))  # more after a close
    recorder.close()
    assert [part.step for part in parts(tmp_path)] == [1, 2]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_process_that_forks_from_a_recording_one_ends_and_writes_nothing_of_it(tmp_path):
    code = f"""
import os, sys, threading, warnings
warnings.simplefilter("ignore")  # that threads and fork do not go together, which is what is tried
import polars as pl
import grpo_prm.logs.recorder as module
go_on, atomic = threading.Event(), module.atomic
def slow(path):  # a disk for which the first part waits
    go_on.wait(60)
    return atomic(path)
module.atomic = slow
recorder = module.Recorder({str(tmp_path)!r})
for step in range(1, 66): recorder.write(step, 0, lambda: pl.DataFrame({{"a": [1]}}))
child = os.fork()
if not child: sys.exit(7)  # its atexit closes the recorder
go_on.set()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(parts(tmp_path)) >= 64


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork")
def test_a_fork_waits_while_a_table_is_made(tmp_path):
    """Else the child has the locks that the thread held, as that of an import, and nobody to let go of them."""
    code = f"""
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")
import polars as pl
from grpo_prm.logs.recorder import Recorder
lock, making = threading.Lock(), threading.Event()
def make():
    with lock:
        making.set()
        time.sleep(0.5)
        return pl.DataFrame({{"a": [1]}})
recorder = Recorder({str(tmp_path)!r})
recorder.write(1, 0, make)
making.wait()
child = os.fork()
if not child: os._exit(not lock.acquire(timeout=5))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("steps", "text"), [([3], "step 3"), ([4, 5, 5, 9, 6], "steps 4 to 6, 9"), ([1, 3], "steps 1, 3")]
)
def test_spans(steps, text):
    assert spans(steps) == text
