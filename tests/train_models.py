"""Tiny models of three families, built in code, with a word-level tokenizer."""

from __future__ import annotations

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

WORDS = 40
ROTARY = {
    "vocab_size": WORDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
}
FAMILIES = {
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(
            vocab_size=WORDS,
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=128,
            initializer_range=0.2,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            eos_token_id=1,
            bos_token_id=1,
        )
    ),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**ROTARY, eos_token_id=1)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**ROTARY, num_key_value_heads=2, eos_token_id=1)),
}


def tiny(family: str, seed: int = 0):
    """A model of a family with random weights, and a tokenizer of the words 0 to 39; 0 pads and 1 ends."""
    torch.manual_seed(seed)
    words = Tokenizer(WordLevel({str(n): n for n in range(WORDS)}, unk_token="2"))  # noqa: S106 - a word
    words.pre_tokenizer = WhitespaceSplit()
    return FAMILIES[family](), PreTrainedTokenizerFast(tokenizer_object=words, pad_token="0", eos_token="1")  # noqa: S106
