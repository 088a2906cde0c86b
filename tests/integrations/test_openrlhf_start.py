"""Contract with OpenRLHF 0.11 on a CPU, its own code: how the weights get into its actors, and its command line."""

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
from integrations.openrlhf_toy import rollout, settings
from openrlhf import utils
from openrlhf.trainer import ppo_trainer, ppo_trainer_async
from openrlhf.trainer.ppo_utils.experience import Experience
from openrlhf.trainer.ray import ppo_actor

from grpo_prm.errors import UsageError
from grpo_prm.integrations import openrlhf
from grpo_prm.integrations.__main__ import main
from grpo_prm.logs.recorder import Recorder


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
    openrlhf.switch_on(power=1.0)
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
    openrlhf.switch_on(power=1.0)
    plain(ppo_actor.PolicyModelActor).init_model_from_pretrained(holder := SimpleNamespace(), "model")
    with pytest.raises(UsageError, match="λ-GRPO would be GRPO"):
        holder.trainer.training_step(None, 0.0)


def test_a_second_call_replaces_the_first(kept, monkeypatch):
    maker = SimpleNamespace(strategy=SimpleNamespace(args=settings()), compute_advantages_and_returns=lambda made: made)
    inner = SimpleNamespace(training_step=lambda *_: "plain", actor=torch.nn.Identity())
    monkeypatch.setattr(
        plain(ppo_trainer.PPOTrainer), "__init__", lambda self, *_: setattr(self, "experience_maker", maker)
    )
    monkeypatch.setattr(
        plain(ppo_actor.PolicyModelActor), "init_model_from_pretrained", lambda self: setattr(self, "trainer", inner)
    )
    openrlhf.switch_on(power=1.0)
    first = plain(ppo_actor.PolicyModelActor).__mro__[1:]
    openrlhf.switch_on(power=0.0)
    assert plain(ppo_actor.PolicyModelActor).__mro__[1:] == first
    plain(ppo_trainer.PPOTrainer)()
    (made,) = maker.compute_advantages_and_returns([make_experience_with_index()])
    assert made.values is None
    plain(ppo_actor.PolicyModelActor).init_model_from_pretrained(holder := SimpleNamespace())
    assert holder.trainer.training_step(None, 0.0) == "plain"


def test_without_a_power_nothing_is_refused(kept, monkeypatch):
    args = settings(**{"algo.advantage.estimator": "gae"})
    maker = SimpleNamespace(strategy=SimpleNamespace(args=args))
    monkeypatch.setattr(
        plain(ppo_trainer.PPOTrainer), "__init__", lambda self, *_: setattr(self, "experience_maker", maker)
    )
    openrlhf.switch_on(power=0.0)
    plain(ppo_trainer.PPOTrainer)()


def test_the_end_of_a_training_waits_for_the_rollouts(kept, monkeypatch, tmp_path):
    """Ray ends its processes without running what Python has left for the exit."""
    maker = SimpleNamespace(strategy=SimpleNamespace(args=settings()), compute_advantages_and_returns=None)

    def begin(self):
        self.experience_maker, self.train_step = maker, None

    waited = []
    monkeypatch.setattr(Recorder, "close", lambda self: waited.append(self.folder))
    for module, name in ((ppo_trainer, "PPOTrainer"), (ppo_trainer_async, "TrainingActor")):
        monkeypatch.setattr(plain(getattr(module, name)), "__init__", begin)
        monkeypatch.setattr(plain(getattr(module, name)), "fit", lambda self: "trained")
    openrlhf.switch_on(power=0.0, rollouts=str(tmp_path / "rollouts"))
    for module, name in ((ppo_trainer, "PPOTrainer"), (ppo_trainer_async, "TrainingActor")):
        assert plain(getattr(module, name))().fit() == "trained"
    assert waited == [tmp_path / "rollouts"] * 2


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
        counter = openrlhf.extended(Counter, __init__=double, get=double).options(num_cpus=0).remote(21)
        assert ray.get(counter.get.remote()) == 42
        assert ray.get(counter.get.remote()) == 84  # the first call gave its result, then doubled
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
        openrlhf.switch_on(**wrong)
