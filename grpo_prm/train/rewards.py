"""Reward functions, the user's and built-in ones: what a completion is worth, one number a function, and their sum.

A reward function is `f(prompt, completion, answer, **row) -> float`; it may leave out what it does not need, and
`row` are the columns of its row of the data. What fails is data: that completion gets NaN.
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import GrpoPrmError, UsageError
from ..text.printable import printable
from .builtin_rewards import exact, format_reward, math_reward
from .data import PromptRow
from .time_limit import TimeUp, within

BUILT_IN: dict[str, Callable[[], Callable[..., float]]] = {
    "exact": lambda: exact,
    "format": lambda: format_reward,
    "math": math_reward,
}


class RewardFunction(NamedTuple):
    """One reward function.

    Attributes:
        name: Of its column.
        call: Takes keyword arguments.
        weight: In the sum; 0 is recorded only.
        takes: Names of the arguments that it takes, None for any.
        needs: Those that it cannot do without.
    """

    name: str
    call: Callable[..., Any]
    weight: float
    takes: frozenset[str] | None
    needs: frozenset[str]


class Rewards:
    """Weighted reward functions that take a batch.

    Attributes:
        functions: The functions.
        failed: By name, how many completions a function has failed on since the start: raised, hung, or gave no number.
    """

    def __init__(self, functions: Sequence[RewardFunction], timeout: float | None, tell: Callable[[str], Any]) -> None:
        self.functions, self.failed = tuple(functions), Counter({function.name: 0 for function in functions})
        self._timeout, self._tell = timeout, tell

    def __call__(self, rows: Sequence[PromptRow], completions: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """Judge completions.

        Args:
            rows: The prompt of each.
            completions: Their text.

        Returns:
            `reward`, the weighted sum, and each function's own number under its name; shape (completions,) each. NaN
            where a function failed, and in the sum if that function has a weight.

        Raises:
            UsageError: A function needs a column that the data do not have.
        """
        if rows:
            for function in self.functions:
                _check_columns(function, rows[0])
        values = {
            function.name: np.array(
                [self._judge(function, row, text) for row, text in zip(rows, completions, strict=True)], np.float64
            )
            for function in self.functions
        }
        total = np.zeros(len(rows))
        for function in self.functions:
            if function.weight:  # 0 * NaN is NaN, and a function without weight must not fail the sum
                total += function.weight * values[function.name]
        return {"reward": total, **values}

    def _judge(self, function: RewardFunction, row: PromptRow, completion: str) -> float:
        given = _arguments(row, completion)
        if function.takes is not None:
            given = {name: value for name, value in given.items() if name in function.takes}
        try:
            return _number(within(self._timeout, lambda: function.call(**given)))
        except GrpoPrmError:
            raise  # wrong usage, such as data without answers: no completion could do better
        except TimeUp as error:
            self._failed(function, f"took longer than {self._timeout:g} s", error)
        except (Exception, SystemExit) as error:  # sys.exit in a function of the user's does not end the run
            self._failed(function, f"raised {type(error).__name__}", error)
        return math.nan

    def _failed(self, function: RewardFunction, how: str, error: BaseException) -> None:
        self.failed[function.name] += 1
        if self.failed[function.name] == 1:
            trace = "".join(traceback.format_exception_only(error)).rstrip()
            if theirs := [frame for frame in traceback.extract_tb(error.__traceback__) if not _ours(frame)]:
                trace = "".join(traceback.format_list(theirs)) + trace
            self._tell(
                f"The reward {function.name} {how}; its completion gets no reward and is left out of the update."
                f" Further failures are counted, not shown. The first:\n{printable(trace, chr(10))}"
            )


def _ours(frame: traceback.FrameSummary) -> bool:
    """Is a frame of this package? They say nothing to the author of a reward function."""
    return Path(frame.filename).parent == Path(__file__).parent


def load_rewards(
    specs: Sequence[str], timeout: float | None = 10.0, tell: Callable[[str], Any] | None = None
) -> Rewards:
    """Find the reward functions that the user named; nothing else is imported.

    Args:
        specs: `exact`, `format`, `math`, or `package.module:function` as seen from the working directory; each may
            be followed by `*0.5`, its weight.
        timeout: Seconds that a function may take for one completion; None or 0 for no limit. `time_limit.within`
            says what cannot be interrupted.
        tell: Gets the first failure of each function as a message; None: standard error.

    Raises:
        UsageError: No such function, not a weight, or a function twice.
    """
    if not specs:
        raise UsageError(f"There is no reward. Name one with --reward: {', '.join(BUILT_IN)} or module:function.")
    calls = [(*_weighted(spec),) for spec in specs]
    short = [spec.partition(":")[2] or spec for spec, _ in calls]
    functions = []
    for (spec, weight), name in zip(calls, short, strict=True):
        if [given for given, _ in calls].count(spec) > 1:
            raise UsageError(f"--reward {spec} is given twice. Give it once, with a weight: {spec}*2.")
        call = _find(spec)
        # the column `reward` is the sum, and two functions of one name need their modules to tell them apart
        unclear = name == "reward" or short.count(name) > 1
        functions.append(RewardFunction(spec if unclear else name, call, weight, *_signature(call)))
    return Rewards(functions, timeout, tell or (lambda message: sys.stderr.write(message + "\n")))


def _weighted(spec: str) -> tuple[str, float]:
    name, star, weight = spec.rpartition("*")
    if not star:
        return spec.strip(), 1.0
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"--reward {spec}: {weight.strip()} is not a weight. Write it as {name.strip()}*0.5.")
    return name.strip(), value


def _find(spec: str) -> Callable[..., Any]:
    if spec in BUILT_IN:
        return BUILT_IN[spec]()
    module_name, colon, name = spec.partition(":")
    if not colon:
        near = get_close_matches(spec, BUILT_IN, 1)
        hint = f"Did you mean {near[0]}?" if near else "A function of yours is module:function."
        raise UsageError(f"--reward {spec}: no such reward; built in are {', '.join(BUILT_IN)}. {hint}")
    if module_name.endswith(".py"):
        dotted = module_name.removesuffix(".py").removeprefix("./").replace("/", ".")
        raise UsageError(f"--reward {spec}: {module_name} is a file. Name the module: {dotted}:{name}.")
    module = _import(module_name, spec)
    call = getattr(module, name, None)
    if not callable(call):
        near = get_close_matches(name, [n for n, value in vars(module).items() if callable(value)], 1)
        hint = f"Did you mean {near[0]}?" if near else "Check the name."
        raise UsageError(f"--reward {spec}: there is no function {name} in {module.__file__}. {hint}")
    return call


def _import(name: str, spec: str) -> Any:
    """A module, those in the working directory first; what they import later finds it too, but after all else."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:
        # the module itself is not there, rather than something that it imports: `a.b` fails on `a`, or on `a.b`
        absent = isinstance(error, ModuleNotFoundError) and (name + ".").startswith(f"{error.name}.")
        why = f"{type(error).__name__}: {error}"
        problem = f"there is no module {name} in {here}" if absent else f"{name} cannot be imported ({why})"
        todo = "Run grpo-prm where the module lies." if absent else f"Try it: python -c 'import {name}'"
        raise UsageError(f"--reward {spec}: {problem}. {todo}") from (None if absent else error)
    finally:
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)


def _signature(call: Callable[..., Any]) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Names of the arguments that a function takes, None for any, and of those that it needs."""
    try:
        parameters = inspect.signature(call).parameters.values()
    except (TypeError, ValueError):  # some functions written in C
        return None, frozenset()
    named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needs = frozenset(p.name for p in named if p.default is p.empty)
    anything = any(p.kind == p.VAR_KEYWORD for p in parameters)
    return None if anything else frozenset(p.name for p in named), needs


def _arguments(row: PromptRow, completion: str) -> dict[str, Any]:
    return {**row.row, "prompt": row.text, "completion": completion, "answer": row.answer}


def _check_columns(function: RewardFunction, row: PromptRow) -> None:
    there = _arguments(row, "")
    for name in sorted(function.needs - there.keys()):
        near = get_close_matches(name, there, 1)
        hint = f"Did you mean {near[0]}?" if near else "It is called once for each completion, with these."
        raise UsageError(f"The reward {function.name} needs {name}; there are {', '.join(sorted(there))}. {hint}")


def _number(value: Any) -> float:
    if hasattr(value, "item"):  # a scalar of numpy or torch
        value = value.item()
    if not isinstance(value, Real):
        raise TypeError(f"the reward function gave {type(value).__name__}, not a number")
    return float(value)
