"""ms-swift's `completions.jsonl`: a line is a whole step, a dict of lists; the Ray trainer writes a line a completion.

Reward functions are the columns between `completion` and `advantages`, without a total. Lists may have been cut to the
length of another, so that the last group of a step is not whole. Distillation (GKD) writes the file without rewards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import InputError
from ..format import Format, Head, Log, Row
from ..options import ReadOptions
from ..rollouts import REWARD_PART
from ..rows.values import Bad
from ..sources import Source
from . import generic

_STEPS = ("step", "gen_step")
_NOT_OURS = {"group", "group_id", "group_key", "uid", "problem_id", "example_id", "tokens", "completion_ids"}
_BESIDE = {"entropy", "num_turns", "solution", "images", "image", "rollout_infos"}  # logged, and no reward


def _detect(head: Head) -> bool:
    return any(isinstance(record, Mapping) and (_is_step(record) or _is_row(record)) for record in head.rows)


def _is_step(record: Mapping[str, Any]) -> bool:
    """A line of the columnar shapes: steps, completions, and prompts or chats, all in lists."""
    step = next((record[name] for name in _STEPS if name in record), None)
    texts = [record.get("completion"), record.get("prompt", record.get("messages"))]
    return all(isinstance(value, list) for value in (step, *texts)) and not _NOT_OURS & record.keys()


def _is_row(record: Mapping[str, Any]) -> bool:
    return {"gen_step", "prompt", "completion", "reward"} <= record.keys() and isinstance(record["completion"], str)


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row]:
    """The completions of a step, or the one of a line.

    Args:
        record: A line. A list of another length than the completions is left out.
    """
    if not isinstance(record.get("completion"), list):
        if not _is_row(record):
            raise Bad("", "expected gen_step, prompt, completion and reward")
        names = {"gen_step": "step", "prompt": "prompt", "completion": "completion", "reward": "reward"}
        yield {ours: record[name] for name, ours in names.items() if name in record}
        return
    if not _is_step(record):
        raise Bad("", "expected lists of steps, prompts and completions")
    columns = _columns(record)
    k = len(columns["completion"])
    if "prompt" not in columns or len(columns["prompt"]) != k:
        raise Bad("prompt", f"{len(columns.get('prompt', ()))} prompts for {k} completions")
    steps = columns["step"]
    if len(steps) != k:  # all of a line are of one step
        columns["step"] = steps[:1] * k if steps and steps.count(steps[0]) == len(steps) else []
    whole = {name: values for name, values in columns.items() if len(values) == k}
    for place in range(k):
        yield {name: values[place] for name, values in whole.items()}


def _columns(record: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The lists of a line under canonical names."""
    step = next(name for name in _STEPS if name in record)
    columns = {"step": record[step], "completion": record["completion"]}
    columns["prompt"] = record.get("prompt", record.get("messages"))
    functions = _functions(record)
    if "reward" in functions:  # the total of old versions, or a function of that name alone
        columns["reward"] = record["reward"]
    for name in functions:
        if name != "reward":  # of another task it is NaN, and adds nothing
            columns[REWARD_PART + name] = [None if value != value else value for value in record[name]]
    return columns | ({"advantage": record["advantages"]} if isinstance(record.get("advantages"), list) else {})


def _functions(record: Mapping[str, Any]) -> list[str]:
    """Names of the reward functions: of numbers, and in front of the advantages where these stand last."""
    names = list(record)
    opens = names.index("completion") + 1
    ends = names.index("advantages") if "advantages" in names else len(names)
    between = names[opens:ends] or names[ends + 1 :]  # the newest tables have the rewards behind
    return [name for name in between if name not in _BESIDE and _numbers(record[name])]


def _numbers(values: Any) -> bool:
    """A list of numbers and nulls, with a number in it."""
    kinds = set(map(type, values)) if isinstance(values, list) else set()
    return bool(kinds & {float, int}) and kinds <= {float, int, type(None)}


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open the files.

    Raises:
        InputError: They hold neither rewards nor advantages.
    """
    steps = [record for record in head.rows if isinstance(record, Mapping) and _is_step(record)]
    if steps and not any(_functions(record) or "advantages" in record for record in steps):
        raise InputError(
            f"{head.name}: completions of ms-swift without rewards or advantages, as its GKD trainer writes them, so"
            " there is nothing to weigh them by. Give the completions.jsonl of a GRPO run."
        )
    return generic.open_log(sources, options, head, format_=FORMAT)


FORMAT = Format("swift", _detect, flatten, open=_open)
