"""The page put together: what the templates are filled with, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..analysis.findings import EXAMPLES
from ..analysis.tables import Tables
from ..text.amounts import amount
from ..text.cells import Rows
from ..text.wording import MADE, sections
from ..version import __version__
from .answers import answers, example_groups
from .cautions import cautions
from .commands import tree_of_log
from .embed import embed, shown
from .groups import NAMES, group_columns
from .lengths import reward_by_length
from .packing import Block, blocks, parts, within
from .pictures import pictures
from .reward_parts import reward_parts
from .scales import scales
from .trees import groups_with_text, trees
from .trend import trend

TEMPLATES = Path(__file__).parent / "templates"
SCRIPTS = (
    *("printable", "data", "packed", "names", "choice", "theme", "dom", "tabs", "trend", "filters", "search", "marks"),
    *(
        "histogram",
        "groups",
        "layout",
        "measures",
        "explorer",
        "panel",
        "tokens",
        "words",
        "diff",
        "scatter",
        "aligned",
        "save",
        "keys",
        "running",
        "start",
    ),
)
STYLES = ("style", "views")
BYTES = 4_800_000  # of a page
LEAST_TEXT = 200_000  # bytes of packed trees, however large the rest of the page is
IDLE = 10_000  # milliseconds without use until the page of a run that goes on loads itself


def report(folder: Tables, tokenizer: str | None = None, running: datetime | None = None, *, text: bool = True) -> str:
    """The report of an analysis as one HTML page that needs nothing else and asks no network.

    Args:
        folder: What `analyze` wrote.
        tokenizer: Of the log, to cut texts exactly at the borders of tokens.
        running: Of a run that goes on: the time, in UTC. The page says so, and loads itself again.
        text: With prompts and completions. False: a page to share without them.

    Returns:
        The page. Below `BYTES` for a log of 100,000 completions: every group as numbers; with their text the groups
        that `samples.parquet` has, the longest of which are cut in the middle if they must, and as many others as there
        is room for.

    Raises:
        InputError: The samples are not those of the process steps.
        UsageError: The tokenizer cannot be opened.
    """
    return next(pages(folder, tokenizer, running, text=text))


def pages(
    folder: Tables, tokenizer: str | None = None, running: datetime | None = None, *, text: bool = True
) -> Iterator[str]:
    """The report as one page after the other, each below `BYTES`: the first is `report`, further ones hold the groups
    with text that have no room in those before. Arguments and errors as of `report`.
    """
    order = groups_with_text(folder)
    kept = set(folder.samples["group"])
    named = [group for group in order if group in kept]
    context = _context(folder, order, running)
    # Trees get what the page leaves of `BYTES`, so it is rendered without them first.
    room = max(LEAST_TEXT, BYTES - len(_render(context, []).encode()))
    first = within(list(trees(folder, named, tokenizer)), room)
    others = trees(folder, order[len(named) :], tokenizer)
    for part in parts(blocks(chain(first, others)), room, room):
        yield _render(context, part)


def _render(context: dict[str, Any], part: Sequence[Block]) -> str:
    heads = [head | {"block": n, "at": at} for n, block in enumerate(part) for at, head in enumerate(block.heads)]
    data = context["data"] | {"trees": heads, "blocks": [block.text for block in part]}
    shown = context["answers_of"]({head["group"] for head in heads})
    template = _environment().get_template("page.html")
    cut = sum(block.cut for block in part)
    return template.render(**{**context, "answers": shown, "data": embed(data), "texts_cut": cut})


def _context(folder: Tables, order: Sequence[int], running: datetime | None) -> dict[str, Any]:
    source = folder.summary["source"]
    style, script = _style(), _script()
    # The parts of a run that goes on are many files, and none of them is its name.
    named = source["runs"] if running else [Path(file).name for file in source["files"]]
    return {
        "policy": _policy(style, script),
        "style": style,
        "script": script,
        "title": ", ".join(named[:2]) or "rollouts",
        "summary": folder.summary,
        "made": [MADE[name] for name in source["tokens_from"].split(", ") if name in MADE],
        "sections": [(title, [_part(part) for part in body]) for title, body in sections(folder.summary)],
        "running": running,
        "answers_of": partial(_answers, folder, running=running is not None),
        "cautions": cautions(folder),
        "pictures": pictures(folder),
        "folder": "not saved" if folder.path is None else str(folder.path),
        "version": __version__,
        "data": {
            "unit": source["unit"],
            "groups": group_columns(folder.groups),
            "trend": trend(folder.training),
            "methods": source.get("methods", {}),
            "scales": scales(folder),
            "lengths": reward_by_length(folder),
            "parts": reward_parts(folder),
            "kept": len(order),
            "findings": {code: NAMES[EXAMPLES[code]] for code in example_groups(folder)},
            "command": tree_of_log(folder, running=running is not None),
            **({"running": IDLE} if running else {}),
        },
    }


def _answers(folder: Tables, there: set[int], *, running: bool) -> dict[str, Any]:
    return answers(folder, [{"group": group} for group in there], running=running)


def _part(part: str | Rows) -> dict[str, Any]:
    return {"table": part} if isinstance(part, Rows) else {"text": part}


def _style() -> Markup:
    parts = [(TEMPLATES / f"{name}.css").read_text(encoding="utf-8") for name in STYLES]
    return Markup("\n".join(parts))  # noqa: S704 - ours


def _script() -> Markup:
    parts = [(TEMPLATES / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    return Markup("\n".join(['"use strict";', "(() => {", *parts, "})();", ""]))  # noqa: S704 - ours


def _policy(style: str, script: str) -> str:
    """Content security policy: this style, this script, pictures inside the page, and no sink that takes markup."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        ]
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _environment() -> Environment:
    """Templates in which every value is made printable and escaped, whether or not the template remembers."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=True, finalize=_finalize,
    )  # fmt: skip
    environment.filters["amount"] = amount
    return environment


def _finalize(value: Any) -> Any:
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value
