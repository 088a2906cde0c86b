"""Where the tasks of an analysis run: a cluster of Ray, or one that is started on this machine."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, TypeVar

from ..errors import InputError, UsageError
from ..machine import cores
from .pools import ENVIRONMENT, TRIES, WAITING, environment, imported

S = TypeVar("S")
T = TypeVar("T")


class Cluster:
    """Tasks of one core each on whatever machines a cluster has; until it is there they are done in this process.

    Args:
        ray: The package.
        workers: Tasks that run together.
        start: Done when Ray is connected, or cannot be.
    """

    def __init__(self, ray: Any, workers: int, start: Future[None]) -> None:
        self._ray, self.workers, self._start = ray, workers, start

    def wait(self) -> None:
        """Wait until it is there.

        Raises:
            UsageError: It cannot be.
        """
        self._start.result()

    def results(self, work: Callable[[S], T], tasks: Iterable[S]) -> Iterator[T]:
        """See `pools.Pool`: Ray itself does a task again whose worker or machine was lost.

        Raises:
            InputError: A task was lost `TRIES` times with its worker, or the cluster is gone.
            UsageError: Ray cannot be started.
        """
        coming: deque[Any] = deque()
        try:
            for task in tasks:
                if not self._start.done():  # some seconds, in which this process would have nothing to do
                    yield work(task)
                    continue
                self.wait()
                remote = self._ray.remote(num_cpus=1, max_retries=TRIES)(work)
                coming.append(remote.remote(task))
                if len(coming) >= WAITING * self.workers:
                    yield self._got(coming.popleft())
            while coming:
                yield self._got(coming.popleft())
        finally:  # of what nobody waits for, nothing more is begun
            for one in coming:
                self._ray.cancel(one)

    def _got(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)  # what went wrong in the task itself, where that was it
            if isinstance(cause, Exception) and not isinstance(cause, self._ray.exceptions.RayError):
                raise cause from None
            why = str(error).strip().splitlines()[0][:200]
            raise InputError(
                f"Ray gave a task up ({why}). Look at its dashboard, and start the command again."
            ) from None


@contextmanager
def cluster(address: str | None, workers: int | None = None) -> Generator[Cluster]:
    """Connect to a cluster, and let go of it at the end.

    Args:
        address: Of its head, `HOST:PORT` or `auto`; None: a cluster of this machine alone is started, in a thread.
        workers: Tasks that run together; None: as many as there are cores.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs a package that is not installed: pip install 'grpo-prm[ray]'.") from None
    if address:
        start: Future[None] = Future()
        _connect(ray, start, address=address, runtime_env={"env_vars": ENVIRONMENT})
        start.result()
        yield from _until_shut_down(ray, Cluster(ray, workers or int(ray.cluster_resources().get("CPU", 1)), start))
    else:
        yield from _own_cluster(ray, workers or max(int(cores()), 1))


def _until_shut_down(ray: Any, pool: Cluster) -> Iterator[Cluster]:
    try:
        yield pool
    finally:
        ray.shutdown()


def _own_cluster(ray: Any, workers: int) -> Iterator[Cluster]:
    """A cluster of this machine, which starts in a thread."""
    start, over = Future[None](), Event()

    def run() -> None:
        # Workers have the environment of the raylet: in one of their own none of those that start with it would be
        # taken. And what a thread started ends with it, so this one waits for the end.
        with environment():
            _connect(ray, start, address="local", num_cpus=workers, include_dashboard=False)
        if start.exception() is None:
            for _ in range(workers):
                ray.remote(num_cpus=1)(imported).remote()
        over.wait()
        ray.shutdown()

    thread = Thread(target=run, name="ray", daemon=True)
    thread.start()
    try:
        yield Cluster(ray, workers, start)
    finally:
        over.set()
        thread.join()


def _connect(ray: Any, start: Future[None], **how: Any) -> None:
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        why = str(error).strip().splitlines()[0].rstrip(".")[:200]
        start.set_exception(UsageError(f"--address {how['address']}: no cluster of Ray answers there ({why})."))
    except BaseException as error:
        start.set_exception(error)
    else:
        start.set_result(None)
