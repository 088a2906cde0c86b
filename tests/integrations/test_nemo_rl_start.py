"""Contract with NeMo-RL (commit 7ea279abf) on a CPU, its own code: its start, its commands."""

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("nemo_rl")
from integrations.nemo_rl_toy import batch, by_sets
from nemo_rl.algorithms import grpo
from nemo_rl.algorithms.advantage_estimator import AdvEstimatorConfig
from nemo_rl.algorithms.loss import ClippedPGLossConfig, ClippedPGLossFn
from nemo_rl.models.policy.lm_policy import Policy
from nemo_rl.utils.config import load_config, parse_hydra_overrides, register_omegaconf_resolvers
from omegaconf import OmegaConf
from ray import cloudpickle

from grpo_prm.errors import UsageError
from grpo_prm.integrations import nemo_rl
from grpo_prm.integrations.__main__ import main


@pytest.fixture
def installed(monkeypatch):
    """Switched on; taken back after the test."""
    monkeypatch.setattr(grpo, "ClippedPGLossFn", ClippedPGLossFn)
    monkeypatch.setattr(grpo, "_create_advantage_estimator", grpo._create_advantage_estimator)
    received = []
    monkeypatch.setattr(Policy, "train", lambda self, data, loss_fn, **kwargs: received.append((data, loss_fn, kwargs)))
    nemo_rl.switch_on(power=1.0)
    yield received
    cloudpickle.unregister_pickle_by_value(nemo_rl)


def test_training_gets_the_weights_and_validation_none(installed):
    loss_fn = grpo.ClippedPGLossFn(ClippedPGLossConfig())
    Policy.train(SimpleNamespace(), batch(), loss_fn, timer="t")
    Policy.train(SimpleNamespace(), batch(), object())
    (data, passed, kwargs), (other, _, _) = installed
    assert passed is loss_fn
    assert kwargs == {"timer": "t"}
    assert data["lambda_weights"].max() == 1
    assert "lambda_weights" not in other


def test_a_second_call_replaces_the_first(installed):
    loss_fn = grpo.ClippedPGLossFn(ClippedPGLossConfig())
    nemo_rl.switch_on(power=0.5)
    Policy.train(SimpleNamespace(), batch(), loss_fn)
    ((data, _, _),) = installed
    assert data["lambda_weights"][0, 3] == pytest.approx(by_sets(0.5)[0][0])
    nemo_rl.switch_on(power=0)
    assert grpo.ClippedPGLossFn is ClippedPGLossFn
    Policy.train(SimpleNamespace(), batch(), loss_fn)
    assert "lambda_weights" not in installed[1][0]


@pytest.mark.parametrize("name", ["grpo", "gdpo", "reinforce_plus_plus", "opd"])
def test_a_teacher_is_refused(installed, name):
    estimator = AdvEstimatorConfig(name=name)
    config = SimpleNamespace(grpo=SimpleNamespace(adv_estimator=estimator), loss_fn=ClippedPGLossConfig())
    if name == "opd":
        with pytest.raises(UsageError, match="adv_estimator"):
            grpo._create_advantage_estimator(config)
    else:
        assert grpo._create_advantage_estimator(config)


def test_it_runs_a_script_with_its_arguments(installed, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    (tmp_path / "run_grpo.py").write_text(
        "import sys\n"
        "from nemo_rl.algorithms.grpo import ClippedPGLossFn\n"
        "print(ClippedPGLossFn.__name__, sys.argv[1:])\n"
    )
    main(["nemo-rl", str(tmp_path / "run_grpo.py"), "--config", "x.yaml", "cluster.num_nodes=8"])
    assert capsys.readouterr().out == "weighted_loss ['--config', 'x.yaml', 'cluster.num_nodes=8']\n"


PAGE = (Path(__file__).parents[2] / "docs" / "trainers" / "nemo-rl.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"nemo-rl (examples/[^\n\"]*)", re.search(r"```bash\n(.*?)```", PAGE, re.DOTALL).group(1))


@pytest.mark.parametrize(("command", "gpus"), list(zip(COMMANDS, [1, 8, 64], strict=True)))
def test_the_commands_of_the_page_are_understood(command, gpus, monkeypatch):
    script, *arguments = shlex.split(command)
    checkout = Path(grpo.__file__).parents[2]
    assert (checkout / script).is_file()
    config = checkout / (arguments.pop(1) if arguments[0] == "--config" else "examples/configs/grpo_math_1B.yaml")
    overrides = [argument for argument in arguments if argument != "--config"]
    register_omegaconf_resolvers()
    read = OmegaConf.to_container(parse_hydra_overrides(load_config(str(config)), overrides), resolve=True)
    settings = grpo.MasterConfig(**read)
    assert settings.cluster["gpus_per_node"] * settings.cluster["num_nodes"] == gpus
    nemo_rl.weighted_loss(settings.loss_fn)
    assert not settings.data_plane["enabled"]


def test_the_seams_are_where_they_were():
    assert list(inspect.signature(Policy.train).parameters)[:3] == ["self", "data", "loss_fn"]
    assert "loss_fn = ClippedPGLossFn(" in inspect.getsource(grpo.setup)
    for loop in (grpo.grpo_train, grpo.async_grpo_train):
        assert "policy.train(" in inspect.getsource(loop)
        assert "_create_advantage_estimator(master_config)" in inspect.getsource(loop)


@pytest.mark.slow
def test_a_worker_needs_no_grpo_prm(installed, tmp_path):
    (tmp_path / "loss.pkl").write_bytes(cloudpickle.dumps(grpo.ClippedPGLossFn(ClippedPGLossConfig())))
    code = (
        "import sys, typing, typing_extensions; typing.TypedDict = typing_extensions.TypedDict\n"
        "sys.modules['grpo_prm'] = None\n"
        "import pickle, torch\n"
        f"loss = pickle.load(open({str(tmp_path / 'loss.pkl')!r}, 'rb'))\n"
        "one = torch.ones(1, 3)\n"
        "data = dict.fromkeys(['token_mask', 'advantages', 'prev_logprobs', 'generation_logprobs',\n"
        "                      'reference_policy_logprobs', 'lambda_weights'], one) | {'sample_mask': torch.ones(1)}\n"
        "data['lambda_weights'] = one / 4\n"
        "leaf = torch.ones(1, 2, requires_grad=True)\n"
        "loss(leaf * 1.0, data, torch.ones(()), torch.tensor(2.0))[0].backward()\n"
        "print(leaf.grad.tolist())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[[-0.125, -0.125]]"


@pytest.mark.parametrize("wrong", [{"kind": "position"}, {"power": -1.0}])
def test_weights_that_there_are_not_are_refused_at_once(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        nemo_rl.switch_on(**wrong)
