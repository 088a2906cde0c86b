"""`grpo-prm export` as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typed import run

LOG = Path(__file__).parents[2] / "examples" / "chain.jsonl"


def piped(*arguments, cwd, stdin):
    command = [sys.executable, "-m", "grpo_prm", "export", *arguments]
    return subprocess.run(
        command, capture_output=True, check=False, encoding="utf-8", cwd=cwd, env={"PATH": ""}, input=stdin
    )


def test_what_is_written_and_said(tmp_path):
    done = run("export", LOG, "--to", "stepwise", cwd=tmp_path)
    assert done.returncode == 0 and done.stdout == ""
    assert "chain.stepwise.jsonl: 630 rows from 1,280 completions in 160 groups" in done.stderr
    assert "1,873 good, 746 bad" in done.stderr and "cut without a tokenizer" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["chain.stepwise.jsonl"]
    assert len((tmp_path / "chain.stepwise.jsonl").read_text().splitlines()) == 630


def test_json_from_standard_input(tmp_path):
    done = piped("-", "--to", "tokens", "--json", "--threshold", "0.5", cwd=tmp_path, stdin=LOG.read_text())
    said = json.loads(done.stdout)
    assert done.returncode == 0 and said["out"] == "stdin.tokens.parquet" and said["labels"] == "threshold"
    assert said["counts"]["labels_good"] + said["counts"]["labels_bad"] == said["counts"]["steps_labelled"]
    assert list(tmp_path.iterdir()) == [tmp_path / "stdin.tokens.parquet"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--to", "stepwise", "--labels", "mean"], 2, "yes or no for each step"),
        (["--to", "csv"], 2, "csv"),
        (["--to", "spans", "--threshold", "nan"], 2, "Give a finite reward"),
        (["--to", "spans", "--out", "log.jsonl/x.jsonl"], 2, "cannot be written"),
        (["--to", "spans", "--out", "x.parquet"], 2, "writes a .jsonl file"),
        (["--to", "spans", "--out", "log.jsonl"], 2, "is the log itself"),
        (["--to", "spans", "--min-members", "9"], 3, "No step gets a label"),
        (["--to", "spans", "--tokenizer", "none.json"], 2, "There is no tokenizer"),
    ],
)
def test_what_cannot_be_meant(tmp_path, arguments, code, message):
    log = tmp_path / "log.jsonl"
    log.write_bytes(LOG.read_bytes())
    done = run("export", "log.jsonl", *arguments, cwd=tmp_path)
    assert done.returncode == code and message in done.stderr and done.stdout == ""
    assert list(tmp_path.iterdir()) == [log] and log.read_bytes() == LOG.read_bytes()
