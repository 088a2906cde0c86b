"""The comparison with known truth, on summaries that are made up: what holds, and that every slip is seen."""

from __future__ import annotations

import copy
import json
from functools import partial, wraps
from pathlib import Path

import numpy as np
import pytest

from grpo_prm.analysis.findings import CODES
from grpo_prm.selftest.logs import LOGS
from grpo_prm.selftest.matrix import COUNTS, FINDINGS, MATRIX, MAY, MUST, MUST_NOT, NUMBERS, Number, expected
from grpo_prm.selftest.run import _number_check, compared, selftest

TRUTH = {name: make(groups=8, k=4).truth for name, make in LOGS.items()}


def put(summary, path, value):
    *keys, last = path.split(".")
    for key in keys:
        summary = summary.setdefault(key, {})
    summary[last] = value


def get(summary, path):
    for key in path.split("."):
        summary = None if summary is None else summary[key]
    return summary


def right_summary(name):
    """A summary that says all that is known of a log."""
    knows, signs = expected(name)
    findings = [{"code": code} for code, sign in signs.items() if sign == MUST]
    summary = {"verdict": {"knows": {"code": knows}, "findings": findings}}
    numbers = (*COUNTS, *NUMBERS[name])
    for number in (n for n in numbers if isinstance(n.bound, str) and not n.bound.startswith("truth.")):
        put(summary, number.bound, 0.5)
    for number in numbers:
        bound = number.bound
        if isinstance(bound, str):
            bound = TRUTH[name][bound[6:]] if bound.startswith("truth.") else get(summary, bound)
        step = {"==": 0, "near": number.slack / 2, "above": 0.01, "below": -0.01, "null": 0}[number.relation]
        put(summary, number.path, None if number.relation == "null" else bound + step)
    return summary


def test_the_matrix_is_whole():
    assert set(MATRIX) == set(LOGS) == set(NUMBERS)
    assert sorted(FINDINGS) == sorted(CODES)
    for name in MATRIX:
        _, signs = expected(name)
        assert len(MATRIX[name][1].split()) == len(FINDINGS) and set(signs.values()) <= {MUST, MUST_NOT, MAY}
    for code in FINDINGS:  # every finding has a log that must have it and one that must not
        assert {MUST, MUST_NOT} <= {expected(name)[1][code] for name in MATRIX}
    assert {MATRIX[name][0] for name in MATRIX} == {"steps", "whole_texts", "nothing", "cannot_say"}


@pytest.mark.parametrize("name", LOGS)
def test_what_is_known_holds_and_every_slip_is_seen(name):
    right = right_summary(name)
    result = compared(name, right, TRUTH[name])
    assert result.failed == () and result.log == name and result.about == LOGS[name].__doc__.splitlines()[0]
    assert len(result.checks) == 1 + len(FINDINGS) + len(COUNTS) + len(NUMBERS[name])

    other = copy.deepcopy(right)
    other["verdict"]["knows"]["code"] = "order_only"
    assert [check.what for check in compared(name, other, TRUTH[name]).failed] == ["knows"]
    for code in FINDINGS:  # one that must be there goes, one that must not comes
        other = copy.deepcopy(right)
        rest = [one for one in right["verdict"]["findings"] if one["code"] != code]
        other["verdict"]["findings"] = rest if rest != right["verdict"]["findings"] else [*rest, {"code": code}]
        assert [check.what for check in compared(name, other, TRUTH[name]).failed] == [f"finding {code}"]
    for number in (*COUNTS, *NUMBERS[name]):
        other = copy.deepcopy(right)
        put(other, number.path, 1.0 if number.relation == "null" else None)
        assert number.path in [check.what for check in compared(name, other, TRUTH[name]).failed]


def test_a_finding_that_the_matrix_does_not_know_is_a_slip():
    summary = right_summary("healthy")
    summary["verdict"]["findings"].append({"code": "too_green"})
    (check,) = compared("healthy", summary, TRUTH["healthy"]).failed
    assert check == ("finding too_green", "not there", "there", False)


def test_a_summary_without_a_verdict_or_a_number_holds_nothing():
    result = compared("noise", {"counts": {}}, TRUTH["noise"])
    assert len(result.failed) == len(result.checks)
    found = {check.what: check.found for check in result.failed}
    assert found["counts.groups"] == "the summary has no counts.groups" and found["knows"] == "None"
    # Also not that a finding is absent: nobody has looked for it.
    assert "finding copies" in found


def check(relation, value, bound=None, slack=0.0):
    return _number_check(Number("a.b", relation, bound, slack), {"a": {"b": value, "c": 2.0}}, {"t": 3.0})


def test_relations_by_hand():
    assert check("==", 3, "truth.t").holds and not check("==", 3.1, "truth.t").holds
    assert check("==", 3, "truth.t").expected == "truth.t = 3.0"
    assert check("above", 2.1, "a.c").holds and not check("above", 2.0, "a.c").holds
    assert check("below", 1.9, "a.c").holds and not check("below", 2.0, "a.c").holds
    assert check("below", 1.9, "a.c").expected == "< a.c = 2.0"
    assert check("near", 2.5, 2.25, 0.25).holds and not check("near", 2.51, 2.25, 0.25).holds
    assert check("near", 2.0, 2.25, 0.25).holds and not check("near", 1.99, 2.25, 0.25).holds
    assert check("near", 2, 2.25, 0.25).expected == "2.25 ± 0.25"
    assert check("null", None).holds and not check("null", 0.0).holds
    assert not check("above", None, -1).holds and not check("above", 0, "a.b.c.d").holds
    assert check("above", 0, "a.b.c.d").found == "the summary has no a.b.c.d"


@pytest.mark.parametrize("relation", ["==", "near", "above", "below"])
def test_what_is_measured_by_numpy_can_be_written_as_json(relation):
    for value in (np.float64(3), np.float64(1)):
        assert json.loads(json.dumps(check(relation, value, "truth.t")._asdict()))["what"] == "a.b"


def test_a_null_statistic_has_no_mean():
    """`credit.reliability.low` of a log whose reliability is null is null, not an error."""
    number = Number("a.b.low", "above", 0.0)
    found = _number_check(number, {"a": {"b": None}}, {})
    assert (found.found, found.holds) == ("None", False)


def test_every_log_is_made_analysed_and_compared(monkeypatch):
    for name, make in list(LOGS.items()):
        monkeypatch.setitem(LOGS, name, wraps(make)(partial(make, groups=8, k=4)))
    seen = []

    def summary_of(log):
        seen.append(log)
        return right_summary(list(LOGS)[len(seen) - 1])

    assert [result.log for result in selftest(summary_of) if not result.failed] == list(LOGS)
    assert len(seen) == len(LOGS)


@pytest.mark.slow
def test_the_analysis_says_what_is_known():
    failed = {result.log: result.failed for result in selftest() if result.failed}
    assert failed == {}


def test_the_page_has_the_matrix():
    """docs/selftest.md says of each log what the table in the code says."""
    page = (Path(__file__).parents[2] / "docs" / "selftest.md").read_text(encoding="utf-8")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:1] == "|"]
    found = {name: (knows, findings) for name, _, knows, findings in cells[2:]}
    musts = {name: [code for code, sign in expected(name)[1].items() if sign == MUST] for name in MATRIX}
    assert {name: knows for name, (knows, _) in found.items()} == {name: MATRIX[name][0] for name in MATRIX}
    assert {name: sorted(codes.split(", ")) if codes else [] for name, (_, codes) in found.items()} == {
        name: sorted(codes) for name, codes in musts.items()
    }
