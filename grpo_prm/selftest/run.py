"""Analyse the synthetic logs and compare what is found with what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ..analysis.options import Options
from ..api.analysis import analyze
from .logs import LOGS
from .matrix import COUNTS, MAY, MUST, MUST_NOT, NUMBERS, Number, expected
from .synthetic import Log

Summary = Mapping[str, Any]


class Check(NamedTuple):
    """One thing that is known of a log.

    Attributes:
        what: `knows`, `finding CODE`, or the path of a number.
        expected, found: In words.
        holds: Whether it is so.
    """

    what: str
    expected: str
    found: str
    holds: bool


class Result(NamedTuple):
    """What was known of one log, and what was found.

    Attributes:
        log: Its name.
        about: What it is, one sentence.
        knows: The code of the verdict, None where the summary has none.
        findings: The codes of the findings.
        checks: All that was compared.
    """

    log: str
    about: str
    knows: str | None
    findings: tuple[str, ...]
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)


def selftest(summary_of: Callable[[Log], Summary] | None = None) -> Iterator[Result]:
    """Make every log, analyse it in memory, and compare.

    Args:
        summary_of: What gives the summary of a log; None: `grpo_prm.analyze`.

    Yields:
        One result per log, as soon as it is there.
    """
    for name, make in LOGS.items():
        log = make()
        yield compared(name, (summary_of or analysed)(log), log.truth)


def analysed(log: Log) -> Summary:
    """The summary of a log, read from rows in memory as a user's would be."""
    return analyze(log.rows, Options(outcome=log.outcome)).summary


def compared(name: str, summary: Summary, truth: Mapping[str, float]) -> Result:
    """Hold a summary against what is known of a log.

    Args:
        name: Of the log.
        summary: The content of summary.json.
        truth: `Log.truth`.
    """
    verdict = summary.get("verdict") or {}
    knows = (verdict.get("knows") or {}).get("code")
    findings = tuple(finding["code"] for finding in verdict.get("findings") or ())
    checks = (
        *_verdict_checks(name, knows, findings, "verdict" in summary),
        *(_number_check(number, summary, truth) for number in (*COUNTS, *NUMBERS[name])),
    )
    return Result(name, _about(LOGS[name]), knows, findings, checks)


def _about(make: Callable) -> str:
    return (make.__doc__ or "").splitlines()[0]


def _verdict_checks(name: str, knows: str | None, findings: tuple[str, ...], there: bool) -> Iterator[Check]:
    code, signs = expected(name)
    yield Check("knows", code, str(knows), knows == code)
    words = {MUST: "there", MUST_NOT: "not there", MAY: "there or not"}
    # A finding that the matrix does not know must not be there: whoever adds one says where it belongs.
    for finding in dict.fromkeys((*signs, *findings)):
        sign, fired = signs.get(finding, MUST_NOT), finding in findings
        holds = there and (sign == MAY or fired == (sign == MUST))
        yield Check(f"finding {finding}", words[sign], "there" if fired else "not there", holds)


def _number_check(number: Number, summary: Summary, truth: Mapping[str, float]) -> Check:
    try:
        value, bound = _at(summary, number.path), _bound(number.bound, summary, truth)
    except KeyError as error:
        return Check(number.path, _words(number, None), f"the summary has no {error.args[0]}", False)
    return Check(number.path, _words(number, bound), f"{value}", _holds(number, value, bound))


def _at(summary: Summary, path: str) -> Any:
    value: Any = summary
    for key in path.split("."):
        if value is None:  # a statistic that cannot be had has no mean either
            return None
        if not isinstance(value, Mapping) or key not in value:
            raise KeyError(path)
        value = value[key]
    return value


def _bound(bound: float | str | None, summary: Summary, truth: Mapping[str, float]) -> Any:
    if not isinstance(bound, str):
        return bound
    return truth[bound.removeprefix("truth.")] if bound.startswith("truth.") else _at(summary, bound)


def _holds(number: Number, value: Any, bound: Any) -> bool:
    if number.relation == "null":
        return value is None
    if value is None or bound is None:
        return False
    holds = {
        "==": value == bound,
        "near": abs(value - bound) <= number.slack,
        "above": value > bound,
        "below": value < bound,
    }[number.relation]
    return bool(holds)  # a bound of numpy makes one of numpy of it, which JSON does not know


def _words(number: Number, bound: Any) -> str:
    if number.relation == "null":
        return "null"
    said = f"{number.bound} = {bound}" if isinstance(number.bound, str) else f"{bound}"
    words = {"==": f"{said}", "near": f"{said} ± {number.slack:g}", "above": f"> {said}", "below": f"< {said}"}
    return words[number.relation]
