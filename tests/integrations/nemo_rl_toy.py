"""A step of NeMo-RL as its driver has it, and its weights by counting.

NeMo-RL asks for Python 3.13; on an older one its losses work once pydantic sees the TypedDict that it asks for.
"""

import sys
import typing

import torch

if sys.version_info < (3, 12):
    import typing_extensions

    typing.TypedDict = typing_extensions.TypedDict
from nemo_rl.distributed.batched_data_dict import BatchedDataDict

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
