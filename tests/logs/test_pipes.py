"""Pipes that are opened again, without a copy on disk."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread
from weakref import finalize

import polars as pl
import pytest
from logs.log_files import message

from grpo_prm.logs import pipes
from grpo_prm.logs.pipes import Pipe, is_pipe, pipe_at, standard_input

DATA = bytes(range(256)) * 4000  # more than a pipe of the operating system holds at once


def filled(data, name="-"):
    """A pipe of the operating system, into which a thread writes."""
    reading, writing = os.pipe()

    def write():
        with suppress(BrokenPipeError), os.fdopen(writing, "wb") as file:  # a test may not read it all
            for at in range(0, len(data), 70_001):
                file.write(data[at : at + 70_001])
                file.flush()

    Thread(target=write, daemon=True).start()
    file = os.fdopen(reading, "rb")
    pipe = Pipe(file, name)
    finalize(pipe, file.close)
    return pipe


@pytest.mark.parametrize("make", [filled, lambda data: Pipe(io.BytesIO(data), "-")], ids=["system", "memory"])
def test_a_pipe_is_opened_as_often_as_one_likes_while_it_is_kept(make):
    pipe = make(DATA)
    first = pipe.open()
    assert first.peek(6)[:6] == DATA[:6] and first.tell() == 0
    assert first.read(300) == DATA[:300] and first.tell() == 300
    assert pipe.open().read() == DATA and first.read() == DATA[300:] and pipe.open().read() == DATA


def test_what_is_too_much_to_keep_goes_through_once(monkeypatch):
    monkeypatch.setattr(pipes, "KEPT", 100_000)
    pipe = filled(DATA)
    assert pipe.open().read(100) == DATA[:100]  # as detection does
    reader, early = pipe.open(), pipe.open()
    assert early.read(10) == DATA[:10]
    assert reader.read() == DATA and pipe._kept is None
    said = message(lambda: pipe.open().read())
    assert "0 MB came through the pipe, and the log must be read again" in said and "Save it to a file first" in said


@pytest.mark.parametrize("kept", [65_535, 65_536, 65_537, 140_002, len(DATA) - 1, len(DATA)])
def test_nothing_is_lost_at_the_border(monkeypatch, kept):
    monkeypatch.setattr(pipes, "KEPT", kept)
    pipe, buffer = filled(DATA), bytearray(len(DATA) + 5)
    pipe.open()
    assert pipe.open().readinto(buffer) == len(DATA) and buffer[:-5] == DATA
    assert (pipe._kept is None) == (kept < len(DATA))


def test_a_file_behind_the_sign_is_read_again_from_where_it_stood(tmp_path, monkeypatch):
    monkeypatch.setattr(pipes, "KEPT", 10)
    (tmp_path / "log").write_bytes(DATA)
    with (tmp_path / "log").open("rb", buffering=0) as file:
        file.read(100)  # a shell took the first line
        pipe = Pipe(file, "-")
        assert pipe.size == len(DATA) - 100
        assert pipe.open().read() == DATA[100:] == pipe.open().read() and not pipe._kept


def test_a_parquet_from_a_pipe_can_be_read_from_its_end(monkeypatch):
    frame = pl.DataFrame({"a": range(1000)})
    file = io.BytesIO()
    frame.write_parquet(file)
    pipe = filled(file.getvalue())
    for _ in range(2):
        assert pl.read_parquet(pipe.open()).equals(frame)
    monkeypatch.setattr(pipes, "WHOLE", 100)
    assert "more than 0 GB of a parquet file came through the pipe" in message(filled(file.getvalue()).open)


def test_nothing_comes():
    assert message(filled(b"").open) == ("-: nothing came through the pipe. See whether what writes to it failed.")


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert message(standard_input).startswith("-: standard input is closed. Pipe a log into the command")


def test_standard_input_is_the_same_pipe_each_time(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(DATA)))
    assert standard_input() is standard_input() and standard_input().open().read() == DATA
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"other")))
    assert standard_input().open().read() == b"other"


def test_a_named_pipe(tmp_path):
    path = tmp_path / "log.jsonl"
    os.mkfifo(path)
    assert is_pipe(path) and not is_pipe(tmp_path) and not is_pipe(tmp_path / "none")
    Thread(target=path.write_bytes, args=(DATA,), daemon=True).start()
    pipe = pipe_at(path, "log.jsonl")
    assert pipe.open().read() == DATA == pipe.open().read() and pipe.size is None


def test_what_the_shell_makes_of_a_process(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"{}\n" * 10)
    os.close(writing)
    path = Path(f"/dev/fd/{reading}")
    assert is_pipe(path)
    pipe = pipe_at(path, str(path))
    assert pipe.open().read() == b"{}\n" * 10 == pipe.open().read()
    os.close(reading)
