"""A run of the paper's experiment as a record: a model, mathematical problems, validation on the way, benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ..errors import GrpoPrmError, InputError
from ..tasks import END, Prompt, Task, Warm
from .methods import BY_NAME

VALIDATION = 125  # problems, held out of the training data
PROBLEM, ANSWER = "problem", "answer"
DIGITS = tuple(map(str, range(10)))


def openrs_record(
    method: str,
    settings: Mapping[str, Any],
    data: str | None,
    benchmarks: Sequence[str],
    held_out: int,
    folder: Path,
) -> pl.DataFrame:
    """Train, going on from a checkpoint if there is one, then evaluate on the benchmarks.

    Args:
        method: Name of one of `METHODS`.
        settings: Fields of `TrainConfig` other than those of the method; without a `model` a tiny one is made.
        data: Problems with answers; None: those of the tiny model.
        benchmarks: Files like the data, or names of hub sets (their split `test`, else `train`).
        held_out: Problems of the data that validate and are not trained on.
        folder: Run folder.

    Returns:
        `step`, `statistic`, `value`: `accuracy` on the validation problems by step, `reward` and `tokens_per_second` of
        every step, and after the last step `benchmark/NAME`.
    """
    from ..integrations.backend import train
    from ..train.config import make_config
    from ..train.quiet import quiet_libraries

    quiet_libraries()
    local = folder / "local"
    given: dict[str, Any] = {**settings, **BY_NAME[method].settings, "task": None, "out": str(folder)}
    if not given.get("model"):  # the tiny model comes with its data, so nothing is downloaded
        given["model"], data, benchmarks = _tiny(local, int(given["seed"]))
    training, validation = _split(str(data), held_out, local)
    judged = [_written(name, local) for name in benchmarks]  # before a long run, not after it
    config = make_config({**given, "data": str(training), "eval_data": str(validation), "eval_prompts": held_out})
    train(config, resume=(folder / "checkpoints").exists())
    rows = []
    for line in map(json.loads, (folder / "metrics.jsonl").read_bytes().splitlines()):
        if (validation := line.get("held_out")) is not None:
            # `step` is the last one that was trained, -1 before training.
            rows.append((line["step"] + 1, "accuracy", validation["mean"]))
        else:
            rows.append((line["step"], "reward", line["reward"]))
            rows.append((line["step"], "tokens_per_second", line["time"]["tokens_per_second"]))
    rows += [(config.steps, f"benchmark/{name}", value) for name, value in _benchmarks(config, folder, judged)]
    schema = {"step": pl.Int64, "statistic": pl.String, "value": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row", strict=False)


def _split(data: str, held_out: int, folder: Path) -> tuple[Path, Path]:
    """The problems as two files: what is trained on, and the last ones of a shuffled order, which validate.

    The order is the same in every run, so that all methods and seeds validate on the same problems.
    """
    from ..train.data import load_prompts

    rows = [row.row for row in load_prompts(data, PROBLEM, ANSWER, tokenizer=_Words())]
    if len(rows) <= held_out:
        raise InputError(f"{data}: has {len(rows)} problems, and {held_out} are held out. Give more of them.")
    order = np.random.default_rng(2509).permutation(len(rows)).tolist()
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "training.jsonl", folder / "validation.jsonl"
    for path, places in zip(paths, (order[:-held_out], order[-held_out:]), strict=True):
        path.write_text("".join(json.dumps(rows[n], default=str) + "\n" for n in places), encoding="utf-8")
    return paths


def _written(name: str, folder: Path) -> Path:
    """A benchmark as a file."""
    from ..train.data import load_prompts

    # Hub sets of benchmarks have a split `test`, some have `train` alone.
    try:
        rows = load_prompts(name, PROBLEM, ANSWER, tokenizer=_Words(), split="test")
    except (GrpoPrmError, ValueError):
        rows = load_prompts(name, PROBLEM, ANSWER, tokenizer=_Words())
    path = folder / f"benchmark-{name.replace('/', '-').removesuffix('.jsonl')}.jsonl"
    path.write_text("".join(json.dumps(row.row, default=str) + "\n" for row in rows), encoding="utf-8")
    return path


def _benchmarks(config: Any, folder: Path, benchmarks: Sequence[Path]) -> list[tuple[str, float]]:
    """Greedy accuracy of the trained model on every benchmark."""
    from ..train.evaluate import evaluate
    from ..train.events import nobody
    from ..train.problem import problem_of

    accuracies, policy = [], _trained(config, folder)
    for name in benchmarks:
        # A run evaluates on one file, so each benchmark takes its place in turn; all of its problems.
        every = replace(config, eval_data=str(name), eval_prompts=1_000_000)
        problem = problem_of(policy.tokenizer, policy.model, every, nobody)
        right = evaluate(
            policy.model, policy.tokenizer, problem.held_out, problem.right,
            max_new_tokens=config.max_new_tokens, eos=policy.ends, batch=32,
        )  # fmt: skip
        accuracies.append((name.stem.removeprefix("benchmark-"), float(right.mean or 0.0)))
    return accuracies


def _trained(config: Any, folder: Path) -> Any:
    """The model that a run has left."""
    from ..train.checkpoint import MODEL
    from ..train.policy import load, prepare

    model, tokenizer = load(config if config.lora else replace(config, model=str(folder / MODEL)))
    if config.lora:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(folder / MODEL))
    return prepare(model, tokenizer, replace(config, lora=0, beta=0.0, gradient_checkpointing=False))


class _Words:
    """Stands in for a tokenizer where only the rows are wanted."""

    chat_template = None

    def __call__(self, texts: Sequence[str], **_: Any) -> dict[str, list[list[int]]]:
        return {"input_ids": [[0] for _ in texts]}


def _draw(rng: np.random.Generator) -> Prompt:
    a, b = rng.integers(0, 10, 2).tolist()
    return Prompt(f"What is {a} + {b}, modulo 10? ", str((a + b) % 10))


def _demonstrate(prompt: Prompt, rng: np.random.Generator) -> str:
    """The right digit half of the time, else any."""
    digit = prompt.answer if rng.random() < 0.5 else DIGITS[rng.integers(10)]
    return f"It is \\boxed{{{digit}}}"


TINY = Task(
    name="openrs-tiny",
    words=(END, *DIGITS, "What is ", " + ", ", modulo ", "? ", "It is ", "\\boxed{", "}"),
    prompt_length=8,
    limit=6,
    draw=_draw,
    demonstrate=_demonstrate,
    reward=lambda prompt, completion: float(f"{{{prompt.answer}}}" in completion),
    right=lambda prompt, completion: f"{{{prompt.answer}}}" in completion,
    says=lambda prompt: f"\\boxed{{{prompt.answer}}}",
    warm=Warm(60, 64),
)


def _tiny(folder: Path, seed: int) -> tuple[str, str, list[str]]:
    """A tiny model and problems with the columns of OpenRS, in files: model folder, data, benchmarks."""
    from ..train.tiny import tiny_model

    model, tokenizer = tiny_model(TINY, seed % 100_000)
    place = folder / "model"
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    rng = np.random.default_rng(0)
    paths = {}
    for name, number in (("problems", 150), ("sums", 40), ("more_sums", 40)):
        rows = [_draw(rng) for _ in range(number)]
        lines = [
            {PROBLEM: row.text, "solution": f"\\boxed{{{row.answer}}}", ANSWER: row.answer, "level": "Easy"}
            for row in rows
        ]
        paths[name] = folder / f"{name}.jsonl"
        paths[name].write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return str(place), str(paths["problems"]), [str(paths["sums"]), str(paths["more_sums"])]
