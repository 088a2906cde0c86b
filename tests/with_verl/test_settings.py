"""The section `trainer.v1.lambda_sync` of verl's own configuration, and what is refused with a reason."""

import logging

import pytest
from hydra import compose, initialize_config_module

from grpo_prm.errors import UsageError
from grpo_prm.integrations.verl_settings import Settings, settings_of


def settings(*overrides):
    """As verl's command composes them."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        usual = ["trainer.v1.trainer_mode=lambda_sync", "algorithm.adv_estimator=grpo", "actor_rollout_ref.rollout.n=8"]
        return settings_of(compose("ppo_trainer", [*usual, *overrides]))


def test_one_line_is_enough():
    assert settings() == Settings(1.0, "process-set", True)


def test_the_settings():
    given = ("lambda_power=0.5", "lambda_kind=parent", "record_rollouts=false", "halt_on=[copies]")
    assert settings(*(f"+trainer.v1.lambda_sync.{one}" for one in given)) == Settings(0.5, "parent", False, ["copies"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("lambda_powr=1", "trainer.v1.lambda_sync.lambda_powr: no such setting. There are lambda_power, lambda_kind"),
        ("lambda_power=-1", "lambda_power is -1, but"),
        ("lambda_power=inf", "lambda_power is inf, but"),
        ("lambda_power=nan", "lambda_power is nan, but"),
        ("lambda_power=high", "lambda_power is 'high', but"),
        ("lambda_power=true", "lambda_power is True, but"),
        ("lambda_kind=none", "lambda_kind is 'none'. Give one of process-set, parent, position, scale-matched."),
        ("halt_on=copies", "halt_on is 'copies'. Give a list: halt_on=[copies]."),
        ("halt_on=[copiez]", "halt_on"),
        ("record_rollouts=maybe", "record_rollouts is 'maybe'. Give true or false."),
    ],
)
def test_values_that_cannot_be_meant(given, said):
    with pytest.raises(UsageError) as raised:
        settings(f"+trainer.v1.lambda_sync.{given}")
    assert said in str(raised.value)


REFUSED = {
    "actor_rollout_ref.actor.policy_loss.loss_mode=gspo": "loss_mode is gspo, whose importance ratio",
    "actor_rollout_ref.actor.policy_loss.loss_mode=geo_mean": "loss_mode is geo_mean, whose importance ratio",
    "distillation.enabled=true": "distillation.enabled is true",
    "algorithm.use_kl_in_reward=true": "algorithm.use_kl_in_reward is true",
    "algorithm.adv_estimator=gae": "algorithm.adv_estimator is gae",
    "algorithm.adv_estimator=reinforce_plus_plus": "algorithm.adv_estimator is reinforce_plus_plus",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_does_not_fit_is_refused_unless_it_is_only_measured(line):
    with pytest.raises(UsageError, match=REFUSED[line]):
        settings(line)
    assert settings(line, "+trainer.v1.lambda_sync.lambda_power=0").lambda_power == 0


@pytest.mark.parametrize("estimator", ["grpo", "grpo_passk", "rloo", "opo", "gpg", "reinforce_plus_plus_baseline"])
def test_estimators_with_one_advantage_a_completion_fit(estimator):
    assert settings(f"algorithm.adv_estimator={estimator}").lambda_power == 1


def test_a_group_of_one_is_named(caplog):
    with caplog.at_level(logging.WARNING, "grpo_prm"):
        settings("actor_rollout_ref.rollout.n=1")
    assert "actor_rollout_ref.rollout.n is 1" in caplog.text
