"""TRL's GRPOTrainer for a run of `grpo-prm train`: its prompts and rewards go in, metrics and checkpoints come out."""

from __future__ import annotations

import time
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import PrinterCallback, TrainerCallback

from ..analysis.group_sums import metric_names
from ..core.interval import Interval
from ..errors import InputError, UsageError
from ..train import ranks
from ..train.data import PromptRow
from ..train.evaluate import Complete, evaluate
from ..train.events import Event
from ..train.policy import adapter_of, ends_of
from ..train.problem import Problem
from ..train.sample import sample
from ..train.telling import Telling, finite
from ..train.update import gradient_norm, temperature_of
from .trl import LambdaGRPOTrainer
from .trl_checkpoints import STAGING, finish
from .trl_judge import Judge
from .trl_settings import trl_settings


class RunTrainer(LambdaGRPOTrainer):
    """TRL's trainer with the prompts, draws and rewards of a run of ours, which it writes down in our way.

    Args:
        model: As it was before training, without dropout.
        tokenizer: Its tokenizer.
        telling: Settings and folder of the run.
        problem: What it is trained on.
        state: What goes on from checkpoint to checkpoint; brought up to date.
    """

    def __init__(self, model: Any, tokenizer: Any, telling: Telling, problem: Problem, state: dict[str, Any]) -> None:
        config = telling.config
        rows = [row for step in range(config.steps) for row in problem.prompts(step)]
        _check_positions(model, rows)
        self._telling, self._problem, self._state = telling, problem, state
        self._ends = ends_of(model, tokenizer)
        self._ids = {row.text: row.ids for row in rows}
        self._judge = Judge(problem, tokenizer, rows, config.group_size)
        self._sampling = 0.0  # seconds in this step
        weights = list(problem.weights.values())
        args = trl_settings(config, ranks.count(), max(len(row.ids) for row in rows))
        args.reward_weights = weights
        super().__init__(
            model,
            self._judge.functions(),
            args,
            train_dataset=_dataset(rows),
            processing_class=tokenizer,
            peft_config=adapter_of(config) if config.lora else None,
        )
        self.remove_callback(PrinterCallback)
        self._steady = Steady()
        self.add_callback(self._steady)

    def _tokenize_prompts(self, prompts: list[str]) -> Any:
        return [self._ids[prompt] for prompt in prompts], None, {}

    def _generate_single_turn(self, prompt_ids: list[list[int]], *args: Any, **kwargs: Any) -> Any:
        begin = time.perf_counter()
        if self.use_vllm:
            completions, logprobs = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        else:
            completions, logprobs = self._sampled(prompt_ids)
        self._sampling += time.perf_counter() - begin
        config = self._telling.config
        # beside the untempered ones of the loss those of a tempered sampler would be taken for a fault of the sampler
        return completions, logprobs if config.temperature == temperature_of(config) else None

    def _sampled(self, prompt_ids: list[list[int]]) -> tuple[list[list[int]], list[list[float]]]:
        """The draws of our trainer for the rows of this process; of a group that straddles two, both draw all."""
        config, k = self._telling.config, self.num_generations
        first = self.accelerator.process_index * len(prompt_ids)
        groups = range(first // k, (first + len(prompt_ids) - 1) // k + 1)
        sampled = sample(
            self.model, [prompt_ids[max(group * k - first, 0)] for group in groups], k, seed=config.seed,
            step=self.state.global_step, names=groups, max_new_tokens=config.max_new_tokens,
            temperature=config.temperature, top_p=config.top_p, top_k=config.top_k, eos=self._ends,
        )  # fmt: skip
        mine = slice(first - groups.start * k, first - groups.start * k + len(prompt_ids))
        return sampled.completions[mine], [row.tolist() for row in sampled.logprobs[mine]]

    def held_out(self, done: int) -> Interval:
        """Held-out accuracy after so many steps, told; sampled by vLLM where it samples."""
        config, problem = self._telling.config, self._problem
        temperature = 0.0 if config.model else config.temperature
        accuracy = evaluate(
            self.model,
            self.processing_class,
            problem.held_out,
            problem.right,
            max_new_tokens=config.max_new_tokens,
            eos=self._ends,
            temperature=temperature,
            seed=config.seed,
            plain=problem.plain,
            complete=self._by_vllm(temperature) if self.use_vllm else None,
        )
        majority = problem.majority(problem.held_out)
        self._telling.accuracy(done, accuracy, majority, self._state, self.model, self.processing_class)
        return accuracy

    def _by_vllm(self, temperature: float) -> Complete:
        """One completion a prompt by the engine of the training, with its newest weights."""

        def complete(rows: Any, _: Any) -> list[list[int]]:
            engine, whole = self.vllm_generation, {"temperature": temperature, "top_p": 1.0, "top_k": 0}
            before = {name: getattr(engine, name) for name in (*whole, "generation_kwargs")}
            vars(engine).update(whole, generation_kwargs={})
            try:
                # TRL's method, which hands new weights to the engine first
                return list(super(RunTrainer, self)._generate_single_turn([row.ids for row in rows], None, {}, 1)[0])
            finally:
                vars(engine).update(before)

        return complete

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """TRL's, and after a step our line of metrics and the evaluation that is due."""
        super().log(logs, *args, **kwargs)
        if "learning_rate" not in logs:  # the summary at the end
            return
        done = self._state["step"] = self.state.global_step
        self._tell_step(done, logs)
        if self._telling.evaluates(done):
            self._state["after"] = list(self.held_out(done))
        self._sampling = 0.0

    def _tell_step(self, done: int, logs: dict[str, Any]) -> None:
        judged = gather_object([self._judge.judged])  # of all processes
        failed, rows, tokens = (sum(getattr(one, name) for one in judged) for name in ("failed", "rows", "tokens"))
        if done == 1 and failed == rows:
            raise UsageError(
                f"The reward failed for all {failed:,} completions of the first step. Correct it: the note above shows"
                " the first failure."
            )
        skipped = self._steady.take()
        self._state["failed"] += failed
        self._state["skipped"] += skipped
        metrics = {
            "reward": logs["reward"],
            **{f"reward/{name}": logs[f"rewards/{name}/mean"] for name in self._problem.weights},
            "accuracy": sum(one.right for one in judged) / rows if self._problem.tells else None,
            "majority": self._problem.majority(self._problem.prompts(done - 1)) if self._problem.tells else None,
            "length": logs["completions/mean_length"],
            "truncated": logs["completions/clipped_ratio"],
            **{name: logs.get(called) for name, called in metric_names().items()},
            **{name: logs.get(name) for name in ("loss", "grad_norm", "entropy", "kl")},
            "clipped": logs.get("clip_ratio/region_mean"),
            "skipped": skipped,
            "failed_rewards": failed,
            "learning_rate": logs["learning_rate"],
        }
        seconds = logs["step_time"]
        clock = {"seconds": seconds, "sampling": self._sampling, "tokens_per_second": tokens / seconds}
        numbers = {name: None if value is None else finite(value) for name, value in metrics.items()}
        self._telling.step(done - 1, numbers, clock, layout="padded")

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        self.accelerator.wait_for_everyone()  # each process writes a file of its own
        telling = self._telling
        if ranks.leads():
            finish(telling.folder, self._state, telling.config.keep)
            telling.watch(Event("checkpoint", self._state["step"], telling.config.steps))
        self.accelerator.wait_for_everyone()

    def _get_output_dir(self, *args: Any, **kwargs: Any) -> str:  # noqa: ARG002 - where checkpoints are begun
        return str(self._telling.folder / STAGING)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: the run folder says what the model is."""


class Steady(TrainerCallback):
    """Leaves out optimizer steps whose gradient is not finite, as our trainer does."""

    def __init__(self) -> None:
        self._skipped = 0

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        """Take the gradients away, so that the optimizer leaves weights and moments alone."""
        if finite(gradient_norm(model)) is None:
            model.zero_grad(set_to_none=True)
            self._skipped += 1

    def take(self) -> int:
        """How many since the last call."""
        skipped, self._skipped = self._skipped, 0
        return skipped


def _check_positions(model: Any, rows: list[PromptRow]) -> None:
    """Refuse a model that reads a prompt behind padding as another one."""
    words = model.get_input_embeddings()
    others = [part for part in model.modules() if isinstance(part, torch.nn.Embedding) and part is not words]
    if others and len({len(row.ids) for row in rows}) > 1:
        raise InputError(
            f"{type(model).__name__} has learned positions, and TRL pads prompts on the left and counts the padding, so"
            " prompts must be of one length. Train with --backend own, or take a model with rotary positions."
        )


def _dataset(rows: list[PromptRow]) -> Any:
    from datasets import Dataset

    columns = {"prompt": [row.text for row in rows], "task": [row.task for row in rows]}
    return Dataset.from_dict({**columns, "row": list(range(len(rows)))})
