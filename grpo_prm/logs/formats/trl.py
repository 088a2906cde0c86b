"""TRL's folder of `completions_*.parquet`: groups are runs of one prompt; the weights of the rewards are not on disk.

Each reward function has a column of its own name; so has anything else that the functions log. Functions give floats,
and the plain sum of the float columns is the reward only if it makes the logged advantages. Otherwise these are used,
the reward is null, and a note gives the `--reward` that does make them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from ...core.group_size import modal_size
from ...errors import InputError
from ..columns.plan import Plan
from ..log import Format, Head, Log
from ..options import ReadOptions
from ..rewards import explain, fit, parse, write
from ..rollouts import REWARD_PART
from ..rows.records import Part
from ..sources import Source
from . import generic

_OWN = ("step", "prompt", "completion", "advantage")
_TAKEN = {*_OWN, "tokens"}  # a run may log `completion_ids` beside the text


class _File(NamedTuple):
    """One file as far as it says how rewards and groups are made.

    Attributes:
        source: The file.
        digest: Of everything in it but the step.
        numbers: Its float columns and the advantage.
        runs: How many rows in a row have one prompt.
    """

    source: Source
    digest: bytes
    numbers: pl.DataFrame
    runs: list[int]


def _detect(head: Head) -> bool:
    """Parquet with TRL's own columns; a total `reward` is what TRL has not, but a function may be called so."""
    if head.container != "parquet" or not head.has(*_OWN):
        return False
    return not head.has("reward") or re.search(r"completions_\d+", head.source.path.name) is not None


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open the files of a run: mark those written twice, and find out what the reward is."""
    files = [_looked_into(source) for source in sources if not source.repeats]
    sources = _marked(sources, files)
    fresh = {source.name for source in sources if not source.repeats}
    files = [file for file in files if file.source.name in fresh]
    k = options.group_size or modal_size(rows for file in files for rows in file.runs)
    named = dict.fromkeys(name for file in files for name in file.numbers.columns)
    names = [name for name in named if name != "advantage" and head.has(name)]
    chosen, notes = _reward(files, names, k, options)
    if chosen is None:
        asked = replace(options, keep=(*names, *(c for c in options.keep if c not in names)))
    else:
        asked = replace(options, reward=write(chosen))

    def change(plan: Plan) -> Plan:
        taken = {
            c: p for c, p in plan.paths.items() if c in _TAKEN | options.columns.keys() or (c == "reward" and chosen)
        }
        kinds = {**plan.kinds, **dict.fromkeys(names, "float")}
        by = plan.by if "group" in options.columns else ("prompt",)
        return replace(plan, paths=taken, kinds=kinds, by=by, notes=(*notes, *_overwritten(files)))

    log = generic.open_log(sources, asked, head, "trl", dict(zip(_OWN, _OWN, strict=True)), change)
    if chosen is not None:
        return log
    named = {name: REWARD_PART + name for name in names}
    return replace(log, plan=replace(log.plan, keep=options.keep), parts=lambda: _renamed(log.parts(), named))


def _looked_into(source: Source) -> _File:
    try:
        frame = pl.read_parquet(source.path)
        prompt, logged = frame["prompt"].hash().to_numpy(), frame["advantage"].cast(pl.Float64)
    except (pl.exceptions.PolarsError, OSError) as error:
        why = str(error).splitlines()[0]
        raise InputError(f"{source.name}: not a file of TRL ({why}). Check that it is whole.") from None
    rest = frame.drop("step", strict=False)
    digest = hashlib.sha256(rest.hash_rows().to_numpy().tobytes()).digest()
    floats = [name for name, dtype in rest.schema.items() if dtype.is_float() and name != "advantage"]
    starts = np.flatnonzero(np.diff(prompt, prepend=0) != 0)
    return _File(source, digest, frame.select(*floats, logged), np.diff(starts, append=len(frame)).tolist())


def _marked(sources: Sequence[Source], files: Sequence[_File]) -> list[Source]:
    """Mark files that hold the rows of an earlier one: a batch used again (num_iterations) is written at each step."""
    first: dict[bytes, str] = {}
    repeats = {}
    for file in files:
        if len(file.numbers) and file.digest in first:
            repeats[file.source.name] = f"{first[file.digest]} but for the step"
        first.setdefault(file.digest, file.source.name)
    return [source._replace(repeats=source.repeats or repeats.get(source.name)) for source in sources]


def _reward(
    files: Sequence[_File], names: list[str], k: int, options: ReadOptions
) -> tuple[dict[str, float] | None, tuple[str, ...]]:
    """Weights of the reward, None if the sum of all parts is wrong; and what to say about it."""
    if options.reward or "reward" in options.columns:
        weights = parse(options.reward) if options.reward else {options.columns["reward"]: 1.0}
        if not set(weights) <= set(names):
            return weights, ()
        scaling = _scaling(files, names, [weights.get(name, 0.0) for name in names], k)
        verdict = (
            f"gives the logged advantages (scaling: {scaling})" if scaling else "does not give the logged advantages"
        )
        return weights, (f"The reward {write(weights)} {verdict}.",)
    weights = dict.fromkeys(names, 1.0)
    if names and (scaling := _scaling(files, names, [1.0] * len(names), k)):
        what = names[0] if len(names) == 1 else f"the sum of {', '.join(names)}"
        return weights, (f"The reward is {what}, which gives the logged advantages (scaling: {scaling}).",)
    return None, (_fix(files, names, k),)


def _fix(files: Sequence[_File], names: list[str], k: int) -> str:
    """Say why the reward is null, and what makes it known."""
    if not names:
        return "No reward is logged: rewards are null, and only the logged advantages can be used."
    said = (
        f"Rewards are null and the logged advantages are used: the plain sum of {', '.join(names)} does not give them"
    )
    said += " under any scaling of TRL, which does not log the weights."
    parts, advantages, groups, batches = _arrays(files, names, k)
    for index, name in enumerate(names):
        if explain(parts[:, [index]], [1.0], advantages, groups, batches):
            return f"{said} --reward {write({name: 1.0})} gives them."
    if found := fit(parts, advantages, groups, batches):
        return f'{said} --reward "{write(dict(zip(names, found, strict=True)))}" gives them.'
    example = "+".join(f"{weight}{write({name: 1.0})}" for weight, name in zip(["", "0.5*"], names, strict=False))
    return (
        f'{said} Name the reward, --reward {write({names[0]: 1.0})}, or the weights of the run, --reward "{example}".'
    )


def _scaling(files: Sequence[_File], names: list[str], weights: list[float], k: int) -> str | None:
    parts, advantages, groups, batches = _arrays(files, names, k)
    return explain(parts, weights, advantages, groups, batches)


def _arrays(files: Sequence[_File], names: list[str], k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rewards, advantages, groups and batches of all files, for `explain`."""
    blocks = [block for file in files for n in file.runs for block in (_draws(n, k))]
    table = pl.concat([file.numbers for file in files], how="diagonal")
    absent = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in table.columns]
    parts = table.with_columns(absent).select(pl.col(names).cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    advantages = table["advantage"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    batches = np.repeat(np.arange(len(files)), [len(file.numbers) for file in files])
    return parts, advantages, np.repeat(np.arange(len(blocks)), blocks), batches


def _draws(rows: int, k: int) -> list[int]:
    """Sizes of the groups in a run of one prompt."""
    return [k] * (rows // k) if k and rows % k == 0 else [rows]


def _overwritten(files: Sequence[_File]) -> Iterator[str]:
    """Say which files are unlike the others: an evaluation logs to the name of the training step that it follows."""
    shapes = [(sum(file.runs), modal_size(file.runs)) for file in files]
    if not shapes:
        return
    (rows, k), _ = Counter(shapes).most_common(1)[0]
    odd = [(file, shape) for file, shape in zip(files, shapes, strict=True) if shape != (rows, k)]
    if odd and 2 * len(odd) < len(files):
        file, shape = odd[0]
        others = f" and {len(odd) - 1} more files are" if len(odd) > 1 else " is"
        yield (
            f"{file.source.name}{others} unlike the rest ({shape[0]} rows in groups of {shape[1]}, not {rows} in groups"
            f" of {k}): an evaluation at that step may have overwritten the training rows, or the log was cut there."
        )


def _renamed(parts: Iterator[Part], named: dict[str, str]) -> Iterator[Part]:
    for part in parts:
        yield part._replace(rows=part.rows.rename(named))


FORMAT = Format("trl", _detect, _open)
