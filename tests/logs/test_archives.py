"""Archives of logs."""

import io
import json
import random
import tarfile
import tempfile
import zipfile

import pytest
import zstandard
from logs.log_files import groups, message, row

from grpo_prm.logs import archives, collect
from grpo_prm.logs.archives import expand, is_archive
from grpo_prm.logs.pipes import Pipe

SHARDS = {
    f"step_{step}/rollouts.jsonl": "".join(
        json.dumps({"group": key, "tokens": [step, n], "reward": float(n)}) + "\n" for key in "ab" for n in range(2)
    ).encode()
    for step in (2, 10)
}


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """Temporary folders go into the folder of the test."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def made_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            content = b"" if isinstance(data, tarfile.TarInfo) else data
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def made_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def made(path, members):
    if path.name.endswith((".zip", ".npz")):
        return made_zip(path, members)
    if path.name.endswith(".zst"):
        data = made_tar(path.with_suffix(".plain"), members, "w").read_bytes()
        path.write_bytes(zstandard.compress(data))
        return path
    return made_tar(path, members, "w:" + {"tgz": "gz"}.get(path.suffix[1:], path.suffix[1:]).replace("tar", ""))


def link(name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz", "tar.zst"])
def test_an_archive_is_read_like_the_folder_in_it(tmp_path, monkeypatch, ending):
    archive = made(tmp_path / f"run7.{ending}", SHARDS)
    folder = tmp_path / "run7"
    for name, data in SHARDS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    got = collect(archive)
    assert groups(got) == groups(collect(folder)) and len(groups(got)) == 4
    assert set(got.table["run"]) == {"run7"} and got.files[0] == f"{archive}/step_2/rollouts.jsonl"


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_an_archive_through_a_pipe(tmp_path, monkeypatch, ending):
    data = made(tmp_path / f"run7.{ending}", SHARDS).read_bytes()
    monkeypatch.setattr("grpo_prm.logs.names.standard_input", lambda: Pipe(io.BytesIO(data), "-"))
    got = collect("-")
    assert len(groups(got)) == 4 and set(got.table["run"]) == {"stdin"} and got.files[0] == "-/step_2/rollouts.jsonl"


@pytest.mark.parametrize(
    "member", ["../out.jsonl", "/outside/out.jsonl", "a/../../out.jsonl", "..\\out.jsonl", "C:/out"]
)
@pytest.mark.parametrize("ending", ["zip", "tar"])
def test_no_file_is_written_outside(tmp_path, member, ending):
    archive = made(tmp_path / f"log.{ending}", {"good.jsonl": b"{}\n", member: b"{}\n"})
    before = {path for path in tmp_path.rglob("*") if "temporary" not in path.parts}
    said = message(lambda: expand(archive, "log"))
    assert "would lie outside of the folder" in said and said.endswith("Unpack it yourself, and name the folder.")
    assert {path for path in tmp_path.rglob("*") if "temporary" not in path.parts} == before
    assert not list((tmp_path / "temporary").rglob("*.jsonl"))


def test_links_and_what_a_mac_adds_are_left_out(tmp_path):
    members = {
        "log.jsonl": b"{}\n",
        "passwd": link("passwd", "/etc/passwd"),
        "._log.jsonl": b"\0",
        "d": link("d", ".."),
    }
    folder = expand(made(tmp_path / "log.tar", members), "log.tar")
    assert [path.name for path in folder.rglob("*")] == ["log.jsonl"]
    zipped = made(tmp_path / "log.zip", {"a/log.jsonl": b"{}\n", "__MACOSX/a/._log.jsonl": b"\0"})
    with zipfile.ZipFile(zipped, "a") as archive:
        info = zipfile.ZipInfo("passwd")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
    folder = expand(zipped, "other.zip")
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["log.jsonl"]


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_an_archive_that_is_too_large(tmp_path, monkeypatch, ending):
    archive = made(tmp_path / f"log.{ending}", {"a": bytes(1000), "b": bytes(1000)})
    monkeypatch.setattr(archives, "BYTES", 1500)
    assert message(lambda: expand(archive, "log")).startswith("log: holds more than 0.0 GB, too much for its size")
    assert not [path for path in (tmp_path / "temporary").rglob("*") if path.is_file()]
    monkeypatch.setattr(archives, "BYTES", 2000)
    monkeypatch.setattr(archives, "MEMBERS", 1)
    assert "log: holds more than 1 files." in message(lambda: expand(archive, "other/log"))


@pytest.mark.parametrize("ending", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
def test_every_cut_is_noticed(tmp_path, ending):
    noise = random.Random(7).randbytes(6000)  # noqa: S311
    data = made(tmp_path / f"log.{ending}", {f"{n}.jsonl": noise[n:] for n in range(3)}).read_bytes()
    data = data.rstrip(b"\0")  # the end of a .tar is empty
    for share in (3, 2, 1.5, 1.2):
        cut = tmp_path / f"cut{share}.{ending}"
        cut.write_bytes(data[: int(len(data) / share)])
        assert "cut short" in message(lambda cut=cut: collect(cut))


def test_a_damaged_header_is_not_the_end(tmp_path):
    data = bytearray(made(tmp_path / "log.tar", {"a": bytes(512), "b": bytes(512)}).read_bytes())
    data[1024 + 148] ^= 1  # the checksum of the second header
    (tmp_path / "log.tar").write_bytes(data)
    assert "cut short or damaged" in message(lambda: expand(tmp_path / "log.tar", "log.tar"))


def test_zips_that_are_one_log_are_none_of_logs(tmp_path):
    assert is_archive(made(tmp_path / "a.zip", {"runs/header.json": b"", "log.jsonl": b""}), "")
    for name in ("header.json", "_journal/start.json", "data.pkl", "archive/data.pkl"):
        assert not is_archive(made(tmp_path / "b.zip", {name: b"{}"}), "")
    (tmp_path / "log.jsonl").write_text(json.dumps(row()))
    assert not is_archive(tmp_path / "log.jsonl", "")


def test_what_is_no_archive_of_logs_is_said(tmp_path):
    assert not is_archive(made(tmp_path / "log.zip", {"[Content_Types].xml": b"", "xl/a.xml": b""}), "log.zip")
    assert not is_archive(made(tmp_path / "arrays.zip", {"a.npy": b""}), "arrays.zip")
    empty = made(tmp_path / "no.tar", {"d": link("d", "..")})
    assert "no.tar: the archive holds no file." in message(lambda: expand(empty, "no.tar"))
    locked = bytearray(made(tmp_path / "locked.zip", {"a": b"a"}).read_bytes())
    locked[locked.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    (tmp_path / "locked.zip").write_bytes(locked)
    assert "locked.zip: the archive is encrypted." in message(lambda: expand(tmp_path / "locked.zip", "locked.zip"))
