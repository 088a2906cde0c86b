"""A run of the trainer as a record: what it measured at every step, and how good the policy is at its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from .methods import BY_NAME

CURVES = (
    "accuracy",
    "reward",
    "intermediate_proportion",
    "update_scale_1",
    "update_cosine_1",
    "grad_norm",
    "entropy",
)
SAMPLES = 8  # completions of a held-out prompt: accuracy is their mean, pass@k whether one is right
FINAL = -2  # stream of the draws at the end: neither training nor evaluation has it


class Final(NamedTuple):
    """How good a policy is on held-out prompts: shares that are right.

    Attributes:
        accuracy: Of all completions at the temperature of training.
        greedy: Of the likeliest completions.
        passed: Of the prompts, with one right completion of eight or more.
        majority: Of the prompts, by the majority answer, whatever the policy (definitions: Majority answer); None where
            there is none.
    """

    accuracy: float
    greedy: float
    passed: float
    majority: float | None


def training_record(method: str, settings: Mapping[str, Any], folder: Path) -> pl.DataFrame:
    """Train, going on from a checkpoint if there is one.

    Args:
        method: Name of one of `METHODS`.
        settings: Fields of `TrainConfig` other than those of the method.
        folder: Run folder.

    Returns:
        `step`, `statistic`, `value`: `CURVES` of every step, and after the last the fields of `Final` as `final_NAME`.
    """
    from ..train.config import make_config
    from ..train.loop import train
    from ..train.quiet import quiet_libraries

    quiet_libraries()
    # What is judged is the end (`final`), so nothing is evaluated on the way.
    own = {"out": str(folder), "eval_every": 0, "eval_prompts": 1}
    config = make_config({**settings, **BY_NAME[method].settings, **own})
    train(config, resume=(folder / "checkpoints").exists())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]
    rows = [(line["step"], name, line.get(name)) for line in lines if "held_out" not in line for name in CURVES]
    for name, value in final(settings, folder)._asdict().items():
        rows.append((config.steps, f"final_{name}", value))
    schema = {"step": pl.Int64, "statistic": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row", strict=False)


def start_record(settings: Mapping[str, Any]) -> pl.DataFrame:
    """Make the small model of a task, which the cache keeps, and say how good it is."""
    from ..train.quiet import quiet_libraries

    quiet_libraries()
    return pl.DataFrame([final(settings, None)._asdict()])


def final(settings: Mapping[str, Any], folder: Path | None) -> Final:
    """How good the model of a run folder is; without one, the model that training starts with."""
    from ..train.checkpoint import restore
    from ..train.config import make_config
    from ..train.evaluate import evaluate
    from ..train.events import nobody
    from ..train.loop import make_training
    from ..train.problem import open_problem
    from ..train.sample import sample

    config = make_config({**settings, "eval_prompts": settings.get("eval_prompts", 128)})
    policy, problem = open_problem(config, nobody)
    if folder is not None:  # else the policy is as the warm start left it
        restore(folder, make_training(policy, config))
    rows, most = problem.held_out, config.max_new_tokens
    greedy = evaluate(
        policy.model, policy.tokenizer, rows, problem.right, max_new_tokens=most, eos=policy.ends, plain=problem.plain
    )
    drawn = sample(
        policy.model, [row.ids for row in rows], SAMPLES, seed=config.seed, step=FINAL, names=range(len(rows)),
        max_new_tokens=most, temperature=config.temperature, top_p=config.top_p, top_k=config.top_k, eos=policy.ends,
    )  # fmt: skip
    texts = policy.tokenizer.batch_decode(drawn.completions, skip_special_tokens=problem.plain)
    # `sample` gives the completions of a prompt one after the other: shape (prompts, SAMPLES).
    right = problem.right([row for row in rows for _ in range(SAMPLES)], texts).reshape(-1, SAMPLES)
    passed = float((right.max(axis=1) > 0).mean())
    return Final(float(right.mean()), float(greedy.mean or 0.0), passed, problem.majority(rows))


def curve(record: pl.DataFrame, statistic: str) -> np.ndarray:
    """A statistic at every step, shape (steps,), NaN where there is none."""
    return record.filter(statistic=statistic).sort("step")["value"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def value(record: pl.DataFrame, statistic: str) -> float:
    """A statistic of the end."""
    return float(record.filter(statistic=statistic)["value"][0])
