"""One batch of rollouts to one or several optimizer steps (definitions: λ-GRPO; Controls)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.loss import Terms, kl_estimate, policy_loss, unit_terms
from ..core.some_trees import tree_of
from . import ranks
from .batch import Batch, Tokens, batch_tokens
from .config import TrainConfig
from .packing import Layout, cheaper, micro_batches, padded_layout, reading, token_logprobs, tree_layout

Reference = Callable[[Layout], Tensor]  # log-probabilities of the frozen reference, shape (units,)


class Updated(NamedTuple):
    """What an update did, means over its optimizer steps.

    Attributes:
        loss: The loss.
        grad_norm: Norm of the gradient before clipping.
        entropy: Of the policy over the tokens trained on, nats; None without one.
        kl: k3 estimate against the reference; None without one.
        clipped: Share of the trained weight whose ratio is beyond its bound.
        skipped: Optimizer steps left out since loss or gradient was not finite.
        layout: `tree` or `padded`.
        read: Tokens that the model read in each forward pass over the batch.
    """

    loss: float
    grad_norm: float
    entropy: float | None
    kl: float | None
    clipped: float
    skipped: int
    layout: str
    read: int


def temperature_of(config: TrainConfig) -> float:
    """What divides the logits in the loss: that of sampling, unless it has one of its own."""
    return config.temperature if config.loss_temperature is None else config.loss_temperature


class _MicroBatch(NamedTuple):
    """A micro-batch: whole groups in one forward pass."""

    layout: Layout
    terms: Terms
    other: Terms  # with the weights whose norm is matched; the same terms without that control


class _Sums(NamedTuple):
    """What forward passes add up to; the weights W make means of them."""

    loss: float = 0.0
    weight: float = 0.0
    entropy: float = 0.0
    kl: float = 0.0
    clipped: float = 0.0

    def plus(self, other: _Sums) -> _Sums:
        """Both, field by field."""
        return _Sums(*map(sum, zip(self, other, strict=True)))


def update(
    model: Any,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    config: TrainConfig,
    reference: Reference | None = None,
) -> Updated:
    """Take `updates_per_batch` optimizer steps over the whole batch, in micro-batches of a token budget.

    Old log-probabilities are the detached ones of the first step. Groups without an advantage are not run where they
    cannot change the gradient (β = 0); the others are shared out to the processes. A step whose loss or gradient is not
    finite is skipped and counted; one whose gradient is 0 still calls the optimizer, as TRL does.

    Args:
        model: A causal language model without dropout.
        optimizer: Over its trainable parameters.
        batch: The rollouts.
        config: The settings.
        reference: Needed where beta > 0.
    """
    device = next(model.parameters()).device
    kind, batches = lay_out(model, batch, config, device)
    frozen = [reference(micro.layout) if config.beta and reference else None for micro in batches]
    old: list[Tensor] = []
    sums, norms, skipped = _Sums(), [], 0
    for _ in range(config.updates_per_batch):
        # a pass of its own, with the weights whose gradient norm this step is given
        wanted = _matched_norm(model, batches, config, frozen, old) if config.match_norm else None
        clear_gradients(model)
        made = _total(_accumulate(model, batches, config, frozen, old))
        norm = gradient_norm(model)
        # every process holds the same sums and the same gradient, so all of them skip or none
        if not (np.isfinite(made.loss) and np.isfinite(norm)):
            skipped += 1
            continue
        sums = sums.plus(made)
        norms.append(norm)
        _rescale(model, norm, wanted, config.max_grad_norm)
        optimizer.step()
    steps, weight = max(len(norms), 1), sums.weight if sums.weight > 0 else float("nan")
    return Updated(
        loss=sums.loss / steps if norms else float("nan"),
        grad_norm=float(np.mean(norms)) if norms else float("nan"),
        entropy=_or_none(sums.entropy / weight),
        kl=_or_none(sums.kl / weight) if config.beta else None,
        clipped=_or_none(sums.clipped / weight) or 0.0,
        skipped=skipped,
        layout=kind,
        read=sum(ranks.gathered([micro.layout.ids.numel() for micro in batches])),
    )


def lay_out(model: Any, batch: Batch, config: TrainConfig, device: torch.device) -> tuple[str, list[_MicroBatch]]:
    """This process's share of the batch in micro-batches, each laid out for the model, and in which way."""
    tokens = batch_tokens(batch, config)
    other = batch_tokens(batch, config, kind=config.weights) if config.match_norm else tokens
    # Σ |w a| of each group, and Σ w under a KL term, which pulls where advantages do not
    counts = batch.lengths.reshape(-1, batch.k).sum(axis=1)
    pulls = (tokens.advantages * tokens.weights).abs() + (config.beta > 0) * tokens.weights
    pull = np.array([part.sum().item() for part in pulls.split(counts.tolist())])
    chosen = np.flatnonzero(pull > 0)  # the others have no gradient
    kind = config.packing
    if kind == "auto":
        kind = "padded"
        if len(chosen):
            prompts, rows = _rows(batch, chosen)
            trees = tree_of(batch.forest, chosen)
            kind = cheaper(prompts, rows, batch.k, model, config.token_budget, trees)
    batches = []
    for layout, at in layouts(batch, chosen, config.token_budget, kind, device):
        terms = terms_of(layout, tokens, at)
        batches.append(_MicroBatch(layout, terms, terms if other is tokens else terms_of(layout, other, at)))
    return kind, batches


def layouts(
    batch: Batch, groups: NDArray[np.int64], budget: int, kind: str, device: torch.device
) -> Iterator[tuple[Layout, Tensor]]:
    """Micro-batches of this process's share of some groups, laid out for the model.

    Args:
        batch: The rollouts.
        groups: Which of its groups all processes run together.
        budget: Tokens of a micro-batch.
        kind: `tree` or `padded`.
        device: Of the model.

    Yields:
        A layout, and which of the batch's completion tokens it has, int64.
    """
    mine = groups[ranks.share(len(groups))]
    opens = np.append(0, np.cumsum(batch.lengths))
    prompts, rows = _rows(batch, mine)
    k = batch.k
    if kind == "padded":  # rows stand alone, so a micro-batch may end inside a group
        prompts, k = [prompt for prompt in prompts for _ in range(k)], 1
    trees = tree_of(batch.forest, mine) if kind == "tree" else None
    for places in micro_batches(prompts, rows, k, budget, trees):
        some = [row for place in places for row in range(place * k, (place + 1) * k)]
        some_prompts, some_rows = [prompts[place] for place in places], [rows[row] for row in some]
        if trees is None:
            layout = padded_layout(some_prompts, some_rows, k, device)
        else:
            layout = tree_layout(some_prompts, some_rows, k, device, tree_of(trees, np.array(places)))
        whole = [mine[row // batch.k] * batch.k + row % batch.k for row in some]  # its row in the batch
        yield layout, torch.cat([torch.arange(opens[row], opens[row + 1]) for row in whole])


def _rows(batch: Batch, groups: NDArray[np.int64]) -> tuple[list[list[int]], list[list[int]]]:
    """Prompts and completions of some groups."""
    rows = [row for group in groups for row in batch.completions[group * batch.k : (group + 1) * batch.k]]
    return [batch.prompts[group] for group in groups], rows


def terms_of(layout: Layout, tokens: Tokens, at: Tensor) -> Terms:
    """The terms of a layout whose completion tokens are those `at`, on its device."""
    terms = unit_terms(
        layout.unit.cpu(), len(layout.target), tokens.advantages[at], tokens.weights[at], tokens.factor[at]
    )
    return Terms(*(column.to(layout.ids.device) for column in terms))


def _accumulate(
    model: Any,
    batches: Sequence[_MicroBatch],
    config: TrainConfig,
    frozen: Sequence[Tensor | None],
    old: list[Tensor],
    *,
    other: bool = False,
) -> _Sums:
    """Add the gradient of every micro-batch, of all processes; fills `old` when it is empty."""
    sums, first = _Sums(), not old
    temperature = temperature_of(config)
    for n, micro in enumerate(batches):
        with reading(model, micro.layout):
            logprobs, entropies = token_logprobs(model, micro.layout, temperature, entropy=True)
            if first:
                old.append(logprobs.detach())
            loss = policy_loss(
                logprobs,
                old[n],
                micro.other if other else micro.terms,
                clip_low=config.clip_low,
                clip_high=config.clip_high,
                beta=config.beta,
                reference=frozen[n],
                ratio_in_kl=config.ratio_in_kl,
            )
            loss.backward()  # inside `reading`: gradient checkpointing runs the forward again
        sums = sums.plus(_measured(loss, logprobs.detach(), old[n], entropies, micro, frozen[n], config))
    ranks.add_up(model.parameters())
    return sums


def _total(sums: _Sums) -> _Sums:
    """Over all processes."""
    return reduce(_Sums.plus, ranks.gathered([sums]))


def _measured(
    loss: Tensor,
    logprobs: Tensor,
    old: Tensor,
    entropies: Tensor,
    micro: _MicroBatch,
    frozen: Tensor | None,
    config: TrainConfig,
) -> _Sums:
    """Sums over the units of a micro-batch, weighted as in the loss."""
    weight, ratio = micro.terms.weight, (logprobs - old).exp()
    beyond = (ratio > 1 + config.clip_high) * micro.terms.plus - (ratio < 1 - config.clip_low) * micro.terms.minus
    pull = (micro.terms.plus - micro.terms.minus).clamp(min=1e-38)  # Σ |w f a| of the unit; 0 / 0 would be NaN
    kl = (weight * kl_estimate(logprobs, frozen)).sum() if frozen is not None else weight.new_zeros(())
    numbers = (loss.detach(), weight.sum(), (weight * entropies).sum(), kl, (weight * beyond / pull).sum())
    return _Sums(*torch.stack(numbers).tolist())


def _matched_norm(
    model: Any,
    batches: Sequence[_MicroBatch],
    config: TrainConfig,
    frozen: Sequence[Tensor | None],
    old: list[Tensor],
) -> float:
    """Norm of the gradient that the weights would give on this batch."""
    clear_gradients(model)
    _accumulate(model, batches, config, frozen, old, other=True)
    return gradient_norm(model)


def clear_gradients(model: Any) -> None:
    """Zeros, not None: Adam leaves a parameter without a gradient alone, and its moments with it."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)


def gradient_norm(model: Any) -> float:
    """Norm of all gradients together."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients).item()


def _rescale(model: Any, norm: float, wanted: float | None, limit: float | None) -> None:
    """Give the gradient the norm wanted, and no more than the limit."""
    scale = 1.0 if wanted is None or norm == 0 else wanted / norm
    if limit is not None:
        scale *= min(1.0, limit / (norm * scale + 1e-6))
    if scale != 1.0:
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(scale)


def _or_none(value: float) -> float | None:
    return value if np.isfinite(value) else None
