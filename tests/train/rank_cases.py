"""Updates of fixed rollouts and small runs, by one process or by those that torchrun starts: `rank_cases.py FOLDER`.

One start does it all, since a process takes seconds to load its libraries.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from grpo_prm_cli import main as cli
from train_models import random_model

from grpo_prm.train import ranks
from grpo_prm.train.batch import Batch
from grpo_prm.train.config import TrainConfig
from grpo_prm.train.identity_gap import identity_gap
from grpo_prm.train.packing import token_logprobs
from grpo_prm.train.update import update

K, GROUPS = 4, 5
RUN = {"task": "binary-tree", "steps": 4, "prompts": 3, "eval_prompts": 9, "save_every": 2, "seed": 1}
CASES = {
    **{f"{kind} {layout}": {"aggregation": kind, "packing": layout}
       for kind in ("grpo", "bnpo", "dapo", "dr_grpo") for layout in ("padded", "tree")},
    "reference": {"beta": 0.1, "packing": "auto"},
    "norm": {"match_norm": True, "power": 0.5},
    "scale": {"match_scale": True},
    "position": {"weights": "position"},
    "two updates": {"updates_per_batch": 2, "learning_rate": 0.5},
    "bound": {"max_grad_norm": 0.1},
    "one group": {},
    "no group": {},
}  # fmt: skip


def batch_of(name):
    """Five groups that branch, unlike in length; in two cases only one, or none, has an advantage."""
    rng = np.random.default_rng(7)
    trunks = [rng.integers(2, 20, size=9).tolist() for _ in range(GROUPS)]
    rows = [
        [*trunk[: rng.integers(0, 10)], *rng.integers(2, 20, size=rng.integers(1, 12)).tolist()]
        for trunk in trunks
        for _ in range(K)
    ]
    prompts = [rng.integers(2, 20, size=n + 1).tolist() for n in range(GROUPS)]
    rewards = rng.normal(size=GROUPS * K)
    if name in ("one group", "no group"):
        rewards[K if name == "one group" else 0 :] = 0.5
    return Batch(prompts, rows, K, rewards, np.zeros(GROUPS * K, bool))


def run(name, settings):
    """Weights after one update by plain SGD, the gradient that it used, and what it reported."""
    fixed = {"group_size": K, "max_new_tokens": 24, "token_budget": 90, "optimizer": "sgd", "learning_rate": 0.1}
    config = TrainConfig(**(fixed | settings))
    model, frozen = random_model("llama"), random_model("llama")
    with torch.no_grad():
        for parameter in frozen.parameters():
            parameter.mul_(0.9)

    def reference(layout):
        with torch.no_grad():
            return token_logprobs(frozen, layout)

    batch = batch_of(name)
    gap = identity_gap(copy.deepcopy(model), batch, config)
    done = update(model, torch.optim.SGD(model.parameters(), lr=config.learning_rate), batch, config, reference)
    gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {"gradient": gradient, "weights": weights, "gap": gap, "update": done._asdict()}


def train(folder, name, **given):
    """`grpo-prm train` as a user starts it; the processes stay together for what comes next."""
    options = [part for option, value in given.items() for part in (f"--{option.replace('_', '-')}", str(value))]
    sys.argv = ["grpo-prm", "train", *options, "--out", f"{folder}/{name}"]
    with contextlib.suppress(SystemExit), mock.patch.object(ranks, "leave"):
        cli.main()


def main(folder):
    """Leave what this process found in the folder."""
    ranks.join("cpu")
    torch.set_num_threads(1)
    found = {name: run(name, settings) for name, settings in CASES.items()}
    shared = [list(ranks.share(n)) for n in range(6)]
    known = {"processes": torch.distributed.get_world_size(), "shares": shared, "cases": found}
    torch.save(known, Path(folder) / f"{torch.distributed.get_rank()}.pt")
    train(folder, "two.run", **RUN)
    train(folder, "small.run", task="binary-tree", steps=2, prompts=1, eval_prompts=1)
    ranks.leave()


if __name__ == "__main__":
    main(sys.argv[1])
