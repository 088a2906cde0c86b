"""What a name on the command line stands for."""

import gzip
import io
import json
import os
from pathlib import Path

import pytest
from logs.log_files import message, row

from grpo_prm.logs import collect
from grpo_prm.logs.names import expanded, places

LOG = "".join(json.dumps(row(reward=float(n))) + "\n" for n in range(2))


def named(given):
    return [place.name for place in places(given)]


def test_a_glob_in_quotes_is_in_natural_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for step in (10, 9, 1):
        (tmp_path / f"step{step}.jsonl").write_text(LOG + "\n" * step)
    assert expanded("step*.jsonl") == ["step1.jsonl", "step9.jsonl", "step10.jsonl"]
    assert expanded("**/step1?.jsonl") == ["step10.jsonl"]
    assert message(lambda: expanded("*.csv")) == (
        "*.csv: no file matches. In . lie step1.jsonl, step10.jsonl, step9.jsonl."
    )
    assert message(lambda: expanded("runs/*.csv")) == (
        "runs/*.csv: no file matches. There is no folder runs: check the path."
    )
    (tmp_path / "odd[1].jsonl").write_text(LOG)
    assert expanded("odd[1].jsonl") == ["odd[1].jsonl"]  # it is called so
    assert len(collect("step*.jsonl").table) == 6


def test_home_and_file_addresses(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    log = tmp_path / "a log.jsonl"
    log.write_text(LOG)
    assert expanded("~/a log.jsonl") == [str(log)] == expanded(f"file://{str(log).replace(' ', '%20')}")
    assert expanded(f"file://localhost{log}") == [str(log)]
    assert "names a file of the machine other" in message(lambda: expanded("file://other/log.jsonl"))
    assert len(collect("~/a log.jsonl").table) == 2


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "The name of a log is empty. Name a file, a folder, or - for standard input."),
        ("roolouts.jsonl", "roolouts.jsonl: no such file. Did you mean rollouts.jsonl?"),
        ("rollouts.json", "rollouts.json: no such file. Did you mean rollouts.jsonl?"),
        ("metrics.jsonl", "metrics.jsonl: no such file. Check the path."),
        ("out/deep/rollouts.jsonl", "out/deep/rollouts.jsonl: no such file. There is no folder out: check the path."),
        ("rollouts.jsonl/x", "rollouts.jsonl/x: no such file. There is no folder rollouts.jsonl: check the path."),
        ("x" * 300 + "/" + "y" * 5000, "no such file. There is no folder xxx"),
    ],
)  # fmt: skip
def test_a_wrong_path(tmp_path, monkeypatch, given, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rollouts.jsonl").write_text(LOG)
    assert said in message(lambda: named(given))


def test_what_is_there_stands_for_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").mkdir()  # like the name of a data set
    (tmp_path / "log.jsonl").write_text(LOG)
    assert list(places("owner/name")) == [(Path("owner/name"), "owner/name", None)]
    assert list(places("log.jsonl")) == [(Path("log.jsonl"), "log.jsonl", None)]


def test_a_packed_pipe_of_the_shell(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, gzip.compress(LOG.encode()))
    os.close(writing)
    got = collect(f"/dev/fd/{reading}")
    assert len(got.table) == 2 and got.table["run"][0] == "pipe" and got.files == (f"/dev/fd/{reading}",)
    os.close(reading)


def test_a_pipe_that_is_named_twice(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LOG.encode())))
    assert message(lambda: collect(["-", "-"])) == "-: named twice, but its rows come once. Name it once."
