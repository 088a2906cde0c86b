"""What a user sets for λ-GRPO in verl's configuration, and with what else there it cannot be meant."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf

from ..analysis.findings import checked
from ..errors import UsageError
from .verl_batch import LambdaKind

SECTION = "trainer.v1.lambda_sync"  # as verl keeps the settings of its own trainers under their names
KINDS = get_args(LambdaKind)
# Their importance ratio is that of a whole completion; λ-GRPO is defined with one a token.
SEQUENCE_LOSSES = ("gspo", "geo_mean")
# They credit tokens one by one, and λ-GRPO corrects how one credit for a whole completion is shared out.
TOKEN_ESTIMATORS = ("gae", "reinforce_plus_plus", "remax", "optimal_token_baseline", "tir_optimal_token_baseline")
logger = logging.getLogger("grpo_prm")


@dataclass(frozen=True)
class Settings:
    """The fields of `trainer.v1.lambda_sync`.

    Attributes:
        lambda_power: p in |λ|^-p; 1 is the paper's λ-GRPO, 0 leaves training to verl bit for bit and only measures.
        lambda_kind: `process-set`, `parent`, `position` (placebo) or `scale-matched` (GRPO times one factor a batch).
        record_rollouts: Write every batch as canonical rollouts into `rollouts` in `trainer.default_local_dir`.
        halt_on: Codes of findings (`analysis.findings.CODES`) that end the training when they begin.
    """

    lambda_power: float = 1.0
    lambda_kind: LambdaKind = "process-set"
    record_rollouts: bool = True
    halt_on: Sequence[str] = ()


def settings_of(config: DictConfig) -> Settings:
    """Read the section, all of which is optional.

    Raises:
        UsageError: A field is unknown or has a value that cannot be meant, or the rest of the configuration does not
            fit (`_refuse`); the message names the setting.
    """
    given = OmegaConf.to_container(OmegaConf.select(config, SECTION, default=OmegaConf.create()), resolve=True)
    assert isinstance(given, dict)
    known = [field.name for field in fields(Settings)]
    for name in given:
        if name not in known:
            raise UsageError(f"{SECTION}.{name}: no such setting. There are {', '.join(known)}.")
    settings = Settings(**given)
    power = settings.lambda_power
    if isinstance(power, bool) or not isinstance(power, int | float) or not 0 <= power < math.inf:
        raise UsageError(f"{SECTION}.lambda_power is {power!r}, but it is p in |λ|^-p. Give a number of at least 0.")
    if settings.lambda_kind not in KINDS:
        raise UsageError(f"{SECTION}.lambda_kind is {settings.lambda_kind!r}. Give one of {', '.join(KINDS)}.")
    if not isinstance(settings.record_rollouts, bool):
        raise UsageError(f"{SECTION}.record_rollouts is {settings.record_rollouts!r}. Give true or false.")
    if isinstance(settings.halt_on, str):
        raise UsageError(f"{SECTION}.halt_on is {settings.halt_on!r}. Give a list: halt_on=[{settings.halt_on}].")
    checked(settings.halt_on, f"{SECTION}.halt_on")
    if power:
        _refuse(config)
    return settings


def _refuse(config: DictConfig) -> None:
    """Raise where the weight would be something else than a factor on each token's loss term."""

    def value(path: str) -> Any:
        return OmegaConf.select(config, path)

    loss = value("actor_rollout_ref.actor.policy_loss.loss_mode")
    if loss in SEQUENCE_LOSSES:
        raise UsageError(
            f"actor_rollout_ref.actor.policy_loss.loss_mode is {loss}, whose importance ratio is that of a whole "
            "completion, so no token has a term of its own to weigh. Set vanilla, or lambda_power 0 to measure only."
        )
    if value("distillation.enabled"):
        raise UsageError(
            "distillation.enabled is true, and then verl trains with another loss, which has no λ weights. Set it to "
            "false, or lambda_power to 0 to measure only."
        )
    if value("algorithm.use_kl_in_reward"):
        raise UsageError(
            "algorithm.use_kl_in_reward is true, which takes the KL of a whole completion off its reward, so no token "
            "has a KL term to weigh. Set it to false and actor_rollout_ref.actor.use_kl_loss to true."
        )
    estimator = value("algorithm.adv_estimator")
    if estimator in TOKEN_ESTIMATORS:
        raise UsageError(
            f"algorithm.adv_estimator is {estimator}, which values tokens one by one, without groups. Set grpo or "
            "another that gives a completion one advantage."
        )
    if value("actor_rollout_ref.rollout.n") == 1:
        logger.warning(
            "actor_rollout_ref.rollout.n is 1: a group of one shares nothing, so every weight is 1. Set 2 or more."
        )
