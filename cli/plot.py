"""`grpo-prm plot`: the figures of one or more analyses, for the paper, slides or page where they will stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
Examples:

    grpo-prm plot rollouts.prm --venue icml

    grpo-prm plot grpo.prm lambda.prm --format pdf,svg --out figures

    grpo-prm plot rollouts.prm --select group_tree --group 120:p0007
"""


def plot(
    folders: Annotated[list[Path], typer.Argument(help="Folders that analyze wrote.", show_default=False)],
    venue: Annotated[
        str,
        typer.Option(
            help="Where they will stand: column, icml, neurips, iclr, acl, aaai, beamer or web. Sets width and fonts."
        ),
    ] = "column",
    format: Annotated[
        list[str] | None,
        typer.Option(help="pdf, png, svg, pgf. May be given again. (default: pdf,png)", metavar="FORMAT,..."),
    ] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these figures, called as their files: group_tree, ... May be given again.", metavar="NAME,..."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            help="Group that group_tree shows, \\[RUN:]STEP:KEY, one whose text was kept. (default: the worst)"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the figures. (default: DIR/figures; FIRST-LAST.figures of several)"
        ),
    ] = None,
) -> None:
    """Draw the figures of analyses again: for a venue, as other files, or several runs over each other.

    Beside each figure lie its data (.csv) and a caption of one sentence (.txt); summary.tex is a table of the numbers.
    Figures of another venue in that folder are replaced; with --select, which would leave some of them, it is refused.
    """
    from grpo_prm.figures.plotting import other_venues
    from grpo_prm.figures.plotting import plot as draw

    from .options import names
    from .progress import working

    place = out or _folder(folders)
    replaced = other_venues(place, venue)
    with working("drawing figures") as move:
        written = draw(
            folders, place, venue=venue, formats=names(format) or ["pdf", "png"],
            select=names(select), group=group, told=move,
        )  # fmt: skip
    if replaced:
        typer.echo(f"{place}: figures for {', '.join(replaced)} were there; they are replaced", err=True)
    for path in written:
        typer.echo(path)


def _folder(folders: list[Path]) -> Path:
    """Of one analysis its own; of several one beside them, since the figures of the first stay those of the first."""
    if len(folders) == 1:
        return folders[0] / "figures"
    first, last = (folder.resolve().name.removesuffix(".prm") for folder in (folders[0], folders[-1]))
    return Path(f"{first}-{last}.figures")
