"""The canonical table itself, as `rollouts.save` writes it: groups, keys and units are taken as they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import polars as pl

from ...errors import UsageError
from ..chunks import chunks
from ..columns.plan import Inside, Plan
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..rollouts import BESIDE, ENDS_WITH, REQUIRED, REWARD_PART, SCHEMA
from ..rows.records import parse
from ..sources import Source
from . import generic

_DERIVED = ("group", "group_key", "tokens_from", "run_from")  # taken along, or named otherwise in the rows


def _detect(head: Head) -> bool:
    """A log with all the columns that every canonical table has."""
    return head.has(*REQUIRED)


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open canonical tables; a reward, a step or a text may be null here."""
    if "group" in options.off:
        raise UsageError(f"{head.name}: --columns group=-: the groups of a canonical table stand. Leave it out.")
    names = dict.fromkeys(name for row in head.rows for name in row)
    paths = {c: c for c in SCHEMA if c in names and c not in _DERIVED} | {"group": "group_key"}
    # Files of one run may have other parts of the reward: each part is a column of all rows, null where it is not.
    every = dict.fromkeys(name for names_of in (names, *_columns(sources, head)) for name in names_of)
    parts = {name.removeprefix(REWARD_PART): name for name in every if name.startswith(REWARD_PART)}
    # Without the mask nothing is said of where it ends.
    told = (name for name in BESIDE if name != ENDS_WITH or "mask" not in options.off)
    beside = ("group", "tokens_from", *(name for name in (*told, "run_from") if name in names))
    kept = (name for name in options.keep if name not in (*beside, *parts.values()))
    options = replace(options, keep=(*beside, *kept))

    def as_it_stands(plan: Plan) -> Plan:
        # A column that `convert` kept under its own name has no role here, whatever it is called.
        own = {c: path for c, path in plan.paths.items() if c in paths or c in options.columns or c == "reward"}
        own |= {"sample": paths["sample"]} if "sample" in paths else {}  # also where all keys were drawn several times
        named = {part: path for part, path in plan.parts.items() if REWARD_PART + part in options.columns}
        others = {part: path for part, path in parts.items() if part not in plan.reward_weights}
        return replace(
            plan,
            paths=own,
            parts={**others, **named},
            by=("key", "group"),
            per_draw=True,
            optional=("step", "reward", "prompt", *(REWARD_PART + part for part in others)),
            inside=Inside(),  # what was in the completions was cut off when the table was made
            chat=None,  # and who speaks last was judged then
            notes=(),
            cautions=(),
        )

    return generic.open_log(sources, options, head, "canonical", paths, as_it_stands)


def _columns(sources: Sequence[Source], head: Head) -> Iterator[Collection[str]]:
    """Columns of each file but the first; a file that cannot be read has none, and is refused when it is."""
    for source in sources:
        if source == head.source or source.repeats:
            continue
        try:
            if head.container == "parquet":
                yield pl.read_parquet_schema(source.path)
            elif head.container == "jsonl":  # the first line names all, as `rollouts.save` writes nulls too
                line = next(chunks(source.open, 1 << 16)).data.partition(b"\n")[0]
                yield row if isinstance(row := parse(line), dict) else ()
        except (pl.exceptions.PolarsError, OSError, StopIteration):
            continue


FORMAT = Format("canonical", _detect, open=_open)
