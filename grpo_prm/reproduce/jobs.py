"""Runs of experiments on several processes: each leaves a record, and one that is there already is not run again."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ..errors import UsageError
from ..files import atomic
from ..machine import cores, memory
from ..scratch import sweep
from ..stopping import deaf_to_interrupts, ignore_interrupts
from ..version import __version__

POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")
ONE_THREAD = dict.fromkeys(POOLS, "1")
WORKER = 1 << 30  # bytes of a worker with torch in it and a small model: 0.7 GB, and its batches
KEY = "grpo_prm_job"


class Job(NamedTuple):
    """A run of an experiment.

    Attributes:
        name: Path of its record below the folder of records, without suffix.
        make: A function at the top of a module; gives the record, the same for the same arguments.
        arguments: Of `make`; JSON can hold them.
        cost: Seconds of one core, roughly.
        works_in: `make` is given a `folder` too, where it finds what an earlier try left; it goes with the record made.
        alone: `make` runs in a process of its own, since it leaves behind what no later job can use: memory of a GPU.
    """

    name: str
    make: Callable[..., pl.DataFrame]
    arguments: dict[str, Any]
    cost: float = 1.0
    works_in: bool = False
    alone: bool = False


class Unfinished(Exception):
    """The jobs of this part are done, and others have no record yet."""


RunJobs = Callable[[Sequence[Job]], list[pl.DataFrame]]  # jobs to their records, in order
OnDone = Callable[[float, str], None]  # cost of a job that is done, and its name


def gpus() -> list[str]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them."""
    import torch

    number, visible = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible.split(",")[:number] if visible else [str(n) for n in range(number)]


def side_by_side(gpus: Sequence[str] = (), needed: int = WORKER) -> int:
    """How many workers this machine takes: one for each GPU, else for each core of ours, as far as memory goes.

    Args:
        gpus: Those that may be used.
        needed: Bytes of a worker.
    """
    return len(gpus) or max(1, min(int(cores()), memory() // needed))


@contextmanager
def processes(number: int, gpus: Sequence[str] = (), records: Path | None = None) -> Generator[Executor]:
    """Worker processes of one thread each, so that results do not depend on their number; gone at the end.

    Args:
        number: How many.
        records: The folder they write to, which is swept of what they were writing when they were stopped.
        gpus: Each worker sees one of them alone, in turn; none: workers see what this process sees.
    """
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # workers inherit it; the libraries read it when they are imported
    # Forking would copy the threads of torch and polars in whatever state they are.
    context = multiprocessing.get_context("spawn")
    to_take = context.SimpleQueue()
    for name in islice(cycle(gpus), number):
        to_take.put(name)
    executor = ProcessPoolExecutor(number, context, _begin_worker, (to_take if gpus else None,))
    try:
        yield executor
    except BaseException:
        for child in multiprocessing.active_children():
            child.terminate()  # what they do is not wanted any more, and would be waited for
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        if records:
            sweep(records, below=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _begin_worker(gpus: Any = None) -> None:
    """Take a GPU, leave Ctrl-C to the parent, and end when it does, however it does."""
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus.get()  # before torch is imported, so it knows no other
    ignore_interrupts()
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        if parent is not None:
            parent.join()  # returns when the parent is gone, killed or not
        os._exit(1)  # sys.exit would end this thread alone

    threading.Thread(target=end_with_parent, daemon=True).start()


def run_jobs(
    jobs: Sequence[Job], folder: Path, executor: Executor, on_done: OnDone, part: tuple[int, int] = (1, 1)
) -> list[pl.DataFrame]:
    """Run the jobs that have no record yet, and read all records, in the order of the jobs.

    Args:
        jobs: With names of their own.
        folder: Of the records.
        executor: Where they run.
        on_done: Is called with every job that is done, in the order in which they end.
        part: `(1, 4)`: the first of four parts is run here, every fourth job.

    Raises:
        UsageError: A worker process died.
        Unfinished: Jobs of other parts have no record yet.
    """
    running, (this, parts) = {}, part
    for job in jobs[this - 1 :: parts]:
        if _made_of(_path(folder, job)) == _key(job):
            on_done(job.cost, job.name)
        else:
            with deaf_to_interrupts():  # it may start a worker
                running[executor.submit(_make, folder, job)] = job
    try:
        for future in as_completed(running):
            future.result()
            on_done(running[future].cost, running[future].name)
    except BrokenProcessPool:
        raise UsageError(
            "A process ended without a word, as one does that is killed for its memory. Go on with --resume and fewer "
            "--workers."
        ) from None
    finally:
        for future in running:  # of a fault: the others are not wanted any more
            future.cancel()
    if lacking := len(jobs) - done(jobs, folder):
        raise Unfinished(f"{lacking} of {len(jobs)} runs have no record yet")
    # Read back, so that a record is the same whether it was made now or in an earlier call.
    return [pl.read_parquet(_path(folder, job)) for job in jobs]


def done(jobs: Sequence[Job], folder: Path) -> int:
    """How many of the jobs have their records."""
    return sum(_made_of(_path(folder, job)) == _key(job) for job in jobs)


def _path(folder: Path, job: Job) -> Path:
    return folder / f"{job.name}.parquet"


def _key(job: Job) -> str:
    """What a record was made of: a record of other arguments or of another version is made again."""
    return json.dumps(
        [__version__, job.make.__module__, getattr(job.make, "__name__", ""), job.arguments], sort_keys=True
    )


def _made_of(path: Path) -> str | None:
    """The key of a record, None where there is none that can be read."""
    try:
        return pl.read_parquet_metadata(path).get(KEY)
    except (OSError, pl.exceptions.PolarsError):
        return None


def _make(folder: Path, job: Job) -> None:
    """In a worker: run a job, and write its record whole or not at all."""
    if job.alone:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin_worker) as own:
            own.submit(_make, folder, job._replace(alone=False)).result()
        return
    work = folder / f"{job.name}.run"
    if job.works_in:
        _begin_in(work, _key(job))
    table = job.make(**job.arguments, **({"folder": work} if job.works_in else {}))
    with atomic(_path(folder, job)) as staged:
        table.write_parquet(staged, compression="zstd", metadata={KEY: _key(job)})
    shutil.rmtree(work, ignore_errors=True)


def _begin_in(work: Path, key: str) -> None:
    """Keep what an earlier try of the same job left in its folder, and nothing else."""
    known = work / ".job"
    if work.exists() and (not known.exists() or known.read_text(encoding="utf-8") != key):
        shutil.rmtree(work)
    if not known.exists():
        with atomic(known) as staged:
            staged.write_text(key, encoding="utf-8")
