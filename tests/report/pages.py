"""Pages to test with: of the example log, and of logs made up here."""

import base64
import json
import re
import zlib
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from unittest.mock import patch
from urllib.parse import quote, urlencode

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


def page_of(folder, *, figures=False, **options):
    """The report of a folder, as a file in it; with figures, which take long to draw, where they are looked at."""
    page = Path(folder) / "report.html"
    with nullcontext() if figures else without_figures():
        page.write_text(report(read_folder(folder), **options), encoding="utf-8")
    return page


def without_figures():
    """Pages that are made under it, as a decorator or a context, have no figures."""
    return patch("grpo_prm.report.page.pictures", lambda *_: [])


def log_of(path, rows):
    """A log as JSONL; lone surrogates are written as escapes, as Python's json does."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def chain_page(folder):
    return page_of(folder_of(EXAMPLE, folder / "chain.prm"), figures=True)


@cache
def text_of(page):
    return page.read_text(encoding="utf-8")


def embedded(text):
    """What a page embeds."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def trees_in(data):
    """The trees of a page, unpacked, in its order."""
    blocks = [json.loads(zlib.decompress(base64.b64decode(block))) for block in data["blocks"]]
    trees = [blocks[head["block"]][head["at"]] for head in data["trees"]]
    assert [(tree["group"], tree["kinds"]) for tree in trees] == [(h["group"], h["kinds"]) for h in data["trees"]]
    return trees


def data_of(page):
    """What the page embeds, with its trees unpacked."""
    data = embedded(text_of(page))
    return data | {"trees": trees_in(data)}


def name_of(page, group):
    """STEP:KEY of a group of a log of one run."""
    columns = data_of(page)["groups"]["columns"]
    row = held(columns, "group").index(group)
    step = held(columns, "step")[row]
    return f"{'-' if step is None else step}:{columns['key'][row]}"


def held(columns, name):
    """A column of the page as a list."""
    values = columns[name]
    if isinstance(values, list):
        return values
    count = len(columns["key"])
    return [values["all"]] * count if "all" in values else list(range(values["from"], values["from"] + count))


def address(page, group=None, sample=None, **given):
    """The address of a group; None: of the one that is open at first."""
    group = data_of(page)["trees"][0]["group"] if group is None else group
    path = ":".join(quote(part, safe="!'()*") for part in name_of(page, group).split(":", 1))
    return f"#{path}{'' if sample is None else f'/{sample}'}{'?' + urlencode(given) if given else ''}"


def open_group(page, path, group, sample=None, **given):
    """Go to a group by its address."""
    where = address(path, group, sample, **given)
    page.evaluate("where => { location.hash = where; }", where)
    page.wait_for_function(
        "name => document.getElementById('tree-title').textContent === name", arg=f"Group {name_of(path, group)}"
    )
