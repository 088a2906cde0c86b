"""How much of the paper's experiment is run, with which settings, and what that costs: known before it starts."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from .claims import TRAINER
from .methods import BY_NAME
from .openrs_runs import VALIDATION

ENOUGH = 3  # seeds
LENGTH = 1_000  # steps of the paper
RATE = 1_000  # new tokens a second on one GPU, validation and update included: assumed, not measured
TINY_VALIDATION = 40


class Plan(NamedTuple):
    """The paper's experiment, or the same with a tiny model.

    Attributes:
        model: Folder or hub name; None: a tiny model is made, and it trains on sums.
        data: Problems with answers: a file, or the name of a hub set.
        eval_data: Benchmarks, given alike.
        seeds: Runs of every method and β.
        methods: Names of `methods.METHODS`.
        betas: β of the KL term.
        tiny_steps: Training steps of the tiny model.
        whole_steps: Training steps of a model.
        backend: What trains, `own` or `trl`; norm-matched, which TRL cannot train, is always trained by our own.
        vllm: Sample with vLLM, in TRL.
    """

    model: str | None
    data: str | None
    eval_data: tuple[str, ...]
    seeds: int
    methods: tuple[str, ...]
    betas: tuple[float, ...]
    tiny_steps: int
    whole_steps: int = LENGTH
    backend: Literal["own", "trl"] = "own"
    vllm: bool = False

    @property
    def steps(self) -> int:
        """Training steps."""
        return self.whole_steps if self.model else self.tiny_steps

    @property
    def held_out(self) -> int:
        """Validation problems."""
        return VALIDATION if self.model else TINY_VALIDATION

    @property
    def lacks(self) -> str:
        """What is missing for the whole experiment, or nothing."""
        if not self.model:
            return "a tiny model went the whole way"
        short = [f"{self.steps:,} of {LENGTH:,} steps"] * (self.steps < LENGTH)
        few = [f"{self.seeds} of {ENOUGH} seeds"] * (self.seeds < ENOUGH)
        return ", ".join(short + few)


# Of the authors' public code where it says so, else of the paper. Two differences: no dropout in the adapter, with
# which Theorem 1 does not hold, and no end token forced after the answer.
PAPER: dict[str, Any] = {
    "prompts": 4,
    "group_size": 6,
    "max_new_tokens": 1_200,
    "temperature": 0.75,
    "loss_temperature": 1.0,
    "aggregation": "grpo",
    "ratio_in_kl": False,
    "learning_rate": 1e-6,
    "optimizer": "adam",
    "lora": 64,
    "lora_alpha": 128,
    "dtype": "bfloat16",
    "gradient_checkpointing": True,
    "reward": ["math"],
    "eval_every": 25,
    "save_every": 25,
}
TINY: dict[str, Any] = PAPER | {
    "max_new_tokens": 6,
    "learning_rate": 3e-3,
    "lora": 4,
    "lora_alpha": 8,
    "dtype": "float32",
    "gradient_checkpointing": False,
    "eval_every": 5,
    "threads": 1,
}


def needs(plan: Plan) -> tuple[str, ...]:
    """Modules: those of the trainers, of LoRA, and of the reward of mathematical answers."""
    return (*TRAINER, "peft", "math_verify", *["trl"] * (plan.backend == "trl"), *["vllm"] * plan.vllm)


def backend_of(plan: Plan, method: str) -> str:
    """What trains a method: a second backward pass in every step is nothing that TRL makes."""
    return "own" if BY_NAME[method].control == "norm" else plan.backend


def tokens_of(plan: Plan) -> int:
    """New tokens of a run at most: k completions a prompt, and a greedy one for each validation problem."""
    every = PAPER["eval_every"]
    completions = plan.whole_steps * PAPER["prompts"] * PAPER["group_size"]
    validations = 1 + plan.whole_steps // every + (plan.whole_steps % every > 0)  # the first before training
    return (completions + validations * VALIDATION) * PAPER["max_new_tokens"]


def cost_in_words(plan: Plan) -> str:
    """What a plan with a model costs, as the second half of a sentence and another one."""
    runs = len(plan.methods) * len(plan.betas) * plan.seeds
    tokens = runs * tokens_of(plan)
    return (
        f"is {runs} runs ({len(plan.methods)} methods, {len(plan.betas)} β, {plan.seeds} seeds) of "
        f"{plan.whole_steps:,} steps: {tokens / 1e9:.2g} billion new tokens at most (k = {PAPER['group_size']}, "
        f"{PAPER['prompts']} prompts, {PAPER['max_new_tokens']:,} tokens; {VALIDATION} validation problems before "
        f"training and every {PAPER['eval_every']} steps), {tokens / RATE / 3_600:,.0f} GPU-hours at {RATE:,} tokens a "
        "second on one GPU, which is assumed: no GPU was there to ask. Benchmarks come on top."
    )


def announce(plan: Plan) -> list[str]:
    """What is to be known before it starts."""
    if not plan.model:
        return []
    sentences = [
        f"this {cost_in_words(plan)}",
        "each run has one GPU, and `tokens_per_second` in its metrics.jsonl says the rate of yours after a step.",
    ]
    if plan.backend == "trl" and any(backend_of(plan, method) == "own" for method in plan.methods):
        sentences.append(
            "norm-matched is trained by our own trainer, without vLLM, so it takes longer than the others."
        )
    return sentences


def seconds_of(plan: Plan) -> float:
    """Of a run, on a core or on a GPU."""
    return tokens_of(plan) / RATE if plan.model else 1.5 + 0.1 * plan.steps
