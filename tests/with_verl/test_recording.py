"""What the trainer records and says of a step on a real TransferQueue, against the batch and against `analyze`."""

import json
from types import SimpleNamespace

import polars as pl
import pytest
import transfer_queue as tq
from omegaconf import OmegaConf
from verl_batches import Sampled, invented
from with_verl.verl_steps import STEP, advantages_after, configured, put, trainer_of

import grpo_prm
from grpo_prm.analysis.group_sums import metric_names
from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.integrations.verl_trainer import LambdaTrainerSync
from grpo_prm.logs.recorder import Recorder


def recorded(tmp_path, rows, partition, **more):
    """One step, recorded; the metrics that verl logs, and the folder."""
    config = configured(tmp_path)
    for name, value in more.items():
        OmegaConf.update(config, name, value)
    made, metrics = trainer_of(config), {}
    made.recorder = Recorder(tmp_path / "rollouts")
    made.recorder.begin(0)
    batch = made._compute_advantage(put(rows, partition), metrics)
    made.recorder.close()
    return metrics, batch, tmp_path / "rollouts"


def test_what_is_recorded_is_what_was_trained_on(queue, tmp_path):
    rows = invented(11)
    _, batch, folder = recorded(tmp_path, rows, "recorded")
    (part,) = folder.iterdir()
    assert part.name == f"step_{STEP:06d}-0.rank0-of-1.parquet"
    table = pl.read_parquet(part)
    assert len(table) == len(rows) and set(table["run"]) == {"invented"} and set(table["step"]) == {STEP}
    assert (table["group"].diff().drop_nulls() >= 0).all()
    of_key = {row.key: row for row in rows}
    given = dict(zip(batch.keys, advantages_after(batch), strict=True))
    logprobs = tq.kv_batch_get(
        keys=batch.keys, partition_id="recorded", select_fields=["rollout_log_probs", "old_log_probs", "ref_log_prob"]
    )
    by_key = {key: n for n, key in enumerate(batch.keys)}
    for line in table.iter_rows(named=True):
        uid, number = line["group_key"].partition("/")[::2]
        group = sorted((r for r in rows if r.uid == uid), key=lambda r: r.key)
        here = [r for r in group if " ".join(map(str, r.prompt)) == line["prompt"]]
        assert bool(number) == (here[0].key[-1] == "1")
        row = of_key[here[line["sample"]].key]
        assert line["tokens"] == row.response and line["mask"] == [bool(m) for m in row.mask]
        assert line["completion"] == " ".join(map(str, row.response)) and line["reward"] == row.reward
        assert line["reward/acc"] == row.extra.get("reward_extra_info", {}).get("acc")
        shown = [a for a, m in zip(given[row.key], row.mask, strict=True) if m]
        assert line["advantage"] == (shown[0] if shown else None)
        n = by_key[row.key]
        for column, name in (
            ("logprobs", "rollout_log_probs"),
            ("trainer_logprobs", "old_log_probs"),
            ("ref_logprobs", "ref_log_prob"),
        ):
            assert line[column] == logprobs[name].unbind()[n].tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("norm_adv_by_std_in_grpo", True),
        ("norm_adv_by_std_in_grpo", False),
        ("adv_estimator", "rloo"),
        ("adv_estimator", "reinforce_plus_plus_baseline"),
    ],
)
def test_analyze_finds_the_figures_that_verl_logged(name, value, queue, tmp_path):
    rows = [row for row in invented(13, groups=6) if row.key[-1] == "0" or name != "adv_estimator"]
    metrics, _, folder = recorded(tmp_path, rows, f"analyzed{value}", **{f"algorithm.{name}": value})
    summary = grpo_prm.analyze(folder).summary
    for name, metric in metric_names().items():
        one = STATISTICS[name]
        if one.section in ("training", "informativeness") or name == "tokens_per_unique_with_prompt":
            continue  # the summary has them in other words; it reads text, which does not say how long a prompt is
        said = summary[one.section][one.key]
        said = said[f"{one.power:g}"] if one.power is not None and said is not None else said
        assert metrics.get(metric) == (None if said is None else pytest.approx(said["mean"], rel=1e-12, abs=1e-15))
    assert metrics["overlap/path_depth"] > 0 and metrics["prm/suppressed_good"] >= 0
    assert not set(metrics) - set(json.loads(json.dumps(metrics)))


def test_in_bypass_mode_there_is_one_log_probability(queue, tmp_path):
    _, _, folder = recorded(tmp_path, invented(17), "bypass", **{"algorithm.rollout_correction.bypass_mode": True})
    table = pl.read_parquet(next(folder.iterdir()))
    assert table["trainer_logprobs"].null_count() == len(table) and table["logprobs"].null_count() == 0


def test_rows_that_rollout_correction_rejects_are_recorded_as_out_of_the_loss(queue, tmp_path):
    rows = invented(19)
    changes = {
        "algorithm.rollout_correction.rollout_rs": "seq_mean_k1",
        "algorithm.rollout_correction.rollout_rs_threshold": "0.99_1.01",
    }
    _, batch, folder = recorded(tmp_path, rows, "rejected", **changes)
    data = tq.kv_batch_get(keys=batch.keys, partition_id="rejected", select_fields=["response_mask"])
    after = {key: mask.bool().tolist() for key, mask in zip(batch.keys, data["response_mask"].unbind(), strict=True)}
    assert any(not any(after[row.key]) and any(row.mask) for row in rows)
    table = pl.read_parquet(next(folder.iterdir()))
    assert sorted(table["mask"].to_list()) == sorted(after.values())


def test_a_second_generation_of_a_step_is_a_part_of_its_own_with_groups_of_its_own(queue, tmp_path):
    made = trainer_of(configured(tmp_path))
    made.recorder = Recorder(tmp_path / "rollouts")
    made.recorder.begin(0)
    for generation in (0, 1):
        made.local_trigger_step = generation
        made._compute_advantage(put(invented(23 + generation), f"generation{generation}"), {})
    made.recorder.close()
    first, second = (pl.read_parquet(path)["group"] for path in sorted((tmp_path / "rollouts").iterdir()))
    assert first.min() == 0 and second.min() == first.max() + 1


def copies(step):
    """Thirty groups in which three of four completions are one."""
    return [
        Sampled(
            f"c{step}-{g}_{s}_0", f"c{step}-{g}", [2, g + 3], [5, 6, 7, 8, 9][s == 0 :], [1] * (5 - (s == 0)), s % 2
        )
        for g in range(30)
        for s in range(4)
    ]


@pytest.mark.parametrize("recorded", ["true", "false"])
def test_an_alarm_is_said_once_and_ends_the_training_where_it_is_named(recorded, queue, tmp_path, caplog):
    made = trainer_of(configured(tmp_path, halt_on="[copies]", record_rollouts=recorded))
    made.total_training_steps = 100
    if recorded == "true":
        made.recorder = Recorder(tmp_path / "rollouts")
    with caplog.at_level("WARNING", "grpo_prm"):
        for step in (STEP, STEP + 1):
            made.global_steps = step
            made._compute_advantage(put(copies(step), f"copies{recorded}{step}"), {})
            if made.recorder:
                made.recorder.close()  # waits until it is written, and so judged
    said = [record.message for record in caplog.records if record.name == "grpo_prm"]
    assert said.count("Training ends with one of the next two steps: halt_on names copies.") == 1
    # In its own thread the judgement comes behind the step, which is then not the last but one.
    assert made.total_training_steps == STEP + (2 if recorded == "true" else 1)


def test_an_alarm_that_is_not_named_ends_nothing(queue, caplog):
    made = trainer_of(configured(record_rollouts="false"))
    made.total_training_steps = 100
    with caplog.at_level("WARNING", "grpo_prm"):
        made._compute_advantage(put(copies(0), "unnamed"), {})
    assert made.total_training_steps == 100 and [r for r in caplog.records if r.name == "grpo_prm"]


def test_fit_waits_for_the_disk_even_when_training_breaks(tmp_path, monkeypatch):
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    def fit(self, manager):
        raise RuntimeError("a worker died")

    monkeypatch.setattr(PPOTrainer, "fit", fit)
    made, closed = LambdaTrainerSync(configured(tmp_path)), []
    made.recorder = SimpleNamespace(close=lambda: closed.append(True))
    with pytest.raises(RuntimeError, match="a worker died"):
        made.fit(None)
    assert closed == [True]
