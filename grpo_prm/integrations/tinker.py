"""λ-GRPO inside the Tinker cookbook: the advantages of every datum times |λ|^-p, after its KL penalty was added.

Tinker computes losses at its service, so a factor can only go in through the advantages. That is exact where a token's
whole loss is in proportion to its advantage: `importance_sampling` -r A, `cispo` -sg(clip(r)) log π A, and `ppo`
-min(r A, clip(r) A), as w min(a, b) = min(w a, w b) for w > 0. The cookbook's KL penalty is part of the advantage, and
so weighted too. `dro` and `stable_reinforce` have a KL term beside the advantage, and `gspo` one ratio a sequence.

    from grpo_prm.integrations.tinker import switch_on
    switch_on(power=1.0, rollouts="run/rollouts")      # before the recipe is imported
    from tinker_cookbook.recipes.math_rl import train
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from .method import method_name
from .rows import Kind, check_weights, completion_weights
from .tinker_rollouts import StepRecorder, sequence

EXACT = ("importance_sampling", "ppo", "cispo")
FIELD = "lambda_weights"  # stands in the datums until the KL penalty is in, and never leaves for the service


def switch_on(power: float = 1.0, kind: Kind = "process-set", rollouts: str | Path | None = None) -> None:
    """Weigh every run of `tinker_cookbook.rl.train` in this process; a later call replaces an earlier one.

    Args:
        power: p, 0 or more; 0 is plain GRPO, with any loss.
        kind: `process-set` or `parent`.
        rollouts: Folder to record the rollouts in, for `grpo-prm analyze`; the cookbook itself keeps no ids. None: no.

    Raises:
        UsageError: The weights cannot be meant, or a module holds the cookbook's plain `main` already.
    """
    from tinker_cookbook.rl import train

    check_weights(power, kind)
    main, assemble, prepare = (_plain(train, name) for name in ("main", "assemble_training_data", "prepare_minibatch"))
    holders = [name for name, module in sys.modules.items() if getattr(module, "__dict__", {}).get("main") is main]
    early = [name for name in holders if name != train.__name__]
    if early:
        raise UsageError(f"{early[0]} took main from the cookbook before λ-GRPO was on. Call switch_on() before it.")
    recorder = None
    if rollouts is not None:
        recorder = StepRecorder(rollouts, assemble, train.compute_advantages, method_name(power, kind))

    async def checked_main(config: Any, *args: Any, **kwargs: Any) -> Any:
        if power:
            refuse(config)
        if recorder is None:
            return await main(config, *args, **kwargs)
        with recorder.run(train.checkpoint_utils.get_last_checkpoint(config.log_path)):
            return await main(config, *args, **kwargs)

    def weighed_assembly(*args: Any, **kwargs: Any) -> Any:
        data, places = assemble(*args, **kwargs)
        attach(data, [place["group_idx"] for place in places], power, kind)
        return data, places

    async def weighed_minibatch(builders: Any, groups: Any, tokenizer: Any, *args: Any, **kwargs: Any) -> Any:
        data, *rest = await prepare(builders, groups, tokenizer, *args, **kwargs)
        multiply(data)
        if recorder is not None:
            recorder.write(groups, tokenizer)
        return data, *rest

    _replace(train, "main", checked_main)
    _replace(train, "assemble_training_data", weighed_assembly)
    _replace(train, "prepare_minibatch", weighed_minibatch)
    for name in ("do_train_step_and_get_sampling_client", "do_train_step_streaming_and_get_sampling_client"):
        plain = _plain(train, name)
        _replace(train, name, plain if recorder is None else recorder.counting(plain))


def _plain(module: Any, name: str) -> Any:
    """What the module had before `_replace`."""
    function = getattr(module, name)
    return getattr(function, "plain", function)


def _replace(module: Any, name: str, function: Any) -> None:
    plain = _plain(module, name)
    if function is not plain:  # a later call must replace what an earlier one made, not wrap it
        function.plain = plain
    setattr(module, name, function)


def refuse(config: Any) -> None:
    """Raise a UsageError for settings in which a factor on the advantage is not a factor on the token's loss."""
    if (loss := config.training_loss_fn()) not in EXACT:
        raise UsageError(
            f"loss_fn={loss} is not in proportion to the advantage of each token, so λ-GRPO would not be exact. "
            f"Use one of {', '.join(EXACT)}."
        )
    if config.kl_penalty_coef > 0 and config.kl_discount_factor > 0:
        raise UsageError(
            "kl_discount_factor > 0 puts KL penalties on tokens of the prompt, which have no λ weight. Set it to 0."
        )


def attach(data: list[Any], groups: list[int], power: float = 1.0, kind: Kind = "process-set") -> None:
    """Put the factors of each datum's targets into its `loss_fn_inputs`, where `multiply` finds them.

    Args:
        data: `tinker.Datum` with `target_tokens` and `mask`, of whole groups. Several may be of one trajectory.
        groups: The group of each datum.
        power: p, 0 or more.
        kind: `process-set` or `parent`.
    """
    import tinker

    numbers: dict[str, int] = {}
    rows, starts = zip(*(sequence(datum, numbers) for datum in data), strict=True) if data else ((), ())
    weights = completion_weights(rows, starts, groups, power, kind)
    for datum, start, factors in zip(data, starts, weights, strict=True):
        # Targets stand one to the left of their tokens, so the prompt has one value less than tokens.
        full = np.concatenate([np.ones(start - 1, np.float32), factors])
        datum.loss_fn_inputs[FIELD] = tinker.TensorData.from_numpy(full)


def multiply(data: list[Any]) -> None:
    """Multiply the advantages with the factors that `attach` left, and take these out again.

    Call it when everything that the advantages are to hold is in them, so behind `incorporate_kl_penalty`.
    """
    import tinker

    for datum in data:
        factors = datum.loss_fn_inputs.pop(FIELD).to_numpy()
        weighed = datum.loss_fn_inputs["advantages"].to_numpy() * factors
        datum.loss_fn_inputs["advantages"] = tinker.TensorData.from_numpy(weighed)
