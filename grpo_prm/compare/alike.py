"""Whether runs are of one task, as far as their logs show it, and why a run's numbers change with those beside it."""

from __future__ import annotations

from collections.abc import Iterator

from ..text.amounts import amount, first_of, listed, number
from .difference import Common
from .runs import Run, Runs

SHARED = 0.1  # of the span of two ranges of rewards: with no more in common they are of two scales
SHORT = 3  # runs that a sentence names


def header(compared: Runs, common: Common) -> tuple[str, ...]:
    """What stands above the numbers: what is compared, why it is other than alone, and how far the runs are alike.

    Equal runs come first, since all that follows is of no use then.

    Args:
        compared: The runs.
        common: What of them is compared.
    """
    said = (*_other_than_alone(compared, common), *_prompts(compared), *_scales(compared.runs))
    return (*map(_equal, compared.equal), common.sentence, *said)


def _equal(names: tuple[str, ...]) -> str:
    """The sentence on runs that are the same log, as far as numbers tell."""
    some = listed([*names]) if len(names) <= SHORT else first_of([*names], SHORT)
    return f"{some} are equal: every number of their summaries is the same."


def _other_than_alone(compared: Runs, common: Common) -> Iterator[str]:
    """Which numbers of a run would be others with other runs beside it."""
    cut = any(len(table) < len(run.groups) for table, run in zip(common.tables, compared.runs, strict=True))
    why = [f"only what they have in common counts ({'steps' if common.by == 'step' else 'problems'})"] if cut else []
    if cut and common.by == "none":
        why = ["only the steps in common count"]
    if not compared.one_k:
        why.append(f"overlap and pass@m are of {compared.m} completions a group")
    if why:
        yield f"A run's numbers change with the runs beside it: {listed(why)}."


def _prompts(compared: Runs) -> Iterator[str]:
    """How many prompts the runs share with the first one: of two runs the number, of more those that share none."""
    first, *others = runs = compared.runs
    without = [run.name for run in runs if not run.prompts]
    alike = len(compared.equal) == 1 and len(compared.equal[0]) == len(runs)
    if without and not alike and not all(_one_task(first, run) for run in others):
        yield f"Whether the tasks are the same cannot be told: {first_of(without, SHORT)} logged no prompts."
    others = [run for run in others if run.prompts]
    if not first.prompts or not others:
        return
    mine = _keys(first)
    shared = {run.name: len(mine & _keys(run)) for run in others}
    if len(runs) == 2 and shared[others[0].name]:
        other = others[0]
        of = f"{len(mine):,} of {first.name} and {len(_keys(other)):,} of {other.name}"
        yield f"{amount(shared[other.name], 'prompt')} in common, of {of}."
    if none := [run.name for run in others if not shared[run.name] and not _one_task(first, run)]:
        yield (
            f"0 prompts in common with {first.name}: {first_of(none, SHORT)}. Nothing in the logs shows that the "
            "rewards are of the same task, and of other tasks a difference says nothing about methods."
        )


def _keys(run: Run) -> set[str]:
    return set(run.groups["prompt_key"].unique().to_list())


def _one_task(run: Run, other: Run) -> bool:
    """Whether the logs name tasks, and one in common: new prompts of it, as of a generator."""
    tasks = [set(one.groups["task"].drop_nulls().unique().to_list()) for one in (run, other)]
    return bool(tasks[0] & tasks[1])


def _scales(runs: tuple[Run, ...]) -> Iterator[str]:
    """Runs whose rewards are on another scale than those of the first one."""
    first, *others = runs
    other = [f"{run.name} {_span(run.reward_range)}" for run in others if _apart(first.reward_range, run.reward_range)]
    if other:
        yield (
            f"Rewards are not on one scale: {first.name} {_span(first.reward_range)}, {first_of(other, SHORT)}. "
            "Their difference says nothing about methods."
        )


def _span(ends: tuple[float, float] | None) -> str:
    return f"from {number(ends[0])} to {number(ends[1])}" if ends else ""


def _apart(one: tuple[float, float] | None, other: tuple[float, float] | None) -> bool:
    """Whether two ranges have nothing in common, or next to nothing of what they span; one value may lie in another."""
    if one is None or other is None:
        return False
    shared = min(one[1], other[1]) - max(one[0], other[0])
    if shared < 0:
        return True
    whole = max(one[1], other[1]) - min(one[0], other[0])
    widths = one[1] - one[0], other[1] - other[0]
    return min(widths) > 0 and shared <= SHARED * whole
