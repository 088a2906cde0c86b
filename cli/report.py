"""`grpo-prm report`: one self-contained HTML page of an analysis, with the tree explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
Examples:

    grpo-prm report rollouts.prm

    grpo-prm report rollouts.prm --out report.html --tokenizer Qwen/Qwen2.5-1.5B
"""


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `analyze` wrote.", metavar="DIR", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="The page. (default: DIR/report.html)")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Of the log, to cut texts exactly between tokens: a tokenizer.json, its folder or a hub name.",
            metavar="NAME_OR_PATH",
        ),
    ] = None,
) -> None:
    """Write a page to look at: cautions, summary, trend, groups, and the tree of each group that has its text kept.

    The page needs no server and no network.
    """
    from grpo_prm.analysis.folder import read_folder
    from grpo_prm.errors import UsageError
    from grpo_prm.files import atomic
    from grpo_prm.report import report as page

    from .progress import working

    out = out or folder / "report.html"
    if out.is_dir():
        raise UsageError(f"{out}: is a folder. Give --out the name of a file.")
    with working("writing the page"):
        text = page(read_folder(folder), tokenizer)
        with atomic(out) as part:
            part.write_text(text, encoding="utf-8")
    typer.echo(f"{out}: {len(text.encode()) / 1e6:.2f} MB. Open it in a browser; it asks no network.", err=True)
