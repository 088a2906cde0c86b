"""A cluster of two workers on this machine; skipped where Ray is not installed (`make test-ray`)."""

from __future__ import annotations

import json
import os
import signal
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from analysis.test_any_order import a_log
from engines.killed import Task, fails, process, square, threads
from engines.test_same_bytes import small_pieces, written

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.options import Options
from grpo_prm.engines.analyze import analyze_with
from grpo_prm.engines.ray_pool import Cluster, cluster
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import ReadOptions


@pytest.fixture(scope="module")
def two():
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))  # of the tasks that are lost
        with cluster(None, 2) as pool:
            pool.wait()  # else the first tasks are done here
            yield pool


def test_the_summary_is_that_of_one_process(two, tmp_path, monkeypatch):
    small_pieces(monkeypatch, 5_000, 20_000, 4)
    log = written(tmp_path / "log", [a_log(6), a_log(7, text=False)[:0]])
    reading = ReadOptions(run="log")
    (tmp_path / "rows").mkdir()
    one = analyze(log, reading=reading).summary
    other = analyze_with(two, [log], Options(), reading, tmp_path / "rows").summary
    assert json.dumps(one) == json.dumps(other)


def test_a_worker_that_is_killed_half_way(two, tmp_path):
    tasks = [Task(n, str(tmp_path / "killed") if n == 11 else None) for n in range(24)]
    assert list(two.results(square, tasks)) == [n**2 for n in range(24)]
    assert (tmp_path / "killed").exists() and list(two.results(threads, [Task(0)])) == [1]


class Killing:
    """Workers of which one is killed when the third result is there."""

    def __init__(self, pool, worker):
        self.workers, self._pool, self._worker, self._left = pool.workers, pool, worker, 3

    def results(self, work, tasks):
        for result in self._pool.results(work, tasks):
            self._left -= 1
            if not self._left:
                os.kill(self._worker, signal.SIGKILL)
            yield result


def test_an_analysis_whose_worker_is_killed_half_way(two, tmp_path, monkeypatch):
    small_pieces(monkeypatch, 5_000, 20_000, 4)
    log = written(tmp_path / "log", [a_log(8)])
    (tmp_path / "rows").mkdir()
    (worker,) = two.results(process, [Task(0)])
    killing = Killing(two, worker)
    other = analyze_with(killing, [log], Options(), ReadOptions(), tmp_path / "rows").summary
    assert killing._left < 0 and json.dumps(other) == json.dumps(analyze(log).summary)


def test_errors_of_tasks_and_lost_tasks(two, tmp_path):
    with pytest.raises(InputError, match="no 3"):
        list(two.results(fails, [Task(3)]))
    with pytest.raises(InputError, match="Ray gave a task up"):
        list(two.results(square, [Task(2, str(tmp_path / "killed"), once=False)]))


class Started:
    """A stand-in for Ray, which does a task when its result is asked for."""

    def remote(self, **_):
        return lambda work: SimpleNamespace(remote=lambda task: (work, task))

    def get(self, reference):
        work, task = reference
        self.got.append(task.number)
        return work(task)

    def cancel(self, reference):
        self.cancelled.append(reference[1].number)

    def __init__(self):
        self.got, self.cancelled = [], []


def test_tasks_are_done_here_until_ray_has_started():
    ray, start = Started(), Future()
    results = Cluster(ray, 2, start).results(square, map(Task, range(9)))
    assert [next(results) for _ in range(3)] == [0, 1, 4] and ray.got == []
    start.set_result(None)
    assert next(results) == 9 and ray.got == [3]
    results.close()
    assert ray.cancelled == [4, 5, 6]


def test_a_cluster_that_cannot_start_is_said():
    start = Future()
    results = Cluster(Started(), 2, start).results(square, map(Task, range(9)))
    assert next(results) == 0
    start.set_exception(UsageError("no cluster"))
    with pytest.raises(UsageError, match="no cluster"):
        next(results)


def test_without_ray_it_is_said_how_to_have_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'grpo-prm\[ray\]'"), cluster(None, 2):
        pass
