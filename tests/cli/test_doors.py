"""How a command ends: by a signal, and by a reader that goes away; and what comes in through a pipe."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import polars as pl
import pytest

COMMAND = (sys.executable, "-m", "grpo_prm")


def lines(groups=40, words=400):
    row = {"prompt": "1?", "completion": "x " * words}
    return [
        json.dumps({"step": g, "group": f"g{g}", "reward": float(i), **row, "completion": f"{i} {row['completion']}"})
        for g in range(groups)
        for i in range(2)
    ]


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log.jsonl").write_text("\n".join(lines()) + "\n")
    return tmp_path / "log.jsonl"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "hung up")]
)
def test_a_signal_leaves_nothing(tmp_path, number, code, said):
    """Neither beside the folder that is written, nor in the temporary one, where standard input once lay."""
    (tmp_path / "temporary").mkdir()
    arguments = [*COMMAND, "analyze", "-", "--out", str(tmp_path / "out")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    # Under `nohup` the signal is ignored, as it should be; here it is not.
    with subprocess.Popen(
        arguments,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509
        **pipes,
    ) as process:
        process.stdin.writelines(line + "\n" for line in lines())  # and the end does not come
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list((tmp_path / "temporary").iterdir()) == []
        while process.poll() is None and time.monotonic() < deadline:  # an import may swallow the first
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        process.kill()  # where it has not ended, the test fails and does not wait
        errors = process.stderr.read()
    assert process.returncode == code
    assert errors == f"{said}: nothing is left half written\n"
    assert list(tmp_path.rglob("*")) == [tmp_path / "temporary"]


@pytest.mark.slow
def test_what_was_unpacked_goes_with_the_process(log, tmp_path):
    (tmp_path / "temporary").mkdir()
    subprocess.run(["tar", "czf", "log.tgz", "log.jsonl"], cwd=tmp_path, check=True)  # noqa: S607
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(
        [*COMMAND, "inspect", "log.tgz", "--json"], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert json.loads(done.stdout)["groups"] == 40 and done.returncode == 0
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["tree", "--json"], ["analyze", "--no-figures"], ["inspect"], ["--help"]])
def test_a_reader_that_goes_away_ends_it_quietly(log, tmp_path, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    arguments = [*COMMAND, *arguments, str(log)]
    done = subprocess.run(arguments, stdout=writing, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="the system has no /dev/fd")
def test_every_door_leads_to_the_same_table(log, tmp_path):
    subprocess.run([*COMMAND, "convert", log, tmp_path / "file.parquet"], check=True, capture_output=True)
    doors = {
        "cat": "cat log.jsonl | {} convert - cat.parquet",
        "redirected": "{} convert - redirected.parquet < log.jsonl",
        "process": "{} convert <(gzip -c log.jsonl) process.parquet",
        "named": "mkfifo named; cat log.jsonl > named & {} convert named named.parquet",
        "table": "cat file.parquet | {} convert /dev/stdin table.parquet",
    }
    expected = pl.read_parquet(tmp_path / "file.parquet").drop("run")
    for name, command in doors.items():
        line = command.format(f"{sys.executable} -m grpo_prm")
        done = subprocess.run(["/bin/bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (name, done.stderr)
        assert pl.read_parquet(tmp_path / f"{name}.parquet").drop("run").equals(expected), name


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "convert: nothing is given. Name a log and then the table: grpo-prm convert LOG OUT.parquet."),
        (["log.jsonl"], "convert: log.jsonl is given alone. Name a log and then the table: grpo-prm convert LOG OUT"),
    ],
)
def test_convert_says_which_argument_is_missing(log, tmp_path, arguments, said):
    done = subprocess.run([*COMMAND, "convert", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {said}")


def test_a_row_that_is_cut_short_is_named_where_no_group_is_left(tmp_path):
    (tmp_path / "log.jsonl").write_text("\n".join(lines(1))[:-20])
    done = subprocess.run([*COMMAND, "inspect", "log.jsonl"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith("error: log.jsonl:2: not JSON (Unterminated string")
    assert "1 of the 2 rows cannot be used, and of the others no group has two completions or more" in done.stderr
