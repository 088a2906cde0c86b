"""The command: one line per log, a last line, an exit code, JSON."""

from __future__ import annotations

import json

import polars as pl
import pytest
from grpo_prm_cli.main import app
from typer.testing import CliRunner

import grpo_prm
import grpo_prm.selftest.run as module
from grpo_prm.selftest.logs import LOGS
from grpo_prm.selftest.run import Check, Result

GOOD = Result("noise", "Coins.", "nothing", (), (Check("knows", "nothing", "nothing", True),) * 2)
BAD = Result(
    "copies", "Texts.", "steps", ("copies", "boilerplate"),
    (Check("knows", "whole_texts", "steps", False), Check("finding copies", "there", "there", True)),
)  # fmt: skip


def run(monkeypatch, results, *options):
    monkeypatch.setattr(module, "selftest", lambda: iter(results))
    done = CliRunner().invoke(app, ["selftest", *options])
    return done.exit_code, done.stdout


def test_all_hold(monkeypatch):
    code, out = run(monkeypatch, [GOOD])
    assert code == 0
    assert out.splitlines() == ["ok      noise               knows: nothing; no finding; 2 checks", "all 2 checks hold"]


def test_some_do_not(monkeypatch):
    code, out = run(monkeypatch, [GOOD, BAD])
    assert code == 1
    assert out.splitlines()[1:] == [
        "FAILED  copies              knows: steps; copies, boilerplate; 2 checks",
        "        knows: expected whole_texts, found steps",
        "1 of 4 checks do not hold: copies",
    ]


@pytest.mark.parametrize(("results", "code"), [([GOOD], 0), ([GOOD, BAD], 1)])
def test_json_has_every_check(monkeypatch, results, code):
    exit_code, out = run(monkeypatch, results, "--json")
    found = json.loads(out)
    assert exit_code == code == found["failed"] and found["holds"] == (code == 0)
    assert found["checks"] == 2 * len(results) and [log["log"] for log in found["logs"]] == [r.log for r in results]
    assert found["logs"][-1]["checks"][0]["expected"] == results[-1].checks[0].expected
    assert found["logs"][-1]["findings"] == list(results[-1].findings) and found["logs"][0]["about"] == "Coins."


def test_help_has_examples():
    out = CliRunner().invoke(app, ["selftest", "--help"]).stdout
    assert "grpo-prm selftest --json" in out and "known" in out


def test_write_leaves_logs_that_are_read_as_what_they_are(tmp_path):
    done = CliRunner().invoke(app, ["selftest", "--write", str(tmp_path / "known")])
    assert (done.exit_code, done.stdout) == (0, f"14 logs in {tmp_path / 'known'}\n")
    assert {path.name for path in (tmp_path / "known").iterdir()} == {f"{name}.jsonl" for name in LOGS}
    for name in ("two_policies", "masked_tool_output"):
        parts = list(grpo_prm.read_rollouts(tmp_path / "known" / f"{name}.jsonl"))
        log, made = pl.concat([part.table for part in parts]), LOGS[name]().rows
        assert {*made.columns} <= {*log.columns} and not any(len(part.rejected) for part in parts)
        for column in ("group_key", "sample", "prompt", "completion", "tokens", "reward"):
            assert log[column].to_list() == made[column].to_list(), column
    assert log["mask"].explode().sum() == 1024 * 8  # three of eleven tokens are the tool's
    assert not made["mask"].explode().all()
