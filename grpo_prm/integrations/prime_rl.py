"""λ-GRPO inside prime-rl: the weights go into `loss_weights["rl"]` of every sampled message.

prime-rl scores a group in its orchestrator, where the group is whole. Its trainer multiplies each token's whole loss
term, policy and KL alike, with the stream `rl` and divides by the number of tokens whose weight is not 0, so this is
λ-GRPO exactly. Its registry of algorithms is closed; `switch_on` puts a subclass in the place of the one it names.

    from grpo_prm.integrations.prime_rl import switch_on   # in the package of the environment
    switch_on(power=1.0)
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from .rows import Kind, check_weights, completion_weights

# The algorithms whose credit is a reward against its group's mean, and whose sampled tokens feed the loss `rl`.
GROUP_RELATIVE = ("grpo", "max_rl", "echo")


def switch_on(power: float = 1.0, kind: Kind = "process-set") -> None:
    """Weigh every run of `grpo`, `max_rl` and `echo` in this process; a later call replaces an earlier one.

    Args:
        power: p, 0 or more; 0 is plain GRPO.
        kind: `process-set` or `parent`.

    Raises:
        UsageError: The weights cannot be meant.
    """
    from prime_rl.orchestrator.algo import ALGORITHM_CLASSES

    check_weights(power, kind)
    for name in GROUP_RELATIVE:
        plain = ALGORITHM_CLASSES[name]
        plain = getattr(plain, "plain", plain)
        ALGORITHM_CLASSES[name] = lambda_algorithm(plain, power, kind) if power else plain


def lambda_algorithm(plain: Any, power: float, kind: Kind) -> Any:
    """A subclass of one of prime-rl's algorithms that weighs each group once it has been scored."""
    from prime_rl.utils.logger import get_logger

    class LambdaAlgorithm(plain):
        def __init__(self, config: Any, policy_pool: Any) -> None:
            super().__init__(config, policy_pool)
            get_logger().info(f"λ-GRPO is on for {config.type}: |λ|^-{power:g}, {kind}")

        async def score_group(self, episodes: list[Any]) -> None:
            await super().score_group(episodes)
            await asyncio.to_thread(weigh, episodes, power, kind)  # the event loop serves other groups meanwhile

    LambdaAlgorithm.plain = plain
    LambdaAlgorithm.__name__ = f"Lambda{plain.__name__}"
    return LambdaAlgorithm


def weigh(episodes: list[Any], power: float = 1.0, kind: Kind = "process-set") -> None:
    """Write the stream `rl` into the nodes of one group's traces, in place.

    Args:
        episodes: The episodes of the group (`verifiers.v1.Episode`). A trace that failed, or of an agent that is not
            trained, has no loss and is no member.
        power: p, 0 or more.
        kind: `process-set` or `parent`.
    """
    from prime_rl.orchestrator.algo.base import iter_trainable_traces
    from prime_rl.orchestrator.trajectories import iter_trainable_branches

    branches, starts = [], []
    for _, trace in iter_trainable_traces(episodes):
        for branch, mask in iter_trainable_branches(trace):
            branches.append(branch)
            # A later branch holds what it shares with an earlier one as context: its prompt ends behind that.
            starts.append(mask.index(True))
    rows = [branch.token_ids for branch in branches]
    weights = completion_weights(rows, starts, [0] * len(rows), power, kind)
    written: set[int] = set()
    for branch, start, factors in zip(branches, starts, weights, strict=True):
        stream = np.concatenate([np.ones(start, np.float32), factors]).tolist()
        place = 0
        for node in branch.nodes:
            end = place + len(node.token_ids)
            # A message that several branches share is trained in the first of them only.
            if any(node.mask) and id(node) not in written:
                written.add(id(node))
                node.loss_weights = {**(node.loss_weights or {}), "rl": stream[place:end]}
            place = end
