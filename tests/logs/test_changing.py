"""A log that is written to while it is read: every pass sees the bytes that were there first, and it is said."""

import io
import json
import os

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs.log_files import row, write

from grpo_prm.analysis.analyze import analyze
from grpo_prm.errors import InputError
from grpo_prm.logs import ReadOptions, chunks, collect
from grpo_prm.logs import stream as reading
from grpo_prm.logs.changing import SAID, changed, stamp
from grpo_prm.logs.spans import Span

PAIRS = [row(step, key, [1, step], reward) for step in range(1, 5) for key, reward in (("a", 0), ("a", 1))]
MORE = [row(9, "z", [1, 2], 0), row(9, "z", [1, 3], 1)]


def once_found(monkeypatch, act):
    """Do something to the log just after its files were found and looked into."""
    find = reading.open_run

    def found(*args):
        log = find(*args)
        act()
        return log

    monkeypatch.setattr(reading, "open_run", found)


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def lines(rows):
    return "".join(json.dumps(one) + "\n" for one in rows)


@pytest.mark.parametrize("rows", [PAIRS, [*PAIRS[1:], PAIRS[0]]], ids=["in order", "read twice"])
@pytest.mark.parametrize("end", ["\n", '\n{"step": 9, "gro'], ids=["lines", "half a line"])
def test_of_a_log_that_grows_the_first_bytes_are_measured_and_both_sizes_are_said(tmp_path, monkeypatch, rows, end):
    monkeypatch.setattr(chunks, "CHUNK", 100)
    path = write(tmp_path / "log.jsonl", rows)
    before, size = collect(path), path.stat().st_size
    once_found(monkeypatch, lambda: append(path, lines(MORE)[:-1] + end))
    grown = collect(path)
    assert grown.table.equals(before.table, null_equal=True) and grown.rejected.is_empty()
    (note,) = set(grown.notes) - set(before.notes)
    assert f"{path} grew while it was read: {size:,} bytes at the start" in note
    assert f"{path.stat().st_size:,} at the end" in note


def test_a_trainer_that_writes_on_between_two_passes_changes_neither(tmp_path, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 100)  # so that step 1 is over when it comes back
    path = write(tmp_path / "log.jsonl", [*PAIRS[1:], PAIRS[0]])
    before, passes = collect(path), []
    second_pass = reading.sorted_on_disk

    def write_and_pass(*args):
        passes.append(1)
        append(path, lines([row(1, "b", [1], 0), row(7, "b", [1], 0)]))  # of a step that is over, and of a new one
        return second_pass(*args)

    monkeypatch.setattr(reading, "sorted_on_disk", write_and_pass)
    after = collect(path)
    assert passes and after.table.equals(before.table, null_equal=True)
    assert [note for note in after.notes if "grew" in note] and not [note for note in before.notes if "grew" in note]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_a_log_that_is_written_anew_is_said_whatever_it_is(tmp_path, monkeypatch, suffix):
    path, table = tmp_path / f"log{suffix}", pl.DataFrame([row(1, "a", [1], n) for n in range(4)])
    if suffix == ".csv":
        table = table.with_columns(completion=pl.lit("a b")).drop("tokens")
    writers = {".jsonl": table.write_ndjson, ".json": table.write_json, ".csv": table.write_csv}
    writers.get(suffix, table.write_parquet)(path)
    when = stamp(path).modified
    once_found(monkeypatch, lambda: os.utime(path, ns=(when, when + 10**9)))
    notes = analyze([str(path)]).summary["source"]["notes"]
    assert [note for note in notes if note.startswith(f"{path} was written to while it was read")]


def test_a_parquet_that_is_cut_while_it_is_read_is_a_sentence_that_names_both_sizes(tmp_path, monkeypatch):
    path = tmp_path / "log.parquet"
    pl.DataFrame([row(1, "a", [1], n) for n in range(4)]).write_parquet(path)
    size = path.stat().st_size
    once_found(monkeypatch, lambda: path.write_bytes(path.read_bytes()[:50]))
    with pytest.raises(InputError, match=rf"written to while it was read: {size:,} bytes.*, 50 at the end"):
        collect(path)


def test_a_log_that_goes_away_is_said(tmp_path, monkeypatch):
    path = write(tmp_path / "log.jsonl", PAIRS)
    once_found(monkeypatch, path.unlink)
    with pytest.raises(InputError, match="was removed while it was read"):
        collect(path)


def test_many_files_are_three_sentences_and_a_number(tmp_path):
    files = [(str(n), write(tmp_path / f"{n}.jsonl", PAIRS), stamp(tmp_path)) for n in range(SAID + 2)]
    still = ("still", tmp_path / "0.jsonl", stamp(tmp_path / "0.jsonl"))
    said = list(changed([still, *files]))
    assert len(said) == SAID + 1 and said[-1].startswith("2 more files were")
    assert list(changed([still])) == []


def test_a_log_that_nobody_touches_is_not_said_to_change(tmp_path):
    notes = collect(write(tmp_path / "log.jsonl", PAIRS), ReadOptions()).notes
    assert not [note for note in notes if "while it was read" in note]


@given(st.binary(max_size=60), st.integers(0, 60), st.data())
def test_the_first_bytes_of_a_file_are_read_as_a_file_of_these_alone_would_be(tmp_path_factory, content, end, data):
    path = tmp_path_factory.mktemp("up to") / "file"
    path.write_bytes(content)
    end = min(end, len(content))
    sizes = st.integers(0, 30)
    steps = data.draw(st.lists(st.tuples(st.sampled_from(["read", "seek", "end", "all", "into"]), sizes), max_size=6))
    with io.BufferedReader(Span(path, 0, end).open().detach(), 8) as file:
        alone = io.BytesIO(content[:end])
        for step, number in steps:
            if step == "read":
                assert file.read(number) == alone.read(number)
            elif step == "seek":
                assert file.seek(number) == alone.seek(number)
            elif step == "end":
                assert file.seek(-min(number, end), 2) == alone.seek(-min(number, end), 2)
            elif step == "all":
                assert file.read() == alone.read()
            else:
                one, other = bytearray(number), bytearray(number)
                assert file.readinto(one) == alone.readinto(other) and one == other
