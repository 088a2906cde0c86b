"""Findings are said once when they begin in a training, and may stop it."""

from __future__ import annotations

import math

import pytest
from integrations.trl_toy import copies, flat, length_reward, prompts, rollouts, saved_model, settings

trl = pytest.importorskip("trl")
from grpo_prm.analysis.alarms import LEAST  # noqa: E402
from grpo_prm.errors import UsageError  # noqa: E402
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer, watch  # noqa: E402

pytestmark = pytest.mark.slow

STEPS = math.ceil(LEAST / 2)  # of two groups each, until there is enough to judge


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"))


def trainer_of(model, out, rolling=copies, **more):
    args = trl.GRPOConfig(**settings(out, **{"max_steps": STEPS + 3} | more))
    return trl.GRPOTrainer(model, length_reward, args, train_dataset=prompts(), rollout_func=rolling)


def test_a_finding_is_said_once_and_goes_everywhere(model, tmp_path, caplog):
    heard = []
    trainer = watch(trainer_of(model, tmp_path), on_alarm=heard.append)
    trainer.train()
    assert trainer.state.global_step == STEPS + 3
    began = [alarm for alarm in heard if alarm.code == "copies"]
    assert [(alarm.began, alarm.halts) for alarm in began] == [(True, False)]
    said = [record.getMessage() for record in caplog.records if record.name == "grpo_prm"]
    assert said.count(began[0].sentence) == 1
    lines = [line for line in trainer.state.log_history if "alarm/copies" in line]
    assert [(line["step"], line["alarm/copies"]) for line in lines] == [(began[0].step, 1.0)]


def test_a_finding_that_is_named_stops_the_training(model, tmp_path):
    trainer = watch(trainer_of(model, tmp_path), halt_on=["copies"], rollouts=None)
    trainer.train()
    assert trainer.state.global_step == STEPS
    assert not (tmp_path / "rollouts").exists()


def test_another_does_not(model, tmp_path):
    trainer = watch(trainer_of(model, tmp_path), halt_on=["mixed_prompts"])
    trainer.train()
    assert trainer.state.global_step == STEPS + 3


def test_the_trainer_with_weights_has_alarms_too(model, tmp_path):
    args = LambdaGRPOConfig(**settings(tmp_path, max_steps=STEPS + 3))
    trainer = LambdaGRPOTrainer(model, length_reward, args, train_dataset=prompts(), rollout_func=copies)
    assert watch(trainer, halt_on=["copies"]) is trainer
    trainer.train()
    assert trainer.state.global_step == STEPS
    assert len(list((tmp_path / "rollouts").glob("step_*"))) == STEPS


def test_alarms_change_no_training(model, tmp_path):
    found = []
    for name in "ab":
        trainer = watch(trainer_of(model, tmp_path / name, rollouts()), alarms=name == "a")
        trainer.train()
        found.append(flat(trainer.model).tolist())
    assert found[0] == found[1]


def test_wishes_that_cannot_be_met_are_refused(model, tmp_path):
    trainer = trainer_of(model, tmp_path)
    with pytest.raises(UsageError, match="copys"):
        watch(trainer, halt_on=["copys"])
    with pytest.raises(UsageError, match="need the alarms"):
        watch(trainer, alarms=False, halt_on=["copies"])
    assert type(trainer) is trl.GRPOTrainer
