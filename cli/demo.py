"""`grpo-prm demo`: the example that comes with the package, analysed, and what to type for a log of one's own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
Examples:

    grpo-prm demo

    grpo-prm demo --open     # its page in the browser of this desktop

    grpo-prm demo --out /tmp/demo.prm
"""
LOG = "smollm2.jsonl.gz"  # in the package; in a checkout a link to the one in examples/
PAGE = "report.html"
NEXT = """
Next, with a log of yours for LOG:
    grpo-prm inspect LOG     # what it is taken for, and what is left out and why
    grpo-prm analyze LOG     # the same three answers; tables and figures in NAME.prm
    grpo-prm report NAME.prm     # its page"""


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the log, its analysis and the page.")] = Path(
        "demo.prm"
    ),
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser of this desktop.")] = False,
) -> None:
    """Start here: analyse a small real log that comes with the package, and write its page. Seconds, no network.

    The log holds answers of SmolLM2-135M-Instruct, a pretrained model, to puzzles of reasoning-gym.
    """
    from importlib.resources import files

    from grpo_prm.files import atomic
    from grpo_prm.text.printable import printable

    from .analyze import analyze
    from .report import report

    example = files("grpo_prm").joinpath("examples", LOG).read_bytes()
    log = out / LOG
    refuse_others(out, example)
    with atomic(log) as part:
        part.write_bytes(example)
    what = f"{log}: answers of SmolLM2-135M-Instruct, a small pretrained model, to puzzles of reasoning-gym."
    typer.echo(f"{printable(what)}\n", err=True)
    analyze([str(log)], out=out, overwrite=True)
    report(out)
    if show:
        open_page(out / PAGE)
    typer.echo(NEXT, err=True)


def refuse_others(out: Path, example: bytes) -> None:
    """Refuse a folder that holds the analysis or the log of somebody.

    Args:
        out: The folder.
        example: What the log of a demo holds, packed.

    Raises:
        UsageError: It does, or it is a file.
    """
    from grpo_prm.analysis.ownership import is_analysis, refuse_other_page, refuse_strangers
    from grpo_prm.analysis.write import OURS
    from grpo_prm.errors import UsageError

    log = out / LOG
    if (out.exists() and not out.is_dir()) or Path.cwd().is_relative_to(out.resolve()):
        raise UsageError(f"{out}: is a file, or the folder that you are in. Give --out the name of a new folder.")
    if os.path.lexists(log) and not (log.is_file() and log.read_bytes() == example):
        raise UsageError(f"{log}: is not the log of this demo, and would be lost. Give --out another folder.")
    if is_analysis(out) and not log.exists():
        raise UsageError(f"{out}: holds the analysis of another log. Give --out another folder.")
    refuse_strangers(out, OURS, is_analysis)
    refuse_other_page(out / PAGE)


def open_page(page: Path) -> None:
    """Open a page in the browser of the desktop, or say that there is none."""
    import webbrowser

    desktop = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not (desktop and webbrowser.open(page.resolve().as_uri())):
        typer.echo("There is no desktop with a browser here: copy the page to a machine that has one.", err=True)
