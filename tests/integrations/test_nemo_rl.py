"""Contract with NeMo-RL (commit 7ea279abf) on a CPU, its own code: loss, sharding, packing, and the way to workers.

NeMo-RL is no package of an index: `make test-nemo-rl` takes a checkout. It asks for Python 3.13; on an older one the
loss works once pydantic sees the TypedDict that it asks for.
"""

import inspect
import re
import shlex
import subprocess
import sys
import typing
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

if sys.version_info < (3, 12):
    typing_extensions = pytest.importorskip("typing_extensions")
    typing.TypedDict = typing_extensions.TypedDict
pytest.importorskip("nemo_rl.algorithms.loss")
from nemo_rl.algorithms import grpo
from nemo_rl.algorithms.advantage_estimator import AdvEstimatorConfig
from nemo_rl.algorithms.loss import ClippedPGLossConfig, ClippedPGLossFn, loss_functions
from nemo_rl.algorithms.loss.wrapper import SequencePackingLossWrapper
from nemo_rl.distributed.batched_data_dict import BatchedDataDict
from nemo_rl.models.policy.lm_policy import Policy
from nemo_rl.utils.config import load_config, parse_hydra_overrides, register_omegaconf_resolvers
from omegaconf import OmegaConf
from ray import cloudpickle

from grpo_prm.errors import UsageError
from grpo_prm.integrations import nemo_rl
from grpo_prm.integrations.__main__ import main

PROMPTS = {"a": [7, 7, 7], "b": [7, 7]}  # one begins like the other, whose completions go on like it
# Name of the prompt, completion, loss mask: rows of a group are no neighbours, in group a a tool's words part two rows.
ROWS = [
    ("a", [10, 11, 90, 91, 12], [1, 1, 0, 0, 1]),
    ("b", [7], [1]),
    ("a", [10, 11, 90, 92, 12], [1, 1, 0, 0, 1]),
    ("b", [7, 10, 22, 23, 24, 25, 26], [1] * 7),
    ("b", [7, 10, 22, 23], [1] * 4),
    ("a", [10, 11, 90, 91, 12], [1, 1, 0, 0, 1]),
    ("b", [30, 31], [1, 1]),
    ("a", [10, 13], [1, 1]),
]


def batch():
    """A step as NeMo-RL's driver has it: padded on the right, one value a token, advantages (B, S)."""
    generator = torch.Generator().manual_seed(0)
    whole = [PROMPTS[name] + ids for name, ids, _ in ROWS]
    width = max(map(len, whole)) + 2
    pad = torch.nn.functional.pad
    ids = torch.stack([pad(torch.tensor(row), (0, width - len(row))) for row in whole])
    mask = torch.zeros(ids.shape)
    for n, (name, completion, flags) in enumerate(ROWS):
        begin = len(PROMPTS[name])
        mask[n, begin : begin + len(completion)] = torch.tensor(flags).float()
    values = -1.5 + 0.3 * torch.randn(3, *ids.shape, generator=generator)
    return BatchedDataDict(
        input_ids=ids, input_lengths=torch.tensor([len(row) for row in whole]), token_mask=mask,
        sample_mask=torch.tensor([1.0] * 7 + [0.0]),
        advantages=torch.randn(len(ROWS), 1, generator=generator).expand(ids.shape),
        prev_logprobs=values[0], generation_logprobs=values[1], reference_policy_logprobs=values[2],
    )  # fmt: skip


def by_sets(power=1.0):
    """|λ|^-p of each completion's tokens by counting rows of one prompt that agree up to the token."""

    def size(name, begin):
        return sum(other == name and row[: len(begin)] == begin for other, row, _ in ROWS)

    return [[size(name, ids[: t + 1]) ** -power for t in range(len(ids))] for name, ids, _ in ROWS]


def test_weights_lie_on_their_tokens():
    data = batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    for n, ((name, _, _), expected) in enumerate(zip(ROWS, by_sets(), strict=True)):
        begin = len(PROMPTS[name])
        assert data["lambda_weights"][n, begin : begin + len(expected)].tolist() == pytest.approx(expected)
        assert not data["lambda_weights"][n, begin + len(expected) :].any()


def test_parent_weights():
    data = batch()
    nemo_rl.add_weights(data, 0.5, "parent")
    sets = by_sets(0.5)
    for n, (name, ids, _) in enumerate(ROWS):
        begin = len(PROMPTS[name])
        assert data["lambda_weights"][n, begin : begin + len(ids)].tolist() == pytest.approx([4**-0.5, *sets[n][:-1]])


def gradient(loss_fn, data, seen):
    """Gradient at logits of every position, and of unfiltered ones where `seen` asks for them."""
    generator = torch.Generator().manual_seed(1)
    shape = (len(ROWS), data["input_ids"].shape[1] - 1)
    leaves = [(-1.5 + 0.3 * torch.randn(shape, generator=generator)).requires_grad_() for _ in range(2)]
    if seen:
        data["curr_logprobs_unfiltered"] = leaves[1] * 1.0
    valid = (data["token_mask"] * data["sample_mask"][:, None]).sum()
    loss, _ = loss_fn(leaves[0] * 1.0, data, data["sample_mask"].sum(), valid)
    loss.backward()
    return torch.stack([leaf.grad if leaf.grad is not None else torch.zeros_like(leaf) for leaf in leaves])


def explicit(cfg, data, seen):
    """NeMo-RL's own loss with the weight multiplied into what it averages: policy term and KL term."""
    weights = data["lambda_weights"][:, 1:]
    mean = loss_functions.masked_mean
    loss_fn = ClippedPGLossFn(cfg)

    def weighted(values, mask, **kwargs):
        # Terms of tokens are (B, S - 1) and have a gradient; means over sequences are (B,), metrics have none.
        term = values.shape == weights.shape and values.requires_grad
        return mean(values * weights if term else values, mask, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_functions, "masked_mean", weighted)
        return gradient(loss_fn, data, seen)


GRID = [
    {},
    {"token_level_loss": False},
    {"reference_policy_kl_penalty": 0.0},
    {"reference_policy_kl_type": "k1"},
    {"reference_policy_kl_type": "k2"},
    {"ratio_clip_c": 3.0},
    {"disable_ppo_ratio": True},
    {"force_on_policy_ratio": True},
    {"use_cispo": True},
    {"use_importance_sampling_correction": True},
    {"use_importance_sampling_correction": True, "truncated_importance_sampling_type": "tis",
     "truncated_importance_sampling_ratio": 1.2},
    {"use_importance_sampling_correction": True, "truncated_importance_sampling_type": "seq-mask-tis",
     "truncated_importance_sampling_ratio": 1.2, "truncated_importance_sampling_ratio_min": 0.7},
    {"use_on_policy_kl_approximation": True},
]  # fmt: skip


@pytest.mark.parametrize("filtered", [False, True], ids=["", "top-k"])
@pytest.mark.parametrize("settings", GRID, ids=lambda s: "-".join(map(str, s.values())) or "default")
def test_the_gradient_is_that_of_the_loss_with_the_weight_multiplied_in(settings, filtered):
    cfg = ClippedPGLossConfig(**{"reference_policy_kl_penalty": 0.3} | settings)
    data = batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    ours, plain = (gradient(kind(cfg), data, filtered) for kind in (nemo_rl.weighted_loss, ClippedPGLossFn))
    expected = explicit(cfg, data, filtered)
    assert (ours - expected).norm() < 1e-6 * expected.norm()
    assert (plain - expected).norm() > 1e-2 * expected.norm()


def test_without_a_power_it_is_nemo_rl_to_the_bit():
    cfg, data = ClippedPGLossConfig(reference_policy_kl_penalty=0.3), batch()
    nemo_rl.add_weights(data, 0.0, "process-set")
    assert torch.equal(
        gradient(nemo_rl.weighted_loss(cfg), data, False), gradient(ClippedPGLossFn(cfg), data, False)
    )  # fmt: skip


def test_one_sequence_after_another_as_packing_calls_it():
    cfg, data = ClippedPGLossConfig(reference_policy_kl_penalty=0.3), batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    lengths = data["input_lengths"]
    ends = torch.cat([torch.zeros(1, dtype=lengths.dtype), lengths.cumsum(0)])
    values = -1.5 + 0.3 * torch.randn(1, int(ends[-1]), generator=torch.Generator().manual_seed(2))

    def prepare(logits, data, **_):
        return {"next_token_logprobs": logits[:, :-1]}, data

    def of(kind, weights):
        leaf = values.clone().requires_grad_()
        data["lambda_weights"] = weights
        valid = (data["token_mask"] * data["sample_mask"][:, None]).sum()
        wrapper = SequencePackingLossWrapper(kind(cfg), prepare, ends)
        loss, _ = wrapper(leaf * 1.0, data, data["sample_mask"].sum(), valid)
        loss.backward()
        return leaf.grad[0]

    weights = data["lambda_weights"]
    plain = of(ClippedPGLossFn, weights)
    flat = torch.cat([torch.cat([row[1:n], torch.zeros(1)]) for row, n in zip(weights, lengths, strict=True)])
    assert torch.allclose(of(nemo_rl.weighted_loss, weights), plain * flat, rtol=1e-6, atol=0)


def test_the_field_goes_with_its_rows_to_the_workers():
    data = batch()
    nemo_rl.add_weights(data, 1.0, "process-set")
    expected = dict(zip(map(tuple, data["input_ids"].tolist()), data["lambda_weights"].tolist(), strict=True))
    shards = data.shard_by_batch_size(2, batch_size=8)
    assert [len(shard["input_ids"]) for shard in shards] == [4, 4]
    for shard in shards:
        for ids, weights in zip(shard["input_ids"].tolist(), shard["lambda_weights"].tolist(), strict=True):
            assert weights == expected[tuple(ids)]


@pytest.mark.parametrize(
    "setting",
    [{"sequence_level_importance_ratios": True, "token_level_loss": False}, {"use_kl_in_reward": True},
     {"positive_example_nll_weight": 0.1}],
    ids=lambda s: next(iter(s)),
)  # fmt: skip
def test_what_is_refused(setting):
    with pytest.raises(UsageError, match=next(iter(setting))):
        nemo_rl.weighted_loss(ClippedPGLossConfig(**setting))


def test_a_batch_without_weights_is_refused():
    with pytest.raises(RuntimeError, match="data_plane"):
        nemo_rl.weighted_loss(ClippedPGLossConfig())(torch.zeros(8, 11), batch(), None, None)


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
