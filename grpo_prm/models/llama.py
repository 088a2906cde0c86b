"""A Llama of llama.cpp as transformers has it: configuration, names of weights, and the order of query and key rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .gguf_file import GGUF, dequantised
from .safetensors_file import Weight

EMBEDDING, HEAD = "token_embd.weight", "output.weight"
WHOLE = {EMBEDDING: "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight", HEAD: "lm_head.weight"}
OF_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def config_of(gguf: GGUF) -> dict[str, Any]:
    """What config.json says.

    Raises:
        InputError: It is no Llama, or has what a plain one has not.
    """
    if (kind := gguf.fact("general.architecture")) != "llama":
        raise InputError(f"{gguf.path}: is a model of the kind {kind}. Only llama is known here.")

    def of(key: str) -> Any:
        return gguf.fact(f"llama.{key}")

    width, heads = of("embedding_length"), of("attention.head_count")
    if scaled := [key for key in gguf.facts if key.startswith("llama.rope.scaling")]:
        raise InputError(f"{gguf.path}: {scaled[0]} is not known here. Give a model without scaled positions.")
    if of("rope.dimension_count") * heads != width:
        raise InputError(f"{gguf.path}: turns a part of each head only, which is not known here.")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(gguf.fact("tokenizer.ggml.tokens")),
        "hidden_size": width,
        "intermediate_size": of("feed_forward_length"),
        "num_hidden_layers": of("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": of("attention.head_count_kv"),
        "head_dim": width // heads,
        "max_position_embeddings": of("context_length"),
        "rms_norm_eps": of("attention.layer_norm_rms_epsilon"),
        "rope_theta": of("rope.freq_base"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": HEAD not in gguf.tensors,
        "dtype": "float32",
        **ends_of(gguf),
    }


def ends_of(gguf: GGUF) -> dict[str, int]:
    """Ids that begin, end and pad a text, as both configurations of transformers name them."""
    return {f"{ours}_token_id": gguf.fact(f"tokenizer.ggml.{theirs}_token_id") for ours, theirs in
            (("bos", "bos"), ("eos", "eos"), ("pad", "padding"))}  # fmt: skip


def weights_of(gguf: GGUF) -> Iterator[Weight]:
    """Every weight by its name in transformers, dequantised when it is read.

    Raises:
        InputError: A tensor has no place in a plain Llama.
    """
    heads = {"attn_q": gguf.fact("llama.attention.head_count"), "attn_k": gguf.fact("llama.attention.head_count_kv")}
    for name, tensor in gguf.tensors.items():
        block, _, rest = name.removeprefix("blk.").partition(".")
        part = rest.removesuffix(".weight")
        if name in WHOLE:
            ours = WHOLE[name]
        elif name.startswith("blk.") and rest.endswith(".weight") and part in OF_LAYER:
            ours = f"model.layers.{block}.{OF_LAYER[part]}.weight"
        else:
            raise InputError(f"{gguf.path}: the tensor {name} has no place in a plain Llama. Give another file.")
        # llama.cpp names the inputs first
        shape = tuple(int(length) for length in reversed(tensor.shape.tolist()))
        yield Weight(ours, shape, _reader(tensor, heads.get(part, 0)))


def _reader(tensor: Any, heads: int) -> Any:
    def read() -> NDArray[np.float32]:
        weights = dequantised(tensor)
        return halves_apart(weights, heads) if heads else weights

    return read


def halves_apart(weights: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of queries or keys in the order of transformers, shape (rows, inputs).

    llama.cpp turns neighbouring rows of a head together, transformers a row of its first half with one of its second.
    """
    rows, inputs = weights.shape
    pairs = weights.reshape(heads, rows // heads // 2, 2, inputs)
    return np.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, inputs)
