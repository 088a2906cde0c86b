"""Small random models of three families, built in code."""

import torch
import transformers

VOCABULARY = 23


def tiny(family: str, vocabulary: int = VOCABULARY, context: int = 64, **more):
    """A model of 2 layers whose next-token distributions are far from uniform."""
    torch.manual_seed(0)
    if family == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=vocabulary, n_positions=context, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3, **more
        )
    else:
        kind = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[family]
        config = kind(
            vocab_size=vocabulary,
            max_position_embeddings=context,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4 if family == "llama" else 2,
            initializer_range=0.3,
            **more,
        )
    return transformers.AutoModelForCausalLM.from_config(config).eval()
