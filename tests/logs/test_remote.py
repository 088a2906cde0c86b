"""Logs that lie elsewhere: over http from this machine, and through fsspec from memory."""

import builtins
import json
import sys
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from logs.log_files import message, row

from grpo_prm.errors import UsageError
from grpo_prm.logs import collect, remote
from grpo_prm.logs.remote import fetched, is_remote

fsspec = pytest.importorskip("fsspec")
LOG = "".join(json.dumps(row(reward=float(n))) + "\n" for n in range(2)).encode()


@pytest.fixture(autouse=True)
def _place(tmp_path, monkeypatch):
    """Temporary folders go into the folder of the test."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


def left(tmp_path):
    return [path for path in (tmp_path / "temporary").rglob("*") if path.is_file()]


class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/secret"):
            self.send_error(403)
        elif self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(LOG)
        elif self.path.startswith("/download"):
            self.send_response(200)
            self.send_header("Content-Disposition", 'attachment; filename="../../log.jsonl"')
            self.end_headers()
            self.wfile.write(LOG)
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as httpd:
        Thread(target=httpd.serve_forever, args=(0.01,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    for path in system.find("/"):
        system.rm(path)


@pytest.mark.parametrize(
    ("name", "true"),
    [
        ("https://host/log.jsonl", True), ("s3://bucket/log.jsonl", True), ("gs://b/runs", True),
        ("hf://datasets/a/b", True),
        ("owner/name", True), ("Owner-1/name.v2", True), ("openai/gsm8k", True),
        ("log.jsonl", False), ("runs/log.jsonl", False), ("runs/log.jsonl.gz", False), ("a/b/c", False),
        ("./a/b", False),
        ("/a/b", False), ("../b", False), ("a/", False), ("-", False), ("file:///a/b", False), ("here/name", False),
        ("here/there", False), ("C:/log.parquet", False),
    ],
)  # fmt: skip
def test_what_is_elsewhere(tmp_path, monkeypatch, name, true):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here" / "there").mkdir(parents=True)
    assert is_remote(name) == true


def test_a_log_over_http(server, tmp_path):
    folder, address = server
    (folder / "run 7").mkdir()
    (folder / "run 7" / "log.jsonl").write_bytes(LOG)
    got = collect(f"{address}/run%207/log.jsonl?download=true")
    assert len(got.table) == 2 and got.table["run"][0] == "log"
    assert got.files == (f"{address}/run%207/log.jsonl?download=true",)
    path = fetched(f"{address}/run%207/log.jsonl")
    assert path.parts[-2:] == ("run 7", "log.jsonl")
    path = fetched(f"{address}/download/7?id=1")
    assert path.name == "log.jsonl" and path.is_relative_to(tmp_path / "temporary")


def test_what_goes_wrong_over_http(server, tmp_path, monkeypatch):
    folder, address = server
    (folder / "page.jsonl").write_text("\n<!DOCTYPE html><html>log in</html>")
    (folder / "log.jsonl").write_bytes(LOG)
    cases = {
        "none.jsonl": "there is no such file, or no log in such a folder. Check the address.",
        "secret.jsonl": "the server does not give it (403 Forbidden). Log in there, or download it yourself",
        "short.jsonl": f"the connection ended after {len(LOG)} of 1,000 bytes. Try again.",
        "page.jsonl": "a web page, not a log. Give the address of the file itself: its raw or download link.",
    }
    for name, said in cases.items():
        assert message(lambda name=name: fetched(f"{address}/{name}")).startswith(f"{address}/{name}: {said}")
    monkeypatch.setattr(remote, "BYTES", 10)
    assert "more than 0 GB. Copy here what you mean" in message(lambda: fetched(f"{address}/log.jsonl"))
    assert not left(tmp_path)


def test_a_server_that_is_not_there():
    said = message(lambda: fetched("http://127.0.0.1:9/log.jsonl"))
    assert said.startswith("http://127.0.0.1:9/log.jsonl: cannot be fetched (") and "Connection refused" in said
    assert said.endswith("Check the address and the network, or download it yourself and name the copy.")


def test_a_file_a_folder_and_a_glob_through_fsspec(memory):
    for name in ("runs/r1/step_1/log.jsonl", "runs/r1/step_2/log.jsonl", "runs/r1/model.safetensors"):
        step = name.partition("step_")[2][:1]
        memory.pipe(f"/{name}", LOG.replace(b'"step": 1', f'"step": {step}'.encode()))
    assert len(collect("memory://runs/r1/step_1/log.jsonl").table) == 2
    got = collect("memory://runs/r1")
    assert got.table["step"].to_list() == [1, 1, 2, 2] and got.files[0] == "memory://runs/r1/step_1/log.jsonl"
    assert set(got.table["run"]) == {"r1"}
    folder = fetched("memory://runs/r1")
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["log.jsonl", "log.jsonl"]
    assert collect("memory://runs/r1/step_*/log.jsonl").table["step"].to_list() == [1, 1, 2, 2]
    assert message(lambda: fetched("memory://runs/r2")).startswith("memory://runs/r2: there is no such file")


def test_a_folder_that_is_too_large(memory, monkeypatch, tmp_path):
    memory.pipe("/runs/log.jsonl", LOG)
    monkeypatch.setattr(remote, "BYTES", 10)
    assert (
        message(lambda: fetched("memory://runs")) == "memory://runs: 0 GB. Copy here what you mean, and name the copy."
    )
    assert not left(tmp_path)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("owner/name", "hf://datasets/owner/name"),
        ("https://huggingface.co/datasets/o/n", "hf://datasets/o/n"),
        ("https://huggingface.co/datasets/o/n/tree/main/data", "hf://datasets/o/n@main/data"),
        ("https://huggingface.co/datasets/o/n/blob/main/a%20b.jsonl?x=1", "hf://datasets/o/n@main/a b.jsonl"),
        ("https://huggingface.co/datasets/o/n/resolve/main/a.jsonl", None),
        ("https://github.com/o/r/blob/main/a.jsonl", "https://raw.githubusercontent.com/o/r/main/a.jsonl"),
        ("s3://b/k", None),
    ],
)
def test_pages_that_people_copy_from_the_browser(given, place):
    assert remote._place(given) == (place or given)


def test_what_is_said_without_the_packages(monkeypatch):
    imported = builtins.__import__

    def absent(name, *args, **more):
        if name.partition(".")[0] in ("fsspec", "s3fs"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imported(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    monkeypatch.delitem(sys.modules, "fsspec.core", raising=False)
    with pytest.raises(UsageError) as raised:
        fetched("s3://bucket/log.jsonl")
    assert str(raised.value).startswith("s3://bucket/log.jsonl: reading s3:// needs a package that is missing (")
    assert str(raised.value).endswith("Install it: pip install 'grpo-prm[remote]'.")
    assert message(lambda: fetched("owner/name")) == (
        "owner/name: no such file or folder here. Check the path; if a data set of the hub is meant, install what reads"
        " it: pip install 'grpo-prm[remote]'."
    )


def test_the_hub(monkeypatch):
    class Hub:
        def info(self, root):
            if "private" in root:
                raise FileNotFoundError(root)
            if "away" in root:
                raise ConnectionError("Name or service not known\nmore")
            return {"type": "directory"}

        def find(self, root, detail):
            return {f"{root}/data/train.parquet": {"size": 3}, f"{root}/README.md": {"size": 3}}

        def get_file(self, path, target):
            Path(target).write_bytes(path.encode())

    monkeypatch.setattr("fsspec.core.url_to_fs", lambda place: (Hub(), place.partition("://")[2]))
    folder = fetched("owner/name")
    assert (folder.name, [p.name for p in folder.rglob("*") if p.is_file()]) == ("name", ["train.parquet"])
    assert (folder / "data" / "train.parquet").read_text() == "datasets/owner/name/data/train.parquet"
    assert message(lambda: fetched("owner/private")) == (
        "owner/private: no such file or folder here, and the hub has no data set of this name with logs that may be"
        " read. Check the path; to a private data set, log in first with hf auth login."
    )
    assert message(lambda: fetched("owner/away")) == (
        "owner/away: no such file or folder here, and the data set of this name on the hub cannot be fetched (Name or"
        " service not known). Check the path and the network, or download it yourself and name the copy."
    )


def test_a_way_that_nobody_knows():
    assert message(lambda: fetched("foo://a/b")) == (
        "foo://a/b: there is no way to read foo://. Copy the log here, and name the copy."
    )
    # This one logs in before anything is asked for.
    assert message(lambda: fetched("ftp://127.0.0.1:1/log.jsonl")).startswith(
        "ftp://127.0.0.1:1/log.jsonl: cannot be fetched (Connection refused). Check the address"
    )
