"""A model made ready: what it computes in, what its weights are, and that nothing in it is random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from train_models import random_model, tiny

from grpo_prm.train.batch import Batch
from grpo_prm.train.config import TrainConfig
from grpo_prm.train.packing import padded_layout, token_logprobs, tree_layout
from grpo_prm.train.policy import load, prepare
from grpo_prm.train.sample import sample
from grpo_prm.train.tree_fits import fits_tree
from grpo_prm.train.update import update

PROMPTS = [[3, 4, 5, 6], [7, 8]]
ROWS = [[5, 6, 7, 1], [5, 6, 8, 9, 1], [4, 4], [4, 4, 1]]


def ready(model, **settings):
    return prepare(model, tiny("qwen2")[1], TrainConfig(**({"device": "cpu"} | settings)))


@pytest.mark.parametrize("lora", [0, 2])
def test_bfloat16_is_what_is_computed_in_and_not_what_is_trained(tmp_path, lora):
    model, tokenizer = tiny("qwen2")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config = TrainConfig(model=str(tmp_path), dtype="bfloat16", device="cpu", lora=lora, beta=0.1, group_size=2)
    policy = prepare(*load(config), config)
    trained = [p for p in policy.model.parameters() if p.requires_grad]
    assert {p.dtype for p in trained} == {torch.float32} and fits_tree(policy.model) is None
    exact, found = (
        token_logprobs(m, padded_layout(PROMPTS, ROWS, 2, torch.device("cpu"))) for m in (model, policy.model)
    )
    assert 1e-6 < (exact - found).abs().max() < 0.1 and found.dtype == torch.float32
    made = sample(policy.model, PROMPTS, 2, seed=0, step=0, names=range(2), max_new_tokens=4)
    before = [p.detach().clone() for p in trained]
    batch = Batch(PROMPTS, made.completions, 2, np.array([1.0, 0.0, 0.0, 1.0]), made.truncated)
    update(policy.model, torch.optim.Adam(trained, lr=1e-6), batch, config, policy.reference)
    moved = [(p != was).float().mean().item() for p, was in zip(trained, before, strict=True) if p.grad.any()]
    assert np.mean(moved) > 0.5  # of weights in bfloat16 next to none would


def test_dropout_that_is_no_module_is_off():
    config = transformers.OPTConfig(
        vocab_size=40, hidden_size=32, ffn_dim=48, num_hidden_layers=2, num_attention_heads=4, dropout=0.5,
        attention_dropout=0.5, max_position_embeddings=64, word_embed_proj_dim=32, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(0)
    model = ready(transformers.AutoModelForCausalLM.from_config(config)).model
    layout = padded_layout(PROMPTS, ROWS, 2, torch.device("cpu"))
    one, other = (token_logprobs(model, layout) for _ in range(2))
    assert model.training and torch.equal(one, other)


def test_a_tree_that_is_wrong_does_not_fit_in_any_dtype(monkeypatch):
    def wrong(*arguments):
        layout = tree_layout(*arguments)
        return layout._replace(attention={"tree": [span._replace(mask=None) for span in layout.attention["tree"]]})

    monkeypatch.setattr("grpo_prm.train.tree_fits.tree_layout", wrong)
    for dtype in ("float32", "bfloat16"):
        assert "differ" in fits_tree(ready(random_model("llama"), dtype=dtype).model)
