"""The trainer's own steps on a real TransferQueue, with verl's own GRPO advantage; weights by brute force."""

import pickle
from types import SimpleNamespace

import pytest
import transfer_queue as tq
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
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
from with_verl.verl_steps import (
    advantages_after,
    configured,
    put,
    trainer_of,
    weights_after,
)

from grpo_prm.analysis.group_sums import metric_names
from grpo_prm.errors import UsageError
from grpo_prm.integrations.verl_loss import FIELD, lambda_ppo_loss
from grpo_prm.integrations.verl_trainer import LambdaTrainerSync


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


def test_sizes_of_the_oracle_on_a_group_by_hand():
    rows = [
        Sampled(f"a_{n}_0", "a", [9], response, [1] * len(response), 0.0)
        for n, response in enumerate([[1, 2], [1, 3], [1]])
    ]
    assert set_sizes(rows) == [[3, 1], [3, 1], [3]] and members(rows, rows[0]) == [0, 1, 2]
    assert isinstance(KVBatchMeta(keys=["a"], tags=[{}]), KVBatchMeta)
