"""A Llama read from a GGUF as llama.cpp reads it, slow and plain, in float64: nothing of transformers, nothing of ours.

It turns neighbouring numbers of a head together, as llama.cpp does, so the rows of queries and keys are not moved.
"""

from __future__ import annotations

import numpy as np
from gguf import GGUFReader


def weights(path) -> dict[str, np.ndarray]:
    """Every tensor by its name, float64, shape (outputs, inputs), from the bytes of the file."""
    read = {"F32": lambda raw: raw.view(np.float32), "Q4_1": q4_1, "Q8_0": q8_0}
    found = {}
    for tensor in GGUFReader(path).tensors:
        raw = np.frombuffer(tensor.data.tobytes(), np.uint8)
        found[tensor.name] = read[tensor.tensor_type.name](raw).reshape(tensor.shape.tolist()[::-1]).astype(np.float64)
    return found


def q4_1(raw: np.ndarray) -> np.ndarray:
    """Blocks of 20 bytes: scale, least value, 16 bytes whose low halves are weights 0 to 15, the high ones 16 to 31."""
    blocks = raw.reshape(-1, 20)
    scale, least = (blocks[:, at : at + 2].copy().view(np.float16).astype(np.float32) for at in (0, 2))
    fours = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return (scale * fours.astype(np.float32) + least).reshape(-1)


def q8_0(raw: np.ndarray) -> np.ndarray:
    """Blocks of 34 bytes: scale, 32 whole numbers."""
    blocks = raw.reshape(-1, 34)
    return (blocks[:, :2].copy().view(np.float16).astype(np.float32) * blocks[:, 2:].view(np.int8)).reshape(-1)


def logits(
    found: dict[str, np.ndarray], ids: list[int], *, layers: int, heads: int, kv_heads: int, base: float, eps: float
) -> np.ndarray:
    """Logits after each token, shape (tokens, vocabulary)."""
    x = found["token_embd.weight"][ids]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * found[f"{name}.weight"]

    for n in range(layers):
        w = {name: found[f"blk.{n}.{name}.weight"] for name in
             ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")}  # fmt: skip
        y = norm(x, f"blk.{n}.attn_norm")
        q, k, v = (of_heads(y @ w[name].T, number) for name, number in
                   (("attn_q", heads), ("attn_k", kv_heads), ("attn_v", kv_heads)))  # fmt: skip
        q, k = turned(q, base), turned(k, base)
        x = x + np.concatenate([attended(q[h], k[h * kv_heads // heads], v[h * kv_heads // heads])
                                for h in range(heads)], -1) @ w["attn_output"].T  # fmt: skip
        y = norm(x, f"blk.{n}.ffn_norm")
        gate = y @ w["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (y @ w["ffn_up"].T)) @ w["ffn_down"].T
    return norm(x, "output_norm") @ found.get("output.weight", found["token_embd.weight"]).T


def of_heads(x: np.ndarray, number: int) -> np.ndarray:
    """Shape (tokens, width) to (heads, tokens, width of a head)."""
    return x.reshape(len(x), number, -1).swapaxes(0, 1)


def turned(x: np.ndarray, base: float) -> np.ndarray:
    """Rotary positions: numbers 2 i and 2 i + 1 of a head are turned by position times base^(-2 i / width)."""
    out = np.empty_like(x)
    width = x.shape[-1]
    for position in range(x.shape[1]):
        for i in range(width // 2):
            angle = position * base ** (-2 * i / width)
            one, other = x[:, position, 2 * i], x[:, position, 2 * i + 1]
            out[:, position, 2 * i] = one * np.cos(angle) - other * np.sin(angle)
            out[:, position, 2 * i + 1] = one * np.sin(angle) + other * np.cos(angle)
    return out


def attended(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A head's output, shape (tokens, width): each token sees itself and those before."""
    out = []
    for t in range(len(q)):
        scores = q[t] @ k[: t + 1].T / np.sqrt(q.shape[-1])
        weight = np.exp(scores - scores.max())
        out.append(weight / weight.sum() @ v[: t + 1])
    return np.array(out)
