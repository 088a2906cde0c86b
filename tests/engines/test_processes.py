"""Workers that are processes: results in order, threads, errors, and workers that are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from analysis.test_any_order import a_log
from engines.killed import Task, fails, square, threads

from grpo_prm.engines.engine import workers_of
from grpo_prm.engines.pools import processes
from grpo_prm.errors import InputError, UsageError

SCRIPT = "from grpo_prm_cli.main import main; main()"  # without `if __name__ == "__main__"`


def test_results_come_in_order_and_from_one_thread_each():
    with processes(2) as pool:
        assert list(pool.results(square, map(Task, range(9)))) == [n**2 for n in range(9)]
        assert list(pool.results(threads, [Task(0)])) == [1]
        with pytest.raises(InputError, match="no 3"):
            list(pool.results(fails, [Task(3)]))
        assert list(pool.results(square, [Task(4)])) == [16]
    assert "POLARS_MAX_THREADS" not in os.environ


def test_what_a_killed_worker_was_at_is_done_again(tmp_path):
    tasks = [Task(n, str(tmp_path / "killed") if n == 3 else None) for n in range(8)]
    with processes(2) as pool:
        assert list(pool.results(square, tasks)) == [n**2 for n in range(8)]
    assert (tmp_path / "killed").exists()


@pytest.mark.slow
def test_a_task_that_kills_every_worker_is_given_up(tmp_path):
    tasks = [Task(1), Task(2, str(tmp_path / "killed"), once=False), Task(3)]
    with processes(1) as pool, pytest.raises(InputError, match="killed 3 times at the same rows"):
        list(pool.results(square, tasks))


@pytest.mark.slow
def test_the_command_with_workers_writes_the_same_numbers(tmp_path):
    log = tmp_path / "log.jsonl"
    (tmp_path / "run.py").write_text(SCRIPT)
    log.write_text("".join(json.dumps(row) + "\n" for row in a_log(5)))
    for name, more in (("one", []), ("two", ["--workers", "2"])):
        command = ["analyze", str(log), "--no-figures", "--out", f"{name}.prm", *more]
        done = subprocess.run(
            [sys.executable, "run.py", *command], cwd=tmp_path, capture_output=True, check=False, text=True
        )
        assert done.returncode == 0, done.stderr
    one, two = (json.loads((tmp_path / f"{name}.prm" / "summary.json").read_text()) for name in ("one", "two"))
    assert one == two
    assert {path.name for path in (tmp_path / "one.prm").iterdir()} == {
        path.name for path in (tmp_path / "two.prm").iterdir()
    }


ALONE = """
import os, signal, sys
from engines.killed import Task, process
from grpo_prm.engines.pools import processes

with processes(1) as pool:
    print(*pool.results(process, [Task(0)]), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_worker_outlives_a_command_that_is_killed():
    tests = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", ALONE], env=os.environ | {"PYTHONPATH": tests}, capture_output=True, check=False
    )
    worker = int(done.stdout)
    assert done.returncode == -signal.SIGKILL
    until = time.monotonic() + 60
    while _runs(worker):
        assert time.monotonic() < until
        time.sleep(0.05)


def _runs(process):
    try:
        return ") Z " not in Path(f"/proc/{process}/stat").read_text()  # Z: nobody has asked how it ended
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("cloud", 2, None), "Choose from local, ray"),
        (("local", 0, None), "--workers 0"),
        (("local", 2, "auto"), "only --engine ray has an address"),
    ],
)
def test_what_no_engine_takes_is_refused(given, said):
    with pytest.raises(UsageError, match=said):
        workers_of(*given)
