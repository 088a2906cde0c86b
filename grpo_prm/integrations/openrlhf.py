"""λ-GRPO in OpenRLHF: weights are made where the whole batch is, and multiply the gradient in each actor.

The driver's experience maker holds all rollouts of a step, so groups are whole there, in whatever micro-batches they
lie. The weights travel in the field `values`, which only a critic fills, so OpenRLHF splits, pads, balances and moves
them like its own. In the actor a hook on the log-probabilities weighs policy and KL term alike, before any loss.

Started by `python -m grpo_prm.integrations openrlhf` in the place of `python -m openrlhf.cli.train_ppo_ray`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import ray
import torch

from ..errors import UsageError
from .gradient import weigh_gradient
from .method import method_name
from .openrlhf_rollouts import record_rollouts
from .rows import Kind, check_weights, sequence_weights

ESTIMATORS = ("group_norm", "dr_grpo", "rloo", "reinforce_baseline")  # one advantage a completion, from its group


def refuse(args: Any) -> None:
    """Settings of OpenRLHF under which a factor per token is not the paper's.

    Raises:
        UsageError: It names the setting and what to give instead.
    """
    estimator, kl, loss = args.algo.advantage.estimator, args.algo.kl, args.actor.policy_loss_type
    if estimator not in ESTIMATORS:
        raise UsageError(
            f"--algo.advantage.estimator {estimator} has no group, or needs a critic. "
            f"Give one of {', '.join(ESTIMATORS)}."
        )
    if loss != "ppo":
        raise UsageError(
            f"--actor.policy_loss_type {loss} makes one ratio for a whole completion, which has no token to weigh. "
            "Give ppo."
        )
    if kl.init_coef > 0 and not kl.use_loss:
        raise UsageError(
            f"--algo.kl.init_coef {kl.init_coef} is taken off the reward, so the advantages differ within a "
            "completion. Give --algo.kl.use_loss, or --algo.kl.init_coef 0."
        )


def weigh_experiences(maker: Any, power: float, kind: Kind) -> None:
    """Let an experience maker put λ weights into `values` of what it makes, shape (B, A) float32, 0 on padding."""
    refuse(maker.strategy.args)
    made = maker.compute_advantages_and_returns

    @wraps(made)
    def compute_advantages_and_returns(experiences: list[Any]) -> list[Any]:
        experiences = made(experiences)
        add_weights(experiences, maker.strategy.args.rollout.n_samples_per_prompt, power, kind)
        return experiences

    maker.compute_advantages_and_returns = compute_advantages_and_returns


def add_weights(experiences: list[Any], k: int, power: float, kind: Kind) -> None:
    """Fill `values` of all experiences of a step; their rows stand in any order and any micro-batch."""
    real = [experience.attention_mask.bool() for experience in experiences]
    rows = [
        ids[own].numpy() for experience, mask in zip(experiences, real, strict=True)
        for ids, own in zip(experience.sequences, mask, strict=True)
    ]  # fmt: skip
    # OpenRLHF's own groups: the k rows after one another in the order in which the rollouts came, which `index` keeps.
    groups = [index // k for experience in experiences for index in experience.index]
    weights = iter(sequence_weights(rows, groups, power, kind))
    for experience, mask in zip(experiences, real, strict=True):
        values = torch.zeros(mask.shape)
        values[mask] = torch.from_numpy(np.concatenate([next(weights) for _ in mask]))
        experience.values = values[:, 1:]  # an action stands where its token is predicted, one to the left


def weigh_training(trainer: Any) -> None:
    """Let an ActorPPOTrainer multiply the gradient at each log-probability by the weight in `values`."""
    step = trainer.training_step

    @wraps(step)
    def training_step(experience: Any, *args: Any, **kwargs: Any) -> Any:
        passed: list[bool] = []

        def weigh(_model: Any, _inputs: Any, output: Any) -> None:
            weigh_gradient(output[0], experience.values, lambda: passed.append(True))

        # The actor is called once a step, and policy and KL term both start from what it gives.
        hook = trainer.actor.register_forward_hook(weigh)
        try:
            status = step(experience, *args, **kwargs)
        finally:
            hook.remove()
        if not passed:
            raise UsageError("No gradient went through the log-probabilities, so λ-GRPO would be GRPO.")
        return status

    trainer.training_step = training_step


def extended(actor: Any, **after: Callable[[Any], None]) -> Any:
    """The Ray actor class with a call behind methods of it, by name; Ray sends it to the workers as it stands."""
    own = actor.__ray_metadata__.modified_class.__ray_actor_class__
    plain = vars(own).get("plain", own)  # what was extended before is extended anew
    methods = {name: _followed(getattr(plain, name), act) for name, act in after.items()}
    return ray.remote(type(plain.__name__, (plain,), methods | {"plain": plain}))


def _followed(method: Any, act: Callable[[Any], None]) -> Any:
    @wraps(method)
    def both(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        act(self)
        return result

    return both


def switch_on(power: float = 1.0, kind: Kind = "process-set", rollouts: str | None = None) -> None:
    """Put λ weights into the classes that `openrlhf.cli.train_ppo_ray` takes; call it before that is imported.

    A later call replaces an earlier one.

    Args:
        power: p, 0 or more; 0 is plain GRPO, with any settings.
        kind: `process-set` or `parent`.
        rollouts: Folder to record all rollouts in, where the trainer runs; None: they are not recorded.

    Raises:
        UsageError: There are no such weights.
    """
    check_weights(power, kind)
    from openrlhf.trainer import ppo_trainer, ppo_trainer_async
    from openrlhf.trainer.ray import ppo_actor

    def made(trainer: Any) -> None:
        if power:
            weigh_experiences(trainer.experience_maker, power, kind)
        if rollouts:
            trainer.recorder = record_rollouts(trainer, rollouts, method_name(power, kind))

    def done(trainer: Any) -> None:
        if rollouts:
            trainer.recorder.close()  # Ray ends its processes without waiting for what they have not written yet

    def actor(one: Any) -> None:
        if power:
            weigh_training(one.trainer)

    ppo_trainer.PPOTrainer = extended(ppo_trainer.PPOTrainer, __init__=made, fit=done)
    ppo_trainer_async.TrainingActor = extended(ppo_trainer_async.TrainingActor, __init__=made, fit=done)
    ppo_actor.PolicyModelActor = extended(ppo_actor.PolicyModelActor, init_model_from_pretrained=actor)
