"""The reward as a weighted sum of reward functions: how a user writes it, and how logged advantages tell the weights.

TRL and ms-swift log what each reward function gave and the advantage, but neither the weights nor the sum. So a guess
at the weights is checked: advantages are made from it in all known ways and compared with the logged ones.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import UsageError
from .scaling import SCALINGS, Floats, Ints, matching_scaling
from .weights import alone, constant, fit_weights

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NAME = r"`[^`]*`|\"[^\"]+\"|'[^']+'|[^\W\d][\w./:@]*"
# A sign, a number before or after the name (both is refused below), and then the next sign or the end.
_TERM = re.compile(rf"\s*([+-]?)\s*(?:({_NUMBER})\s*\*\s*)?({_NAME})(?:\s*\*\s*({_NUMBER}))?\s*(?=[+-]|$)")


def parse_weights(expression: str) -> dict[str, float]:
    """Read a reward as a weighted sum of columns.

    Args:
        expression: `NAME`, `"short+0.5*has_e"`, `"a - 2*b.c"`. A name with other characters than letters, digits and
            `_ . / : @` stands in backticks or quotes.

    Returns:
        Column to weight, in the order of the expression; a column that is named twice has the sum.

    Raises:
        UsageError: It is something else. Nothing is ever evaluated.
    """
    weights: dict[str, float] = {}
    at = 0
    while at < len(expression) or not weights:
        term = _TERM.match(expression, at)
        # Every term but the first needs its sign, and one number is enough.
        if term is None or (weights and not term[1]) or (term[2] and term[4]):
            raise UsageError(
                f"--reward {expression}: not a sum of columns, at {expression[at:].strip()[:40]!r}."
                ' Write it like "short+0.5*has_e", and odd names in backticks.'
            )
        sign, name = (-1.0 if term[1] == "-" else 1.0), term[3].strip("`\"'")
        weights[name] = weights.get(name, 0.0) + sign * float(term[2] or term[4] or 1)
        if not math.isfinite(weights[name]):
            raise UsageError(f"--reward {expression}: the weight of {name} is infinite. Give a smaller one.")
        at = term.end()
    return weights


def write_weights(weights: Mapping[str, float]) -> str:
    """Write weights as the expression that `parse_weights` reads back; names of weight 0 are left out."""
    terms: list[str] = []
    for name, weight in ((name, weight) for name, weight in weights.items() if weight):
        bare = name if re.fullmatch(_NAME, name) else f'"{name}"' if "`" in name else f"`{name}`"
        size = "" if abs(weight) == 1 else f"{abs(weight):.6g}*"
        terms.append(f"{'-' if weight < 0 else '+' if terms else ''}{size}{bare}")
    return "".join(terms)


def reward_of_parts(
    parts: Floats, names: Sequence[str], advantages: Floats, groups: Ints, batches: Ints
) -> tuple[dict[str, float] | None, str]:
    """Find the reward of a log that has what each reward function gave, and no total.

    The sum is the reward if it gives the logged advantages; else one function alone that gives them; else the weights
    that do, if they are the only ones.

    Args:
        parts: What each function gave, shape (completions, functions); NaN where it gave nothing, which adds nothing.
        names: Of the functions.
        advantages: As logged, shape (completions,); NaN where none is logged.
        groups: Group of each completion, dense from 0.
        batches: Generation batch (training step) of each completion, dense from 0.

    Returns:
        Weight of each function, those of weight 0 left out, and a sentence that says why; None where nothing gives the
        advantages, and a sentence that asks for the weights.
    """
    if not len(names) or not np.isfinite(advantages).any():
        note = without_total(names)
        return None, f"{note[0].upper()}{note[1:]}"
    arrays = (advantages, groups, batches)
    what = names[0] if len(names) == 1 else f"the sum of {', '.join(names)}"
    if scaling := matching_scaling(parts, [1.0] * len(names), *arrays):
        note = (
            f"The reward is {what}, which gives the logged advantages {_how(scaling)}.{_untold(parts, names, groups)}"
        )
        return dict.fromkeys(names, 1.0), note
    if found := alone(parts, *arrays):
        n, scaling = found
        weights = {names[n]: 1.0}
        note = f"The reward is {write_weights(weights)}, which alone gives the logged advantages {_how(scaling)}"
        return weights, f"{note}; {what} does not. Choose another with --reward."
    if fit := fit_weights(parts, *arrays):
        weights = {name: weight for name, weight in zip(names, fit.weights, strict=True) if weight}
        factor = "" if fit.scaling == "none" else ", known up to a factor"
        left = [names[n] for n in fit.unknown]
        return weights, (
            f"The reward is {write_weights(weights)}{factor}: of all weights these give the logged advantages"
            f" {_how(fit.scaling)}; choose another with --reward.{_unknown(left, 0)}"
        )
    return None, (
        f"Rewards are null and the logged advantages are used: {what} does not give them under any known scaling,"
        f" and they do not tell other weights. {_ask(names)}"
    )


def without_total(names: Sequence[str], form: str = "--reward {}") -> str:
    """What to say of a log that has these parts of the reward, none if there are none, and no total.

    Args:
        names: Of the parts.
        form: How an expression is given.
    """
    if not len(names):
        return "no reward is logged: rewards are null, and only the logged advantages can be used."
    return f"the log has reward parts {', '.join(names)} and no total. {_ask(names, form)}"


def _untold(parts: Floats, names: Sequence[str], groups: Ints) -> str:
    """Which weights of a sum are a guess; one function alone needs none."""
    return _unknown([names[n] for n in constant(parts, groups)], 1) if len(names) > 1 else ""


def _unknown(names: Sequence[str], weight: int) -> str:
    return f" The advantages do not tell the weight of {', '.join(names)}, taken as {weight}." if names else ""


def _ask(names: Sequence[str], form: str = "--reward {}") -> str:
    bare = [write_weights({name: 1.0}) for name in names]
    plain, weighted = (form.format(_quoted(sign.join(some))) for sign, some in (("+", bare), ("+0.5*", bare[:2])))
    if len(bare) == 1:
        return f"Name the reward: {plain}."
    return f"Name the reward, {plain}, with the weights of the run if it has some, {weighted}."


def _quoted(expression: str) -> str:
    """The expression as a shell takes it, which runs what stands in backticks within double quotes."""
    bare = re.fullmatch(r"[\w./:@]+", expression)
    return expression if bare else shlex.quote(expression) if re.search(r"[`\"$\\]", expression) else f'"{expression}"'


def _how(scaling: str) -> str:
    """The scaling in brackets, with what follows for the analysis."""
    if SCALINGS[scaling] is None:  # no divisor of the sum does that
        return f"(scaling: {scaling}; --advantage logged takes them, no --std makes them)"
    return f"(scaling: {scaling})"
