"""Checkpoints: what goes on from one is what would have gone on without; damage is passed over and said."""

import json
import os
import random
import stat

import numpy as np
import pytest
import torch
from kills import kill_at
from torch import nn
from train_models import tiny

from grpo_prm.errors import InputError
from grpo_prm.files import NEW, UMASK, _beside
from grpo_prm.train.checkpoint import (
    Training,
    clear_folders,
    has_checkpoint,
    keep_best,
    keep_model,
    restore,
    save,
    seed_everything,
)

torch.set_num_threads(1)


def made(seed=0, optimizer=torch.optim.Adam, tied=False):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 5), nn.Linear(5, 7, bias=False))
    if tied:
        model[2].weight = model[0].weight
    model[1].bias.requires_grad_(False)
    weights = [part for part in model.parameters() if part.requires_grad]
    kind = optimizer(weights, lr=0.1)
    return Training(model, kind, torch.optim.lr_scheduler.LambdaLR(kind, lambda step: 1 / (1 + step)))


def go(training, steps):
    """Steps that depend on everything that is kept: weights, moments, rate and the three global generators."""
    for _ in range(steps):
        ids = torch.randint(0, 7, (4,))
        noise = np.random.normal() + random.gauss(0, 1)  # noqa: NPY002 - what is left of a pair is state too
        loss = (training.model(ids) * noise).logsumexp(-1).sum()
        training.optimizer.zero_grad()
        loss.backward()
        training.optimizer.step()
        training.schedule.step()
    return [part.detach().clone() for part in training.model.parameters()], training.schedule.get_last_lr()


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_going_on_from_a_checkpoint_is_going_on(tmp_path, kind, tied):
    seed_everything(3)
    training = made(optimizer=kind, tied=tied)
    go(training, 3)
    save(tmp_path, 3, training, {"best": 0.5, "before": [0.1, None, None, 3]}, keep=2)
    weights, rate = go(training, 3)
    seed_everything(99)
    other = made(seed=1, optimizer=kind, tied=tied)
    other.model[1].bias.copy_(training.model[1].bias)  # frozen: comes with the model, not with the checkpoint
    state, notes = restore(tmp_path, other)
    assert (state, notes) == ({"best": 0.5, "before": [0.1, None, None, 3], "step": 3}, [])
    again, rate_again = go(other, 3)
    assert rate == rate_again and all(torch.equal(a, b) for a, b in zip(weights, again, strict=True))


def test_equal_states_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        seed_everything(3)
        training = made()
        go(training, 2)
        save(tmp_path / name, 2, training, {}, keep=2)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert [path.name for path in files] == ["model.safetensors", "optimizer.pt", "state.json"]
    assert all((tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes() for path in files)


def test_the_last_ones_stay(tmp_path):
    training = made()
    for step in (2, 9, 10, 100):
        save(tmp_path, step, training, {}, keep=2)
    place = tmp_path / "checkpoints"
    assert sorted(path.name for path in place.iterdir()) == ["step_000010", "step_000100"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o777 & ~UMASK}
    assert restore(tmp_path, training)[0]["step"] == 100


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone", "empty"])
def test_a_damaged_checkpoint_is_passed_over_and_said(tmp_path, name, damage):
    seed_everything(0)
    training = made()
    save(tmp_path, 1, training, {}, keep=2)
    weights, _ = go(training, 0)
    go(training, 2)
    save(tmp_path, 3, training, {}, keep=2)
    path = tmp_path / "checkpoints" / "step_000003" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif name == "state.json" and damage == "flip":
        path.write_bytes(b"[" + content[1:])
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        path.write_bytes({"cut": content[:middle], "empty": b"", "flip": flipped}[damage])
    other = made(seed=1)
    state, (note,) = restore(tmp_path, other)
    assert state["step"] == 1 and "step_000003 is damaged" in note and "an earlier checkpoint is used" in note
    trained = [part.requires_grad for part in other.model.parameters()]
    found, _ = go(other, 0)
    assert all(torch.equal(a, b) for a, b, ours in zip(weights, found, trained, strict=True) if ours)
    assert not other.optimizer.state_dict()["state"]  # nothing of the damaged one was taken over
    assert not path.parent.exists()  # so that it does not stand before what is saved from here on


def test_none_that_fits_is_an_error(tmp_path):
    save(tmp_path, 1, made(), {}, keep=2)
    larger = Training(nn.Linear(3, 3), made().optimizer, made().schedule)
    with pytest.raises(InputError, match=r"cannot be loaded .*weights are those of another model.*--out"):
        restore(tmp_path, larger)


def test_none_yet(tmp_path):
    assert not has_checkpoint(tmp_path)
    with pytest.raises(InputError, match="no checkpoint to resume from"):
        restore(tmp_path, made())
    save(tmp_path, 1, made(), {}, keep=1)
    assert has_checkpoint(tmp_path)


def test_what_a_killed_process_left_is_gone_with_the_next(tmp_path):
    save(tmp_path, 1, made(), {}, keep=1)
    _beside(tmp_path / "checkpoints" / "step_000002", NEW)
    restore(tmp_path, made())
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_000001"]


def test_another_number_of_threads_is_said(tmp_path):
    training = made()
    save(tmp_path, 1, training, {}, keep=1)
    path = tmp_path / "checkpoints" / "step_000001" / "state.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"counts": {"threads": 7, "processes": 1}}))
    assert "had 7 threads and has 1 now" in restore(tmp_path, training)[1][0]


def test_weights_only(tmp_path):
    """A file that would run code when it is loaded is not loaded."""
    training = made()
    save(tmp_path, 1, training, {}, keep=1)
    folder = tmp_path / "checkpoints" / "step_000001"
    torch.save({"optimizer": Trap(tmp_path / "sprung")}, folder / "optimizer.pt")
    state = json.loads((folder / "state.json").read_text())
    state["sums"].pop("optimizer.pt")
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(InputError):
        restore(tmp_path, training)
    assert not (tmp_path / "sprung").exists()


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_models_load_with_transformers_and_the_better_one_takes_the_place(tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = tiny("gpt2")
    keep_best(tmp_path, model, tokenizer)
    with torch.no_grad():
        model.transformer.wte.weight.add_(1)
    keep_best(tmp_path, model, tokenizer)
    keep_model(tmp_path / "model", model, tokenizer)
    for place in (tmp_path / "checkpoints" / "best", tmp_path / "model"):
        loaded = AutoModelForCausalLM.from_pretrained(place)
        assert torch.equal(loaded.transformer.wte.weight, model.transformer.wte.weight)
        assert AutoTokenizer.from_pretrained(place).eos_token_id == 1
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best"]


def test_an_adapter_is_kept_alone(tmp_path):
    from peft import LoraConfig, get_peft_model

    model, _ = tiny("llama")
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    trained = [part for part in adapted.parameters() if part.requires_grad]
    kind = torch.optim.SGD(trained, lr=1.0)
    training = Training(adapted, kind, torch.optim.lr_scheduler.LambdaLR(kind, lambda _: 1.0))
    save(tmp_path, 1, training, {}, keep=1)
    size = (tmp_path / "checkpoints" / "step_000001" / "model.safetensors").stat().st_size
    assert size < 4 * sum(part.numel() for part in trained) + 20_000
    assert size < 4 * sum(part.numel() for part in adapted.parameters())
    before = [part.detach().clone() for part in trained]
    with torch.no_grad():
        for part in trained:
            part.add_(1)
    restore(tmp_path, training)
    assert all(torch.equal(a, b) for a, b in zip(before, trained, strict=True))


@pytest.mark.parametrize("moment", range(8))
@pytest.mark.parametrize("what", ["checkpoint", "best"])
def test_killed_at_any_change_of_the_folder_a_whole_one_is_left(tmp_path, moment, what):
    """The process ends at the n-th change of names or removal; a new process then goes on from a whole state."""
    training = made()
    model, tokenizer = tiny("gpt2")
    seed_everything(0)
    save(tmp_path, 1, training, {}, keep=2)
    save(tmp_path, 2, training, {}, keep=2)
    keep_best(tmp_path, model, tokenizer)

    def work():
        if what == "best":
            keep_best(tmp_path, model, tokenizer)
        else:
            save(tmp_path, 2, training, {}, keep=2)
            save(tmp_path, 3, training, {}, keep=2)

    kill_at(moment, work)
    state, notes = restore(tmp_path, training)
    assert state["step"] >= 2 - (what == "checkpoint" and moment <= 2) and notes == []
    names = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert "best" in names and not any(name.startswith(".") for name in names)
    assert (tmp_path / "checkpoints" / "best" / "model.safetensors").exists()


def test_clearing_leaves_others_files_alone(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".notes.txt").write_text("mine")
    (tmp_path / ".x.old.notes").mkdir()
    (tmp_path / "._notes.old.txt").write_text("mine")
    before = set(tmp_path.iterdir())
    for place in (tmp_path / "model", tmp_path / "checkpoints" / "step_000001"):
        place.parent.mkdir(exist_ok=True)
        _beside(place, NEW)
    clear_folders(tmp_path)
    assert set(tmp_path.rglob("*")) == {*before, tmp_path / "checkpoints"}
