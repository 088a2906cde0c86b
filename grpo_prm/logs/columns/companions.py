"""What tells apart problems that have one prompt text: images left out of it, a hidden word, the state of a game.

A column such as the expected answer does, if it cuts the rows of such a prompt into parts of one size, as groups are.
What the policy answered does not: its values come in any number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import lgamma, log
from typing import NamedTuple

from ...core.group_size import modal_size
from .first_rows import Rows, at, dumped, kind_of

COMPANIONS = (
    *("gts", "ground_truth", "answer", "label", "target", "solution", "reference", "reference_answer", "gold"),
    *("expected_answer", "correct_answer", "example_id", "problem_id", "task_id", "image_id"),
    *("image", "image_path", "reward_model.ground_truth", "extra_info.index", "info.answer"),
)
_MOST = 0.9  # of the rows of prompts that are cut lie in parts of the usual size, or several times that
_CHANCE = log(100)  # against it
_PLAIN = ("int", "text", "bool", "float")


class _Seen(NamedTuple):
    """The first rows as far as they matter: step, prompt and value of each, as text."""

    step: str
    prompt: str
    value: str


def companion(rows: Rows, step: str | None, prompt: str, taken: Sequence[str], reward: str | None = None) -> str | None:
    """The column that tells problems of one prompt apart, if there is one; of several the one that cuts finest.

    Args:
        rows: The first rows.
        step: Path of the step.
        prompt: Path of the prompt.
        taken: Columns that are something else.
        reward: Path of the reward, if it is one column.
    """
    parts = {}
    for path in COMPANIONS:
        if path in taken or kind_of(rows, path, False) not in _PLAIN or _is_graded(rows, (step, prompt, path), reward):
            continue
        seen = [_Seen(*(dumped(at(row, p)) if p else "" for p in (step, prompt, path))) for row in rows]
        parts[path] = max(map(_even_parts, _whole(seen)), default=0)
    best = max(parts, key=lambda path: parts[path], default=None)  # of as many the first by name
    return best if best and parts[best] else None


def mixes(rows: Rows, step: str | None, key: str, path: str) -> bool:
    """Do most keys that have several rows hold several values of a companion?"""
    values, sizes = defaultdict(set), Counter()
    for row in rows:
        bucket = (dumped(at(row, step)) if step else "", dumped(at(row, key)))
        values[bucket].add(dumped(at(row, path)))
        sizes[bucket] += 1
    several = [len(values[bucket]) for bucket, size in sizes.items() if size > 1]
    return 2 * sum(n > 1 for n in several) > len(several)


def _is_graded(rows: Rows, paths: Sequence[str | None], reward: str | None) -> bool:
    """Does the value of a row tell its reward, where rewards of its prompt differ? Then the policy gave it."""
    if reward is None:
        return False
    of_value, of_prompt = defaultdict(set), defaultdict(set)
    for row in rows:
        step, prompt, value = (dumped(at(row, path)) if path else "" for path in paths)
        of_value[step, prompt, value].add(dumped(at(row, reward)))
        of_prompt[step, prompt].add(dumped(at(row, reward)))
    return max(map(len, of_value.values())) == 1 < max(map(len, of_prompt.values()))


def _even_parts(rows: Sequence[_Seen]) -> int:
    """Number of parts that the values cut the prompts into; 0 if they cut none, or into parts of any size."""
    parts = Counter(rows)
    of_prompt = defaultdict(list)
    for part, size in parts.items():
        of_prompt[part[:2]].append(size)
    cut = [sizes for sizes in of_prompt.values() if len(sizes) > 1]
    whole = [size for sizes in of_prompt.values() if len(sizes) == 1 for size in sizes]
    k = modal_size(whole) or modal_size(size for sizes in cut for size in sizes)
    if k < 2 or not cut or sum(size for size in parts.values() if size % k == 0) < _MOST * len(rows):
        return 0
    if modal_size(size for sizes in cut for size in sizes) != k:
        return 0
    # Even parts may be chance, by about 1 in k each. So may one value for a whole prompt, and the order of the rows.
    values = [n / len(rows) for n in Counter(row.value for row in rows).values()]
    odds = sum(log(k) * (len(sizes) - 1) for sizes in cut)
    odds -= sum(log(sum(share**size for share in values)) for size in whole)
    if _in_order(rows, len(parts)):
        odds += lgamma(len(rows) + 1) - lgamma(len(parts) + 1) - sum(lgamma(size + 1) for size in parts.values())
    return len(parts) if odds > _CHANCE else 0


def _whole(rows: Sequence[_Seen]) -> Iterator[Sequence[_Seen]]:
    """The rows, and what may be whole of them where the first rows end in the middle of the log."""
    yield rows
    last = next((n for n in range(len(rows) - 1, 0, -1) if rows[n - 1].step != rows[n].step), 0)
    yield rows[:last]  # without the last step
    last = next((n for n in range(len(rows) - 1, 0, -1) if rows[n - 1] != rows[n]), 0)
    yield rows[:last]  # without the last part, where parts are neighbours
    turn = next((n for n in range(1, len(rows)) if rows[n] == rows[0]), 0)
    if turn > 1 and rows[turn:] == rows[:-turn]:
        yield rows[: len(rows) // turn * turn]  # whole turns of a log that goes through its problems again and again


def _in_order(rows: Sequence[_Seen], parts: int) -> bool:
    """Do the parts follow one another, or come in one order again and again?"""
    runs = sum(n == 0 or rows[n - 1] != rows[n] for n in range(len(rows)))
    return runs == parts or (len(set(rows[:parts])) == parts and rows[parts:] == rows[:-parts])
