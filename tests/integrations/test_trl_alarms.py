"""Findings are said once when they begin in a training, and may stop it."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from integrations.test_trl_generation import made_of
from integrations.trl_toy import copies, flat, length_reward, prompts, rollouts, saved_model, settings

trl = pytest.importorskip("trl")
from grpo_prm.analysis.alarms import LEAST  # noqa: E402
from grpo_prm.errors import UsageError  # noqa: E402
from grpo_prm.integrations import trl_alarms  # noqa: E402
from grpo_prm.integrations.trl import LambdaGRPOConfig, LambdaGRPOTrainer, watch  # noqa: E402
from grpo_prm.integrations.trl_alarms import ROWS, AlarmJudge  # noqa: E402
from grpo_prm.integrations.trl_rollouts import Rollouts  # noqa: E402

pytestmark = pytest.mark.slow

STEPS = math.ceil(LEAST / 2)  # of two groups each, until there is enough to judge


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved_model(tmp_path_factory.mktemp("model"))


def trainer_of(model, out, rolling=copies, **more):
    args = trl.GRPOConfig(**settings(out, **{"max_steps": STEPS + 3} | more))
    return trl.GRPOTrainer(model, length_reward, args, train_dataset=prompts(), rollout_func=rolling)


def test_a_finding_is_said_once_and_goes_everywhere(model, tmp_path, caplog):
    told = []
    trainer = watch(trainer_of(model, tmp_path), on_alarm=told.append)
    trainer.train()
    assert trainer.state.global_step == STEPS + 3
    began = [alarm for alarm in told if alarm.code == "copies"]
    assert [(alarm.began, alarm.halts) for alarm in began] == [(True, False)]
    said = [record.getMessage() for record in caplog.records if record.name == "grpo_prm"]
    assert said.count(f"grpo-prm, step {began[0].step}: {began[0].code} begins: {began[0].sentence}.") == 1
    lines = [line for line in trainer.state.log_history if "alarm/copies" in line]
    assert [(line["step"], line["alarm/copies"]) for line in lines] == [(began[0].step, 1.0)]


def test_a_finding_that_is_named_stops_the_training(model, tmp_path, caplog):
    trainer = watch(trainer_of(model, tmp_path), halt_on=["copies"], rollouts=None)
    trainer.train()
    assert trainer.state.global_step == STEPS and "Training stops (halt_on)." in caplog.text
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


ALONE = SimpleNamespace(is_main_process=True, num_processes=1)


def generation(rows, first=0, k=4, tokens=2048):
    """Rows of one process among those of eight, with texts, as they are when the log-probabilities are known."""
    ids = np.random.default_rng(first).integers(0, 1 << 17, (rows, tokens)).tolist()
    made = made_of(ids, k, np.arange(rows))
    made = replace(made, first=first, rewards=np.arange(8 * rows) % 3.0, completions=["word " * tokens] * rows)
    kept = Rollouts(None, "run")
    kept.add(1, made, [str((first + n) // k) for n in range(rows)], [False] * rows, {}, torch.zeros(rows, tokens))
    return kept.take()


def of_processes(parts, monkeypatch, judge):
    """What is judged where processes have these parts; bytes that each sends."""
    sent, seen = [], []

    def gather(mine):
        sent.append(len(pickle.dumps(mine)))
        return mine + [one for part in parts[1:] for one in trl_alarms._tables(part)]

    monkeypatch.setattr(trl_alarms, "gather_object", gather)
    monkeypatch.setattr(judge._alarms, "add", lambda step, table: seen.append(table) or [])
    judge.judge(parts[0], ALONE)
    (table,) = seen
    return table, sent


def test_a_large_batch_is_judged_by_its_first_groups_and_no_text_is_sent(monkeypatch):
    parts = [generation(64, first) for first in range(0, 512, 64)]
    table, sent = of_processes(parts, monkeypatch, AlarmJudge(trl_alarms.Alarms(), None))
    assert len(table) == ROWS
    whole = pl.concat([one.table for part in parts for one in part])[:ROWS]
    same = ["run", "step", "group", "group_key", "sample", "tokens", "logprobs", "reward", "advantage"]
    assert table.select(same).equals(whole.select(same))
    assert table["completion"].null_count() == ROWS
    assert max(sent) < 64 * 2048 * 9  # four bytes an id, four a log-probability, and little beside
    assert len(pickle.dumps(parts[0][0].table)) > 64 * 2048 * 12
    assert trl_alarms._tables(parts[-1]) == []


def test_groups_are_whole_also_where_no_number_of_them_fits():
    assert len(trl_alarms._tables(generation(64, k=6, tokens=4))[0][2]) == 64
    assert [len(trl_alarms._tables(generation(64, first, 6, 4))[0][2]) for first in (192,)] == [252 - 192]
    (one,) = trl_alarms._tables(generation(300, k=300, tokens=4))
    assert len(one[2]) == 300


def test_rollouts_that_cannot_be_judged_stop_nothing_and_are_told_once(monkeypatch, caplog):
    judge = AlarmJudge(trl_alarms.Alarms(), None)

    def broken(*_):
        raise ValueError("two words for one thing")

    monkeypatch.setattr(judge._alarms, "add", broken)
    for _ in range(3):
        assert judge.judge(generation(8, tokens=4), ALONE) == []
    said = [record.getMessage() for record in caplog.records if record.name == "grpo_prm"]
    assert said == ["Steps cannot be judged (two words for one thing), so there may be no alarms. Training goes on."]


def test_wishes_that_cannot_be_met_are_refused(model, tmp_path):
    trainer = trainer_of(model, tmp_path)
    with pytest.raises(UsageError, match="copys"):
        watch(trainer, halt_on=["copys"])
    with pytest.raises(UsageError, match="need the alarms"):
        watch(trainer, alarms=False, halt_on=["copies"])
    assert type(trainer) is trl.GRPOTrainer
