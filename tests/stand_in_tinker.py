"""As much of tinker 0.38.0 and tinker-cookbook 0.6.1 as λ-GRPO touches: names, fields and the order of its calls."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np


class TensorData:
    def __init__(self, values):
        self.values = np.asarray(values)

    from_numpy = classmethod(lambda cls, array: cls(array))

    def to_numpy(self):
        return self.values


class ModelInput:
    def __init__(self, tokens):
        self.chunks = [SimpleNamespace(tokens=tokens, length=len(tokens))]

    from_ints = classmethod(lambda cls, tokens: cls(tokens))


class Datum:
    def __init__(self, model_input, loss_fn_inputs):
        self.model_input = model_input
        self.loss_fn_inputs = {name: TensorData(values) for name, values in loss_fn_inputs.items()}


def assemble_training_data(groups, _advantages, include_provenance=True):
    data = [datum for group in groups for datum in group]
    return data, [
        {"group_idx": n, "traj_idx": member} for n, group in enumerate(groups) for member in range(len(group))
    ]


async def prepare_minibatch(_builders, groups, _tokenizer, penalty):
    """The cookbook finds `assemble_training_data` by its name in the module, and adds its KL penalty afterwards."""
    data, _ = sys.modules["tinker_cookbook.rl.train"].assemble_training_data(groups, None)
    for datum in data:
        inputs = datum.loss_fn_inputs
        inputs["advantages"] = TensorData(inputs["advantages"].to_numpy() + penalty)
    return data, {"kl_policy_base": penalty}, "usage"


def install(monkeypatch):
    """Put the modules where imports find them; returns `tinker` and `tinker_cookbook.rl.train`."""

    async def main(config):
        return config

    async def train_step(config, i_batch):
        return i_batch

    tinker, train = ModuleType("tinker"), ModuleType("tinker_cookbook.rl.train")
    tinker.TensorData, tinker.ModelInput, tinker.Datum = TensorData, ModelInput, Datum
    train.main, train.assemble_training_data, train.prepare_minibatch = main, assemble_training_data, prepare_minibatch
    train.compute_advantages = list
    train.do_train_step_and_get_sampling_client = train.do_train_step_streaming_and_get_sampling_client = train_step
    cookbook, rl = ModuleType("tinker_cookbook"), ModuleType("tinker_cookbook.rl")
    cookbook.rl, rl.train = rl, train
    for module in (tinker, train, cookbook, rl):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return tinker, train
