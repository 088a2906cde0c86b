"""The slices of a log measured side by side, also those of different batches; what they say comes in their order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain, groupby
from typing import NamedTuple

import polars as pl

from ..logs.prefetch import parallel
from ..logs.rollouts import Rollouts
from ..machine import cores
from .baseline_by import divided
from .cross_prompt import steps_apart
from .measure import Measured, Slice, measure_slice, slices_of
from .options import Options
from .prompts import PromptLengths


class Apart(NamedTuple):
    """`cross_prompt.steps_apart` of a batch, and how many of its groups are outside (`baseline_by.divided`)."""

    baseline: pl.DataFrame
    waiting: pl.DataFrame
    outside: int


class _Job(NamedTuple):
    """A slice of a batch; None: its pseudo-groups."""

    number: int
    batch: Rollouts
    part: Slice | None


def side_by_side(
    batches: Iterable[Rollouts], options: Options, prompts: PromptLengths
) -> Iterator[tuple[Rollouts, Iterator[Measured | Apart]]]:
    """Measure batches, two slices at a time where there are cores for it.

    Args:
        batches: Whole groups, each training step in one batch.
        options: What to compute; the divisor is known.
        prompts: Counts the tokens of prompts.

    Yields:
        Each batch, and its slices and pseudo-groups in the order of the log, to be gone through before the next.

    Raises:
        UsageError: Logged advantages are asked for, or needed, but some are not there.
    """
    jobs = (
        _Job(number, batch, part)
        for number, batch in enumerate(batches)
        for part in chain(slices_of(batch.table, options, prompts), (None,))
    )
    threads = 2 if cores() > 1 else 1
    for _, done in groupby(parallel(partial(_done, options=options), jobs, threads), lambda one: one[0].number):
        first = next(done)
        yield first[0].batch, (made for _, made in chain((first,), done))


def _done(job: _Job, options: Options) -> tuple[_Job, Measured | Apart]:
    if job.part is not None:
        made = measure_slice(job.part)
    else:
        inside, outside = divided(job.batch.table, options.baseline_by)
        made = Apart(*steps_apart(inside, options.seed), outside)
    return job._replace(part=None), made  # the rows of a slice are needed no longer
