"""Groups of a pretrained model for the claim about overlap: sampled part by part, and cut into several sizes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

import polars as pl

from .claims import Finding
from .jobs import Job, RunJobs
from .smollm2 import MODEL, NEW, TASKS, ask, load_policy, made_of, missing, sample_groups

LEFT_OUT = "left out"  # the setting of what could not be run here
SECONDS = 0.21  # of one core for a completion


class Plan(NamedTuple):
    """What is sampled.

    Attributes:
        prompts: Of each task.
        k: Completions of a prompt.
        sizes: Group sizes that these are cut into.
        temperatures: Of the sampler, each with draws of its own.
        together: Prompts of a job.
    """

    prompts: int = 8
    k: int = 36
    sizes: tuple[int, ...] = (6, 16, 36)
    temperatures: tuple[float, ...] = (0.75, 1.0)
    together: int = 8


class Cell(NamedTuple):
    """Groups of one temperature and one size, as a canonical table."""

    part: str
    setting: str
    table: pl.DataFrame


def cells(plan: Plan, seed: int, run_jobs: RunJobs) -> list[Cell]:
    """Sample what has no record yet, and cut it into groups of every size."""
    parts = list(product(plan.temperatures, _parts(plan)))
    records = run_jobs([_job(temperature, numbers, plan, seed) for temperature, numbers in parts])
    found = []
    for temperature in plan.temperatures:
        whole = pl.concat([r for r, (other, _) in zip(records, parts, strict=True) if other == temperature])
        found += [Cell(f"{MODEL}, T = {temperature:g}", f"k = {k}", cut(whole, k)) for k in plan.sizes]
    return found


def cut(table: pl.DataFrame, k: int) -> pl.DataFrame:
    """Groups cut into as many of k as they have room for, in the order of their samples; what is left over is dropped.

    Args:
        table: Canonical groups of one size.
        k: Completions of a new group.
    """
    each = table.select(pl.col("sample").max() + 1).item() // k
    place = pl.col("sample") // k
    return (
        table.filter(place < each)
        .with_columns(
            group=(pl.col("group") * each + place).cast(pl.Int64),
            group_key=pl.format("{}.{}", "group_key", place),
            sample=(pl.col("sample") % k).cast(pl.Int32),
        )
        .sort("group", "sample")
    )


def sampled_record(
    numbers: list[int], prompts: int, k: int, new: int, temperature: float, seed: int,
    made_of: dict[str, str],  # noqa: ARG001 - other weights give the record another key
) -> pl.DataFrame:  # fmt: skip
    """Sample the groups of some prompts.

    Args:
        numbers: Which prompts, of all tasks one after the other.
        prompts: Of each task.
        k: Completions of each.
        new: Tokens of each, at most.
        temperature: Of the sampler.
        seed: Of prompts and draws.
        made_of: `smollm2.made_of`.
    """
    policy = load_policy()
    asked = ask(policy.tokenizer, prompts, seed)
    stream = round(1000 * temperature)
    some = {n: asked[n] for n in numbers}
    return sample_groups(policy, some, k, seed=seed, stream=stream, temperature=temperature, new=new)


def left_out() -> Finding:
    """Says that the model was not run, and what it needs."""
    return Finding(MODEL, LEFT_OUT, "groups", None, note=f"{MODEL} was left out: it needs {missing()}")


def cost(plan: Plan | None) -> float:
    """Seconds of one core; 0 where it cannot be run."""
    if plan is None or missing():
        return 0.0
    return len(plan.temperatures) * len(TASKS) * plan.prompts * plan.k * SECONDS


def notes(plan: Plan) -> list[str]:
    """How the groups were made, for the page."""
    made, temperatures = made_of(), " and ".join(f"{t:g}" for t in plan.temperatures)
    return [
        f"{MODEL}: SmolLM2-135M-Instruct, dequantised Q4_1 (sha256 of the weights {made['weights']}), in bfloat16. "
        f"{len(TASKS)} tasks of reasoning-gym {made['tasks']} ({', '.join(TASKS)}), {plan.prompts} prompts each, "
        f"{plan.k} completions of at most {NEW} tokens, T = {temperatures}. Groups of k are these {plan.k}, cut "
        f"into as many as there is room for; intervals are over the {len(TASKS) * plan.prompts} prompts, not "
        "adjusted."
    ]


def _parts(plan: Plan) -> Iterator[list[int]]:
    number = len(TASKS) * plan.prompts
    for begin in range(0, number, plan.together):
        yield list(range(begin, min(number, begin + plan.together)))


def _job(temperature: float, numbers: list[int], plan: Plan, seed: int) -> Job:
    arguments = {
        "numbers": numbers, "prompts": plan.prompts, "k": plan.k, "new": NEW, "temperature": temperature, "seed": seed,
        "made_of": made_of(),
    }  # fmt: skip
    return Job(
        f"overlap/{MODEL}-T{temperature:g}-{numbers[0]}to{numbers[-1]}",
        sampled_record,
        arguments,
        len(numbers) * plan.k * SECONDS,
    )
