"""`grpo-prm selftest`: synthetic logs of known truth are analysed, and what is found is compared with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from grpo_prm.selftest.run import Result

EXAMPLES = """
Examples:

    grpo-prm selftest

    grpo-prm selftest --json > selftest.json

    grpo-prm selftest --write known     # the logs, to analyse and look at
"""
FAILED = 1  # what is wrong then is ours: no input of a user is read


def selftest(
    json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")] = False,
    write: Annotated[
        Path | None,
        typer.Option(help="Write the logs into this folder, NAME.jsonl each, and check nothing.", metavar="FOLDER"),
    ] = None,
) -> None:
    """Check the installation on small logs whose faults are known. Seconds, no network, no files.

    One line per log, then whether all checks hold. Exit code 1: some do not.
    """
    if write:
        _write(write)
        return
    from grpo_prm.selftest.run import selftest as run

    results = []
    for result in run():
        results.append(result)
        if not json:
            typer.echo("\n".join(lines(result)))
    if json:
        from grpo_prm.json_text import json_text

        typer.echo(json_text(as_json(results), indent=2))
    else:
        typer.echo(last_line(results))
    if any(result.failed for result in results):
        raise typer.Exit(FAILED)


def _write(folder: Path) -> None:
    from grpo_prm.files import atomic
    from grpo_prm.selftest.logs import LOGS

    folder.mkdir(parents=True, exist_ok=True)
    for name, make in LOGS.items():
        with atomic(folder / f"{name}.jsonl") as part:
            make().rows.write_ndjson(part)
    typer.echo(f"{len(LOGS)} logs in {folder}")


def lines(result: Result) -> Iterator[str]:
    """One line of what was expected and found, and one for each check that does not hold."""
    findings = ", ".join(result.findings) or "no finding"
    word = "FAILED" if result.failed else "ok"
    yield f"{word:6}  {result.log:18}  knows: {result.knows}; {findings}; {len(result.checks)} checks"
    for check in result.failed:
        yield f"        {check.what}: expected {check.expected}, found {check.found}"


def last_line(results: list[Result]) -> str:
    """Whether all holds."""
    checks, failed = (sum(len(of) for of in every) for every in
                      ([r.checks for r in results], [r.failed for r in results]))  # fmt: skip
    if not failed:
        return f"all {checks} checks hold"
    logs = ", ".join(result.log for result in results if result.failed)
    return f"{failed} of {checks} checks do not hold: {logs}"


def as_json(results: list[Result]) -> dict[str, Any]:
    """Every check of every log."""
    failed = sum(len(result.failed) for result in results)
    logs = [
        {**result._asdict(), "checks": [check._asdict() for check in result.checks], "holds": not result.failed}
        for result in results
    ]
    return {"holds": failed == 0, "checks": sum(len(r.checks) for r in results), "failed": failed, "logs": logs}
