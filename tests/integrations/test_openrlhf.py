"""Contract with OpenRLHF 0.11 on a CPU, its own code: experience maker, the way to the actor, its training step."""

import inspect
import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from integrations import openrlhf_without_gpu  # noqa: F401 - before OpenRLHF is imported

pytest.importorskip("openrlhf.trainer.ray.ppo_actor")
import ray
from openrlhf import utils
from openrlhf.models import PolicyLoss
from openrlhf.models import loss as losses
from openrlhf.models.actor import Actor
from openrlhf.trainer import ppo_trainer, ppo_trainer_async
from openrlhf.trainer.ppo_utils.experience import (
    Experience,
    balance_experiences,
    make_experience_batch,
    remove_padding_in_sequences,
    split_experience_batch,
)
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from openrlhf.trainer.ray import ppo_actor
from openrlhf.utils.loss_utils import get_loss_batch_info
from transformers import Qwen2Config, Qwen2ForCausalLM

from grpo_prm import read_rollouts
from grpo_prm.errors import UsageError
from grpo_prm.integrations import openrlhf
from grpo_prm.integrations.__main__ import main
from grpo_prm.integrations.openrlhf_rollouts import record_rollouts, recorded_rows

K = 4
PROMPTS = [[7, 7, 7], [7, 7, 7]]  # drawn twice: two groups that share nothing
# Completion and loss mask, the K rows of a prompt after one another; in the first group a tool's words part two rows.
ROWS = [
    ([10, 11, 90, 91, 12], [1, 1, 0, 0, 1]),
    ([10, 11, 90, 92, 12], [1, 1, 0, 0, 1]),
    ([10, 11, 90, 91, 12], [1, 1, 0, 0, 1]),
    ([10, 13], [1, 1]),
    ([10], [1]),
    ([10, 11, 22, 23, 24, 25, 26], [1] * 7),
    ([10, 11, 22, 23], [1] * 4),
    ([30, 31], [1, 1]),
]


def settings(**changes):
    """The arguments of `train_ppo_ray` that matter here, by their dotted names."""
    values = {
        "actor.policy_loss_type": "ppo", "actor.eps_clip_low_high": (0.2, 0.2), "actor.dual_clip": None,
        "actor.loss_agg_mode": "token-mean", "actor.entropy_coef": None, "actor.num_nodes": 1,
        "actor.num_gpus_per_node": 2, "ds.ring_attn_size": 1, "ds.tensor_parallel_size": 1,
        "algo.advantage.estimator": "group_norm", "algo.advantage.gamma": 1.0, "algo.advantage.no_std_norm": False,
        "algo.advantage.is_correction_level": "off", "algo.advantage.is_correction_mode": "mask",
        "algo.advantage.is_correction_gating": "ratio", "algo.advantage.is_correction_threshold": [0.5, 5.0],
        "algo.kl.use_loss": True, "algo.kl.init_coef": 0.3, "algo.kl.estimator": "k3",
        "algo.kl.unbiased_gradient": False,
        "rollout.n_samples_per_prompt": K, "rollout.micro_batch_size": 3, "reward.clip_range": None,
        "train.dynamic_batch_enable": False,
    } | changes  # fmt: skip
    args = SimpleNamespace()
    for path, value in values.items():
        section, name = path.split(".", 1)
        at = args.__dict__.setdefault(section, SimpleNamespace())
        if "." in name:
            part, name = name.split(".")
            at = at.__dict__.setdefault(part, SimpleNamespace())
        setattr(at, name, value)
    return args


def rollout(n):
    """One rollout as the samples generator makes it."""
    completion, mask = ROWS[n]
    ids = PROMPTS[n // K] + completion
    action = torch.tensor([0] * (len(ids) - len(mask)) + mask)[1:]
    return Experience(
        sequences=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        action_mask=action[None], rewards=torch.tensor([float(n % 3)]), prompts=["p"], labels=["l"], images=[None],
        mm_train_inputs=[None], response_length=torch.tensor([len(mask)]), truncated=torch.tensor([False]),
        total_length=torch.tensor([float(len(ids))]), info={"reward": torch.tensor([float(n % 3)])},
    )  # fmt: skip


def prepared_maker(args, power, kind):
    """OpenRLHF's experience maker with weights, but for the forward passes."""
    maker = RemoteExperienceMaker(
        None, None, None, None, SimpleNamespace(value=0.3), SimpleNamespace(args=args), SimpleNamespace(pad_token_id=0)
    )
    openrlhf.weigh_experiences(maker, power, kind)

    def make_experience(made):
        for one in made:
            generator = torch.Generator().manual_seed(int(one.sequences.sum()))
            values = -1.5 + 0.3 * torch.randn(3, *one.action_mask.shape, generator=generator)
            one.action_log_probs, one.base_action_log_probs, one.rollout_log_probs = values * one.action_mask
            one.kl = torch.zeros(one.action_mask.shape)
        return made

    maker.make_experience = make_experience
    return maker


def experiences(args, power=1.0, kind="process-set"):
    """All rollouts as the experience maker makes them, in micro-batches that cut groups."""
    return prepared_maker(args, power, kind).make_experience_batch([rollout(n) for n in range(len(ROWS))])


def by_sets(power=1.0):
    """|λ|^-p of each completion's tokens by counting rows of its group that agree up to the token."""
    return [
        [sum(ids[: t + 1] == other[: t + 1] for other, _ in ROWS[n // K * K :][:K]) ** -power for t in range(len(ids))]
        for n, (ids, _) in enumerate(ROWS)
    ]


def loss_weights(items):
    """Of single rows: the weights where the loss is, in the order of the row's ids."""
    return {tuple(one.sequences.tolist()): one.values[one.action_mask.bool()].tolist() for one in items}


def expected(power=1.0):
    """The same by sets."""
    return {
        tuple(PROMPTS[n // K] + ids): pytest.approx([w for w, flag in zip(row, mask, strict=True) if flag])
        for n, ((ids, mask), row) in enumerate(zip(ROWS, by_sets(power), strict=True))
    }


@pytest.mark.parametrize("dynamic", [False, True], ids=["as-they-come", "balanced"])
def test_weights_reach_the_actor_on_their_tokens(dynamic):
    args = settings()
    made = experiences(args)
    assert [len(one.sequences) for one in made] == [3, 3, 2]
    if dynamic:
        made = balance_experiences(made, args)
    items = [item for one in made for item in remove_padding_in_sequences(split_experience_batch(one))]
    assert loss_weights(items) == expected()
    again = make_experience_batch(items[::-1])  # a micro-batch of the actor: shuffled, padded anew
    assert again.values.shape == again.action_mask.shape
    assert not again.values[:, -1][again.attention_mask[:, -1] == 0].any()


def test_parent_weights():
    items = [item for one in experiences(settings(), 0.5, "parent") for item in split_experience_batch(one)]
    sets = by_sets(0.5)
    first = next(one for one in items if one.sequences[:10].tolist() == PROMPTS[1] + ROWS[5][0])
    assert first.values[2:9].tolist() == pytest.approx([4**-0.5, *sets[5][:-1]])


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
    recorder = record_rollouts(trainer, folder)
    made = [trainer.train_step([rollout(n) for n in range(len(ROWS))], step) for step in steps]
    recorder.close()
    return [experiences for experiences, _ in made]


def test_rollouts_are_recorded_as_they_were_trained_on(tmp_path):
    made = recorded(tmp_path / "mine" / "rollouts", [0, 1])
    (read,) = read_rollouts([tmp_path / "mine" / "rollouts"])
    table = read.table.sort("step", "group", "sample")
    assert table["step"].to_list() == [1] * 8 + [2] * 8
    assert table["run"].unique().to_list() == ["mine"]
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


def actor(seed=0):
    """OpenRLHF's own Actor around a tiny model."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    found = Actor(Qwen2ForCausalLM(config))
    found.packing_samples = False
    return found


class Strategy:
    """What a training step asks of DeepSpeed: the gradient, and nothing after it."""

    ring_attn_group = None

    def __init__(self, args):
        self.args = args

    def backward(self, loss, model, _optimizer):
        model.zero_grad()
        loss.backward()

    def optimizer_step(self, *_, **__):
        pass

    def get_grad_norm(self, _):
        return 0.0


def trainer(args):
    """OpenRLHF's own actor trainer without its optimizer, its buffer and its engines."""
    made = object.__new__(ppo_actor.ActorPPOTrainer)
    made.strategy, made.args, made.actor, made.actor_optim, made.ema_model = Strategy(args), args, actor(), None, None
    made.actor_scheduler, made.replay_buffer, made.aux_loss = SimpleNamespace(get_last_lr=lambda: [0.0]), None, False
    advantage = args.algo.advantage
    made.actor_loss_fn = PolicyLoss(
        *args.actor.eps_clip_low_high, args.actor.dual_clip, args.actor.loss_agg_mode == "token-mean",
        args.actor.policy_loss_type, advantage.is_correction_level, advantage.is_correction_mode,
        advantage.is_correction_gating, advantage.is_correction_threshold,
    )  # fmt: skip
    return made


def batch(args):
    """All rows as one micro-batch, with old log-probabilities on both sides of the clip bounds."""
    rows = [item for one in experiences(args) for item in remove_padding_in_sequences(split_experience_batch(one))]
    together = make_experience_batch(rows)
    with torch.no_grad():
        now = actor()(together.sequences, together.action_mask, together.attention_mask)
    noise = torch.randn(3, *now.shape, generator=torch.Generator().manual_seed(3)) * together.action_mask
    together.action_log_probs = now + 0.3 * noise[0]
    together.base_action_log_probs = now + 0.5 * noise[1]
    together.rollout_log_probs = together.action_log_probs + 0.3 * noise[2]
    return together


def gradient(made, args):
    """Gradient of all parameters after one training step."""
    together = batch(args)
    info = get_loss_batch_info(made.strategy, together.action_mask)
    made.training_step(together, 0.3, 0, info)
    return torch.cat([p.grad.flatten() for p in made.actor.parameters() if p.grad is not None]).double()


def with_weights_in_the_loss(args, monkeypatch):
    """OpenRLHF's own training step with the weight multiplied into what it sums up: policy term and KL term."""
    weights, total = batch(args).values, losses.aggregate_loss

    def weighted(loss, mask, **kwargs):
        return total(loss * weights, mask, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(losses, "aggregate_loss", weighted)
        patch.setattr(ppo_actor, "aggregate_loss", weighted)
        return gradient(trainer(args), args)


GRID = [
    {},
    {"actor.loss_agg_mode": "seq-mean-token-mean"},
    {"algo.kl.init_coef": 0.0},
    {"algo.kl.estimator": "k1"},
    {"algo.kl.estimator": "k2", "algo.kl.unbiased_gradient": True},
    {"actor.dual_clip": 3.0},
    {"algo.advantage.estimator": "dr_grpo"},
    {"algo.advantage.estimator": "rloo"},
    {"algo.advantage.is_correction_level": "token", "algo.advantage.is_correction_mode": "clip"},
    {"algo.advantage.is_correction_level": "seq", "algo.advantage.is_correction_threshold": [0.9, 1.2]},
]


@pytest.mark.parametrize("changes", GRID, ids=lambda c: "-".join(map(str, c.values())) or "default")
def test_the_gradient_is_that_of_the_loss_with_the_weight_multiplied_in(changes, monkeypatch):
    args = settings(**changes)
    weighed = trainer(args)
    openrlhf.weigh_training(weighed)
    ours, plain = gradient(weighed, args), gradient(trainer(args), args)
    expected = with_weights_in_the_loss(args, monkeypatch)
    assert (ours - expected).norm() < 1e-5 * expected.norm()
    assert (plain - expected).norm() > 1e-2 * expected.norm()


def test_without_a_power_it_is_openrlhf_to_the_bit(monkeypatch):
    args = settings()
    weighed = trainer(args)
    openrlhf.weigh_training(weighed)
    both = batch(args)
    both.values = torch.ones(both.values.shape)
    monkeypatch.setattr(sys.modules[__name__], "batch", lambda _: both)
    assert torch.equal(gradient(weighed, args), gradient(trainer(args), args))


def test_a_loss_from_elsewhere_is_noticed():
    other = SimpleNamespace(actor=torch.nn.Identity(), training_step=lambda *_: {})
    openrlhf.weigh_training(other)
    with pytest.raises(UsageError, match="λ-GRPO would be GRPO"):
        other.training_step(None, 0.0, 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"algo.advantage.estimator": "gae"}, "estimator gae"),
        ({"algo.advantage.estimator": "reinforce"}, "estimator reinforce has no group"),
        ({"actor.policy_loss_type": "gspo"}, "policy_loss_type gspo"),
        ({"algo.kl.use_loss": False}, "taken off the reward"),
    ],
)
def test_what_is_refused(changes, says):
    with pytest.raises(UsageError, match=says):
        openrlhf.weigh_experiences(SimpleNamespace(strategy=SimpleNamespace(args=settings(**changes))), 1.0, "parent")


def test_a_ratio_of_a_whole_completion_cannot_be_weighted_by_token(monkeypatch):
    args = settings(**{"actor.policy_loss_type": "gspo", "actor.loss_agg_mode": "seq-mean-token-mean"})
    monkeypatch.setattr(openrlhf, "refuse", lambda _: None)
    weighed = trainer(args)
    openrlhf.weigh_training(weighed)
    expected = with_weights_in_the_loss(args, monkeypatch)
    assert (gradient(weighed, args) - expected).norm() > 1e-2 * expected.norm()


@pytest.fixture
def kept(monkeypatch):
    """OpenRLHF's own classes are back after the test."""
    for module, name in (
        (ppo_trainer, "PPOTrainer"), (ppo_trainer_async, "TrainingActor"), (ppo_actor, "PolicyModelActor"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, getattr(module, name))


def plain(actor):
    """The class that Ray runs."""
    return actor.__ray_metadata__.modified_class.__ray_actor_class__


@pytest.mark.parametrize(
    ("module", "name", "method"),
    [(ppo_trainer, "PPOTrainer", "__init__"), (ppo_trainer_async, "TrainingActor", "__init__")],
)
def test_a_trainer_weighs_what_its_experience_maker_makes(kept, monkeypatch, module, name, method):
    maker = SimpleNamespace(strategy=SimpleNamespace(args=settings()), compute_advantages_and_returns=lambda made: made)
    monkeypatch.setattr(
        plain(getattr(module, name)), method, lambda self, *_: setattr(self, "experience_maker", maker)
    )  # fmt: skip
    openrlhf.install(power=1.0)
    plain(getattr(module, name))("model")
    (made,) = maker.compute_advantages_and_returns([make_experience_with_index()])
    assert made.values[0].tolist() == pytest.approx([1 / 4, 1 / 4, 1 / 4, 1 / 3, 1 / 3, 1 / 2, 1 / 2])


def make_experience_with_index():
    """The first group in one micro-batch, as `compute_advantages_and_returns` leaves it."""
    rows = [rollout(n) for n in (0, 3, 1, 2)]
    together = Experience.concat_experiences(rows, 0)
    together.index = [0, 3, 1, 2]
    return together


def test_an_actor_weighs_its_trainer(kept, monkeypatch):
    inner = SimpleNamespace(training_step=lambda *_: {}, actor=torch.nn.Identity())
    monkeypatch.setattr(
        plain(ppo_actor.PolicyModelActor),
        "init_model_from_pretrained",
        lambda self, *_: setattr(self, "trainer", inner),
    )  # fmt: skip
    openrlhf.install(power=1.0)
    plain(ppo_actor.PolicyModelActor).init_model_from_pretrained(holder := SimpleNamespace(), "model")
    with pytest.raises(UsageError, match="λ-GRPO would be GRPO"):
        holder.trainer.training_step(None, 0.0)


@pytest.mark.slow
def test_ray_runs_an_extended_class():
    @ray.remote(num_cpus=0)
    class Counter:
        def __init__(self, n):
            self.n = n

        def get(self):
            return self.n

    def double(self):
        self.n *= 2

    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        counter = openrlhf.extended(Counter, "__init__", double).options(num_cpus=0).remote(21)
        assert ray.get(counter.get.remote()) == 42
    finally:
        ray.shutdown()


def test_it_is_started_by_its_own_arguments(kept, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    before = plain(ppo_actor.PolicyModelActor)
    with pytest.raises(SystemExit, match="0"):
        main(["--lambda-power", "0.5", "openrlhf", "--help"])
    assert "--algo.advantage.estimator" in capsys.readouterr().out
    assert issubclass(plain(ppo_actor.PolicyModelActor), before)
    assert plain(ppo_actor.PolicyModelActor) is not before


class ParsedError(Exception):
    """OpenRLHF's script has read its arguments, the one of this error."""


PAGE = (Path(__file__).parents[2] / "docs" / "trainers" / "openrlhf.md").read_text(encoding="utf-8")
COMMANDS = re.findall(
    r"^python3 -m grpo_prm.integrations (.*?[^\\])$",
    re.search(r"```bash\n(.*?)```", PAGE, re.DOTALL).group(1),
    re.DOTALL | re.MULTILINE,
)


@pytest.mark.parametrize("command", COMMANDS, ids=["1 GPU", "8 GPUs", "64 GPUs"])
def test_the_commands_of_the_page_are_understood(kept, monkeypatch, command):
    def stop(args):
        raise ParsedError(args)

    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(utils, "get_strategy", stop)
    with pytest.raises(ParsedError) as caught:
        main(shlex.split(command.replace("\\\n", "")))
    (args,) = caught.value.args
    openrlhf.refuse(args)
    gpus = args.actor.num_nodes * args.actor.num_gpus_per_node
    assert gpus == args.vllm.num_engines * args.vllm.tensor_parallel_size  # what colocate_all asks for
    assert gpus == args.ref.num_nodes * args.ref.num_gpus_per_node
    assert args.rollout.batch_size * args.rollout.n_samples_per_prompt % args.train.batch_size == 0


def test_the_seams_are_where_they_were():
    source = inspect.getsource(ppo_actor.ActorPPOTrainer.training_step)
    assert "action_log_probs, output = self.actor(" in source
    assert "values" not in source  # the field that is borrowed
    assert "self.trainer = ActorPPOTrainer(" in inspect.getsource(plain(ppo_actor.PolicyModelActor))
    assert "self.experience_maker = RemoteExperienceMaker(" in inspect.getsource(ppo_trainer.BasePPOTrainer)
    assert Experience.is_step_tensor_field("values")


@pytest.mark.parametrize("wrong", [{"kind": "position"}, {"power": -1.0}])
def test_weights_that_there_are_not_are_refused_at_once(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        openrlhf.install(**wrong)
