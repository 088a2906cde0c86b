"""The canonical table itself, as `rollouts.save` writes it: groups, keys and units are taken as they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..columns.plan import Plan
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..rollouts import REQUIRED, REWARD_PART, SCHEMA
from ..sources import Source
from . import generic

_DERIVED = ("group", "group_key", "tokens_from")  # taken along, or named otherwise in the rows


def _detect(head: Head) -> bool:
    """A log with all the columns that every canonical table has."""
    return head.has(*REQUIRED)


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open canonical tables; a reward, a step or a text may be null here."""
    names = dict.fromkeys(name for row in head.rows for name in row)
    paths = {c: c for c in SCHEMA if c in names and c not in _DERIVED} | {"group": "group_key"}
    extra = tuple(n for n in names if n.startswith(REWARD_PART))
    options = replace(options, keep=("group", "tokens_from", *extra, *(k for k in options.keep if k not in extra)))
    return generic.open_log(sources, options, head, "canonical", paths, _as_it_stands)


def _as_it_stands(plan: Plan) -> Plan:
    # A group may be numbered or named: as text either tells the groups apart, and numbers are given anew later.
    kinds = {**plan.kinds, "group": "text"}
    return replace(plan, kinds=kinds, by=("group",), per_draw=True, optional=("step", "reward", "prompt"), notes=())


FORMAT = Format("canonical", _detect, _open)
