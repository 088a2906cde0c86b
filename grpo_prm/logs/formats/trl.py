"""TRL's folder of `completions_*.parquet`: groups are neighbouring rows of one prompt; reward weights are not on disk.

Each reward function has a column of its own name; so has anything else that the functions log. Functions give floats,
so the plain sum of the float columns is a first guess at the reward, and the logged advantages tell whether it is right
or which weights are. Where nothing gives them the reward is null, and the logged advantages are analysed.
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
from ..columns.first_rows import HUGE
from ..columns.plan import LABELS, Plan
from ..containers.panics import without_panics
from ..containers.parquet_file import FAULTS, check_fits
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..rewards import parse_weights, reward_of_parts, write_weights
from ..rollouts import REWARD_PART
from ..scaling import matching_scaling
from ..sources import Source
from . import generic

OWN = ("step", "prompt", "completion", "advantage")
_TAKEN = {*OWN, *LABELS, "tokens"}  # a run may log `completion_ids` beside the text


class _File(NamedTuple):
    """One file as far as it says how rewards and groups are made.

    Attributes:
        source: The file.
        digest: Hash of everything in it but the step.
        numbers: Its float columns and the advantage.
        repeats: Numbers of neighbouring rows with one prompt, in order.
    """

    source: Source
    digest: bytes
    numbers: pl.DataFrame
    repeats: list[int]


def _detect(head: Head) -> bool:
    """Parquet with TRL's own columns. TRL logs no total `reward`, so with one the file name must be TRL's as well."""
    if head.container != "parquet" or not head.has(*OWN):
        return False
    return not head.has("reward") or re.search(r"completions_\d+", head.source.path.name) is not None


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open the files of a run: mark those written twice, and find out what the reward is."""
    fresh = [source for source in sources if not source.repeats] or sources  # a copy of a whole run tells as much
    files = [_read_file(source) for source in fresh]
    sources = _mark_written_twice(sources, files)
    once = {source.name for source in sources if not source.repeats}
    files = [file for file in files if file.source.name in once] or files
    k = options.group_size or modal_size(rows for file in files for rows in file.repeats)
    floats = dict.fromkeys(name for file in files for name in file.numbers.columns)
    # A file may lack a column of the first one or have more; names that the first does not have cannot be mapped.
    functions = [name for name in floats if name != "advantage" and head.has(name)]
    weights, notes = _reward(files, functions, k, options)
    reward = options.reward if weights is None else write_weights(weights)

    def change(plan: Plan) -> Plan:
        # What each function gave is a part of the reward, also where the weights are not known or leave one out.
        others = {name: name for name in functions if name not in plan.reward_weights} | dict(plan.parts)
        taken = {
            c: p for c, p in plan.paths.items() if c in _TAKEN | options.columns.keys() or (c == "reward" and weights)
        }
        # A function may give null in all first rows.
        kinds = {**plan.kinds, **dict.fromkeys(functions, "float")}
        optional = (
            *plan.optional,
            *(REWARD_PART + name for name in others if REWARD_PART + name not in options.columns),
        )
        by = plan.by if "group" in options.columns else ("prompt",)
        notes_of_log = (*notes, *_overwritten(files))
        return replace(plan, paths=taken, parts=others, kinds=kinds, by=by, optional=optional, notes=notes_of_log)

    options_for_rows = replace(options, reward=reward)
    return generic.open_log(sources, options_for_rows, head, "trl", dict(zip(OWN, OWN, strict=True)), change)


def _read_file(source: Source) -> _File:
    try:
        with without_panics():
            check_fits(source)
            frame = pl.read_parquet(source.open() if source.pipe else source.path)
        prompt, logged = frame["prompt"].hash().to_numpy(), frame["advantage"].cast(pl.Float64)
    except FAULTS as error:
        why = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise InputError(f"{source.name}: not a file of TRL ({why}). Check that it is whole.") from None
    if logged.dtype != pl.Float64:  # of objects a cast makes objects of numbers
        raise InputError(
            f"{source.name}: advantage: expected numbers, got {frame.schema['advantage']}. TRL logs one a completion."
        )
    rest = frame.drop("step", strict=False)  # a batch that is used again is written again under the next step
    digest = hashlib.sha256(rest.hash_rows().to_numpy().tobytes()).digest()
    floats = [name for name, dtype in rest.schema.items() if dtype.is_float() and name != "advantage"]
    starts = np.flatnonzero(np.diff(prompt, prepend=0) != 0)
    numbers = pl.DataFrame({**{name: frame[name] for name in floats}, "advantage": logged})
    return _File(source, digest, numbers, np.diff(starts, append=len(frame)).tolist())


def _mark_written_twice(sources: Sequence[Source], files: Sequence[_File]) -> list[Source]:
    """Mark files with the rows of an earlier one: TRL writes a batch at each step that uses it (num_iterations)."""
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
    """Weight of each reward function, None if the user gave none and the advantages tell none; and a note about it."""
    if "reward" in options.off:
        return None, ("The reward is left out, as asked: only the logged advantages are used.",)
    parts, *logged = _arrays(files, names, k)
    if not options.reward and "reward" not in options.columns:
        weights, note = reward_of_parts(parts, names, *logged)
        return weights, (note,)
    weights = parse_weights(options.reward) if options.reward else {options.columns["reward"]: 1.0}
    if not set(weights) <= set(names):  # of other columns: not ours to check
        return weights, ()
    scaling = matching_scaling(parts, [weights.get(name, 0.0) for name in names], *logged)
    verdict = f"gives the logged advantages (scaling: {scaling})" if scaling else "does not give the logged advantages"
    return weights, (f"The reward {write_weights(weights)} {verdict}.",)


def _arrays(files: Sequence[_File], names: list[str], k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rewards, advantages, groups and batches of all files, as `reward_of_parts` takes them; a file is a batch."""
    blocks = [block for file in files for n in file.repeats for block in _draws(n, k)]
    table = pl.concat([file.numbers for file in files], how="diagonal")
    absent = [pl.lit(None, pl.Float64).alias(name) for name in names if name not in table.columns]
    # By place, as polars takes a column called `*` for all columns.
    given = [table.with_columns(absent)[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names]
    rewards = np.stack(given, axis=1) if given else np.zeros((len(table), 0))
    rewards = np.where(np.abs(rewards) < HUGE, rewards, np.nan)
    advantages = table["advantage"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    advantages = np.where(np.abs(advantages) < HUGE, advantages, np.nan)
    batches = np.repeat(np.arange(len(files)), [len(file.numbers) for file in files])
    return rewards, advantages, np.repeat(np.arange(len(blocks)), blocks), batches


def _draws(rows: int, k: int) -> list[int]:
    """Sizes of the groups in neighbouring rows of one prompt: the prompt may have been drawn several times in a row."""
    return [k] * (rows // k) if k and rows % k == 0 else [rows]


def _overwritten(files: Sequence[_File]) -> Iterator[str]:
    """Say which files are unlike the others: an evaluation logs to the name of the training step that it follows."""
    shapes = [(sum(file.repeats), modal_size(file.repeats)) for file in files]
    if not shapes:
        return
    # The commonest shape is the training run's; if half of the files differ nobody can tell which are odd.
    (rows, k), _ = Counter(shapes).most_common(1)[0]
    odd = [(file, shape) for file, shape in zip(files, shapes, strict=True) if shape != (rows, k)]
    if odd and 2 * len(odd) < len(files):
        file, shape = odd[0]
        others = f" and {len(odd) - 1} more files are" if len(odd) > 1 else " is"
        yield (
            f"{file.source.name}{others} unlike the rest ({shape[0]} rows in groups of {shape[1]}, not {rows} in groups"
            f" of {k}): an evaluation at that step may have overwritten the training rows, or the log was cut there."
        )


FORMAT = Format("trl", _detect, open=_open)
