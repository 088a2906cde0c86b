"""A pretrained model in the claim about training: runs of days, all known before the first, and what they cost."""

from __future__ import annotations

from .claims import TRAINER
from .jobs import WORKER, Job
from .training_crossed import crossed_jobs
from .training_plan import SAVE_EVERY, Plan, Size, cost

# 5 x 128 held-out prompts, eight completions each (2026-11-29): right .042 before training, the majority answer .031.
# With one digit .194 against .222 (there are 18 held-out prompts); chain_sum of two terms .070 against .016.
SMOLLM2 = Size(
    steps=50, prompts=4, rate=1e-4, seconds=20.0, warm_seconds=190, task="reasoning-gym:products?max_digits=2",
    model="smollm2", settings=(("lora", 16), ("dtype", "bfloat16"), ("max_new_tokens", 64)),
)  # fmt: skip
PRETRAINED = Plan(
    {"smollm2-products": SMOLLM2}, ("p = 0", "p = 0.5", "p = 1", "parent", "position"), seeds=5, choosing=0, widen=0,
    warm_steps=0, one_start=False, crossed=True,
)  # fmt: skip
PRETRAINED_WORKER = 4 << 30  # bytes: 3.6 GB were measured in a training step


def needs(plan: Plan) -> tuple[str, ...]:
    """Modules beside the core's."""
    more = ("peft", "reasoning_gym", "gguf") if any(size.model for size in plan.sizes.values()) else ()
    return (*TRAINER, *more)


def memory(plan: Plan) -> int:
    """Bytes of a worker, at most."""
    return PRETRAINED_WORKER if any(size.model for size in plan.sizes.values()) else WORKER


def runs(plan: Plan, seed: int) -> list[Job]:
    """The runs of a plan that goes on over days; none of the others."""
    return list(crossed_jobs(plan, seed).values()) if plan.crossed else []


def announce(plan: Plan) -> list[str]:
    """What a plan of days costs; nothing of the others."""
    if not plan.crossed:
        return []
    number = len(runs(plan, 0))
    return [
        f"about {cost(plan) / 3_600:,.0f} hours of one core: {number} runs ({len(plan.methods)} methods, {plan.seeds} "
        f"seeds, 3 rates), each about {cost(plan) / number / 60:,.0f} minutes and up to "
        f"{PRETRAINED_WORKER >> 30} GB of memory. {models_of(plan)}.",
        "end it at any moment with Ctrl-C or SIGTERM, and go on with the same command and --resume: a run goes on from "
        f"its newest checkpoint, of every {SAVE_EVERY} steps.",
    ]


def models_of(plan: Plan) -> str:
    """The models that are there already, and how they are trained; nothing where there is none."""
    return "; ".join(
        f"{size.model} on {size.task} ({', '.join(f'{name} {value}' for name, value in size.settings)})"
        for size in plan.sizes.values()
        if size.model
    )
