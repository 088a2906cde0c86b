"""Small random models of three families, built in code, and a word-level tokenizer."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

WORDS = 40
STILL = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


def random_model(family: str, vocabulary: int = WORDS, context: int = 128, seed: int = 0, **more: Any):
    """A model of 2 layers of width 32 whose next-token distributions are far from uniform; 1 ends."""
    if family == "gpt2":
        shape: dict[str, Any] = {"n_positions": context, "n_embd": 32, "n_layer": 2, "n_head": 4, "bos_token_id": 1}
        kind, shape = GPT2Config, shape | STILL
    else:
        shape = {"max_position_embeddings": context, "hidden_size": 32, "intermediate_size": 64}
        shape |= {"num_hidden_layers": 2, "num_attention_heads": 4}
        shape["num_key_value_heads"] = {"llama": 4, "qwen2": 2}[family]
        kind = {"llama": LlamaConfig, "qwen2": Qwen2Config}[family]
    torch.manual_seed(seed)
    config = kind(**({"vocab_size": vocabulary, "initializer_range": 0.2, "eos_token_id": 1} | shape | more))
    return AutoModelForCausalLM.from_config(config).eval()


def tiny(family: str, seed: int = 0):
    """A model with a tokenizer of the words 0 to 39; 0 pads and 1 ends."""
    words = Tokenizer(WordLevel({str(n): n for n in range(WORDS)}, unk_token="2"))  # noqa: S106 - a word
    words.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="0", eos_token="1")  # noqa: S106
    return random_model(family, seed=seed), tokenizer
