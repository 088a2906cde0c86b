"""What a log that is not understood may mean: the --columns that would do it, for the message that refuses the log.

A hint is followed without a second thought, so it names only what the first rows bear out. What is uncertain is left
open: the message lists the columns anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ...errors import GrpoPrmError, InputError, UsageError
from ..memory import IDS, NAME, columns_option
from .evidence import completion_by_content, group_by_content, may_hold_completions, reward_by_content
from .first_rows import Rows, listed
from .not_rollouts import not_rollouts
from .plan import NAMES

_LACKING = {"completion": "completions", "reward": "the reward", "group": "what tells the groups apart"}
_LONG = 200  # characters of a name that a hint repeats
_DEPTH = 6  # of objects in which completions are looked for


def refusal(rows: Rows, name: str, guesses: Mapping[str, str | None], from_text: bool = False) -> GrpoPrmError:
    """The error for a log that lacks completions, rewards or groups: all that it lacks, and what may be meant.

    Args:
        rows: The first rows.
        name: The file.
        guesses: What is missing, of `completion`, `reward` and `group` in this order, to a column that may be meant.
        from_text: The log is CSV.

    Returns:
        An InputError for what is known to be no rollouts; else a UsageError that names the option.
    """
    guessed = any(guesses.values())
    lacks = next((column for column in ("completion", "reward") if column in guesses), None)
    # A guess at what samples hold that is borne out shows rollouts, whatever else their columns are called.
    if lacks and not guesses[lacks] and (something_else := not_rollouts(rows, name)):
        return InputError(something_else)
    if "completion" in guesses and (deep := next(_buried(rows), None)):
        return UsageError(
            f"{name}: the completions seem to stand under {deep}, in lists within lists, which cannot be read yet."
            " Write one JSON object per line, with completion, reward and group."
        )
    if lacks == "completion" and "reward" not in guesses and not may_hold_completions(rows, from_text):
        return InputError(
            f"{name}: rewards without completions: no column holds text or ids that a model wrote; there are"
            f" {listed(rows)}. Have the trainer log the completions as well: prefix trees are made of them."
        )
    problem = f"no column holds {_one_of([_LACKING[column] for column in guesses])}"
    if list(guesses) == ["group"]:
        problem = "neither a group key nor a prompt tells the groups apart"
    how = "Perhaps it is" if guessed else "Name it with" if len(guesses) == 1 else "Name them with"
    # No column is called by a whole row, but where a log is damaged.
    names = {column: path if path and len(path) <= _LONG else "NAME" for column, path in guesses.items()}
    option = columns_option(name, names)
    more = ""
    if "completion" in guesses:
        more = f"; {IDS}"
    elif "reward" in guesses:
        more = f", or a weighted sum with {'reading=grpo_prm.ReadOptions(reward=...)' if name == NAME else '--reward'}"
    return UsageError(f"{name}: {problem}; there are {listed(rows)}. {how} {option}{more}.")


def _one_of(names: list[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def perhaps_completion(rows: Rows, from_text: bool) -> str | None:
    """The one column whose texts differ where prompts are the same, as samples do; None where none or several do."""
    return completion_by_content(rows, from_text)


def perhaps_reward(rows: Rows, from_text: bool, completion: str) -> str | None:
    """The one column of numbers that is called like a reward, has one for each completion, and differs in a group."""
    return reward_by_content(rows, from_text, completion)


def perhaps_group(rows: Rows, from_text: bool, taken: Collection[str | None]) -> str | None:
    """The finest column that is called like a key or asks a question, and whose values come several times each."""
    return group_by_content(rows, from_text, taken)


def _buried(rows: Rows) -> Iterator[str]:
    """Paths of completions that stand in two lists of objects or more."""
    for row in rows[:3]:
        yield from _below(row, "", 0, 0)


def _below(value: Any, path: str, lists: int, depth: int) -> Iterator[str]:
    """See `_buried`; `lists` of objects have been entered on the way to `value`."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "role" not in value[0]:
        yield from _below(value[0], path, lists + 1, depth + 1)
    elif isinstance(value, dict) and depth < _DEPTH:
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            if lists >= 2 and key in NAMES["completion"]:
                yield here
            yield from _below(inner, here, lists, depth + 1)
