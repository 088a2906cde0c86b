"""`grpo-prm doctor`: whether λ-GRPO works inside the trainer that is installed here."""

from __future__ import annotations

import warnings
from enum import StrEnum
from typing import Annotated

import typer

EXAMPLES = """
Examples:

    grpo-prm doctor verl

    grpo-prm doctor trl --json
"""
UNFIT = 3


class Trainer(StrEnum):
    """Which framework is checked."""

    trl = "trl"
    verl = "verl"


def doctor(
    framework: Annotated[Trainer, typer.Argument(help="The framework that trains.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")] = False,
) -> None:
    """Check that λ-GRPO is active inside a trainer: version, plugin, the functions it relies on, and a trial run.

    Type it in the environment that trains. One line a check, then how to switch λ-GRPO on. Exit code 3: a check failed.
    """
    from grpo_prm.integrations.doctor import SWITCH_ON, Check
    from grpo_prm.integrations.doctor import doctor as checks_of

    warnings.simplefilter("ignore")  # what a framework says of engines that are not installed is not asked for
    checks: list[Check] = []
    for check in checks_of(framework.value):
        checks.append(check)
        if not json:
            typer.echo(shown(check.state, check.what, check.todo))
    failed = sum(check.state == "FAILED" for check in checks)
    if json:
        from grpo_prm.json_text import json_text

        lines = [check._asdict() for check in checks]
        typer.echo(json_text({"framework": framework.value, "fits": not failed, "checks": lines}))
    elif failed:
        typer.echo(f"{failed} of {len(checks)} checks failed: λ-GRPO does not work in {framework.value} here.")
    else:
        typer.echo(f"{len(checks)} checks, none failed. To switch λ-GRPO on: {SWITCH_ON[framework.value]}")
    if failed:
        raise typer.Exit(UNFIT)


def shown(state: str, what: str, todo: str) -> str:
    """A check on a line, and what to do on the next."""
    from grpo_prm.text.printable import printable

    lines = [f"{state:6}  {what}", *([f"        {todo}"] if todo else [])]
    return "\n".join(printable(line) for line in lines)
