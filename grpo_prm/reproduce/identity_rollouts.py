"""A small trained model's own rollouts, and its log-probabilities in float64, for the claim about Theorem 1."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .identity_gaps import DROPOUT, Gap, Policy, gaps, row_gap
from .identity_outcome import Rollouts

if TYPE_CHECKING:
    from ..train.batch import Batch
    from ..train.config import TrainConfig
    from ..train.packing import Layout

WARM_STEPS, WARM_BATCH = 100, 32  # of demonstrations
STEPS, RATE, PROMPTS, K = 3, 1e-3, 3, 16  # of GRPO; the last takes `UPDATES` on one batch, so that ratios leave 1
UPDATES = 2
TEMPERATURE = 0.6  # of sampling alone, as the authors have it: completions go the same way for longer
LIMIT = 36  # tokens of a whole answer with its end: a completion that writes more is cut off
DROP = 0.1
MASKED = 0.15  # probability of a completion to be taken out of the loss as if it were truncated


class Trained(NamedTuple):
    """A model after its last update, in float64, with the batch of that update.

    Attributes:
        model: After it.
        old: Before it.
        reference: Before all training with GRPO.
        batch: Sampled by `old`.
    """

    model: Any
    old: Any
    reference: Any
    batch: Batch


def rollout_gaps(seed: int) -> list[Gap]:
    """Gaps of every form and control on the rollouts of a model trained with this seed."""
    rng = np.random.default_rng([seed, 1])
    trained = train(seed)
    rollouts = rollouts_of(trained.batch, rng)
    measured = gaps(rollouts, policy_of(trained), noise=rng.normal(size=len(rollouts.lengths)))
    return [*measured, dropout_gap(trained, rollouts, seed)]


def train(seed: int) -> Trained:
    """Teach a fresh GPT-2 of 2 layers the task `chain` from a few demonstrations, then train it a few GRPO steps."""
    import copy

    import torch

    from ..tasks.chain import TASK
    from ..tasks.task import Warm
    from ..train.tiny import tiny_model
    from ..train.update import update

    model, tokenizer = tiny_model(replace(TASK, warm=Warm(WARM_STEPS, WARM_BATCH)), seed)
    reference = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    config = _config()
    for step in range(STEPS):
        batch = _sampled(model, tokenizer, seed, step)
        if step == STEPS - 1:  # the policy that sampled the last batch is the old one of its updates
            old = copy.deepcopy(model)
            config = replace(config, updates_per_batch=UPDATES)
        update(model, optimizer, batch, config)
    return Trained(model.double().eval(), old.double().eval(), reference.double().eval(), batch)


def _config() -> TrainConfig:
    from ..train.config import TrainConfig

    return TrainConfig(
        group_size=K, prompts=PROMPTS, max_new_tokens=LIMIT, learning_rate=RATE, power=0.0, packing="padded",
        mask_truncated=True, token_budget=1 << 20,
    )  # fmt: skip


def _sampled(model: Any, tokenizer: Any, seed: int, step: int) -> Batch:
    from ..tasks.chain import TASK
    from ..train.batch import Batch
    from ..train.sample import sample

    rng = np.random.default_rng([seed, 2, step])
    asked = [TASK.draw(rng) for _ in range(PROMPTS)]
    prompts = [tokenizer(prompt.text)["input_ids"] for prompt in asked]
    made = sample(
        model, prompts, K, seed=seed, step=step, names=range(PROMPTS), max_new_tokens=LIMIT,
        temperature=TEMPERATURE, eos=frozenset([tokenizer.eos_token_id]),
    )  # fmt: skip
    rewards = [right_steps(text) for text in tokenizer.batch_decode(made.completions)]
    return Batch(prompts, made.completions, K, np.array(rewards), made.truncated)


def right_steps(text: str) -> float:
    """Share of right results among `a+b=c` steps; a few demonstrations do not teach the final result."""
    from ..tasks.chain import OPERATORS, result
    from ..tasks.task import END

    steps = text.removesuffix(END).split(";")
    right = [
        len(s) == 5 and s[1] in OPERATORS and (s[0] + s[2] + s[4]).isdigit() and s[3] == "="
        and result(int(s[0]), s[1], int(s[2])) == int(s[4])
        for s in steps
    ]  # fmt: skip
    return sum(right) / len(right)


def rollouts_of(batch: Batch, rng: np.random.Generator) -> Rollouts:
    """The batch as the forms take it; truncated completions are out of the loss, and others at random, as few are."""
    tokens = np.array([token for row in batch.completions for token in row], np.int64)
    kept = ~batch.truncated & (rng.random(len(batch.truncated)) > MASKED)
    return Rollouts(tokens, batch.lengths, batch.groups, batch.rewards, kept, LIMIT)


def policy_of(trained: Trained) -> Policy:
    """Log-probabilities from padded forward passes."""
    import torch

    layout = _layout(trained.batch)
    with torch.no_grad():
        old, reference = (_logprobs(model, layout) for model in (trained.old, trained.reference))
    return Policy(_logprobs(trained.model, layout), old, reference, list(trained.model.parameters()))


def dropout_gap(trained: Trained, rollouts: Rollouts, seed: int) -> Gap:
    """Gap of the weighted form on-policy with dropout on: what is dropped differs by completion."""
    import torch

    for module in trained.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = DROP
    trained.model.train()  # switches dropout on, for this one pass
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        now = _logprobs(trained.model, _layout(trained.batch))
    trained.model.eval()
    old = now.detach()  # on-policy: the ratio is 1, and what is left is that rows with one prefix differ
    return row_gap(DROPOUT, rollouts, Policy(now, old, old, list(trained.model.parameters())), old.numpy())


def _layout(batch: Batch) -> Layout:
    import torch

    from ..train.packing import padded_layout

    return padded_layout(batch.prompts, batch.completions, K, torch.device("cpu"))


def _logprobs(model: Any, layout: Layout) -> Any:
    """As `packing.token_logprobs`, which is float32 whatever the weights are."""
    outputs = model(input_ids=layout.ids, position_ids=layout.positions, use_cache=False).logits.flatten(0, 1)
    return outputs[layout.source].log_softmax(-1).gather(-1, layout.target[:, None])[:, 0]
