"""Sampling in a process of its own, whichever checkout `PYTHONPATH` names: `one_sampling.py NEW CONTEXT:RANK ...`.

Prints for each context and LoRA rank (0: none) the tokens per second of CPU on one thread, and how far the sampler's
log-probabilities are from the trainer's, nats: their mean and the 99th percentile.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from grpo_prm.train.config import TrainConfig
from grpo_prm.train.packing import padded_layout, token_logprobs
from grpo_prm.train.policy import adapter_of
from grpo_prm.train.sample import sample

GROUPS, K = 4, 8
WORDS = 49_152


def model_of(rank: int) -> Any:
    """A model of the shape of SmolLM2-135M with random weights, which computes in bfloat16."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        tie_word_embeddings=True,
        max_position_embeddings=8192,
        rope_theta=100_000,
        bos_token_id=None,
        eos_token_id=None,
    )
    model: Any = LlamaForCausalLM(config).to(torch.bfloat16)
    model.compute_dtype = torch.bfloat16
    if rank:
        from peft import get_peft_model

        model = get_peft_model(model, adapter_of(TrainConfig(lora=rank)))
    return model.eval()


def main(new: int, settings: list[str]) -> None:
    """Sample from 4 prompts x 8, none ending before the limit; a context is that in the middle of the completions."""
    torch.set_num_threads(1)
    for setting in settings:
        context, rank = map(int, setting.split(":"))
        model = model_of(rank)
        prompts = np.random.default_rng(0).integers(WORDS, size=(GROUPS, context - new // 2)).tolist()
        sample(model, prompts, K, seed=0, step=0, names=range(GROUPS), max_new_tokens=2)
        begin = time.process_time()
        sampled = sample(model, prompts, K, seed=0, step=1, names=range(GROUPS), max_new_tokens=new)
        speed = GROUPS * K * new / (time.process_time() - begin)
        layout = padded_layout(prompts[:1], sampled.completions[:K], K, torch.device("cpu"))
        with torch.no_grad():
            gap = np.abs(token_logprobs(model, layout).numpy() - np.concatenate(sampled.logprobs[:K]))
        print(speed, gap.mean(), np.quantile(gap, 0.99), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
