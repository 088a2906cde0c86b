"""`grpo-prm report`: one self-contained HTML page of an analysis, or of a run that goes on, with the tree explorer."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
Examples:

    grpo-prm report rollouts.prm

    grpo-prm report rollouts.prm --out report.html --tokenizer Qwen/Qwen2.5-1.5B

    grpo-prm report rollouts.prm --no-text --out shared.html     # numbers and trees, no prompt and no completion

    grpo-prm report rollouts.prm --pages     # a folder of pages, of a log with much text

    grpo-prm report output_dir --follow     # of a training that runs, of TRL, verl or `train`; Ctrl-C ends it
"""
POLL_EVERY = 2.0  # seconds


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder that `analyze` wrote; with --follow that of a run.", metavar="DIR", show_default=False
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The page. (default: DIR/report.html)")] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            help="Of the log, to cut texts exactly between tokens: a tokenizer.json, its folder or a hub name.",
            metavar="NAME_OR_PATH",
        ),
    ] = None,
    text: Annotated[
        bool,
        typer.Option("--text/--no-text", help="With prompts and completions; without them it can be shared."),
    ] = True,
    pages: Annotated[
        bool,
        typer.Option(
            "--pages", help="A folder of pages, with every group whose text was kept. (default for --out: DIR/report)"
        ),
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow", help="Of a run that goes on: write the page again as its steps come.")
    ] = False,
) -> None:
    """Write a page to look at: cautions, summary, trend, groups, and the tree of each group that has its text kept.

    The page needs no server and no network.
    """
    from grpo_prm.analysis.folder import read_folder, read_summary
    from grpo_prm.analysis.ownership import refuse_other_page
    from grpo_prm.errors import UsageError
    from grpo_prm.files import atomic
    from grpo_prm.report import one_page

    from .progress import working

    if follow and (pages or not text):
        raise UsageError("--follow writes one page with its texts. Leave --pages and --no-text out.")
    if pages:
        _pages(folder, out or folder / "report", tokenizer, text=text)
        return
    out = out or folder / "report.html"
    refuse_other_page(out)
    if follow:
        _follow(folder, out, tokenizer)
        return
    read_summary(folder)  # that this is no analysis, a log say, is known before its page is begun
    with atomic(out) as part:  # a place that cannot be written is known before the work
        page = one_page(read_folder(folder), tokenizer, text=text, show=working)
        part.write_text(page.text, encoding="utf-8")
    typer.echo(f"{out}: {_megabytes(page.text)} MB. Open it in a browser; it asks no network.", err=True)
    if page.shown < page.kept:
        left = f"{page.shown:,} of {page.kept:,} groups with text had room in it, the clearest first."
        typer.echo(f"{left} --pages writes a folder of pages with all of them.", err=True)


def _pages(folder: Path, out: Path, tokenizer: str | None, *, text: bool) -> None:
    """Write a folder of pages whole or not at all."""
    from grpo_prm.analysis.folder import read_folder
    from grpo_prm.analysis.ownership import are_pages, pages_in
    from grpo_prm.analysis.write import output_folder
    from grpo_prm.report import INDEX
    from grpo_prm.report import pages as made
    from grpo_prm.text.amounts import amount, number

    from .progress import working

    size = count = 0
    with output_folder(out, pages_in(out), are_pages) as new:
        for name, page in made(read_folder(folder), tokenizer, text=text, show=working):
            (new / name).write_text(page, encoding="utf-8")
            size, count = size + len(page.encode()), count + 1
    written = f"{amount(count, 'page')}, {number(size / 1e6)} MB"
    typer.echo(f"{out / INDEX}: {written}. Open it in a browser; it asks no network.", err=True)


def _write(text: str, out: Path) -> str:
    """Write the page whole or not at all; its size in MB."""
    from grpo_prm.files import atomic

    with atomic(out) as part:
        part.write_text(text, encoding="utf-8")
    return _megabytes(text)


def _megabytes(text: str) -> str:
    from grpo_prm.text.amounts import number

    return number(len(text.encode()) / 1e6)


def _follow(run: Path, out: Path, tokenizer: str | None) -> None:
    """Write the page again and again, until somebody stops it."""
    from grpo_prm.errors import UsageError
    from grpo_prm.report.running import RunningReport
    from grpo_prm.scratch import scratch
    from grpo_prm.text.printable import printable

    from .progress import working

    if run.is_file():
        raise UsageError(f"{run}: is a file. Name the folder of a run.")
    there = "waiting" if run.exists() else "no such folder yet, waiting"
    waiting = f"{run}: {there} for steps whose rollouts are all there. Ctrl-C ends it, the page stays."
    typer.echo(printable(waiting), err=True)
    with scratch() as spill:
        running, page = RunningReport(run, tokenizer, spill), _Page(out)
        while True:
            began = time.monotonic()
            with working("writing the page", told=False):
                sentence = page.put(running.page(datetime.now(UTC)))
            if sentence:
                typer.echo(printable(sentence), err=True)
            # A long run has a long page: no more than half of the time goes into it.
            time.sleep(max(POLL_EVERY, time.monotonic() - began))


class _Page:
    """The page of a run that goes on, as a file.

    Args:
        out: The file.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._written, self._refused = out, False, False
        self._waits: str | None = None  # a page that found no room

    def put(self, text: str | None) -> str | None:
        """Write the page, or the one before that found no room; None: there is no new one.

        Returns:
            What to say: where it is, the first time; that there is no room for it, when that begins.

        Raises:
            OSError, UsageError: Not even the first can be written.
        """
        from grpo_prm.errors import UsageError

        self._waits = text or self._waits
        if self._waits is None:
            return None
        try:
            size = _write(self._waits, self._out)
        except (OSError, UsageError) as error:
            if not self._written:
                raise
            before, self._refused = self._refused, True
            reason = getattr(error, "strerror", None) or str(error).partition(". ")[0]
            return None if before else f"{self._out}: stays as it is ({reason}). It is tried again."
        before, self._written, self._refused, self._waits = self._written, True, False, None
        return None if before else f"{self._out}: {size} MB. Open it in a browser: it loads itself again as steps come."
