"""A training of TRL in miniature: a model built in code, completions and rewards by rule instead of sampled.

The completions of a group walk a random tree: they share beginnings, end inside one another, repeat, and where asked
every third token is an environment's. All are the same on every machine.
"""

from __future__ import annotations

import inspect
import os
import random

import torch
from datasets import Dataset
from train_models import tiny
from trl import GRPOTrainer

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # `rollout_func` warns otherwise
K, END = 4, 1


def saved_model(folder, dtype=torch.float32):
    """A tiny model with its tokenizer as a folder, since TRL loads the reference by name."""
    model, tokenizer = tiny("qwen2")
    model.to(dtype).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def prompts(rows=64):
    return Dataset.from_list([{"prompt": f"{n % 30 + 3} {n * 7 % 30 + 3}"} for n in range(rows)])


def completion(step, row, k=K):
    """Token ids and loss mask of one row; rows of a group are next to each other."""
    group, sample = divmod(row, k)
    tree = random.Random(f"{step} {group}")  # noqa: S311
    trunk = [tree.randrange(2, 40) for _ in range(12)]
    repeats = sample == k - 1 and group % 2  # the first of its group
    own = random.Random(f"{step} {group} {0 if repeats else sample}")  # noqa: S311
    ids = trunk[: own.randrange(0, 9)] + [own.randrange(2, 5) for _ in range(own.randrange(0, 6))]
    if sample == 1:
        ids = trunk[:6]  # a beginning of others, maybe
    if own.random() < 0.7 or not ids:
        ids.append(END)
    return ids, [n % 3 != 2 for n in range(len(ids))]


def rollouts(*, masked=False, k=K, logprobs=None):
    """A `rollout_func` of TRL."""

    def roll(prompts, trainer):
        first = trainer.accelerator.process_index * len(prompts)
        at = (trainer.state.global_step, trainer._step)
        made = [completion(at, first + n, k) for n in range(len(prompts))]
        found = {
            "prompt_ids": [trainer.processing_class(prompt)["input_ids"] for prompt in prompts],
            "completion_ids": [ids for ids, _ in made],
            "logprobs": None if logprobs is None else [[logprobs(t) for t in ids] for ids, _ in made],
        }
        return found | ({"env_mask": [[int(inside) for inside in mask] for _, mask in made]} if masked else {})

    return roll


def copies(prompts, trainer):
    """A `rollout_func` of TRL whose groups hold two completions twice each."""
    made = [[5, 6, 7 + n % 2, END] for n in range(len(prompts))]
    asked = [trainer.processing_class(prompt)["input_ids"] for prompt in prompts]
    return {"prompt_ids": asked, "completion_ids": [ids[: 3 + n % 2] for n, ids in enumerate(made)], "logprobs": None}


def length_reward(completion_ids, **_):
    return [len(ids) * 7 % 5 / 5 + (3 in ids) for ids in completion_ids]


def part_reward(completion_ids, **_):
    """Says nothing of some rows."""
    return [None if len(ids) % 4 == 3 else float(4 in ids) for ids in completion_ids]


def settings(out, **more):
    fixed = {
        "output_dir": str(out), "per_device_train_batch_size": 8, "num_generations": K, "max_completion_length": 16,
        "learning_rate": 3e-3, "max_steps": 3, "logging_steps": 1, "report_to": [], "use_cpu": True, "bf16": False,
        "gradient_checkpointing": False, "save_strategy": "no", "seed": 1, "temperature": 1.0, "disable_tqdm": True,
    }  # fmt: skip
    return fixed | more


def logprobs_and_entropies(trainer, model, ids, attended, width, *_):
    """From the logits, in the model's own precision."""
    logits = model(input_ids=ids, attention_mask=attended).logits[:, -width - 1 : -1] / trainer.temperature
    each = logits.log_softmax(-1)
    return each.gather(2, ids[:, -width:, None])[..., 0], -(each.exp() * each).sum(-1).detach()


def without_kernel(patch):
    """Log-probabilities from float64 logits instead of TRL's float32 kernel, so that roundings hide nothing."""
    name = "_get_per_token_logps_and_entropies"
    number = 3 if "aux_loss" in inspect.getsource(getattr(GRPOTrainer, name)) else 2  # of what it returns, by version
    made = lambda self, *args, **_: (*logprobs_and_entropies(self, *args), None)[:number]  # noqa: E731
    patch.setattr(GRPOTrainer, name, made)


def flat(model):
    """All parameters in one tensor."""
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
