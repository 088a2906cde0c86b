"""The command: one line per log, a last line, an exit code, JSON."""

from __future__ import annotations

import json

import pytest
from grpo_prm_cli.main import app
from typer.testing import CliRunner

import grpo_prm.selftest.run as module
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
