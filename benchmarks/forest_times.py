"""How long the forest takes, beside two references that give the same weights by recursion."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from invented import all_shared, batch, branching
from numpy.random import default_rng
from numpy.typing import NDArray
from reference_lists import lambda_weights as weights_of_lists
from tables import at_least, at_most, table

from grpo_prm.core.forest import build_forest, expand

# Ours and the references take turns; the least time counts, of each group for a reference, of `build_forest` and of
# `expand` for ours: noise only adds.
ROUNDS = 7
TURN = 0.1  # seconds for which the forest of all groups is repeated when its turn comes: it runs with warm caches too
BUDGET = 20.0  # seconds for all rounds of one reference; what would take longer gets some of the groups
TARGETS = {"A": (80, 80), "B": (5, 8)}  # how many times as fast the forest is, without and with `expand`
MAKERS = {"branching": branching, "all shared": all_shared}
NOTE = (
    "Every method gives 1 / |λ| of every token, compared before it is timed. A: torch tensors in and out, a dictionary "
    "for each position. B: recursion on Python lists. Ours builds the forest from a flat array; with `expand` it also "
    "writes one float32 per token, as A does. Branching: a completion shares 50 tokens with its neighbour on average "
    "(geometric). All shared: the completions of a group are identical; the targets were set for branching logs."
)


class Reference(NamedTuple):
    """A slower way: what it takes its groups as, and the function of one group."""

    name: str
    prepare: Callable[[NDArray[np.int32]], list[list[Any]]]
    weigh: Callable[[list[Any]], list[Any]]


def references() -> list[Reference]:
    """A and B; B alone where torch is not installed."""
    lists = Reference("B", lambda tokens: tokens.tolist(), weights_of_lists)
    try:
        import torch
        from reference_tensors import lambda_weights as weights_of_tensors
    except ModuleNotFoundError:
        return [lists]

    def tensors(tokens: NDArray[np.int32]) -> list[list[Any]]:
        return [[torch.from_numpy(row.astype(np.int64)) for row in group] for group in tokens]

    return [Reference("A", tensors, weights_of_tensors), lists]


def check(tokens: NDArray[np.int32], reference: Reference) -> None:
    """Compare the process-set size of every token.

    Args:
        tokens: Groups of completions of one length, shape (groups, k, length).
        reference: What to compare the forest with.

    Raises:
        AssertionError: They differ.
    """
    forest = build_forest(*batch(tokens))
    ours = expand(forest, forest.size)
    weights = [np.asarray(row) for group in reference.prepare(tokens) for row in reference.weigh(group)]
    theirs = np.rint(1 / np.concatenate([np.empty(0), *weights])).astype(np.int64)
    if not np.array_equal(ours, theirs):
        raise AssertionError(f"reference {reference.name} and the forest disagree on a process-set size")


def speed_table(shapes: list[tuple[int, int, int]]) -> str:
    """Compare for every shape (groups, k, tokens) and kind of log."""
    rows = [row for shape in shapes for kind in MAKERS for row in _compare(kind, *shape)]
    head = ["log", "reference", "groups timed", "its s/token", "forest, s/token", "ratio", "target"]
    return table("Forest against recursion", NOTE, [*head, "with expand, s/token", "ratio", "target"], rows)


def tail_table(shapes: list[tuple[int, int, int]]) -> str:
    """Double what the completions do not share: the forest should not take longer."""
    rows = []
    for groups, k, length in shapes:
        short, long = (batch(branching(default_rng(1), groups, k, n)) for n in (length, 2 * length))
        pairs = [[_turn(lambda b=b: build_forest(*b)) for b in (short, long)] for _ in range(ROUNDS)]
        times = np.min(pairs, axis=0).tolist()
        added = times[1] / times[0] - 1
        cells = [f"{groups} x {k}, {length} to {2 * length} tokens", *(f"{t * 1e3:.2f}" for t in times)]
        rows.append([*cells, f"{added:+.1%}", at_most(added, 0.15)])
    note = "The same trees, completions twice as long: time follows the shared tokens."
    return table("Doubling the unshared tail", note, ["log", "ms", "ms, doubled", "added", "target"], rows)


def _compare(kind: str, groups: int, k: int, length: int) -> list[list[str]]:
    """One row per reference."""
    tokens = MAKERS[kind](default_rng(0), groups, k, length)
    flat = batch(tokens)
    forest, rows = build_forest(*flat), []
    for reference in references():
        check(tokens, reference)
        some = _affordable(tokens, reference)
        prepared = reference.prepare(tokens[:some])
        rounds = [
            [
                _turn(lambda: build_forest(*flat)),
                _turn(lambda: expand(forest, (1 / forest.size).astype(np.float32))),
                *_each(reference, prepared),
            ]
            for _ in range(ROUNDS)
        ]
        build, spread, *each = np.min(rounds, axis=0).tolist()
        theirs = sum(each) / tokens[:some].size
        cells = [f"{groups} x {k} x {length}, {kind}", reference.name, f"{some} of {groups}", f"{theirs:.2e}"]
        for seconds, target in zip((build, build + spread), TARGETS[reference.name], strict=True):
            ours = seconds / tokens.size
            cells += [f"{ours:.2e}", f"{theirs / ours:.1f}", at_least(theirs / ours, target)]
        rows.append(cells)
    return rows


def _affordable(tokens: NDArray[np.int32], reference: Reference) -> int:
    """How many groups the reference can do in its budget, all rounds together."""
    # A first try on a twentieth says what the rest would take.
    trial = max(1, len(tokens) // 20)
    seconds = sum(_each(reference, reference.prepare(tokens[:trial])))
    return min(len(tokens), max(trial, int(trial * BUDGET / (seconds * ROUNDS))))


def _each(reference: Reference, prepared: list[list[Any]]) -> list[float]:
    """Seconds for each group. The weights are kept to the end, as a batch is wanted whole."""
    kept, times = [], []
    for group in prepared:
        begin = time.perf_counter()
        kept.append(reference.weigh(group))
        times.append(time.perf_counter() - begin)
    return times


def _turn(call: Callable[[], Any]) -> float:
    """Seconds of the fastest call in a turn."""
    least, over = np.inf, time.perf_counter() + TURN
    while time.perf_counter() < over:
        begin = time.perf_counter()
        result = call()
        least = min(least, time.perf_counter() - begin)
        del result  # given back outside the time that is measured
    return least
