"""`grpo-prm live`: what it shows of a run that records its rollouts, while it runs and of one that has ended."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from threading import Timer

import grpo_prm_cli.live as live
import numpy as np
import polars as pl
import pytest
from grpo_prm_cli.live import Watched, changes, line
from rich.console import Console

from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs.following import Following
from grpo_prm.logs.recorder import Recorder
from grpo_prm.logs.recording import recorded_table
from grpo_prm.logs.rollouts import save

K = 4


def table(step, copied=0, groups=20):
    """`copied` of the groups hold one copy each."""
    keys = [f"{step}-{n}" for n in range(groups) for _ in range(K)]
    own = [n % K if n // K >= copied or n % K else 1 for n in range(groups * K)]
    return recorded_table(
        run="r",
        step=step,
        group_keys=keys,
        samples=np.tile(np.arange(K), groups),
        prompts=[f"question {key}" for key in keys],
        completions=["x"] * len(keys),
        tokens=[[1000 + n // K, own[n]] for n in range(groups * K)],
        rewards=np.tile([0.0, 1.0, 0.0, 1.0], groups),
        first_group=step * groups,
    )


def part(step):
    return f"step_{step:06d}-0.rank0-of-1.parquet"


def put(run, step, **more):
    (run / "rollouts").mkdir(parents=True, exist_ok=True)
    save(table(step, **more), run / "rollouts" / part(step))


def seen(watched, width=80):
    console = Console(file=io.StringIO(), width=width)
    console.print(watched.shown())
    return console.file.getvalue()


def test_it_waits_and_says_so_and_then_shows_the_steps(tmp_path):
    watched = Watched(tmp_path / "run")
    assert list(watched.poll()) == []
    assert "Waiting." in seen(watched, 300) and "no such folder yet" in seen(watched, 300)
    put(tmp_path / "run", 1)
    assert list(watched.poll()) == [] and "no step whose rollouts are all there yet" in seen(watched, 300)
    for step in (2, 3, 4):
        put(tmp_path / "run", step, copied=20)
    assert [one.step for one in watched.poll()] == [1, 2, 3, 4] and list(watched.poll()) == []
    text = seen(watched, 200)
    assert re.search(r"^step 4: 80 groups in 4 steps, last part 0:\d\d ago \(.*rollouts\)", text)
    assert re.search(r"^reward +0\.500 +▁▁▁▁ +0\.500 to 0\.500", text, re.MULTILINE)
    assert re.search(r"^length +2\.000", text, re.MULTILINE)
    assert "copies: 18.8 % of completions are copies in their group: raise the temperature (steps 1 to 4)" in text
    assert all(len(row) <= 80 for row in seen(watched).splitlines())


def test_without_a_finding_it_says_so_and_what_is_missing_is_told_in_plain_text(tmp_path):
    for step in (1, 2):
        put(tmp_path, step)
    reason = json.dumps({"step": 3, "rank": 0, "reason": "no \x1b[2J space"})
    (tmp_path / "rollouts" / "missing.rank0.jsonl").write_text(reason + "\n")
    watched = Watched(tmp_path)
    list(watched.poll())
    text = seen(watched, 200)
    assert "nothing found" in text and "The rollouts of step 3 are missing" in text
    assert "\x1b" not in text and r"\x1b[2J" in text


def test_a_run_that_is_set_back_is_read_anew(tmp_path):
    for step in (1, 2, 3):
        put(tmp_path, step)
    watched = Watched(tmp_path)
    assert len(list(watched.poll())) == 3
    Recorder(tmp_path / "rollouts").begin(1)
    put(tmp_path, 2, copied=20)
    put(tmp_path, 3, copied=20)
    assert [one.step for one in watched.poll()] == [1, 2, 3] and watched.set_back
    assert "60 groups in 3 steps" in seen(watched, 200) and "copies: " in seen(watched, 200)
    list(watched.poll())
    assert not watched.set_back


def test_the_lines_of_a_step(tmp_path):
    for step in range(1, 5):
        put(tmp_path, step, copied=20 * (step > 1))
    first, second, *_ = Watched(tmp_path).poll()
    assert list(changes(first)) == []
    (told,) = changes(second)
    assert told == (
        "step 2: copies begins: 12.5 % of completions are copies in their group: raise the temperature (steps 1 to 2)"
    )
    assert line(first) == (
        "step 1: reward 0.500, path depth 0.000, intermediate proportion 0.000, suppressed-good 0.000, "
        "boosted-bad 0.000, length 2.000"
    )
    assert line(first._replace(step=None)).startswith("reward 0.500, ")


def test_once_shows_what_there_is_and_ends(tmp_path, capsys):
    put(tmp_path, 1, copied=20)
    live.live(tmp_path, once=True)
    out = capsys.readouterr().out
    assert "step 1: 20 groups in 1 step, last part" in out and "copies: 25 %" in out
    assert all(row == row.rstrip() for row in out.splitlines())


def test_once_of_a_run_without_parts_and_of_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"rollouts: no such folder yet .*Leave out --once"):
        live.live(tmp_path, once=True)
    (tmp_path / "log.jsonl").write_text("{}")
    with pytest.raises(UsageError, match=r"log\.jsonl: is a file"):
        live.live(tmp_path / "log.jsonl")


def _until(stream, wanted):
    read = []
    while not read or wanted not in read[-1]:
        read.append(stream.readline())
        assert read[-1], read  # the process has ended
    return read


def test_steps_without_a_group_of_two_are_read_once(tmp_path, monkeypatch):
    read, real = [], Following._read
    monkeypatch.setattr(Following, "_read", lambda self, of_step: read.append(of_step[0].step) or real(self, of_step))
    watched = Watched(tmp_path)
    for step in range(1, 5):
        (tmp_path / "rollouts").mkdir(exist_ok=True)
        save(table(step).filter(pl.col("sample") == 0), tmp_path / "rollouts" / part(step))
        assert list(watched.poll()) == []
    assert "no group of two completions with rewards until step 4 (of a log" in seen(watched, 300)
    assert read == [1, 2, 3, 4]


def test_rejected_rows_are_counted_and_the_reason_is_named(tmp_path):
    for step in (1, 2):
        rows = table(step).with_columns(mask=pl.when(pl.col("sample") == 1).then([True, True, True]))
        (tmp_path / "rollouts").mkdir(exist_ok=True)
        rows.write_parquet(tmp_path / "rollouts" / part(step))
    watched = Watched(tmp_path)
    assert len(list(watched.poll())) == 2
    assert "40 rows are rejected, all of them for this: mask: 3 values for 2 tokens" in seen(watched, 300)
    for step in (1, 2):
        rows = table(step).with_columns(mask=pl.lit([True, True, True]))
        rows.write_parquet(tmp_path / "rollouts" / part(step))
    assert list(watched.poll(ended=True)) == []
    text = seen(watched, 400)
    assert "rewards until step 2. 160 rows are rejected, all of them for this: mask: 3 values for 2 tokens" in text


def test_lines_of_a_run_that_is_set_back_and_of_one_that_has_ended(tmp_path, monkeypatch, capsys):
    """The last step that is read has its line, however soon it came after the one before."""
    for step in (1, 2, 3):
        put(tmp_path, step)
    clock = [0.0]

    def sleep(seconds):
        clock[0] += 4 * seconds
        if clock[0] == 20:
            Recorder(tmp_path / "rollouts").begin(1)
        if clock[0] == 32:
            put(tmp_path, 2)
        if clock[0] > 60:
            raise KeyboardInterrupt

    monkeypatch.setattr(live.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(live.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        live.live(tmp_path)
    assert [re.split(" reward| /", row)[0] for row in capsys.readouterr().out.splitlines()] == [
        "step 1:",
        "step 3:",
        "the run went back to an earlier step: it is read again from the start",
        "waiting:",
        "step 1:",
        "step 2:",
    ]


@pytest.mark.parametrize("width", [40, 200])
def test_a_terminal_is_drawn_by_the_thread_that_reads(tmp_path, monkeypatch, width):
    for step in (1, 2, 3):
        put(tmp_path, step, copied=20)
    console = Console(file=io.StringIO(), width=width, height=60, force_terminal=True, color_system=None)
    threads = []

    def sleep(_):
        threads.append(threading.active_count())
        if len(threads) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(live.time, "sleep", sleep)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        live._on_terminal(Watched(tmp_path), console)
    assert threads == [before] * 3
    shown = re.sub(r"\x1b\[[^A-Za-z]*[A-Za-z]", "", console.file.getvalue())
    assert "step 1: copies begins" in shown and "reward" in shown
    assert all(len(row) <= width for row in shown.replace("\r", "\n").splitlines())


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_plain_lines_in_a_pipe_until_ctrl_c(tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "grpo_prm", "live", str(run)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watchdog = Timer(120, process.kill)
        watchdog.start()
        try:
            assert "no such folder yet" in _until(process.stdout, "waiting")[-1]
            for step in (1, 2, 3):
                put(run, step, copied=20)
            told = _until(process.stdout, "copies begins")
            assert told[-1].startswith("step 1: copies begins: 25 % of completions")
            assert _until(process.stdout, "reward 0.500")[-1].startswith("step 1: ")
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        finally:
            watchdog.cancel()
            process.kill()
        assert process.stderr.read() == "interrupted: nothing is left half written\n"


@pytest.mark.slow
def test_help_has_examples_and_is_on_the_list():
    done = subprocess.run(
        [sys.executable, "-m", "grpo_prm", "live", "--help"], capture_output=True, text=True, check=True
    )
    assert "grpo-prm live output_dir --once" in done.stdout


def test_before_enough_groups_it_says_that_nothing_is_judged_yet(tmp_path):
    put(tmp_path, 1, groups=19)
    watched = Watched(tmp_path)
    list(watched.poll(ended=True))
    assert seen(watched).splitlines()[-1] == "nothing found yet: it takes 20 groups to judge"
    put(tmp_path, 2, groups=1)
    list(watched.poll(ended=True))
    assert "judged from" not in seen(watched)
