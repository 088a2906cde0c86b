"""`grpo-prm analyze --follow`: what it says while logs are written, and that its summary is that of `analyze`."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import subprocess
import sys
from threading import Event

import numpy as np
import polars as pl
import pytest
from grpo_prm_cli.follow import follow

from grpo_prm.analysis.analyze import analyze
from grpo_prm.errors import InputError, UsageError
from grpo_prm.logs import ReadOptions

K = 4


class Script(Event):
    """What a trainer does between two looks; stops behind the last."""

    def __init__(self, *acts):
        super().__init__()
        self.acts = list(acts)

    def wait(self, timeout=None):
        assert timeout and timeout > 0  # no busy loop
        if self.acts:
            self.acts.pop(0)()
        else:
            self.set()
        return self.is_set()


def rows(step, groups=3, **more):
    rng = np.random.default_rng(step)
    for p in range(groups):
        for i in range(K):
            tokens = rng.integers(0, 3, 6).tolist()
            yield {"step": step, "uid": f"{step}-{p}", "completion_ids": tokens, "reward": float(i % 2), **more}


def text(some):
    return "".join(json.dumps(row) + "\n" for row in some).encode()


def appends(path, data):
    def act():
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write(data)

    return act


def verl(step):
    for row in rows(step):
        said = " ".join(map(str, row["completion_ids"]))
        yield {"step": step, "input": row["uid"], "output": said, "gts": row["uid"], "score": row["reward"]}


def trl(step):
    some = list(verl(step))
    return pl.DataFrame(
        {
            "step": [step] * len(some),
            "prompt": [row["input"] for row in some],
            "completion": [row["output"] for row in some],
            "right": [row["score"] for row in some],
            "short": [0.1 * n for n in range(len(some))],
            "advantage": [row["score"] + 0.1 * n - np.mean([0.5]) for n, row in enumerate(some)],
        }
    )


def numbers(log, **reading):
    return analyze(log, reading=ReadOptions(**reading)).summary


def said(capsys):
    return capsys.readouterr().err.splitlines()


def shown(lines):
    return [line.partition(",")[0] for line in lines if re.match(r"(\w+, )?step \d+: \d+ group", line)]


@pytest.mark.parametrize("cut", [1, 70, 1000, 10**6])
def test_a_log_that_grows_byte_by_byte_ends_as_it_would_have_been_read(tmp_path, capsys, cut):
    data = b"".join(text(rows(step)) for step in (1, 2, 3, 4))
    path, blocks = tmp_path / "run" / "log.jsonl", max(cut, len(data) // 40)
    acts = [appends(path, data[at : at + blocks]) for at in range(0, len(data), blocks)]
    sources = follow([str(path)], ReadOptions(), Script(*acts))
    assert numbers(sources) == numbers(str(path))
    lines = said(capsys)
    assert lines[0] == f"{path}: not there yet: waiting for it, Ctrl-C ends that"
    assert shown(lines)[:2] == ["step 1: 3 groups", "step 2: 3 groups"]
    assert "rejected" not in "".join(lines)


def test_the_figures_of_a_line_are_those_of_the_step(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    acts = [appends(path, text(rows(step))) for step in (1, 2)]
    follow([str(path)], ReadOptions(), Script(*acts))
    (line,) = [line for line in said(capsys) if line.startswith("step 1: 3")]
    training = analyze(str(path)).training.filter(step=1, statistic="path_depth")
    assert line.startswith("step 1: 3 groups, 12 completions, reward 0.500, path depth ")
    depth = float(re.search(r"path depth ([\d.]+)", line)[1])
    assert depth == pytest.approx(training["mean"].item(), abs=5e-4)


def test_a_half_line_and_an_open_group_wait(tmp_path, capsys):
    path, one, two = tmp_path / "log.jsonl", text(rows(1)), text(rows(2))
    half = len(two) // 2 + 5
    sources = follow([str(path)], ReadOptions(), Script(appends(path, one), appends(path, two[:half])))
    assert shown(said(capsys)) == ["step 1: 3 groups"]
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes((one + two)[: (one + two[:half]).rfind(b"\n") + 1])
    expected, found = numbers(str(whole), run="log"), numbers(sources)
    assert found["counts"] == expected["counts"] and found["counts"]["rejected"] == 0
    assert {k: v for k, v in found.items() if k != "source"} == {k: v for k, v in expected.items() if k != "source"}


def test_an_object_without_its_newline_is_read(tmp_path):
    path = tmp_path / "log.jsonl"
    sources = follow([str(path)], ReadOptions(), Script(appends(path, text(rows(1)).rstrip(b"\n"))))
    assert numbers(sources)["counts"]["completions"] == 3 * K


def test_new_step_files_of_verl_and_what_lies_beside_them(tmp_path, capsys):
    folder = tmp_path / "rollouts"
    acts = [appends(folder / f"{step}.jsonl", text(verl(step))) for step in (1, 2, 3, 10)]
    settings = appends(folder / "config.json", b'{"lr": 1}')
    sources = follow([str(folder)], ReadOptions(), Script(acts[0], settings, *acts[1:]))
    assert numbers(sources) == numbers(str(folder))
    lines = said(capsys)
    assert shown(lines) == ["step 1: 3 groups", "step 2: 3 groups", "step 3: 3 groups", "step 10: 3 groups"]
    assert f"{folder}/config.json: is one JSON value, which is not followed: it is read at the end." in lines


def test_new_tables_of_trl_one_of_them_half_written(tmp_path, capsys):
    folder = tmp_path / "completions"
    folder.mkdir()

    def puts(step):
        return lambda: trl(step).write_parquet(folder / f"completions_{step:05d}.parquet")

    def half():
        trl(9).write_parquet(tmp_path / "whole")
        (folder / "completions_00009.parquet").write_bytes((tmp_path / "whole").read_bytes()[:-100])

    sources = follow([str(folder)], ReadOptions(), Script(puts(1), puts(2), half, puts(3)))
    assert len(sources) == 3 and not any("00009" in source.name for source in sources)
    (folder / "completions_00009.parquet").unlink()
    assert numbers(sources) == numbers(str(folder))
    assert shown(said(capsys)) == ["step 1: 3 groups", "step 2: 3 groups", "step 3: 3 groups"]


def test_runs_below_a_folder_and_files_that_repeat(tmp_path, capsys):
    one, two = tmp_path / "both" / "a", tmp_path / "both" / "b"
    (tmp_path / "both").mkdir()
    acts = [appends(path / "log.jsonl", text(rows(step))) for step in (1, 2, 3) for path in (one, two)]
    sources = follow([str(tmp_path / "both")], ReadOptions(), Script(*acts))
    assert numbers(sources) == numbers(str(tmp_path / "both"))
    assert any(source.repeats for source in sources)
    lines = [line for line in said(capsys) if " step " in line and " groups" in line]
    assert sorted(line.partition(" groups")[0] for line in lines) == [
        f"both/{run}, step {step}: 3" for run in "ab" for step in (1, 2, 3)
    ]


def test_a_file_that_shrinks_is_replaced_or_goes_is_said(tmp_path, capsys):
    folder = tmp_path / "run"
    path, other = folder / "log.jsonl", folder / "log2.jsonl"

    def replaced():
        (folder / ".new").write_bytes(text(rows(5)) + text(rows(6)))
        os.replace(folder / ".new", path)

    acts = (
        appends(path, text(rows(1)) + text(rows(2))),
        lambda: path.write_bytes(text(rows(3))),
        replaced,
        appends(other, text(rows(7))),
        other.unlink,
    )
    sources = follow([str(folder)], ReadOptions(), Script(*acts))
    lines = said(capsys)
    assert f"{path}: has shrunk, so it is read anew." in lines
    assert f"{path}: was replaced, so it is read anew." in lines
    assert f"{other}: is gone, and with it what was read of it." in lines
    assert numbers(sources) == numbers(str(folder))


def test_rows_that_come_late_are_counted_in_the_summary_alone(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    late = list(rows(1, groups=4))
    acts = [appends(path, text(some)) for some in (late[:12], rows(2), rows(3), late[12:], rows(4))]
    sources = follow([str(path)], ReadOptions(), Script(*acts))
    assert "step 1: 4 completions came after its line, and will be in the summary" in said(capsys)
    assert numbers(sources) == numbers(str(path)) and numbers(sources)["counts"]["groups"] == 13


def test_rows_without_a_step_are_counted(tmp_path, capsys):
    path = tmp_path / "log.jsonl"
    some = [{name: value for name, value in row.items() if name != "step"} for row in rows(1)]
    sources = follow([str(path)], ReadOptions(), Script(appends(path, text(some))))
    assert f"{path}: 12 rows without a step: in the numbers that come at the end" in said(capsys)
    assert numbers(sources) == numbers(str(path))


def test_columns_that_only_later_rows_show(tmp_path, capsys):
    """What few rows seem to mean is read again once more rows show it."""
    path = tmp_path / "log.jsonl"
    acts = [
        appends(path, text(list(rows(1))[:1])),
        appends(path, text(list(rows(1))[1:]) + text(rows(2, info={"short": 0.5}))),
        appends(path, text(rows(3, short=1.0))),
        appends(path, text(rows(4))),
    ]
    sources = follow([str(path)], ReadOptions(), Script(*acts))
    assert numbers(sources) == numbers(str(path))
    assert shown(said(capsys))[:3] == ["step 1: 3 groups", "step 2: 3 groups", "step 3: 3 groups"]


@pytest.mark.parametrize("name", ["-", "https://a.b/c.jsonl", "logs.tar.gz", "a.jsonl.gz", "a.json", "a.csv"])
def test_what_cannot_be_followed_is_refused_in_a_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text(rows(1))))
    (tmp_path / "a.json").write_text(json.dumps(list(rows(1)), indent=1))
    (tmp_path / "a.csv").write_text("group,completion,reward\na,x y,1\na,x z,0\n")
    with pytest.raises(UsageError, match=r"--follow reads JSON lines and parquet"):
        follow([name], ReadOptions(), Script())


def test_the_folder_of_an_analysis_is_refused(tmp_path):
    for name in ("summary.json", "groups.parquet"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="an analysis"):
        follow([str(tmp_path)], ReadOptions(), Script())


def started(folder, *more):
    command = [sys.executable, "-m", "grpo_prm", "analyze", str(folder), "--follow", "--no-figures", *more]
    return subprocess.Popen(command, cwd=folder.parent, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_ctrl_c_writes_and_prints_the_summary(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "log.jsonl").write_bytes(b"".join(text(rows(step)) for step in (1, 2, 3)))
    process = started(folder, "--json")
    assert process.stderr.readline().startswith("step 1: 3 groups, 12 completions, ")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    plain = subprocess.run(
        [sys.executable, "-m", "grpo_prm", "analyze", str(folder), "--json", "--no-figures", "--out", "plain"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.returncode == 0 and json.loads(out) == json.loads(plain.stdout)
    for name in ("summary.json", "groups.parquet", "training.parquet"):
        assert (tmp_path / "run.prm" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


@pytest.mark.slow
def test_terminated_before_a_row_came_it_writes_nothing(tmp_path):
    process = started(tmp_path / "run")
    assert "not there yet" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143 and said == "stopped before a row had come: nothing is written\n"
    assert os.listdir(tmp_path) == []
