"""How completions are laid out for the model: one row each, or each tree token once (definitions: tree-packed)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..core.forest import Forest, build_forest, ranges, unique_index
from .attention import NAME, Span, attending, path_mask

Rows = Sequence[Sequence[int]]
PER_SPAN = 3e7  # floating-point operations that a span costs on top of its own in every layer, as measured on a CPU
# Logits made at a time: some 20 bytes each. A GPU would wait between small blocks.
BLOCK = {"cpu": 1 << 23}
BLOCK_ELSEWHERE = 1 << 26


class Layout(NamedTuple):
    """What the model reads, and which of its outputs say what; a unit is a token that is scored once.

    Attributes:
        ids: Input of the model, shape (B, T), int64.
        positions: Place of each in its prompt and completion, shape (B, T), int64.
        attention: Further arguments of the forward.
        source: Output (index into B * T) whose logits predict each unit, shape (units,), int64.
        target: Token of each unit, shape (units,), int64.
        unit: Unit of each completion token, completion after completion, shape (tokens,), int64.
        kind: `padded` or `tree`.
    """

    ids: Tensor
    positions: Tensor
    attention: dict[str, Any]
    source: Tensor
    target: Tensor
    unit: Tensor
    kind: str


def padded_layout(prompts: Rows, completions: Rows, k: int, device: torch.device) -> Layout:
    """One row for each completion, prompt first, padded on the right; every completion token is a unit.

    Args:
        prompts: Token ids of the prompt of each group.
        completions: Token ids of each completion, group-major, k a group.
        k: Group size.
        device: Where the layout goes.
    """
    rows = [[*prompts[i // k], *row] for i, row in enumerate(completions)]
    opens = np.repeat([len(prompt) for prompt in prompts], k)
    lengths = np.array([len(row) for row in completions])
    width = max(1, max(map(len, rows), default=1) - 1)  # nothing follows the last token
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    for row, tokens in enumerate(rows):
        read = tokens[: max(len(tokens) - 1, 1)]
        ids[row, : len(read)] = torch.tensor(read)
    positions = torch.arange(width).expand(len(rows), width)  # padding lies behind: no token that counts sees it
    # the last token of the prompt predicts the first of the completion, and so on
    first, _ = _ranges(np.arange(len(rows)) * width + opens - 1, lengths)
    target = torch.tensor([token for row in completions for token in row], dtype=torch.int64)
    ids, positions, source, target, unit = (
        x.to(device) for x in (ids, positions, torch.from_numpy(first), target, torch.arange(len(target)))
    )
    return Layout(ids, positions, {}, source, target, unit, "padded")


def tree_layout(prompts: Rows, completions: Rows, k: int, device: torch.device, forest: Forest | None = None) -> Layout:
    """All groups in one row, each prompt once and behind it every token of its tree once, in tree order.

    For completions `a b c` and `a b d` to the prompt `p q` the model reads `p q a b c d`: c and d both have position 4,
    both see p q a b, and neither sees the other. Four units are scored, a and b once for both completions.

    Arguments as for `padded_layout`; `forest` are the trees of the completions where they are built already.
    """
    forest = trees_of(completions, k) if forest is None else forest
    tokens = np.fromiter((token for row in completions for token in row), np.int64)
    opens = np.array([len(prompt) for prompt in prompts], np.int64)
    unit = unique_index(forest)  # shape (completion tokens,): members of a process set share a number
    units = int(forest.length.sum())
    target = np.empty(units, np.int64)
    target[unit] = tokens  # written once for each member, always with the same token
    first = np.cumsum(forest.length) - forest.length  # unit that opens each step
    begin = first + np.cumsum(opens)[forest.group]  # its packed place: behind all prompts so far, that of its group too
    ids, positions = np.empty(units + opens.sum(), np.int64), np.empty(units + opens.sum(), np.int64)
    root = np.flatnonzero(forest.parent < 0)
    for prompt, at in zip(prompts, (begin[root] - opens).tolist(), strict=True):
        ids[at : at + len(prompt)], positions[at : at + len(prompt)] = prompt, np.arange(len(prompt))
    place, _ = _ranges(begin, forest.length)  # packed place of each unit, shape (units,)
    ids[place] = target
    positions[place] = _ranges(forest.start + opens[forest.group], forest.length)[0]
    # Inside a step, and behind a prompt, the token before predicts a unit. The first token of a child is predicted by
    # the last one of its parent, which lies before all the children.
    source = place - 1
    end = begin + forest.length
    opening = (forest.length > 0) & (forest.parent >= 0)
    source[first[opening]] = end[forest.parent[opening]] - 1
    arrays = (torch.from_numpy(x) for x in (ids[None], positions[None], source, target, unit))
    ids_, positions_, source_, target_, unit_ = (x.to(device) for x in arrays)
    if device.type == "cpu":
        tree: Any = list(_spans(forest, begin, opens))
    else:
        tree = path_mask(_last(forest, begin, opens).to(device))
    return Layout(ids_, positions_, {"tree": tree}, source_, target_, unit_, "tree")


def _spans(forest: Forest, begin: np.ndarray, opens: np.ndarray) -> Iterator[Span]:
    """The prompt with the root, then every other step, in the order in which they are packed."""
    path: dict[int, np.ndarray] = {}
    end = begin + forest.length
    for step, (parent, group) in enumerate(zip(forest.parent.tolist(), forest.group.tolist(), strict=True)):
        if parent < 0:
            start = begin[step] - opens[group]
            path[step] = np.arange(start, end[step])
            yield Span(int(start), int(end[step]), None, None)  # nothing lies before a prompt: plain causal attention
            continue
        before, own = path[parent], np.arange(begin[step], end[step])
        path[step] = np.concatenate([before, own])
        # row i sees the whole path before the step and the step's own tokens up to i
        mask = torch.ones(len(own), len(path[step]), dtype=torch.bool).tril(len(before))
        yield Span(int(begin[step]), int(end[step]), torch.from_numpy(path[step]), mask)


def _last(forest: Forest, begin: np.ndarray, opens: np.ndarray) -> Tensor:
    """The place behind all that lies below each packed token; it follows at once, steps being in depth-first order."""
    # A step has the members first to first + size, and a step below it some of these. In depth-first order `first`
    # never falls, so the step after those below is the next whose first member is not one of this step's.
    behind = np.searchsorted(forest.first, forest.first + forest.size)
    stop = (begin + forest.length)[behind - 1]
    own = forest.length + opens[forest.group] * (forest.parent < 0)  # a prompt lies before its root
    return torch.from_numpy(np.repeat(stop, own))


def _ranges(first: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `forest.ranges`, where a size may be 0."""
    some = size > 0
    return ranges(first[some], size[some])


def reading(model: Any, layout: Layout) -> AbstractContextManager[None]:
    """Attention as a layout needs it. With gradient checkpointing the backward pass must be inside too."""
    return attending(model, NAME) if layout.kind == "tree" else nullcontext()


def computing(model: Any) -> AbstractContextManager[Any]:
    """Matrix products in the model's `compute_dtype`, where it has one: weights and their updates stay float32."""
    dtype = getattr(model, "compute_dtype", torch.float32)
    device = next(model.parameters()).device
    return torch.autocast(device.type, dtype) if dtype != torch.float32 else nullcontext()


def token_logprobs(model: Any, layout: Layout, temperature: float = 1.0, *, entropy: bool = False) -> Any:
    """Log-probability of every unit under softmax(logits / temperature), float32, shape (units,).

    Where the logits of all units would be more numbers than `block_of` has, they are made in blocks, and again in the
    backward pass: a large vocabulary then needs no more memory than a block.

    Args:
        model: A causal language model of transformers, perhaps with an adapter.
        layout: What it reads.
        temperature: Divisor of the logits.
        entropy: Give the entropies of the distributions as well, shape (units,), nats, without gradient.
    """
    with reading(model, layout), computing(model):
        head, outputs = outputs_of(model, layout)

    def score(rows: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with computing(model):
            logits = head(rows).float() / temperature
        total = logits.logsumexp(-1)
        logprobs = logits.gather(-1, target[:, None])[:, 0] - total
        if not entropy:
            return logprobs, total
        with torch.no_grad():
            fixed = logits.detach()
            return logprobs, total.detach() - ((fixed - total.detach()[:, None]).exp() * fixed).sum(-1)

    # rounded up; a checkpointed block keeps its inputs alone, and makes its logits again for the gradient
    blocks = -(-len(layout.target) * model.config.get_text_config().vocab_size // block_of(layout.ids.device))
    if blocks <= 1:
        logprobs, entropies = score(outputs, layout.target)
    else:
        rows = zip(outputs.chunk(blocks), layout.target.chunk(blocks), strict=True)
        scored = [checkpoint(score, *block, use_reentrant=False) for block in rows]
        logprobs, entropies = (torch.cat(parts) for parts in zip(*scored, strict=True))
    return (logprobs, entropies) if entropy else logprobs


def block_of(device: torch.device) -> int:
    """How many logits are made at a time."""
    return BLOCK.get(device.type, BLOCK_ELSEWHERE)


def outputs_of(model: Any, layout: Layout) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """What turns outputs into logits, and those that predict each unit, shape (units, width).

    They are logits already where the model changes these behind its last layer.
    """
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    arguments = {"input_ids": layout.ids, "position_ids": layout.positions, "use_cache": False, **layout.attention}
    config = whole.config.get_text_config()
    changed = ("final_logit_softcapping", "logit_scale", "logits_scaling")
    head = whole.get_output_embeddings()
    if head is None or whole.base_model is whole or any(getattr(config, name, None) for name in changed):
        return torch.nn.Identity(), whole(**arguments).logits.flatten(0, 1)[layout.source]
    return head, whole.base_model(**arguments).last_hidden_state.flatten(0, 1)[layout.source]


def micro_batches(
    prompts: Rows, completions: Rows, k: int, budget: int, forest: Forest | None = None
) -> list[list[int]]:
    """Cut the groups into micro-batches of at most `budget` tokens that the model reads; a larger group stands alone.

    Args:
        prompts: Token ids of the prompt of each group.
        completions: Token ids of each completion, group-major.
        k: Group size.
        budget: Tokens.
        forest: Trees of the groups, where each of their tokens is read once; None: padded rows are, and what counts is
            rows times the longest of them.

    Returns:
        Indices of the groups of each micro-batch, in order.
    """
    tree = None if forest is None else np.bincount(forest.group, forest.length, len(prompts))
    batches: list[list[int]] = []
    size = widest = 0
    for group, prompt in enumerate(prompts):
        longest = len(prompt) + max(map(len, completions[group * k : (group + 1) * k]))
        if tree is None:
            widest = max(widest, longest)
            size = widest * k * (len(batches[-1]) + 1 if batches else 1)  # padded to the widest, this group included
        else:
            size += len(prompt) + int(tree[group])
        if not batches or size > budget:
            batches.append([])
            size, widest = (longest * k, longest) if tree is None else (len(prompt) + int(tree[group]), 0)
        batches[-1].append(group)
    return batches


def trees_of(completions: Rows, k: int) -> Forest:
    """The trees of groups of k."""
    tokens = np.fromiter((token for row in completions for token in row), np.int64)
    lengths = np.fromiter(map(len, completions), np.int64)
    return build_forest(tokens, lengths, np.arange(len(completions)) // k)


def cheaper(prompts: Rows, completions: Rows, k: int, model: Any, budget: int, forest: Forest | None = None) -> str:
    """The layout with fewer counted floating-point operations, `tree` or `padded`.

    A token costs two operations for each weight behind the embedding and each scored token two for each weight of the
    head; a query and a key that meet cost four for each unit of the width, in every layer; a span of the tree costs
    `PER_SPAN` in every layer on top, for its own call on a CPU. A tree cannot be cut, so one above the budget (tokens
    that the model reads at a time) is `padded`. `forest` are the trees of the completions where they are built already.
    """
    forest = trees_of(completions, k) if forest is None else forest
    config = model.config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    head = width * config.vocab_size
    embeddings = {id(part): part for part in (model.get_input_embeddings(), model.get_output_embeddings()) if part}
    weights = {id(p): p.numel() for part in embeddings.values() for p in part.parameters()}  # tied ones once
    body = sum(p.numel() for p in model.parameters()) - sum(weights.values())

    # Rows: each is as long as the longest, and each of its tokens meets half of the row on average.
    opens = np.repeat([len(prompt) for prompt in prompts], k)
    lengths = np.array([len(row) for row in completions])
    longest = (opens + lengths).max(initial=1)
    padded = 2 * body * len(lengths) * longest + 2 * head * lengths.sum()
    padded += 4 * width * layers * len(lengths) * longest**2 / 2

    # Tree: a step's tokens meet the whole path before them, and half of their own step; a root has its prompt with it.
    first = np.array([len(prompt) for prompt in prompts])
    tokens, units = first.sum() + forest.length.sum(), forest.length.sum()
    if (first + np.bincount(forest.group, forest.length, len(first))).max(initial=0) > budget:
        return "padded"
    call = PER_SPAN if next(model.parameters()).device.type == "cpu" else 0.0
    own, before = forest.length, forest.start + first[forest.group]
    pairs = (own * before + own**2 / 2)[forest.parent >= 0].sum() + ((first + own[forest.parent < 0]) ** 2 / 2).sum()
    tree = 2 * body * tokens + 2 * head * units + layers * (4 * width * pairs + call * (own > 0).sum())
    return "tree" if tree < padded else "padded"
