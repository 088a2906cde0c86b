"""Contract with OpenRLHF 0.11 on a CPU, its own code: the rollouts that are recorded are those it trained on."""

from types import SimpleNamespace

import pytest
import torch
from integrations import openrlhf_without_gpu  # noqa: F401 - before OpenRLHF is imported

pytest.importorskip("openrlhf.trainer.ray.ppo_actor")
from integrations.openrlhf_toy import ROWS, K, prepared_maker, rollout, settings
from openrlhf.trainer.ppo_utils.experience import Experience

from grpo_prm import read_rollouts
from grpo_prm.errors import UsageError
from grpo_prm.integrations.openrlhf_rollouts import record_rollouts, recorded_rows


class Tokenizer:
    """Ids as words."""

    pad_token_id = 0

    def decode(self, ids):
        return " ".join(map(str, ids))


def recorded(folder, steps):
    """Train steps that make experiences and no more, with a recorder in front."""
    maker = prepared_maker(settings(), 1.0, "process-set")
    maker.tokenizer = Tokenizer()
    trainer = SimpleNamespace(
        experience_maker=maker, train_step=lambda samples, _: (maker.make_experience_batch(samples), 0)
    )  # fmt: skip
    recorder = record_rollouts(trainer, folder, "λ-GRPO, p = 1")
    made = [trainer.train_step([rollout(n) for n in range(len(ROWS))], step) for step in steps]
    recorder.close()
    return [experiences for experiences, _ in made]


def test_rollouts_are_recorded_as_they_were_trained_on(tmp_path):
    made = recorded(tmp_path / "mine" / "rollouts", [0, 1])
    (read,) = read_rollouts([tmp_path / "mine" / "rollouts"])
    table = read.table.sort("step", "group", "sample")
    assert table["step"].to_list() == [1] * 8 + [2] * 8
    assert table["run"].unique().to_list() == ["mine"]
    assert (tmp_path / "mine" / "method.txt").read_text(encoding="utf-8") == "λ-GRPO, p = 1\n"
    assert table["tokens"].to_list() == [ids for ids, _ in ROWS] * 2
    masks = [mask or [True] * len(ids) for (ids, _), mask in zip(ROWS, table["mask"][:8].to_list(), strict=True)]
    assert masks == [list(map(bool, mask)) for _, mask in ROWS]
    assert table["completion"][0] == "10 11 90 91 12"
    assert table["group_key"].to_list() == [f"{step}-{n // K}" for step in (1, 2) for n in range(8)]
    assert table["reward"].to_list() == [float(n % 3) for n in range(8)] * 2
    rewards = torch.tensor([float(n % 3) for n in range(8)]).view(2, K)
    advantages = (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True)
    assert table["advantage"][:8].to_list() == pytest.approx(advantages.flatten().tolist(), rel=1e-5)
    whole = [row for one in made[0] for row in zip(one.action_log_probs, one.action_mask, strict=True)]
    for (values, action), (ids, _), logged in zip(whole, ROWS, table["trainer_logprobs"][:8].to_list(), strict=True):
        begin = int(action.argmax())
        assert logged == pytest.approx(values[begin : begin + len(ids)].tolist())


def test_a_resumed_run_goes_on_in_its_folder(tmp_path):
    recorded(tmp_path / "rollouts", [0, 1, 2])
    recorded(tmp_path / "rollouts", [1])
    (read,) = read_rollouts([tmp_path / "rollouts"])
    assert read.table["step"].unique().sort().to_list() == [1, 2]
    with pytest.raises(UsageError, match="rollouts of another run"):
        recorded(tmp_path / "rollouts", [0])


def test_a_rollout_without_a_token_of_the_policy_is_empty():
    one = rollout(4)
    one.action_mask = torch.zeros_like(one.action_mask)
    together = Experience.concat_experiences([rollout(5), one], 0)
    together.index, together.advantages = [5, 4], torch.ones(together.action_mask.shape)
    first, second = recorded_rows([together])
    assert (len(first["tokens"]), len(second["tokens"]), len(second["masks"])) == (7, 0, 0)
    assert second["advantages"] is None
