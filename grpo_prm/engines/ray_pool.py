"""Where the tasks of an analysis run: a cluster of Ray, or one that is started on this machine."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from ..errors import InputError, UsageError
from .pools import ENVIRONMENT, TRIES, WAITING

S = TypeVar("S")
T = TypeVar("T")


class Cluster:
    """Tasks of one core each on whatever machines a cluster has.

    Args:
        ray: The package, connected.
        workers: Tasks that run together; None: as many as the cluster has cores.
    """

    def __init__(self, ray: Any, workers: int | None = None) -> None:
        self._ray = ray
        self.workers = workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)

    def results(self, work: Callable[[S], T], tasks: Iterable[S]) -> Iterator[T]:
        """See `pools.Pool`: Ray itself does a task again whose worker or machine was lost.

        Raises:
            InputError: A task was lost `TRIES` times with its worker, or the cluster is gone.
        """
        remote = self._ray.remote(num_cpus=1, max_retries=TRIES)(work)
        coming: deque[Any] = deque()
        for task in tasks:
            coming.append(remote.remote(task))
            if len(coming) >= WAITING * self.workers:
                yield self._got(coming.popleft())
        while coming:
            yield self._got(coming.popleft())

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
        address: Of its head, `HOST:PORT` or `auto`; None: a cluster of this machine alone is started.
        workers: As for `Cluster`.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError:
        raise UsageError("--engine ray needs a package that is not installed: pip install 'grpo-prm[ray]'.") from None
    own: dict[str, Any] = {} if address else {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": ENVIRONMENT},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **own,
        )
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        why = str(error).strip().splitlines()[0].rstrip(".")[:200]
        raise UsageError(f"--address {address}: no cluster of Ray answers there ({why}).") from None
    try:
        yield Cluster(ray, workers)
    finally:
        ray.shutdown()
