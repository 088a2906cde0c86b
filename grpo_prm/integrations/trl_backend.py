"""`grpo-prm train --backend trl`: the run of `train.loop`, its steps taken by TRL's GRPOTrainer.

Prompts, draws, rewards and the run folder are those of our trainer; loss, update, processes and vLLM are TRL's.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import trl
from packaging.version import Version
from transformers.utils.logging import disable_progress_bar

from ..errors import UsageError
from ..train import ranks
from ..train.checkpoint import MODEL, clear_folders, keep_model, seed_everything
from ..train.config import TrainConfig
from ..train.events import Event, Watch, nobody
from ..train.loop import Result, interval_of, notes_only, open_folder
from ..train.method import run_folder
from ..train.model_record import record_model
from ..train.policy import load, without_dropout
from ..train.problem import open_model, problem_of
from ..train.record import ROLLOUTS, cut_metrics
from ..train.telling import Telling
from ..train.threads import choose, using
from ..train.tracker import open_tracker
from .trl_checkpoints import STAGING, newest
from .trl_run import RunTrainer

START = "start"  # folder of a small model as it was before training: TRL and vLLM load a model by its name
OLDEST = "1.16"  # of TRL: the first version whose numbers were compared with ours


def train(config: TrainConfig, watch: Watch = nobody, *, resume: bool = False) -> Result:
    """Train in TRL, and leave a run folder like that of `train.loop.train`; started by torchrun or accelerate too.

    Rollouts count steps from 1, as TRL does; metrics from 0.

    Raises:
        UsageError: As `train.loop.train`; or TRL is too old, or one process sees several GPUs.
        InputError: Model, data or checkpoint cannot be used.
    """
    config = replace(config, out=config.out or run_folder(config))
    ranks.join(config.device)
    _check_machine(config)
    threads = choose(config, resume=resume)
    with using(threads.number):
        return _train(threads.config, threads.note, watch, resume=resume)


def _train(config: TrainConfig, note: str, watch: Watch, *, resume: bool) -> Result:
    seed_everything(config.seed)
    watch = watch if ranks.leads() else notes_only(watch)
    if note and ranks.leads():
        watch(Event("note", text=note))
    # The first process makes folder and model; the others find both.
    with ranks.leader_first():
        folder = open_folder(config, resume=resume)
        model, tokenizer = _named(*open_model(config, watch), config, folder)
        record_model(folder, config.model, resume=resume)
    # What was recorded behind the newest whole checkpoint is made again, so it is taken away first.
    checkpoint, state = newest(folder)
    if ranks.leads():
        _cut_back(folder, state["step"])
    without_dropout(model)
    model.compute_dtype = getattr(torch, config.dtype)  # of our sampler, see `policy.prepare`
    tracker = open_tracker(config if ranks.leads() else replace(config, tracker=None), folder)
    telling = Telling(config, watch, folder, tracker)
    with _noting(watch):
        problem = problem_of(tokenizer, model, config, watch)
        run = RunTrainer(model, tokenizer, telling, problem, state)
        disable_progress_bar()  # TRL has it turned on again
        watch(Event("start", state["step"], config.steps, text=str(folder)))
        if not state["before"]:  # a run that is resumed has been evaluated already
            state["before"] = list(run.held_out(0))
        run.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if ranks.leads():
        shutil.rmtree(folder / STAGING, ignore_errors=True)
        keep_model(folder / MODEL, run.model, tokenizer)
    tracker.close()
    ranks.leave()
    watch(Event("end", config.steps, config.steps, text=str(folder)))
    before, after = interval_of(state["before"]), interval_of(state["after"])
    return Result(folder, before, after, state["skipped"], state["failed"], problem.majority(problem.held_out))


def _check_machine(config: TrainConfig) -> None:
    if Version(trl.__version__) < Version(OLDEST):
        raise UsageError(
            f"--backend trl needs TRL {OLDEST} or newer, and this is {trl.__version__}. Install a newer one."
        )
    if config.device != "cpu" and ranks.count() == 1 and (gpus := torch.cuda.device_count()) > 1:
        raise UsageError(
            f"One process sees {gpus} GPUs, and would train on none of them alone. Start as many processes (accelerate"
            f" launch --num_processes {gpus} --no_python grpo-prm train ...), or show it one: CUDA_VISIBLE_DEVICES=0."
        )


def _named(model: Any, tokenizer: Any, config: TrainConfig, folder: Path) -> tuple[Any, Any]:
    """A model that can be loaded again by its name, where TRL or vLLM does so."""
    if config.model or not (config.vllm or (config.beta and not config.lora)):
        return model, tokenizer
    if not (folder / START).exists():
        keep_model(folder / START, model, tokenizer)
    return load(replace(config, model=str(folder / START)))


def _cut_back(folder: Path, step: int) -> None:
    """Take away what was recorded from `step` on; the recorder takes away its own parts when it begins."""
    clear_folders(folder)
    shutil.rmtree(folder / STAGING, ignore_errors=True)
    cut_metrics(folder, step or -1)
    if not step:
        shutil.rmtree(folder / ROLLOUTS, ignore_errors=True)


@contextmanager
def _noting(watch: Watch) -> Generator[None]:
    """Have alarms, and what the recorder could not write, told as notes instead of logged."""

    class Notes(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            watch(Event("note", text=record.getMessage()))

    log, theirs, handler = logging.getLogger("grpo_prm"), logging.getLogger("trl"), Notes()
    before = log.propagate, theirs.level
    log.propagate = False
    theirs.setLevel(logging.ERROR)  # it prints a completion as it is wherever a reward fails, which our note says
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before[0]
        theirs.setLevel(before[1])
