"""Whether a model may be trained tree-packed where it computes in less than float32."""

from __future__ import annotations

import copy

import pytest
import torch
from train_models import random_model, tiny

from grpo_prm.train.config import TrainConfig
from grpo_prm.train.full_precision import in_float32
from grpo_prm.train.packing import padded_layout, token_logprobs
from grpo_prm.train.policy import prepare
from grpo_prm.train.tree_fits import fits_tree, trial

CPU = torch.device("cpu")


def weights_in_bfloat16(lora: int = 2):
    """A model as `load` gives it under an adapter: its own weights bfloat16, the adapter's float32."""
    model = random_model("llama").to(torch.bfloat16)
    return prepare(model, tiny("llama")[1], TrainConfig(device="cpu", dtype="bfloat16", lora=lora)).model


def test_for_a_moment_a_model_computes_in_float32():
    model = weights_in_bfloat16()
    layout = padded_layout(*trial(model), 2, CPU)
    before = {name: (p.data_ptr(), p.dtype) for name, p in model.named_parameters()}
    exact = copy.deepcopy(model).float()
    exact.get_base_model().compute_dtype = torch.float32
    with torch.no_grad():
        expected, rounded = token_logprobs(exact, layout), token_logprobs(model, layout)
    with in_float32(model):
        found = token_logprobs(model, layout)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert (rounded - expected).abs().max() > 1e-3
    assert {name: (p.data_ptr(), p.dtype) for name, p in model.named_parameters()} == before
    torch.testing.assert_close(token_logprobs(model, layout).detach(), rounded, atol=0, rtol=0)


def test_weights_are_what_they_were_after_an_error():
    model = weights_in_bfloat16()
    before = {name: (p.data_ptr(), p.dtype) for name, p in model.named_parameters()}
    with pytest.raises(IndexError), in_float32(model):
        model(input_ids=torch.tensor([[10**6]]))  # no such word
    assert {name: (p.data_ptr(), p.dtype) for name, p in model.named_parameters()} == before


@pytest.mark.parametrize("make", [weights_in_bfloat16, lambda: weights_in_bfloat16(lora=4)])
def test_a_tree_in_bfloat16_fits_within_its_own_rounding(make):
    assert fits_tree(make()) is None


@pytest.mark.parametrize(("share", "fits"), [(0.5, True), (8.0, False)])
def test_a_tree_noisier_than_the_rounding_of_the_model_does_not_fit(share, fits):
    """Noise of the packed row alone, as a kernel of less precision would have it, where bfloat16 is computed in."""
    model = weights_in_bfloat16()
    layout = padded_layout(*trial(model), 2, CPU)
    with torch.no_grad(), in_float32(model):
        exact = token_logprobs(model, layout)
    rounding = (token_logprobs(model, layout).detach() - exact).abs().mean()

    def noisy(_module, arguments, output):
        packed = arguments[0].ndim == 2 and len(layout.target) != len(arguments[0])
        if packed and arguments[0].dtype == torch.bfloat16:
            draw = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
            return output + (share * rounding * draw).to(output.dtype)
        return output

    model.get_base_model().get_output_embeddings().register_forward_hook(noisy)
    assert (fits_tree(model) is None) == fits
    if not fits:
        assert "where rounding alone gives" in fits_tree(model)
