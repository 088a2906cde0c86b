"""The run: sample, reward, update, measure, record, step by step (definitions: λ-GRPO)."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..analysis.group_sums import group_sums, statistics_of
from ..analysis.heap import hand_back
from ..core.interval import Interval
from ..errors import UsageError
from ..files import atomic
from ..logs.sources import METHOD
from . import ranks
from .batch import Batch, batch_advantages
from .checkpoint import (
    MODEL,
    Training,
    clear_folders,
    has_checkpoint,
    keep_model,
    restore,
    save,
    seed_everything,
    steps_done,
)
from .config import TrainConfig, check_goes_on, to_yaml
from .data import PromptRow
from .equal_rewards import equal_rewards
from .estimate import sentence
from .evaluate import evaluate
from .events import Event, Watch, nobody
from .identity_gap import identity_gap
from .method import method_of, run_folder
from .model_record import record_model
from .policy import Policy
from .problem import Problem, open_problem
from .record import cut_back, rollouts_table, write_rollouts
from .sample import Sampled, sample
from .telling import Telling, finite
from .threads import choose, using
from .tracker import open_tracker
from .update import update

CONFIG = "config.yaml"


class Result(NamedTuple):
    """What a run came to.

    Attributes:
        folder: The run folder.
        before: Held-out accuracy before the first step; no mean without held-out prompts.
        after: After the last.
        skipped: Optimizer steps left out since loss or gradient was not finite.
        failed: Completions without a reward, since a function failed.
        majority: Share of the held-out prompts that the majority answer gets right; None where none is known.
    """

    folder: Path
    before: Interval
    after: Interval
    skipped: int
    failed: int
    majority: float | None = None


class Rollouts(NamedTuple):
    """Prompts of a step, what was sampled, its text, what it is worth, and all that as a batch to train on."""

    prompts: list[PromptRow]
    sampled: Sampled
    texts: list[str]
    rewards: dict[str, np.ndarray]
    batch: Batch


def train(config: TrainConfig, watch: Watch = nobody, *, resume: bool = False) -> Result:
    """Train, and leave a run folder: settings, method, model, metrics, rollouts, checkpoints (docs/training.md).

    Started by torchrun, the processes share out the groups, and the one that leads writes and tells.

    Args:
        config: The settings.
        watch: Is told of everything.
        resume: Go on from the newest checkpoint of the folder. On a CPU, with the threads that it began with, the
            run then comes to the same bytes as one that was never interrupted, but for what stands under `time`.

    Raises:
        UsageError: The folder holds a run already, or another one than this to resume, or one that has gone further; or
            no completion of the first step got a reward.
        InputError: Model, data or checkpoint cannot be used.
    """
    config = replace(config, out=config.out or run_folder(config))  # "" would be the working directory
    ranks.join(config.device)
    threads = choose(config, resume=resume)
    with using(threads.number):
        return _train(threads.config, threads.note, watch, resume=resume)


def _train(config: TrainConfig, note: str, watch: Watch, *, resume: bool) -> Result:
    seed_everything(config.seed)
    watch = watch if ranks.leads() else notes_only(watch)
    # all that goes on from step to step beside weights and optimizer; checkpoints keep it as JSON
    state: dict[str, Any] = {"step": 0, "before": [], "after": [], "best": None, "skipped": 0, "failed": 0}
    notes = [note] if note else []
    with ranks.leader_first():  # the others find the warm-started model in the cache
        folder = open_folder(config, resume=resume)
        policy, problem = open_problem(config, watch)
        record_model(folder, config.model, resume=resume)
        training = make_training(policy, config)
    hand_back()  # what loading and the trial of both layouts have freed: some GB of a larger model
    if has_checkpoint(folder):
        state, more = restore(folder, training)
        notes += more
    elif ranks.leads():
        clear_folders(folder)  # of a run that was killed while it wrote its first checkpoint
    if ranks.leads():
        cut_back(folder, state["step"] or -1)  # what came before the first checkpoint is made again
        for note in (*notes, *_idle(config.prompts)):
            watch(Event("note", text=note))
    if config.model:  # a small model of ours needs next to nothing
        told = sentence(policy, [row.ids for row in problem.prompts(0)], len(problem.held_out), config)
        watch(Event("note", text=told))
    tracker = open_tracker(config if ranks.leads() else replace(config, tracker=None), folder)
    telling = Telling(config, watch, folder, tracker)
    run = _Run(config, folder, policy, problem, training, telling)
    watch(Event("start", state["step"], config.steps, text=str(folder)))
    if not state["before"]:  # a run that is resumed has been evaluated already
        state["before"] = list(run.evaluate(0, state))
    for step in range(state["step"], config.steps):
        run.step(step, state)
        done = state["step"] = step + 1
        if telling.evaluates(done):
            state["after"] = list(run.evaluate(done, state))
        if ranks.leads() and (done % config.save_every == 0 or done == config.steps):
            save(folder, done, training, state, config.keep)
            watch(Event("checkpoint", done, config.steps))
    if ranks.leads():
        keep_model(folder / MODEL, policy.model, policy.tokenizer)
    tracker.close()
    ranks.leave()
    watch(Event("end", config.steps, config.steps, text=str(folder)))
    before, after = interval_of(state["before"]), interval_of(state["after"])
    return Result(folder, before, after, state["skipped"], state["failed"], problem.majority(problem.held_out))


def _idle(prompts: int) -> list[str]:
    """A sentence where there are more processes than groups, since a group is not parted."""
    idle = ranks.count() - prompts
    if idle <= 0:
        return []
    return [
        f"{idle} of {ranks.count()} processes have nothing to do, since each takes whole groups and a step has"
        f" {prompts}. Start {prompts} processes, or give more --prompts."
    ]


def notes_only(watch: Watch) -> Watch:
    """What a process that does not lead tells: only it has seen the first failure of a reward in its own groups."""

    def tell(event: Event) -> None:
        if event.kind == "note":
            watch(event)

    return tell


def open_folder(config: TrainConfig, *, resume: bool) -> Path:
    """The run folder with its config.yaml, and its method in words, which `analyze` shows.

    Raises:
        UsageError: It holds another run, or none where one is to be resumed.
    """
    folder = Path(config.out)
    path = folder / CONFIG
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file. Give --out the name of a folder.")
    if resume:
        if not path.exists():
            raise UsageError(f"{folder}: holds no run to resume. Leave out --resume to start one.")
        check_goes_on(config, path)
        if (done := steps_done(folder)) > config.steps:
            raise UsageError(f"{folder}: has done {done} steps already, and --steps is {config.steps}. Give more.")
    elif has_checkpoint(folder):
        raise UsageError(f"{folder}: holds a run already. Go on with it with --resume, or give --out another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in ((path, to_yaml(config)), (folder / METHOD, f"{method_of(config).name}\n")):
        with atomic(file) as part:
            part.write_text(text, encoding="utf-8")
    return folder


def make_training(policy: Policy, config: TrainConfig) -> Training:
    """Optimizer and schedule over the trainable weights."""
    weights = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    kinds = {
        "adam": lambda: torch.optim.Adam(weights, lr=config.learning_rate),
        "adamw": lambda: torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay),
        "sgd": lambda: torch.optim.SGD(weights, lr=config.learning_rate),
    }
    optimizer = kinds[config.optimizer]()
    return Training(policy.model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(config)))


def _rate(config: TrainConfig) -> Any:
    """Share of the learning rate at each step: a rise, then constant, linear or cosine to 0."""

    def share(step: int) -> float:
        if step < config.warmup_steps:
            return (step + 1) / config.warmup_steps
        done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
        return {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[config.schedule]

    return share


def roll_out(policy: Policy, problem: Problem, config: TrainConfig, step: int) -> Rollouts:
    """Sample a step's completions and score them, this process its share of the groups; all processes have all."""
    prompts = problem.prompts(step)
    mine = ranks.share(len(prompts))
    sampled = sample(
        policy.model,
        [prompts[group].ids for group in mine],
        config.group_size,
        seed=config.seed,
        step=step,
        names=mine,
        max_new_tokens=config.max_new_tokens,
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=config.top_k,
        eos=policy.ends,
    )
    texts = policy.tokenizer.batch_decode(sampled.completions, skip_special_tokens=problem.plain)
    rewards = problem.score([prompts[group] for group in mine for _ in range(config.group_size)], texts)
    # every process needs the whole batch: weights of a token and normalisers are those of all groups
    everyone = ranks.gathered(list(zip(*sampled, texts, strict=True)))
    completions, logprobs, truncated, texts = (list(column) for column in zip(*everyone, strict=True))
    shares = ranks.gathered([rewards])
    rewards = {name: np.concatenate([share[name] for share in shares]) for name in rewards}
    sampled = Sampled(completions, logprobs, np.array(truncated))
    batch = Batch([row.ids for row in prompts], completions, config.group_size, rewards["reward"], sampled.truncated)
    return Rollouts(prompts, sampled, texts, rewards, batch)


class _Run(NamedTuple):
    """All that a step needs."""

    config: TrainConfig
    folder: Path
    policy: Policy
    problem: Problem
    training: Training
    telling: Telling

    def step(self, step: int, state: dict[str, Any]) -> None:
        """One training step; `state` is brought up to date."""
        begin = time.perf_counter()
        config, policy = self.config, self.policy
        made = roll_out(policy, self.problem, config, step)
        failed = int((~np.isfinite(made.batch.rewards)).sum())
        # a fault in the function, not in the completions: better said now than after a night
        if step == 0 and failed == len(made.texts):
            raise UsageError(
                f"The reward failed for all {failed:,} completions of the first step. Correct it: the note above shows"
                " the first failure."
            )
        state["failed"] += failed
        sampled_at = time.perf_counter()
        advantages = batch_advantages(made.batch, config)
        # two backward passes, so only now and then
        gap = identity_gap(policy.model, made.batch, config) if step == 0 or self.telling.evaluates(step + 1) else None
        settings = config if policy.packs else replace(config, packing="padded")
        rate = self.training.schedule.get_last_lr()[0]  # of this step: read before the schedule goes on
        hand_back()
        updated = update(policy.model, self.training.optimizer, made.batch, settings, policy.reference)
        self.training.schedule.step()
        state["skipped"] += updated.skipped
        metrics: dict[str, Any] = self._metrics(made) | {
            "loss": finite(updated.loss),
            "grad_norm": finite(updated.grad_norm),
            "entropy": updated.entropy,
            "kl": updated.kl,
            "clipped": updated.clipped,
            "skipped": updated.skipped,
            "failed_rewards": failed,
            "learning_rate": rate,
            "identity_gap": gap,
        }
        hand_back()
        if ranks.leads():
            self._record(step, made, advantages)
        if sentence := equal_rewards(metrics["zero_variance"], state):
            self.telling.watch(Event("note", step + 1, config.steps, text=sentence))
        seconds = time.perf_counter() - begin
        clock = {"seconds": seconds, "sampling": sampled_at - begin, "tokens_per_second": _tokens(made) / seconds}
        self.telling.step(step, metrics, clock, layout=updated.layout, read_tokens=updated.read)

    def _record(self, step: int, made: Rollouts, advantages: np.ndarray) -> None:
        table = rollouts_table(
            self.folder.name, step, made.prompts, made.sampled, made.texts, made.rewards, advantages, made.batch
        )
        write_rollouts(self.folder, step, table)

    def _metrics(self, made: Rollouts) -> dict[str, float | None]:
        rows = [row for row in made.prompts for _ in range(self.config.group_size)]
        prompts = np.array([len(ids) for ids in made.batch.prompts], np.float64)
        means = {f"reward/{name}" if name != "reward" else name: _mean(v) for name, v in made.rewards.items()}
        return {
            **means,
            "accuracy": float(self.problem.right(rows, made.texts).mean()) if self.problem.tells else None,
            "majority": self.problem.majority(made.prompts) if self.problem.tells else None,
            "length": float(made.batch.lengths.mean()),
            "truncated": float(made.batch.truncated.mean()),
            **statistics_of(group_sums(made.batch.measured(self.config.std), prompts)),
        }

    def evaluate(self, done: int, state: dict[str, Any]) -> Interval:
        """Held-out accuracy after so many steps; keeps the best model."""
        accuracy = evaluate(
            self.policy.model,
            self.policy.tokenizer,
            self.problem.held_out,
            self.problem.right,
            max_new_tokens=self.config.max_new_tokens,
            eos=self.policy.ends,
            # small models are judged as they are sampled; of a model of one's own the likeliest answer counts
            temperature=0.0 if self.config.model else self.config.temperature,
            seed=self.config.seed,
            plain=self.problem.plain,
        )
        majority = self.problem.majority(self.problem.held_out)
        self.telling.accuracy(done, accuracy, majority, state, self.policy.model, self.policy.tokenizer)
        return accuracy


def interval_of(values: list[Any]) -> Interval:
    """Back from JSON."""
    return Interval(*values)


def _tokens(made: Rollouts) -> int:
    return int(made.batch.lengths.sum()) + sum(len(prompt) for prompt in made.batch.prompts)


def _mean(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else None
