"""A name that the hub does not give: one sentence and what to do, and no page of tries. The hub is one of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

ROWS = [{"prompt": "a", "completion": f"x {n}", "reward": n} for n in range(2)]
ANSWERS = {  # path to status and code, as the hub answers
    "/api/models/some/missing": (404, "RepoNotFound"),
    "/api/models/some/private": (401, "RepoNotFound"),
    "/api/models/some/gated": (200, None),
    "/api/models/some/gated/auth-check": (403, "GatedRepo"),
    "/api/models/some/bare": (200, None),
    "/api/models/some/bare/auth-check": (200, None),
}


class Hub(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        status, code = ANSWERS.get(self.path.partition("?")[0], (404, "EntryNotFound"))
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(json.dumps({"id": "some/model", "siblings": []}).encode())

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    Hub.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run(arguments, folder, endpoint, **more):
    """A command in a folder with a log, an empty cache and this hub."""
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    proxies = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    environment = {**os.environ, **proxies, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "cache"), "HF_TOKEN": ""}
    command = [sys.executable, "-m", "grpo_prm", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**environment, **more}, capture_output=True, text=True, timeout=300, check=False
    )


LOG_IN = "log in with: hf auth login."
GATED = f"(a gated model). Ask on HUB/some/gated, then {LOG_IN}"
REMEDY = "Give a tokenizer.json or the folder that holds one; without --tokenizer pieces are counted."
ABSENT = (
    "no file or folder is called so, and no model of the hub that everybody may load. Check the name; for a private"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("some/missing", f"some/missing: {ABSENT} model {LOG_IN} {REMEDY}"),
        ("some/private", f"some/private: {ABSENT} model {LOG_IN} {REMEDY}"),
        ("some/gated", f"some/gated: its owner gives it to those who ask {GATED}"),
        ("a name", f"a name: no file or folder is called so, and no model of the hub can be (OWNER/NAME). {REMEDY}"),
    ],
)  # fmt: skip
def test_the_reason_in_one_line(name, said, hub, tmp_path):
    done = run(["inspect", "log.jsonl", "--tokenizer", name], tmp_path, hub)
    assert done.stderr == f"error: {said.replace('HUB', hub)}\n"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
def test_a_model_without_a_tokenizer(hub, tmp_path):
    done = run(["inspect", "log.jsonl", "--tokenizer", "some/bare"], tmp_path, hub)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: No tokenizer some/bare: the hub does not give it (")


@pytest.mark.slow
@pytest.mark.parametrize("offline", ["0", "1"])
def test_without_a_network(offline, tmp_path):
    nobody = "http://127.0.0.1:9"
    done = run(["inspect", "log.jsonl", "--tokenizer", "some/model"], tmp_path, nobody, HF_HUB_OFFLINE=offline)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "some/model: no file or folder is called so, and the hub cannot be reached (" in done.stderr
    assert done.stderr.endswith(f"). See to the network. {REMEDY}\n")


@pytest.mark.slow
def test_train_says_so_too_and_before_it_loads_anything(hub, tmp_path):
    pytest.importorskip("torch")
    arguments = ["train", "--model", "some/missing", "--data", "log.jsonl", "--reward", "exact", "--out", "run"]
    done = run(arguments, tmp_path, hub)
    assert done.returncode == 2, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"error: some/missing: {ABSENT}")
    assert "Retrying" not in done.stderr and "smollm2 needs no hub" in done.stderr
    assert [one for one in Hub.asked if "some" in one] == ["/api/models/some/missing"]
