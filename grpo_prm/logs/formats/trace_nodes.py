"""The graph of a trace: messages, each with the tokens that it adds, and the way from the first one to the last.

A trace is a tree of messages. Where a harness rewrites its history (compaction, subagents) it has several leaves; the
way to the last one is the rollout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from ..rows.raw_lists import EMPTY, constant, flags, floats, integers, joined
from ..rows.values import Bad

_OF_SAMPLED = ("logprobs", "trainer_logprobs", "reference_logprobs")
_NAMES = {"reference_logprobs": "ref_logprobs"}


class Link(msgspec.Struct, gc=False):
    """A link to another turn that implies no common tokens."""

    node: int = -1
    type: str = ""


class Node(msgspec.Struct):
    """One message. Lists of `_OF_SAMPLED` and `advantages` have a value for each true one of `mask` only."""

    message: dict[str, Any] | None = None
    parent: int | None = None
    sampled: bool | None = None
    token_ids: msgspec.Raw = EMPTY
    mask: msgspec.Raw = EMPTY
    logprobs: msgspec.Raw = EMPTY
    trainer_logprobs: msgspec.Raw = EMPTY
    reference_logprobs: msgspec.Raw = EMPTY
    advantages: msgspec.Raw = EMPTY
    semantic_parents: list[Link] | None = None


def branches(nodes: Sequence[Node]) -> list[list[Node]]:
    """The ways from a root to each leaf that is trained on, in the order of the leaves: the last one is the rollout.

    Raises:
        Bad: A parent does not stand before its child.
    """
    inner = {node.parent for node in nodes}
    links = [link for node in nodes for link in node.semantic_parents or ()]
    accepted = {link.node for link in links if link.type == "compaction"}
    ways = []
    for leaf in (i for i in range(len(nodes)) if i not in inner):
        if leaf not in accepted and any(
            link.type == "compaction_attempt" for link in nodes[leaf].semantic_parents or ()
        ):
            continue  # an attempt that the harness did not go on from
        way, at = [], leaf
        while at is not None:
            way.append(nodes[at])
            parent = nodes[at].parent
            if parent is not None and not 0 <= parent < at:
                raise Bad("nodes", f"node {at} has node {parent} as its parent, which does not stand before it")
            at = parent
        ways.append(way[::-1])
    return ways


def columns(way: Sequence[Node]) -> dict[str, Any]:
    """Prompt, completion and, where ids are logged, the lists beside the ids, from the first sampled token on.

    Beside ids stand the `messages` that they are of: the completion without those behind its last id.

    Raises:
        Bad: Nothing of it was sampled, or ids and mask do not fit.
    """
    first = next((i for i, node in enumerate(way) if node.sampled), None)
    if first is None:
        raise Bad("completion", "no message was sampled")
    row: dict[str, Any] = {
        "prompt": [node.message or {} for node in way[:first]],
        "completion": [{**(node.message or {}), "trainable": bool(node.sampled)} for node in way[first:]],
    }
    if all(joined([node.token_ids], "tokens") for node in way if node.sampled):
        row |= _token_lists(way)
        last = next(i for i in reversed(range(len(way))) if joined([way[i].token_ids], "tokens"))
        row["messages"] = row["completion"][: last + 1 - first]
    return row


def _token_lists(way: Sequence[Node]) -> dict[str, Any]:
    """Ids, mask and log-probabilities, shape (tokens from the first sampled one on,) each, and the advantage."""
    ids = integers(joined([node.token_ids for node in way], "tokens"), "tokens")
    mask = flags(joined([node.mask for node in way], "mask"), "mask")
    if len(ids) != len(mask):
        raise Bad("mask", f"{len(mask)} values for {len(ids)} tokens")
    if not mask.any():
        raise Bad("mask", "no token was sampled")
    opens = int(mask.argmax())
    row: dict[str, Any] = {"tokens": ids[opens:], "mask": mask[opens:]}
    for name in _OF_SAMPLED:
        if items := joined([getattr(node, name) for node in way], name):
            row[_NAMES.get(name, name)] = _spread(floats(items, name), mask)[opens:]
    if items := joined([node.advantages for node in way], "advantages"):
        same = constant(items, int(mask.sum()))
        row["advantage"] = floats(items, "advantages").tolist() if same is None else same
    return row


def _spread(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Values of the sampled tokens at their places, NaN at all others; none at all where their number fits neither."""
    if len(values) == len(mask):
        return values
    if len(values) != np.count_nonzero(mask):
        return np.zeros(0)
    spread = np.full(len(mask), np.nan)
    spread[mask] = values
    return spread
