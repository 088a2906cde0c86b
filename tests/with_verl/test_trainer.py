"""The trainer's own steps on a real TransferQueue, with verl's own GRPO advantage; weights by brute force."""

import json
import pickle
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import ray
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl_batches import (
    Sampled,
    invented,
    members,
    parent_weights,
    position_weights,
    process_set_weights,
    scale_factor,
    set_sizes,
)

import grpo_prm
from grpo_prm.analysis.group_sums import metric_names
from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.errors import UsageError
from grpo_prm.integrations.verl_loss import FIELD, lambda_ppo_loss
from grpo_prm.integrations.verl_trainer import LambdaTrainerSync
from grpo_prm.logs.recorder import Recorder

STEP = 7


@pytest.fixture(scope="module")
def queue():
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tq.init(OmegaConf.create({"backend": {"SimpleStorage": {"num_data_storage_units": 1}}}))
    yield
    tq.close()
    ray.shutdown()


def configured(folder="checkpoints", aggregation="token-mean", **settings):
    """verl's own defaults, composed by Hydra as its command does, and the line that switches us on."""
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(
            "ppo_trainer",
            [
                "trainer.v1.trainer_mode=lambda_sync",
                *(f"+trainer.v1.lambda_sync.{name}={value}" for name, value in settings.items()),
                "algorithm.adv_estimator=grpo",
                "actor_rollout_ref.rollout.n=4",
                "actor_rollout_ref.rollout.name=vllm",
                f"actor_rollout_ref.actor.loss_agg_mode={aggregation}",
                "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4",
                "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=4",
                "actor_rollout_ref.actor.rollout_n=4",
                f"trainer.default_local_dir={folder}",
                "trainer.experiment_name=invented",
            ],
        )


class Tokenizer:
    """Text of ids, as much as recording needs."""

    eos_token_id = 1

    def decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        return " ".join(map(str, ids))


def put(rows, partition):
    """Leave the rows in TransferQueue as agent loop and log-probability steps do; returns them in verl's hands."""
    draw = np.random.default_rng(1)
    fields = []
    for row in rows:
        number = len(row.response)
        scores = torch.zeros(number)
        scores[-1] = row.reward
        fields.append(
            {
                "uid": row.uid,
                "prompts": torch.tensor(row.prompt),
                "responses": torch.tensor(row.response),
                "input_ids": torch.tensor(row.prompt + row.response),
                "response_mask": torch.tensor(row.mask),
                "rm_scores": scores,
                "rollout_log_probs": torch.from_numpy(draw.normal(-1, 0.1, number)).float(),
                "old_log_probs": torch.from_numpy(draw.normal(-1, 0.1, number)).float(),
                "ref_log_prob": torch.from_numpy(draw.normal(-1, 0.1, number)).float(),
                "extra_fields": row.extra,
            }
        )
    tags = [{"seq_len": len(row.prompt) + len(row.response)} for row in rows]
    keys = [row.key for row in rows]
    return tq.kv_batch_put(keys=keys, partition_id=partition, fields=list_of_dict_to_tensordict(fields), tags=tags)


def trainer_of(config, step=STEP):
    """Our trainer as verl makes it, then as far set up as `_compute_advantage` needs."""
    made = LambdaTrainerSync(config)
    made.tokenizer, made.global_steps, made.local_trigger_step = Tokenizer(), step, 0
    return made


def weights_after(batch):
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=[FIELD])
    return [row.tolist() for row in data[FIELD].unbind()]


def advantages_after(batch):
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["advantages"])
    return [row.tolist() for row in data["advantages"].unbind()]


def test_the_name_is_registered_and_verl_keeps_its_synchronous_buffer():
    assert get_trainer_cls("lambda_sync") is LambdaTrainerSync
    made = LambdaTrainerSync(configured())
    assert made.trainer_mode == "sync" and type(made.replay_buffer) is ReplayBuffer


def test_without_the_pin_verl_would_take_another_buffer(monkeypatch):
    monkeypatch.delattr(LambdaTrainerSync, "trainer_mode")
    assert type(LambdaTrainerSync(configured()).replay_buffer) is not ReplayBuffer


EXPECTED = {
    "process-set": lambda rows, p, counts: process_set_weights(rows, p),
    "parent": lambda rows, p, counts: parent_weights(rows, p),
    "position": position_weights,
}


def one_each(row):
    return [float(m) for m in row.mask]


def by_row(row):
    return [m / max(1, sum(row.mask)) for m in row.mask]


@pytest.mark.parametrize(("aggregation", "counts"), [("token-mean", one_each), ("seq-mean-token-mean", by_row)])
@pytest.mark.parametrize("kind", [*EXPECTED, "scale-matched"])
@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_field_has_the_weights_of_the_definition(queue, kind, power, aggregation, counts):
    rows, partition = invented(3), f"{kind}-{power}-{aggregation}"
    batch = put(rows, partition)
    config = configured(aggregation=aggregation, lambda_kind=kind, lambda_power=power)
    batch = trainer_of(config)._compute_advantage(batch, {})
    if kind == "scale-matched":
        alone = [
            next((a for a, m in zip(each, row.mask, strict=True) if m), 0.0)
            for each, row in zip(advantages_after(batch), rows, strict=True)
        ]
        factor = scale_factor(rows, power, counts, alone)
        expected = [[factor] * len(row.response) for row in rows]
        assert factor < 0.99
    else:
        expected = EXPECTED[kind](rows, power, counts)
    found = weights_after(batch)
    for row, here, there in zip(rows, found, expected, strict=True):
        assert here == pytest.approx(there, rel=1e-6), row.key
    tq.kv_clear(keys=batch.keys, partition_id=partition)


def test_synthetic_rows_weigh_1_and_belong_to_no_group(queue):
    rows = invented(5)
    plain = put(rows, "plain")
    padded = upsample_batch_to_divisible_size(put(rows, "padded"), 8, eos_token_id=1)
    assert len(padded) > len(plain) and len(padded) % 8 == 0
    one, other = {}, {}
    plain = trainer_of(configured())._compute_advantage(plain, one)
    padded = trainer_of(configured())._compute_advantage(padded, other)
    assert weights_after(padded)[: len(rows)] == weights_after(plain)
    assert weights_after(padded)[len(rows) :] == [[1.0]] * (len(padded) - len(rows))
    ours = {name: value for name, value in one.items() if name in metric_names().values()}
    assert ours == {name: other[name] for name in ours} and ours["overlap/path_depth"] > 0
    assert sum(tag.get("is_padding", False) for tag in padded.tags) == len(padded) - len(rows)


def test_groups_of_one_weigh_1_and_give_no_figures(queue):
    rows = [Sampled(f"v-{n}_0_0", f"v-{n}", [2, 3], [4, 5, n + 2], [1, 1, 1], float(n)) for n in range(3)]
    batch, metrics = put(rows, "alone"), {}
    batch = trainer_of(configured())._compute_advantage(batch, metrics)
    assert weights_after(batch) == [[1.0] * 3] * 3 and not set(metrics) & set(metric_names().values())


def test_power_0_changes_nothing_and_measures(queue):
    batch, metrics = put(invented(3), "power0"), {}
    batch = trainer_of(configured(lambda_power=0))._compute_advantage(batch, metrics)
    assert FIELD not in batch.fields and "advantages" in batch.fields and "overlap/path_depth" in metrics


class Workers:
    """Stands for the Ray workers: keeps what it is given as they would get it, pickled."""

    loss = None

    def set_loss_fn(self, loss):
        self.loss = pickle.loads(pickle.dumps(loss))  # noqa: S301


@pytest.mark.parametrize("power", [0, 1])
def test_setup_gives_the_workers_our_loss_and_takes_the_folder(power, tmp_path, monkeypatch):
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    def setup(self):
        self.actor_rollout_wg, self.global_steps = Workers(), 0

    monkeypatch.setattr(PPOTrainer, "_setup", setup)
    made = LambdaTrainerSync(configured(tmp_path, lambda_power=power))
    made._setup()
    if power:
        assert made.actor_rollout_wg.loss.func is lambda_ppo_loss
        assert made.actor_rollout_wg.loss.keywords["config"].loss_agg_mode == "token-mean"
    else:
        assert made.actor_rollout_wg.loss is None
    assert made.recorder.folder == tmp_path / "rollouts"
    assert (tmp_path / "method.txt").read_text() == ("λ-GRPO, p = 1\n" if power else "GRPO\n")
    (tmp_path / "rollouts").mkdir()
    (tmp_path / "rollouts" / "step_000001-0.rank0-of-1.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match="holds the rollouts of another run"):
        LambdaTrainerSync(configured(tmp_path))._setup()


def test_a_checkpoint_waits_for_the_rollouts_of_its_steps(tmp_path, monkeypatch):
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    done = []
    monkeypatch.setattr(PPOTrainer, "_save_checkpoint", lambda self: done.append("saved"))
    made = LambdaTrainerSync(configured(tmp_path))
    made.recorder = SimpleNamespace(close=lambda: done.append("written"))
    made._save_checkpoint()
    assert done == ["written", "saved"]


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


def test_sizes_of_the_oracle_on_a_group_by_hand():
    rows = [
        Sampled(f"a_{n}_0", "a", [9], response, [1] * len(response), 0.0)
        for n, response in enumerate([[1, 2], [1, 3], [1]])
    ]
    assert set_sizes(rows) == [[3, 1], [3, 1], [3]] and members(rows, rows[0]) == [0, 1, 2]
    assert isinstance(KVBatchMeta(keys=["a"], tags=[{}]), KVBatchMeta)
