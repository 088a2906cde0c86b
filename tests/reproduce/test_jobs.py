"""Jobs leave records, which are not made again, and results do not depend on how many processes there are."""

from __future__ import annotations

import os
import time
from pathlib import Path

import polars as pl
import pytest

import grpo_prm.reproduce.jobs as module
import grpo_prm.reproduce.run as run
from grpo_prm.errors import UsageError
from grpo_prm.files import atomic
from grpo_prm.reproduce.defect import change_record
from grpo_prm.reproduce.jobs import Job, Unfinished, _make, gpus, processes, run_jobs


def jobs(groups=50):
    return [Job(f"d/{n}", change_record, {"depth": 4, "groups": groups, "seed": n}, cost=n) for n in range(4)]


@pytest.fixture(scope="module")
def pool():
    with processes(2) as pool:
        yield pool


def test_records_come_in_order_and_are_kept(pool, tmp_path):
    told = []
    found = run_jobs(jobs(), tmp_path, pool, lambda cost, name: told.append((cost, name)))
    assert all(table.equals(change_record(**job.arguments)) for table, job in zip(found, jobs(), strict=True))
    assert sorted(told) == [(n, f"d/{n}") for n in range(4)]
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    assert len(before) == 4 and not list(tmp_path.rglob(".*"))
    again = run_jobs(jobs(), tmp_path, pool, lambda cost, name: told.append((cost, name)))
    assert all(one.equals(other) for one, other in zip(found, again, strict=True))
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} and len(told) == 8


def test_other_arguments_and_damage_make_a_record_again(pool, tmp_path):
    run_jobs(jobs(), tmp_path, pool, lambda *_: None)
    (tmp_path / "d/1.parquet").write_bytes(b"torn")
    found = run_jobs(jobs(), tmp_path, pool, lambda *_: None)
    assert found[1].equals(change_record(**jobs()[1].arguments))
    found = run_jobs(jobs(60), tmp_path, pool, lambda *_: None)
    assert found[2].equals(change_record(**jobs(60)[2].arguments))
    assert pl.read_parquet(tmp_path / "d/2.parquet").equals(found[2])


def test_a_fault_of_a_job_comes_through_and_leaves_no_record(pool, tmp_path):
    wrong = Job("wrong", change_record, {"depth": 4, "groups": 1, "seed": -1})
    with pytest.raises(ValueError, match="non-negative"):
        run_jobs([wrong], tmp_path, pool, lambda *_: None)
    assert not list(tmp_path.rglob("*.parquet"))


def count_tries(number, folder):
    """A record of how many tries worked in this folder; the first one dies."""
    tries = folder / "tries"
    tries.write_text((tries.read_text() if tries.exists() else "") + "x")
    if number and len(tries.read_text()) == 1:
        raise SystemExit
    return pl.DataFrame({"tries": [len(tries.read_text())]})


def test_a_job_goes_on_in_its_folder_but_not_in_that_of_another(tmp_path):
    job = Job("a/job", count_tries, {"number": 1}, works_in=True)
    with pytest.raises(SystemExit):
        _make(tmp_path, job)
    _make(tmp_path, job)
    assert pl.read_parquet(tmp_path / "a/job.parquet")["tries"].to_list() == [2]
    assert not (tmp_path / "a/job.run").exists()
    with pytest.raises(SystemExit):
        _make(tmp_path, job)
    _make(tmp_path, job._replace(arguments={"number": 0}))  # the same name, other arguments
    assert pl.read_parquet(tmp_path / "a/job.parquet")["tries"].to_list() == [1]


def test_a_process_that_dies_is_told_in_a_sentence(tmp_path):
    with processes(1) as pool, pytest.raises(UsageError, match="fewer --workers"):
        run_jobs([Job("dies", os._exit, {"status": 1})], tmp_path, pool, lambda *_: None)


def seen_record(number, folder):
    """Which GPU a job sees, and its process; waits until the other one has begun, so that no worker makes both.

    They tell each other beside their folders: that of a job which is done is no longer there.
    """
    (folder.parent / f"{number}.begun").touch()
    other = folder.parent / f"{1 - number}.begun"
    until = time.monotonic() + 60
    while not other.exists() and time.monotonic() < until:
        time.sleep(0.01)
    return pl.DataFrame({"gpu": [os.environ.get("CUDA_VISIBLE_DEVICES")], "process": [os.getpid()]})


def test_each_worker_has_a_gpu_for_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    both = [Job(f"seen/{n}", seen_record, {"number": n}, works_in=True, alone=n == 1) for n in (0, 1)]
    with processes(2, ["3", "5"]) as pool:
        found = run_jobs(both, tmp_path, pool, lambda *_: None)
        workers = set(pool._processes)
    assert sorted(table["gpu"][0] for table in found) == ["3", "5"]
    one, alone = (table["process"][0] for table in found)
    assert one in workers and alone not in workers  # and yet it has the GPU of its worker


def test_gpus_are_those_that_are_visible(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-4a,6")
    assert gpus() == ["GPU-4a", "6"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert gpus() == ["0", "1"]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert gpus() == []


def test_parts_make_what_the_whole_makes(pool, tmp_path):
    done = []
    for part, names in (((1, 3), ["d/0", "d/3"]), ((2, 3), ["d/1"])):
        with pytest.raises(Unfinished):
            run_jobs(jobs(), tmp_path, pool, lambda _, name: done.append(name), part)
        assert sorted(done) == names
        done.clear()
    found = run_jobs(jobs(), tmp_path, pool, lambda *_: None, (3, 3))
    assert all(table.equals(change_record(**job.arguments)) for table, job in zip(found, jobs(), strict=True))


@pytest.mark.parametrize(
    ("cores", "gigabytes", "gpus", "workers"),
    [(8, 64, [], 8), (8, 3.5, [], 3), (0.5, 64, [], 1), (2.7, 64, [], 2), (8, 0.3, [], 1), (2, 64, ["0"] * 8, 8)],
)
def test_workers_are_those_that_have_a_core_and_memory(monkeypatch, cores, gigabytes, gpus, workers):
    monkeypatch.setattr(module, "cores", lambda: cores)
    monkeypatch.setattr(module, "memory", lambda: int(gigabytes * (1 << 30)))
    assert module.side_by_side(gpus) == workers


@pytest.mark.parametrize(("budget", "workers"), [("quick", 8), ("full", 2)])
def test_a_claim_says_what_its_workers_need(monkeypatch, budget, workers):
    monkeypatch.setattr(module, "cores", lambda: 16.0)
    monkeypatch.setattr(module, "memory", lambda: 8 << 30)  # 3.6 GB for each that trains the pretrained model
    monkeypatch.setattr(run, "gpus", list)
    monkeypatch.setattr(run, "_check_installed", lambda *_: None)
    assert run.with_workers(run.Options(("training",), budget, workers=None)).workers == workers
    assert run.with_workers(run.Options(("training", "defect"), budget, workers=None)).workers == workers


def half_written(place):
    """A job that never comes to the end of a file."""
    with atomic(Path(place)) as staged:
        staged.write_text("half")
        time.sleep(600)


def test_what_workers_were_writing_when_they_were_stopped_is_swept(tmp_path):
    place = tmp_path / "deeper" / "record.parquet"
    place.parent.mkdir()

    def stopped():
        with processes(1, records=tmp_path) as executor:
            executor.submit(half_written, str(place))
            deadline = time.monotonic() + 120
            while not list(place.parent.iterdir()) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert [path.name[0] for path in place.parent.iterdir()] == ["."]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not list(place.parent.iterdir())
