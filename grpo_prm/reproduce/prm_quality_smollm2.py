"""A pretrained model in the claim about true values: groups, steps drawn among theirs, and values of their prefixes.

Its continuations are dear, so few steps are drawn, each with few continuations, and the noise that this leaves in a
value is taken out where it counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..core.groups import Groups
from .claims import Finding
from .jobs import Job, RunJobs
from .overlap_pretrained import sampled_record
from .prm_quality_measures import RELIABILITY, column, measured, of_cell, ratio
from .prm_quality_null import ENOUGH, PERMUTATIONS, against_null
from .prm_quality_policies import steps_table
from .prm_quality_values import Prefix, add_values, has_ended
from .smollm2 import AT_ONCE, MODEL, NEW, TASKS, Asked, Pretrained, ask, load_policy, made_of, missing
from .smollm2 import reward as reward_of

DRAWN = 73  # stream of the steps that are drawn
ALL = "all steps"
GROUPS_TOGETHER, PREFIXES_TOGETHER = 8, 8  # prompts, and prefixes, of a job
PREFIXES_OF_STEP = 2.0  # that are not a prefix of another step too, prompts included
SECONDS = 0.15  # of one core for a completion or continuation
SEEDS = 79_000  # of the draws: no other claim has them
SECONDS_OF_JOB = 6.0  # to load the model, and reasoning-gym


class Plan(NamedTuple):
    """How much is sampled.

    Attributes:
        prompts: Of each task.
        steps: Drawn among the intermediate steps of groups whose rewards differ.
        continuations: Of each prefix, and of each prompt.
        k: Completions of a group.
        temperature: Of all draws.
    """

    prompts: int = 12
    steps: int = ENOUGH
    continuations: int = 64
    k: int = 16
    temperature: float = 0.75

    @property
    def setting(self) -> str:
        """What the page calls it; not a setting that the rule of the claim reads."""
        return f"T = {self.temperature:g}, k = {self.k}"


STANDARD, FULL = Plan(), Plan(24, 300, 256)


class Sampler(NamedTuple):
    """The model and its prompts, as `prm_quality_values` wants them."""

    policy: Pretrained
    asked: Sequence[Asked]
    seed: int
    temperature: float

    @property
    def ends(self) -> frozenset[int]:
        """Ids that end a completion."""
        return self.policy.ends

    @property
    def limit(self) -> int:
        """Tokens of a completion, at most."""
        return NEW

    @property
    def at_once(self) -> int:
        """Rows that are sampled together."""
        return AT_ONCE

    def reward(self, prompt: int, tokens: Sequence[int]) -> float:
        """1 for a completion that is right, else 0."""
        return reward_of(self.policy, self.asked[prompt], tokens)

    def draw(self, prompts: Sequence[int], prefixes: Sequence[Sequence[int]], k: int, step: int) -> list[list[int]]:
        """Draw k continuations of each prefix (all of one length) of each prompt: completions less their prefix."""
        from ..train.sample import sample

        return sample(
            self.policy.model,
            [self.asked[n].ids + list(prefix) for n, prefix in zip(prompts, prefixes, strict=True)],
            k,
            seed=self.seed,
            step=step,
            names=[(n, *prefix) for n, prefix in zip(prompts, prefixes, strict=True)],
            max_new_tokens=NEW - len(prefixes[0]),
            temperature=self.temperature,
            eos=self.ends,
        ).completions


def values_record(
    prefixes: list[list[Any]], prompts: int, continuations: int, temperature: float, seed: int,
    made_of: dict[str, str],  # noqa: ARG001 - other weights give the record another key
) -> pl.DataFrame:  # fmt: skip
    """Values of some prefixes.

    Args:
        prefixes: Number of the prompt and token ids of each.
        prompts: Of each task.
        continuations: Of each prefix.
        temperature: Of the draws.
        seed: Of prompts and draws.
        made_of: `smollm2.made_of`.

    Returns:
        `prompt`, `prefix`, `value`, and `noise`, the variance of its error: V (1 - V) / (continuations - 1), 0 of what
        has ended; in the order given.
    """
    policy = load_policy()
    sampler = Sampler(policy, ask(policy.tokenizer, prompts, seed), seed, temperature)
    wanted: list[Prefix] = [(n, tuple(tokens)) for n, tokens in prefixes]
    known: dict[Prefix, float] = {}
    add_values(wanted, sampler, continuations, known, of_prompt=1)
    rows = [
        (*prefix, value, 0.0 if has_ended(prefix, sampler) else value * (1 - value) / (continuations - 1))
        for prefix in wanted
        for value in (known[prefix],)
    ]
    schema = {"prompt": pl.Int64, "prefix": pl.List(pl.Int32), "value": pl.Float64, "noise": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> tuple[list[Finding], pl.DataFrame]:
    """Sample groups, draw steps, value them, and measure.

    Returns:
        Findings; and the drawn steps, as `draw_steps` and `valued` give them.
    """
    own = {
        "prompts": plan.prompts, "temperature": plan.temperature, "seed": seed * 100_000 + SEEDS, "made_of": made_of(),
    }  # fmt: skip
    numbers = list(range(plan.prompts * len(TASKS)))
    table = pl.concat(run_jobs([_groups_job(some, plan, own) for some in _parts(numbers, GROUPS_TOGETHER)]))
    groups = Groups.of(table["tokens"].to_list(), table["reward"].to_numpy(), plan.k)
    every = steps_table(groups)
    drawn = draw_steps(every, table, plan, seed)
    wanted = sorted({prefix for row in drawn.iter_rows(named=True) for prefix in prefixes_of(row)}, key=_by_length)
    records = run_jobs([_values_job(n, some, plan, own) for n, some in enumerate(_parts(wanted, PREFIXES_TOGETHER))])
    known = {(n, tuple(tokens)): (value, noise) for r in records for n, tokens, value, noise in r.iter_rows()}
    steps = valued(drawn, known)
    squared = column(every, "tokens") * column(every, "advantage") ** 2
    noise = column(every, "tokens") * column(every, "noise")
    of_all = (squared - noise, squared)
    sampled = {
        "accuracy": float(table["reward"].to_numpy().mean()),
        "prompts": len(numbers),
        "continuations": plan.continuations,
        "prefixes": len(wanted),
    }
    findings = [
        *(Finding(MODEL, "", what, float(value)) for what, value in sampled.items()),
        measured(MODEL, f"{plan.setting}, {ALL}", RELIABILITY, of_all, every["prompt"].to_numpy(), ratio, seed),
        *of_cell(MODEL, plan.setting, steps, seed),
        *against_null(MODEL, plan.setting, steps, seed),
    ]
    return findings, steps


def draw_steps(every: pl.DataFrame, table: pl.DataFrame, plan: Plan, seed: int) -> pl.DataFrame:
    """Some of the steps, each as likely as another.

    Args:
        every: `steps_table` of the groups.
        table: The groups, k rows each.
        plan: How many.
        seed: Of the draw.

    Returns:
        Their rows with `prefix` (tokens up to the end of the step), `members` (which samples of the group) and
        `rewards` (of all its samples).
    """
    chosen = np.random.default_rng([seed, DRAWN]).permutation(len(every))[: plan.steps]
    drawn = every[np.sort(chosen).tolist()]
    completions, rewards = table["tokens"].to_list(), table["reward"].to_list()
    prefixes, members, of_group = [], [], []
    for row in drawn.iter_rows(named=True):
        begin, own, known = row["row"] // plan.k * plan.k, completions[row["row"]], row["start"] + 1
        group = completions[begin : begin + plan.k]
        prefixes.append(own[: row["end"]])
        members.append([n for n, tokens in enumerate(group) if tokens[:known] == own[:known]])
        of_group.append(rewards[begin : begin + plan.k])
    return drawn.with_columns(
        prefix=pl.Series(prefixes, dtype=pl.List(pl.Int32)),
        members=pl.Series(members, dtype=pl.List(pl.Int64)),
        rewards=pl.Series(of_group, dtype=pl.List(pl.Float64)),
    )


def prefixes_of(row: Mapping[str, Any]) -> tuple[Prefix, Prefix, Prefix]:
    """The prefix after the first token of a step, that at its end, and the prompt."""
    n, tokens = row["prompt"], tuple(row["prefix"])
    return (n, tokens[: row["start"] + 1]), (n, tokens), (n, ())


def valued(drawn: pl.DataFrame, known: Mapping[Prefix, tuple[float, float]]) -> pl.DataFrame:
    """Add what `of_cell` asks for.

    Args:
        drawn: `draw_steps`.
        known: Value of every prefix, and the variance of its error.

    Returns:
        With `value` (V: mid of the values after the first token of the step and at its end), `value_prompt` (V0), and
        the variances of their errors, `value_noise` and `prompt_noise`.
    """
    values, noises = [], []
    for row in drawn.iter_rows(named=True):
        after, end, prompt = prefixes_of(row)
        (one, its), (other, others) = known[after], known[end]
        values.append(((one + other) / 2, known[prompt][0]))
        # one token: both are the same draws
        noises.append((its if after == end else (its + others) / 4, known[prompt][1]))
    value, noise = (np.array(columns, np.float64).reshape(-1, 2) for columns in (values, noises))
    return drawn.with_columns(
        value=value[:, 0], value_prompt=value[:, 1], value_noise=noise[:, 0], prompt_noise=noise[:, 1]
    )


def cost(plan: Plan | None) -> float:
    """Seconds of one core; 0 where it cannot be run."""
    if plan is None or missing():
        return 0.0
    groups = plan.prompts * len(TASKS)
    prefixes = PREFIXES_OF_STEP * plan.steps
    jobs = groups / GROUPS_TOGETHER + prefixes / PREFIXES_TOGETHER
    return (groups * plan.k + prefixes * plan.continuations) * SECONDS + jobs * SECONDS_OF_JOB


def notes(plan: Plan) -> list[str]:
    """How it was sampled, for the page."""
    if lacks := missing():
        return [f"{MODEL} was left out: it needs {lacks}."]
    made, tasks = made_of(), ", ".join(TASKS)
    return [
        f"{MODEL}: SmolLM2-135M-Instruct as published, dequantised Q4_1 (sha256 {made['weights'][:16]}), in bfloat16; "
        f"{len(TASKS)} tasks of reasoning-gym {made['tasks']} ({tasks}), {plan.prompts} prompts each, k = {plan.k}, "
        f"T = {plan.temperature:g}, at most {NEW} tokens. {plan.steps} steps, drawn among all intermediate ones of "
        f"groups whose rewards differ; {plan.continuations} continuations of each prefix, V0 too. The variance of V's "
        "error, V (1 - V) / (continuations - 1) of a prefix, is taken from squared errors and from the variance of "
        f"V - V0. Null: rewards shuffled within groups, {PERMUTATIONS:,} times. No small PRM, no local A."
    ]


def _by_length(prefix: Prefix) -> tuple[int, Prefix]:
    return len(prefix[1]), prefix  # those of one length are sampled together


def _parts(values: list[Any], size: int) -> list[list[Any]]:
    return [values[begin : begin + size] for begin in range(0, len(values), size)]


def _groups_job(numbers: list[int], plan: Plan, own: Mapping[str, Any]) -> Job:
    arguments = {"numbers": numbers, "k": plan.k, "new": NEW, **own}
    seconds = len(numbers) * plan.k * SECONDS + SECONDS_OF_JOB
    return Job(f"prm-quality/{MODEL}/groups-{numbers[0]}", sampled_record, arguments, seconds)


def _values_job(number: int, prefixes: list[Prefix], plan: Plan, own: Mapping[str, Any]) -> Job:
    arguments = {"prefixes": [[n, list(tokens)] for n, tokens in prefixes], "continuations": plan.continuations, **own}
    seconds = len(prefixes) * plan.continuations * SECONDS + SECONDS_OF_JOB
    return Job(f"prm-quality/{MODEL}/values-{number}", values_record, arguments, seconds)
