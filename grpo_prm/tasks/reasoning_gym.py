"""Tasks of the package reasoning-gym: its prompts and verifiers, for a model of the user's.

The package is imported where such a task is opened, and not before: that takes more than a second.
"""

from __future__ import annotations

import hashlib
import math
import sys
import warnings
from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import UsageError
from .answers import extract
from .spec import parameters
from .task import Prompt, Task

SIZE = 1 << 14  # prompts of a data set, each made when it is drawn; some work all of them out beforehand
HELD_OUT = 5  # one prompt in so many is for evaluation
FULL = 1.0 - 1e-9  # marks that count as right
OURS = ("seed", "size")  # parameters of every data set that are not the user's
LIMIT = 128  # tokens of a completion
# Their verifiers run what the model writes as code of Python, or hand it to sympy, which does.
RUN_CODE = (
    *("binary_matrix", "countdown", "intermediate_integration", "n_queens", "polynomial_multiplication", "puzzle24"),
    *("simple_integration", "spiral_matrix", "string_insertion"),
)
# They go through sets, so their prompts are others in every process.
UNSTEADY = ("isomorphic_strings", "list_functions", "ransom_note", "word_ladder")


@lru_cache(maxsize=32)
def open_task(name: str) -> Task:
    """The task of a name such as `reasoning-gym:products?max_digits=2`.

    Raises:
        UsageError: The package is missing, it has no such data set or parameter, or refuses a value; or the data set
            cannot be used.
    """
    dataset, given = parameters(name)
    made = _made(name, dataset, given)

    def draw(rng: np.random.Generator) -> Prompt:
        return _prompt(made[int(rng.integers(SIZE))])

    def partial(prompt: Prompt, completion: str) -> float:
        return _marks(made, prompt, completion)

    def right(prompt: Prompt, completion: str) -> bool:
        return _marks(made, prompt, completion) >= FULL

    return Task(
        name=name,
        limit=LIMIT,
        draw=draw,
        reward=lambda prompt, completion: float(right(prompt, completion)),
        right=right,
        says=lambda prompt: prompt.answer or None,
        partial=partial,
        held_out=is_held_out,
        defaults={"prompts": 8, "eval_prompts": 128},
    )


def is_held_out(prompt: Prompt) -> bool:
    """Is a prompt for evaluation? Its text alone decides, so no seed, task or parameter moves it to the other side."""
    words = " ".join(prompt.text.split())
    return hashlib.sha256(words.encode()).digest()[0] % HELD_OUT == 0


def _prompt(entry: Mapping[str, Any]) -> Prompt:
    return Prompt(entry["question"], "" if entry["answer"] is None else str(entry["answer"]), entry)


def _marks(dataset: Any, prompt: Prompt, completion: str) -> float:
    """Marks from 0 to 1 that the verifier gives to the answer of a completion; 0 where it cannot read it."""
    said = extract(completion, prompt.answer)
    if not said:
        return 0.0
    try:
        marks = float(dataset.score_answer(said, prompt.entry))
    except Exception:  # a verifier may stumble over any text that is no answer
        return 0.0
    return marks if math.isfinite(marks) else 0.0


def _made(name: str, dataset: str, given: Mapping[str, Any]) -> Any:
    try:
        with warnings.catch_warnings():  # of its dependencies, about each other
            warnings.simplefilter("ignore")
            from reasoning_gym.factory import DATASETS, create_dataset
    except ImportError as error:
        package = "" if str(error.name).startswith("reasoning_gym") else f" ({error.name} is missing)"
        raise UsageError(
            f"--task {name} needs the package reasoning-gym{package}: pip install 'grpo-prm[tasks]'."
        ) from None
    if dataset not in DATASETS:
        near = get_close_matches(dataset, DATASETS, 3, 0.4)
        meant = f"Did you mean {', '.join(near)}?" if near else f"There are {', '.join(sorted(DATASETS))}."
        raise UsageError(f"reasoning-gym has no task {dataset}. {meant}")
    _check_usable(name, dataset)
    settings: Any = DATASETS[dataset][1]
    known = {field.name: field.default for field in fields(settings)}
    _check_parameters(name, given, known)
    values = {param: tuple(v) if isinstance(known[param], tuple) else v for param, v in given.items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = create_dataset(dataset, seed=0, size=SIZE, **values)
            _prompt(made[0])  # some values are looked at only where a prompt is made
    except Exception as error:  # of any kind: assertions, mostly
        why = " ".join(str(error).split()) or type(error).__name__
        raise UsageError(f"{name}: reasoning-gym refuses it ({why}). Change its parameters.") from None
    return made


def _check_usable(name: str, dataset: str) -> None:
    if dataset in RUN_CODE:
        raise UsageError(f"{name}: its verifier runs what a model writes as code. Choose another task.")
    if dataset in UNSTEADY and sys.flags.hash_randomization:
        raise UsageError(
            f"{name}: its prompts are others in every process, so no run could go on. Set PYTHONHASHSEED=0 for it."
        )


def _check_parameters(name: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    open_to_user = sorted(known.keys() - set(OURS))
    for param in given:
        if param in OURS:
            raise UsageError(f"{name}: {param} is not yours to set. Leave it out; --seed says which prompts are drawn.")
        if param not in known:
            near = get_close_matches(param, open_to_user, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"{name}: no parameter is called {param}; there are {', '.join(open_to_user)}.{meant}")
