"""Training runs on the synthetic tree with a tiny GPT-2 as the policy: many models at once, stacked.

The weights of all models of a batch stand behind one another, shape (models, ...), and every layer is one bmm. The
prefixes of the tree are one packed sequence in which each attends to those that it extends, so a prefix is computed
once for all completions that share it.

2026-11-28: torch.func was tried in place of these layers, for 140 models, forward and backward. vmap over the GPT-2 of
transformers takes 2.2 times as long with eager attention, and 4.1 times with sdpa, which vmap cannot batch; vmap over
one model written out takes 1.08 times as long and is no shorter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel

from ..core.forest import Floats
from .methods import Method
from .tabular import Tree, leaf_probabilities
from .tree_runs import direction, leaf_counts

WIDTH, LAYERS, HEADS, POSITIONS = 32, 2, 2, 8
START, LEFT, RIGHT = 0, 1, 2  # the vocabulary
MODELS = 140  # trained at a time: more do not fit the processor's cache, fewer leave it waiting for Python
Weights = dict[str, Tensor]


def tiny_gpt2(seed: int) -> GPT2LMHeadModel:
    """A GPT-2 of transformers with its own random weights, no dropout, 25,824 parameters."""
    config = GPT2Config(
        vocab_size=3,
        n_positions=POSITIONS,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=HEADS,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=START,
        eos_token_id=START,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT2LMHeadModel(config)


def log_odds(weights: Weights, depth: int) -> Tensor:
    """Logit of the right child against the left one after every prefix, shape (models, 2^depth - 1), level by level.

    Args:
        weights: The parameters of `tiny_gpt2` by name, stacked, shape (models, ...) each.
        depth: Of the tree, at most `POSITIONS`.
    """
    tokens, levels, mask = _prefixes(depth)
    embedding = weights["transformer.wte.weight"]
    x = embedding[:, tokens] + weights["transformer.wpe.weight"][:, levels]
    models, nodes, width = x.shape
    for layer in range(LAYERS):
        at = f"transformer.h.{layer}."
        packed = _linear(_norm(x, weights, at + "ln_1"), weights, at + "attn.c_attn")
        query, key, value = packed.view(models, nodes, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        attention = (query @ key.transpose(-1, -2) / math.sqrt(width // HEADS) + mask).softmax(-1)
        mixed = (attention @ value).transpose(1, 2).reshape(models, nodes, width)
        x = x + _linear(mixed, weights, at + "attn.c_proj")
        inner = _linear(_norm(x, weights, at + "ln_2"), weights, at + "mlp.c_fc")
        x = x + _linear(F.gelu(inner, approximate="tanh"), weights, at + "mlp.c_proj")
    x = _norm(x, weights, "transformer.ln_f")
    # The output layer is the embedding (GPT-2 ties them), and of its logits only one difference is wanted.
    return torch.bmm(x, (embedding[:, RIGHT] - embedding[:, LEFT])[..., None])[..., 0]


def train_gpt_trees(
    tree: Tree,
    methods: Sequence[Method],
    rates: Sequence[float],
    seeds: Sequence[int],
    *,
    optimizer: Literal["sgd", "adam"],
    k: int = 16,
    steps: int = 250,
) -> Floats:
    """How likely the target is before every step, shape (methods, rates, seeds, steps); see `tree_runs.train_trees`.

    The policy is `tiny_gpt2` under constrained decoding: after the start token and the decisions so far it chooses
    between the two decisions alone, by the softmax of their two logits. The control `norm` brings the gradient of all
    weights to the length that p would give it.

    Args:
        tree: Rewards and target.
        methods: What is compared.
        rates: Learning rates.
        seeds: Each has its own first weights and draws, the draws of `train_trees`; methods and rates share them.
        optimizer: `sgd` or `adam` of torch, with its defaults.
        k: Completions of a group; one group a step, one update a group.
        steps: Optimizer steps.
    """
    likely = np.empty((len(methods), len(rates), len(seeds), steps))
    some = max(1, MODELS // len(methods))  # seeds in a batch, each with all methods
    for begin in range(0, len(seeds), some):
        own = seeds[begin : begin + some]
        # Shape (steps, seeds, k): the numbers of `train_trees`, which draws them step by step.
        uniform = np.stack([np.random.default_rng([seed, 16]).random((steps, k)) for seed in own], axis=1)
        first = [dict(tiny_gpt2(seed).named_parameters()) for seed in own]
        for column, rate in enumerate(rates):
            weights = {
                name: torch.stack([of_seed[name].detach() for of_seed in first] * len(methods)).requires_grad_()
                for name in first[0]
            }
            kind = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
            update = kind(weights.values(), lr=rate, fused=True)
            for step in range(steps):
                now = _set_gradient(tree, methods, weights, uniform[step])
                likely[:, column, begin : begin + some, step] = now
                update.step()
    return likely


def _set_gradient(tree: Tree, methods: Sequence[Method], weights: Weights, uniform: Floats) -> Floats:
    """Put the gradient of the loss of one group of every model on the weights.

    Args:
        tree: Rewards and target.
        methods: Models are ordered by method, then by seed.
        weights: As for `log_odds`.
        uniform: Draws, shape (seeds, k).

    Returns:
        How likely the target was, shape (methods, seeds).
    """
    odds = log_odds(weights, tree.depth)
    by_method = odds.detach().double().numpy().reshape(len(methods), len(uniform), -1)
    logits = np.split(by_method, [(1 << level) - 1 for level in range(1, tree.depth)], axis=-1)
    probability = leaf_probabilities(logits)
    counts = leaf_counts(probability, uniform)

    def slopes(number: int, method: Method) -> Tensor:
        by_level = direction(method, counts[number], tree.rewards, [at[number] for at in logits])
        return torch.from_numpy(np.concatenate(by_level, axis=-1)).float()  # shape (seeds, nodes), as `log_odds` has it

    # The chain rule by hand: the slope by the log-odds comes from counts of leaves, the rest from autograd. Models
    # share no weight, so one call gives the gradient of each.
    upward = torch.cat([slopes(number, method) for number, method in enumerate(methods)])
    gradient = torch.autograd.grad(odds, list(weights.values()), -upward)
    for number, method in enumerate(methods):
        if method.control == "norm":
            rows = slice(number * len(uniform), (number + 1) * len(uniform))
            twin = {name: weight[rows].detach().requires_grad_() for name, weight in weights.items()}
            wanted = slopes(number, method._replace(control=None))
            target = _length(torch.autograd.grad(log_odds(twin, tree.depth), list(twin.values()), wanted))
            length = _length(slope[rows] for slope in gradient)
            factor = target / length.clamp(min=1e-30)  # no gradient stays none
            for slope in gradient:
                slope[rows] *= factor.view(-1, *[1] * (slope.dim() - 1))
    for weight, slope in zip(weights.values(), gradient, strict=True):
        weight.grad = slope
    return probability[..., tree.target]


@cache
def _prefixes(depth: int) -> tuple[Tensor, Tensor, Tensor]:
    """Last token, length and additive attention mask of the prefixes, shapes (nodes,), (nodes,) and (nodes, nodes)."""
    node = torch.arange(1, 1 << depth)  # the children of n are 2n and 2n + 1
    level = torch.tensor([int(n).bit_length() - 1 for n in node])
    tokens = torch.where(node > 1, LEFT + node % 2, START)
    above = (level[:, None] - level).clamp(min=0)
    seen = (node[:, None] >> above) == node
    return tokens, level, torch.where(seen, 0.0, -torch.inf)


def _linear(x: Tensor, weights: Weights, name: str) -> Tensor:
    # GPT-2 stores weights as (in, out), so they are not transposed.
    return torch.baddbmm(weights[name + ".bias"][:, None], x, weights[name + ".weight"])


def _norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    # `layer_norm` takes one weight for the whole batch, and here every model has its own.
    return torch.addcmul(
        weights[name + ".bias"][:, None], F.layer_norm(x, x.shape[-1:]), weights[name + ".weight"][:, None]
    )


def _length(slopes: Iterable[Tensor]) -> Tensor:
    """Norm over all weights of a model, shape (models,)."""
    return torch.stack([slope.flatten(1).square().sum(-1) for slope in slopes]).sum(0).sqrt()
