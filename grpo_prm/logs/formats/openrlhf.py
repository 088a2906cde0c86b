"""OpenRLHF's W&B table `train/generated_samples`: one completion a step, so there is no group to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import InputError
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..sources import Source

_OWN = {"global_step", "text", "reward"}


def _detect(head: Head) -> bool:
    """Its three columns and no other, and no step twice: a log of groups has several rows a step."""
    rows = [row for row in head.rows if isinstance(row, Mapping)]
    steps = [str(row.get("global_step")) for row in rows]
    return bool(rows) and all(row.keys() == _OWN for row in rows) and len(set(steps)) == len(steps)


def _open(_sources: Sequence[Source], _options: ReadOptions, head: Head) -> Log:
    """Refuse it: a group of one has no advantages, and shares nothing.

    Raises:
        InputError: Always.
    """
    raise InputError(
        f"{head.name}: OpenRLHF's table of generated samples holds one completion a step, so every group is a group of"
        " one and nothing is shared. Log all samples of a prompt: one JSON object a completion with step, prompt,"
        " completion and reward."
    )


FORMAT = Format("openrlhf", _detect, open=_open)
