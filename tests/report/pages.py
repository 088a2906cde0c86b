"""Pages to test with: of the example log, and of logs made up here."""

import json
import re
from functools import cache
from pathlib import Path

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.folder import read_folder
from grpo_prm.analysis.write import analysis_folder, write_tables
from grpo_prm.report import report

EXAMPLE = Path(__file__).parents[2] / "examples" / "chain.jsonl"


def folder_of(logs, out, **options):
    """Analyse into a folder without figures, as `analyze --no-figures` does."""
    analysis = analyze(logs, **options)
    named = [str(logs)] if isinstance(logs, str | Path) else [str(log) for log in logs]
    with analysis_folder(out, named, overwrite=True) as folder:
        write_tables(analysis, folder)
    return out


def page_of(folder, **options):
    """The report of a folder, as a file in it."""
    page = Path(folder) / "report.html"
    page.write_text(report(read_folder(folder), **options), encoding="utf-8")
    return page


def log_of(path, rows):
    """A log as JSONL; lone surrogates are written as escapes, as Python's json does."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def chain_page(folder):
    return page_of(folder_of(EXAMPLE, folder / "chain.prm"))


@cache
def text_of(page):
    return page.read_text(encoding="utf-8")


def data_of(page):
    """What the page embeds."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', text_of(page), re.DOTALL)[1]
    )
